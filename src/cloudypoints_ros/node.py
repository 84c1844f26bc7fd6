"""The ROS 2 node: camera images in, depth, its calibration, a cloud and a preview out.

Callbacks only keep the newest message. One worker thread decodes, runs the pipeline and publishes, so a slow model
never makes a queue: the latest frame wins and what it displaced is counted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError, RCLInvalidROSArgsError, UnknownROSArgsError
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from cloudypoints_ros import dds, messages, parameters
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.inbox import STAMPS_KEPT, Calibrations, Mailbox
from cloudypoints_ros.parameters import Value
from cloudypoints_ros.pipeline import DepthFrame, Pipeline
from cloudypoints_ros.preview import colorize
from cloudypoints_ros.stats import Laps, Stats
from cloudypoints_ros.subscription import FollowingSubscription

REPORT_S = 5.0
QOS_POLL_S = 0.25
QUEUE_DEPTH = 2


class DepthNode(LifecycleNode):
    """The node ``cloudypoints``. CloudyPointsError when a parameter cannot be used.

    Configuring loads the model and offers the topics, activating subscribes and starts the worker; deactivating and
    cleaning up undo that. What a state does not need is None in it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__("cloudypoints", **options)
        self.stats = Stats()
        self.failure: CloudyPointsError | None = None  # why the last configuration failed
        self._said: dict[str, float] = {}
        self._values = parameters.declare(self)
        self._cloud_options = _cloud_options(self._values)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)

        self._stats_file: Path | None = None
        self._pipeline: Pipeline | None = None
        self._depth_pub: Any = None
        self._info_pub: Any = None
        self._points_pub: Any = None
        self._color_pub: Any = None
        # Publishing serialises before it returns, so one message per topic is filled again and again.
        self._depth_msg, self._color_msg, self._points_msg = Image(), Image(), PointCloud2()
        self._calibrations = Calibrations()
        self._mailbox: Mailbox | None = None
        self._worker: threading.Thread | None = None
        self._image_sub: FollowingSubscription | None = None
        self._info_sub: FollowingSubscription | None = None
        self._timers_of_activity: list[Any] = []

    @property
    def autostart(self) -> bool:
        """Whether to configure and activate without being told to."""
        return bool(self._values["autostart"])

    # ---- life

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model, offer the topics. A failure leaves the node unconfigured, ready to try again."""
        self.failure = None
        model = str(self._values["model"])
        try:
            self._stats_file = _stats_file(str(self._values["stats_file"]))
            pipeline = Pipeline.open(
                Path(model) if model else None, str(self._values["engine"]), int(self._values["threads"])
            )
            self.get_logger().info(f"Model {pipeline.card.name} on {pipeline.engine.name}; warming up.")
            pipeline.warm_up()
        except CloudyPointsError as error:
            self.failure = error
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._pipeline = pipeline
        self._depth_pub = self.create_lifecycle_publisher(Image, "~/depth/image_raw", QUEUE_DEPTH)
        self._info_pub = self.create_lifecycle_publisher(CameraInfo, "~/depth/camera_info", QUEUE_DEPTH)
        self._points_pub = self.create_lifecycle_publisher(PointCloud2, "~/points", QUEUE_DEPTH)
        self._color_pub = self.create_lifecycle_publisher(Image, "~/depth/color", QUEUE_DEPTH)
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        super().on_activate(state)
        self._mailbox = Mailbox()
        self._worker = threading.Thread(
            target=self._work, args=(self._mailbox,), name="cloudypoints worker", daemon=True
        )
        self._worker.start()
        compressed = self._values["image_transport"] == "compressed"
        kind, topic = (CompressedImage, "image_raw/compressed") if compressed else (Image, "image_raw")
        self._image_sub = FollowingSubscription(self, kind, topic, self._on_image, QUEUE_DEPTH)
        self._info_sub = FollowingSubscription(self, CameraInfo, "camera_info", self._on_camera_info, STAMPS_KEPT)
        # Not the node's clock: with use_sim_time that one stands still until a bag plays.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timers_of_activity = [
            self.create_timer(QOS_POLL_S, self._follow_publishers, clock=steady),
            self.create_timer(REPORT_S, self._report, clock=steady),
        ]
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening and wait for the worker; the model stays loaded."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give back the topics and the model."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """From any state: the last frame ends, then everything goes."""
        self._stop()
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Stop in whatever state, and write the statistics file; the node can then be destroyed."""
        self._stop()
        if self._stats_file is not None:
            try:
                with replacing(self._stats_file) as partial:
                    partial.write_text(json.dumps(self.stats.record(), indent=1) + "\n", encoding="utf-8")
            except CloudyPointsError as error:
                print(f"depth_node: {error}", file=sys.stderr)

    def _stop(self) -> None:
        for timer in self._timers_of_activity:
            self.destroy_timer(timer)
        self._timers_of_activity = []
        for subscription in (self._image_sub, self._info_sub):
            if subscription is not None:
                subscription.close()
        self._image_sub = self._info_sub = None
        if self._mailbox is not None and self._worker is not None:
            self._mailbox.close()
            self._worker.join(timeout=10.0)
        self._mailbox = self._worker = None
        # Calibrations that came before a pause may be wrong after it.
        self._calibrations = Calibrations()

    def _release(self) -> None:
        for publisher in (self._depth_pub, self._info_pub, self._points_pub, self._color_pub):
            if publisher is not None:
                self.destroy_lifecycle_publisher(publisher)
        self._depth_pub = self._info_pub = self._points_pub = self._color_pub = None
        self._pipeline = None

    # ---- in

    def _follow_publishers(self) -> None:
        for subscription in (self._image_sub, self._info_sub):
            if subscription is not None:
                subscription.follow()

    def _on_image(self, msg: Any) -> None:
        if self._mailbox is None:
            return  # deactivated while this message was on its way
        self.stats.count("received")
        if self._mailbox.put((msg, time.perf_counter())):
            self.stats.count("dropped")

    def _on_camera_info(self, msg: CameraInfo) -> None:
        try:
            self._calibrations.add(_stamp(msg), messages.calibration(msg).folded())
        except (CloudyPointsError, ValueError, ZeroDivisionError) as error:
            self._say("camera_info", f"This camera_info cannot be used: {error}")

    # ---- the worker

    def _work(self, mailbox: Mailbox) -> None:
        while (item := mailbox.take()) is not None:
            try:
                outcome = self._frame(*item)
            except Exception as error:  # one bad frame must not end the node
                if not self.context.ok():
                    return
                outcome = "failed"
                reason = str(error) if isinstance(error, CloudyPointsError) else f"{type(error).__name__}: {error}"
                self._say("frame", f"A frame failed: {reason}")
                self.get_logger().debug(traceback.format_exc())
            self.stats.count(outcome)

    def _frame(self, msg: Any, arrived: float) -> str:
        """Decode, compute and publish one image; how it ended, as a name of :class:`Stats`."""
        pipeline = self._pipeline
        assert pipeline is not None and self._info_sub is not None  # the worker runs only while active
        wants_depth = self._depth_pub.get_subscription_count() > 0
        wants_points = self._points_pub.get_subscription_count() > 0
        wants_color = self._color_pub.get_subscription_count() > 0
        wants_info = self._info_pub.get_subscription_count() > 0
        if not (wants_depth or wants_points or wants_color or wants_info):
            return "idle"
        if self._calibrations.empty:
            topic = self._info_sub.topic_name
            self._say(
                "no camera_info",
                f"Images arrive but no camera_info on {topic}, so there are no metres; publish it there or remap "
                "camera_info.",
            )
            return "waiting"

        values, options = self._values, self._cloud_options
        laps = Laps(arrived)
        picture = messages.decode_compressed(msg) if isinstance(msg, CompressedImage) else messages.decode(msg)
        laps.lap("decode")
        header, image = msg.header, picture.image
        height, width = image.shape[:2]
        calibration = self._calibrations.find(_stamp(msg), width, height)
        downscale = int(values["depth_downscale"])
        size = (max(1, width // downscale), max(1, height // downscale))
        frame: DepthFrame | None = None
        if wants_depth or wants_points or wants_color:
            camera = calibration.camera(bool(values["rectified"]))
            frame = pipeline.depth(image, camera, picture.order, size)
            laps.add(frame.times_ms)
        if frame is not None and wants_depth:
            depth_msg, too_far = messages.depth_message(
                frame.depth, header, str(values["depth_encoding"]), self._depth_msg
            )
            self._depth_pub.publish(depth_msg)
            self.stats.count("too_far_pixels", too_far)
        if wants_info:  # right after the depth it belongs to, for those who wait for both
            self._info_pub.publish(messages.camera_info(calibration.resized(*size), header))
        if wants_depth or wants_info:
            laps.lap("depth")
        if frame is not None and wants_points:
            if size != (width, height):
                image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            packed = cloud(frame.depth, frame.camera, image, picture.order, options)
            self._points_pub.publish(messages.cloud_message(packed, header, self._points_msg))
            laps.lap("points")
        if frame is not None and wants_color:
            preview = colorize(frame.depth, float(values["color.max_range"]))
            self._color_pub.publish(messages.image_message(preview, header, "bgr8", self._color_msg))
            laps.lap("color")
        self.stats.add_times(laps.finish())
        return "published"

    # ---- parameters and reports

    def _check_parameters(self, changes: Sequence[Any]) -> SetParametersResult:
        values = {**self._values, **{change.name: change.value for change in changes}}
        reason = parameters.problem(values)
        return SetParametersResult(successful=reason is None, reason=reason or "")

    def _take_parameters(self, changes: Sequence[Any]) -> None:
        known = {change.name: change.value for change in changes if change.name in self._values}
        self._values = {**self._values, **known}
        self._cloud_options = _cloud_options(self._values)

    def _report(self) -> None:
        assert self._image_sub is not None  # the timer lives only while active
        line = self.stats.line()
        if line is not None:
            self.get_logger().info(line)
            return
        topic = self._image_sub.topic_name
        publishers = self.count_publishers(topic)
        if publishers == 0:
            self._say("silence", f"No image yet: nobody publishes {topic}; start the camera or remap.")
        else:
            self._say(
                "silence",
                f"No image for {REPORT_S:g} s on {topic} ({publishers} publishing, subscribed "
                f"{self._image_sub.words}). Large best-effort images need shared memory: let the camera publish "
                f"reliable or give its process the Fast DDS profile {dds.PROFILE}.",
            )

    def _say(self, key: str, text: str) -> None:
        """Warn, at most once per REPORT_S for each key."""
        now = time.monotonic()
        if now - self._said.get(key, -REPORT_S) >= REPORT_S * 0.99:
            self._said[key] = now
            self.get_logger().warning(text)


def _start(node: DepthNode) -> None:
    """Configure and activate. CloudyPointsError when that fails: nobody else would try again."""
    if node.trigger_configure() != TransitionCallbackReturn.SUCCESS:
        raise node.failure or CloudyPointsError("The node could not be configured; its log says why.")
    if node.trigger_activate() != TransitionCallbackReturn.SUCCESS:
        raise CloudyPointsError("The node could not be activated; its log says why.")


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _stamp(msg: Any) -> tuple[int, int]:
    return msg.header.stamp.sec, msg.header.stamp.nanosec


def _cloud_options(values: Mapping[str, Value]) -> CloudOptions:
    return CloudOptions(
        fields=str(values["points.fields"]),
        stride=int(values["points.stride"]),
        organised=bool(values["points.organised"]),
        min_range_m=float(values["points.min_range"]),
        max_range_m=float(values["points.max_range"]),
    )


def _stats_file(text: str) -> Path | None:
    if not text:
        return None
    path = Path(text).expanduser()
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise CloudyPointsError(
            f"The statistics file {path} cannot be written: its folder is missing or read-only. Set stats_file to a "
            "path in a folder that can be written."
        )
    return path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until Ctrl-C or SIGTERM; the exit code: 0, or 2 for what the user can mend."""
    arguments = list(sys.argv if argv is None else ["depth_node", *argv])
    parser = argparse.ArgumentParser(
        prog="depth_node", description=__doc__, epilog="ROS arguments follow --ros-args: remappings, parameters."
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    debug = "--debug" in arguments
    node: DepthNode | None = None
    initialised = False
    try:
        profile = dds.apply_profile()
        dds.keep_buffers()
        dds.check_log_directory()
        try:
            parser.parse_args(remove_ros_args(arguments)[1:])
            rclpy.init(args=arguments)
        except (RCLError, RCLInvalidROSArgsError, UnknownROSArgsError) as error:
            raise CloudyPointsError(
                f"ROS does not accept the arguments {' '.join(arguments[1:])} ({_first_line(error)}); give "
                "parameters as -p NAME:=VALUE, remappings as -r FROM:=TO, and a parameter file that exists."
            ) from error
        initialised = True
        node = DepthNode()
        node.get_logger().info(profile)
        if node.autostart:
            _start(node)
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except CloudyPointsError as error:
        if debug:
            traceback.print_exc()
        print(f"depth_node: {error}", file=sys.stderr)
        return 2
    except Exception as error:
        # Ctrl-C while the node is being made shuts the context under our feet.
        if not initialised or rclpy.ok():
            raise
        if debug:
            print(f"depth_node: stopped while starting ({error})", file=sys.stderr)
    finally:
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
