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
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy._rclpy_pybind11 import RCLError, RCLInvalidROSArgsError, UnknownROSArgsError
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

from cloudypoints_ros import dds, messages, parameters
from cloudypoints_ros.camera import Calibration
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.parameters import Value
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.preview import colorize
from cloudypoints_ros.subscription import FollowingSubscription

REPORT_S = 5.0
QOS_POLL_S = 0.25
QUEUE_DEPTH = 2
SIZES_KEPT = 8
STAMPS_KEPT = 64
PERCENTILES = (50, 95, 99)


class Mailbox:
    """One slot between the ROS callback and the worker; the newest message wins."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._item: Any = None
        self._closed = False

    def put(self, item: Any) -> bool:
        """Leave a message; whether it displaced one that nobody had taken."""
        with self._condition:
            displaced = self._item is not None
            self._item = item
            self._condition.notify()
            return displaced

    def take(self) -> Any:
        """Wait for a message; None once the box is closed."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._item is not None)
            item, self._item = self._item, None
            return None if self._closed else item

    def close(self) -> None:
        with self._condition:
            self._closed = True
            self._condition.notify_all()


class Stats:
    """Counts since the start, and milliseconds per stage of the last few thousand frames.

    Every received image ends as exactly one of published, dropped (displaced by a newer one), idle (nobody
    subscribes), waiting (no camera_info yet) or failed.
    """

    COUNTS = ("received", "published", "dropped", "idle", "waiting", "failed", "too_far_pixels")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(self.COUNTS, 0)
        self._last = dict(self._counts)
        self._since = time.monotonic()
        self._times: dict[str, deque[float]] = {}
        self._recent: list[float] = []

    def count(self, what: str, n: int = 1) -> None:
        with self._lock:
            self._counts[what] += n

    def add_times(self, times_ms: Mapping[str, float]) -> None:
        with self._lock:
            for stage, value in times_ms.items():
                self._times.setdefault(stage, deque(maxlen=5000)).append(value)
            self._recent.append(times_ms["total"])

    def line(self) -> str | None:
        """One line about the time since the last line; None when no image came."""
        with self._lock:
            now = time.monotonic()
            new = {what: n - self._last[what] for what, n in self._counts.items()}
            seconds = max(now - self._since, 1e-3)
            recent, self._recent = self._recent, []
            self._last, self._since = dict(self._counts), now
        if not new["received"]:
            return None
        parts = [f"in {new['received'] / seconds:.1f} Hz", f"out {new['published'] / seconds:.1f} Hz"]
        parts += [f"{what} {new[what]}" for what in ("dropped", "idle", "waiting", "failed") if new[what]]
        if recent:
            p50, p95 = np.percentile(recent, [50, 95])
            parts.append(f"arrival to published p50 {p50:.1f} ms p95 {p95:.1f} ms")
        return ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """What the statistics file holds: counts, and p50, p95 and p99 in milliseconds per stage."""
        with self._lock:
            stages = {
                stage: {
                    "n": len(values),
                    **{f"p{p}": round(float(v), 3) for p, v in zip(PERCENTILES, _percentiles(values), strict=True)},
                }
                for stage, values in self._times.items()
            }
            return {"counts": dict(self._counts), "stages_ms": stages}


class Calibrations:
    """The newest calibrations: by stamp, for a lens that zooms, and by image size, for stamps that do not match.

    Filled by the executor, read by the worker.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_stamp: OrderedDict[tuple[int, int], Calibration] = OrderedDict()
        self._by_size: OrderedDict[tuple[int, int], Calibration] = OrderedDict()

    @property
    def empty(self) -> bool:
        return not self._by_size

    def add(self, stamp: tuple[int, int], calibration: Calibration) -> None:
        """Keep a folded calibration as the newest of its stamp and size."""
        size = (calibration.width, calibration.height)
        with self._lock:
            for kept, key, most in ((self._by_stamp, stamp, STAMPS_KEPT), (self._by_size, size, SIZES_KEPT)):
                kept[key] = calibration
                kept.move_to_end(key)
                if len(kept) > most:
                    kept.popitem(last=False)

    def find(self, stamp: tuple[int, int], width: int, height: int) -> Calibration:
        """Of the image's own stamp, else the newest of its size. CloudyPointsError when none fits it."""
        with self._lock:
            own = self._by_stamp.get(stamp)
            newest = self._by_size.get((width, height)) or next(reversed(self._by_size.values()))
        chosen = own if own is not None and (own.width, own.height) == (width, height) else newest
        chosen.require_image(width, height)
        return chosen


class DepthNode(Node):
    """The node ``cloudypoints``. CloudyPointsError when a parameter or the model cannot be used."""

    def __init__(self, **options: Any) -> None:
        super().__init__("cloudypoints", **options)
        self.stats = Stats()
        self._said: dict[str, float] = {}
        self._values = parameters.declare(self)
        self._cloud_options = _cloud_options(self._values)
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        self._stats_file = _stats_file(str(self._values["stats_file"]))

        model = str(self._values["model"])
        self._pipeline = Pipeline.open(
            Path(model) if model else None, str(self._values["engine"]), int(self._values["threads"])
        )
        self.get_logger().info(f"Model {self._pipeline.card.name} on {self._values['engine']}; warming up.")
        self._pipeline.warm_up()

        self._depth_pub = self.create_publisher(Image, "~/depth/image_raw", QUEUE_DEPTH)
        self._info_pub = self.create_publisher(CameraInfo, "~/depth/camera_info", QUEUE_DEPTH)
        self._points_pub = self.create_publisher(PointCloud2, "~/points", QUEUE_DEPTH)
        self._color_pub = self.create_publisher(Image, "~/depth/color", QUEUE_DEPTH)
        # Publishing serialises before it returns, so one message per topic is filled again and again.
        self._depth_msg, self._color_msg, self._points_msg = Image(), Image(), PointCloud2()

        self._mailbox = Mailbox()
        self._worker = threading.Thread(target=self._work, name="cloudypoints worker", daemon=True)
        self._worker.start()

        self._calibrations = Calibrations()
        compressed = self._values["image_transport"] == "compressed"
        kind, topic = (CompressedImage, "image_raw/compressed") if compressed else (Image, "image_raw")
        self._image_sub = FollowingSubscription(self, kind, topic, self._on_image, QUEUE_DEPTH)
        self._info_sub = FollowingSubscription(self, CameraInfo, "camera_info", self._on_camera_info, STAMPS_KEPT)
        # Not the node's clock: with use_sim_time that one stands still until a bag plays.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._qos_timer = self.create_timer(QOS_POLL_S, self._follow_publishers, clock=steady)
        self._report_timer = self.create_timer(REPORT_S, self._report, clock=steady)

    def close(self) -> None:
        """Stop the worker and write the statistics file; the node can then be destroyed."""
        self._mailbox.close()
        self._worker.join(timeout=10.0)
        if self._stats_file is not None:
            try:
                with replacing(self._stats_file) as partial:
                    partial.write_text(json.dumps(self.stats.record(), indent=1) + "\n", encoding="utf-8")
            except CloudyPointsError as error:
                print(f"depth_node: {error}", file=sys.stderr)

    # ---- in

    def _follow_publishers(self) -> None:
        self._image_sub.follow()
        self._info_sub.follow()

    def _on_image(self, msg: Any) -> None:
        self.stats.count("received")
        if self._mailbox.put((msg, time.perf_counter())):
            self.stats.count("dropped")

    def _on_camera_info(self, msg: CameraInfo) -> None:
        try:
            self._calibrations.add(_stamp(msg), messages.calibration(msg).folded())
        except (CloudyPointsError, ValueError, ZeroDivisionError) as error:
            self._say("camera_info", f"This camera_info cannot be used: {error}")

    # ---- the worker

    def _work(self) -> None:
        while (item := self._mailbox.take()) is not None:
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
        laps = _Laps(arrived)
        picture = messages.decode_compressed(msg) if isinstance(msg, CompressedImage) else messages.decode(msg)
        laps.lap("decode")
        header, image = msg.header, picture.image
        height, width = image.shape[:2]
        calibration = self._calibrations.find(_stamp(msg), width, height)
        downscale = int(values["depth_downscale"])
        size = (max(1, width // downscale), max(1, height // downscale))
        if wants_depth or wants_points or wants_color:
            camera = calibration.camera(bool(values["rectified"]))
            frame = self._pipeline.depth(image, camera, picture.order, size)
            laps.add(frame.times_ms)
            if wants_depth:
                depth_msg, too_far = messages.depth_message(
                    frame.depth, header, str(values["depth_encoding"]), self._depth_msg
                )
                self._depth_pub.publish(depth_msg)
                self.stats.count("too_far_pixels", too_far)
                laps.lap("depth")
            if wants_points:
                if size != (width, height):
                    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
                packed = cloud(frame.depth, frame.camera, image, picture.order, options)
                self._points_pub.publish(messages.cloud_message(packed, header, self._points_msg))
                laps.lap("points")
            if wants_color:
                preview = colorize(frame.depth, float(values["color.max_range"]))
                self._color_pub.publish(messages.image_message(preview, header, "bgr8", self._color_msg))
                laps.lap("color")
        if wants_info:
            self._info_pub.publish(messages.camera_info(calibration.resized(*size), header))
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


class _Laps:
    """Milliseconds per stage of one frame; ``total`` runs from arrival to the last publish."""

    def __init__(self, arrived: float) -> None:
        self._arrived, self._last = arrived, time.perf_counter()
        self._times = {"wait": (self._last - arrived) * 1e3}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._times[stage] = (now - self._last) * 1e3
        self._last = now

    def add(self, times_ms: Mapping[str, float]) -> None:
        """Take over stages that were measured elsewhere, up to now."""
        self._times.update(times_ms)
        self._last = time.perf_counter()

    def finish(self) -> dict[str, float]:
        self._times["total"] = (time.perf_counter() - self._arrived) * 1e3
        return self._times


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def _percentiles(values: Sequence[float] | deque[float]) -> list[float]:
    return [float(v) for v in np.percentile(list(values), PERCENTILES)]


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
