"""One camera's way through the node: what comes in, one frame's work, what goes out, and how it is doing."""

from __future__ import annotations

import dataclasses
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cloudypoints_ros import dds, messages
from cloudypoints_ros.camera import Calibration
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import cloud
from cloudypoints_ros.health import Status, camera_status
from cloudypoints_ros.inbox import STAMPS_KEPT, Calibrations, Inbox
from cloudypoints_ros.messages import Picture
from cloudypoints_ros.notes import Level, Note, Notes
from cloudypoints_ros.outputs import Outputs
from cloudypoints_ros.parameters import topic
from cloudypoints_ros.pipeline import DepthFrame, Pipeline
from cloudypoints_ros.preview import colorize
from cloudypoints_ros.regions import ego_mask_for
from cloudypoints_ros.scale import RoadScale, fit_road, no_road
from cloudypoints_ros.settings import CameraSettings, Thresholds
from cloudypoints_ros.stats import Laps, Stats, Window
from cloudypoints_ros.subscription import FollowingSubscription
from cloudypoints_ros.timing import StampWatch

Array = npt.NDArray[Any]

QUEUE_DEPTH = 2
# Fewer images than this share of their camera_info means that the middleware loses them.
_LOST_SHARE = 0.5


@dataclass(frozen=True)
class Arrived:
    """An image on its way: the message, when it came (perf_counter), whether its stamp can be held against the
    clock, and the picture with its milliseconds where it has been decoded already."""

    msg: Any
    at: float
    stamp_fits: bool
    picture: Picture | None = None
    decode_ms: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What is published for one image: the part of it that was looked at, the calibration and depth that fit the
    answer (no depth when only camera_info is wanted), the outputs wanted and the settings they were made with."""

    arrived: Arrived
    picture: Picture
    calibration: Calibration
    frame: DepthFrame | None
    wanted: set[str]
    settings: CameraSettings
    laps: Laps


class CameraLane:
    """Everything of one camera. :meth:`open` offers the topics, :meth:`start` subscribes; :meth:`work` is called by
    the node's worker thread, :meth:`publish` by its publishing thread, all else by the executor."""

    def __init__(self, node: Any, name: str, settings: CameraSettings) -> None:
        self._node = node
        self.name = name
        self.settings = settings
        self.stats = Stats()
        self._label = f"{name}: " if name else ""
        self._notes = Notes(self._log)
        self._outputs: Outputs | None = None
        self._inbox: Inbox | None = None
        self._decoder: _Decoder | None = None
        self._image_sub: FollowingSubscription | None = None
        self._info_sub: FollowingSubscription | None = None
        self._started = 0.0
        # Written whole by one thread, read by another.
        self._facts: dict[str, str] = {}
        self._scale_facts: dict[str, str] = {}
        self._failure = "none"
        self._forget()

    def _forget(self) -> None:
        """What was seen before a pause may be wrong after it."""
        self._calibrations = Calibrations()
        self._info_refused = False
        self._infos = Stats()
        self._stamps = StampWatch()
        self._road: tuple[Any, RoadScale] | None = None  # what the correction was found with, and the correction
        self._scale_facts = {}
        self.stats.begin()

    def _log(self, note: Note) -> None:
        # rclpy allows one severity per line of code.
        if note.level == Level.ERROR:
            self._node.get_logger().error(self._label + note.text)
        else:
            self._node.get_logger().warning(self._label + note.text)

    # ---- life

    def open(self, reliability: str, depth: int) -> None:
        """Offer the topics."""
        self._outputs = Outputs(self._node, self.name, reliability, depth)

    def start(self, inbox: Inbox) -> None:
        """Subscribe; images go to ``inbox``."""
        self._inbox = inbox
        self._forget()
        self._started = time.monotonic()
        settings = self.settings
        kind, name = (CompressedImage, "image_raw/compressed") if settings.compressed else (Image, "image_raw")
        if settings.compressed:
            self._decoder = _Decoder(self)
        self._image_sub = FollowingSubscription(
            self._node, kind, topic(name, self.name), self._on_image, QUEUE_DEPTH, settings.reliability, self._on_lost
        )
        self._info_sub = FollowingSubscription(
            self._node, CameraInfo, topic("camera_info", self.name), self._on_camera_info, STAMPS_KEPT,
            settings.reliability,
        )  # fmt: skip

    def stop(self) -> None:
        """Unsubscribe; what was decoded may still arrive in the inbox."""
        for subscription in (self._image_sub, self._info_sub):
            if subscription is not None:
                subscription.close()
        self._image_sub = self._info_sub = None
        if self._decoder is not None:
            self._decoder.close()
        self._decoder = None

    def close(self) -> None:
        """Take the topics back."""
        self.stop()
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = None

    def change(self, settings: CameraSettings) -> None:
        """Use other settings from the next frame on; subscribes anew where that takes it."""
        old, self.settings = self.settings, settings
        anew = (old.compressed, old.reliability) != (settings.compressed, settings.reliability)
        if anew and self._inbox is not None and self._image_sub is not None:
            self.stop()
            self.start(self._inbox)

    def follow(self) -> None:
        """Ask for what the publishers offer now."""
        for subscription in (self._image_sub, self._info_sub):
            if subscription is not None:
                subscription.follow()

    # ---- in

    def _on_image(self, msg: Any) -> None:
        outputs, inbox = self._outputs, self._inbox
        if outputs is None or inbox is None or self._image_sub is None:
            return  # stopped while this message was on its way
        self.stats.count("received")
        clock = self._node.get_clock()
        stamp = msg.header.stamp
        seen = self._stamps.see(
            stamp.sec * 1_000_000_000 + stamp.nanosec, clock.now().nanoseconds, clock.ros_time_is_active
        )
        if seen.problem:
            self._notes.add("stamp", Level.WARN, seen.problem)
        else:
            self._notes.clear("stamp")
        if seen.looped:
            self._node.get_logger().info(f"{self._label}time went back, a bag that loops or a camera that restarted.")
        subscribed = outputs.subscribed()
        if not subscribed:
            self.stats.count("idle")
        elif not outputs.due(subscribed, self.settings.max_rate_hz):
            self.stats.count("limited")
        else:
            arrived = Arrived(msg, time.perf_counter(), seen.latency_s is not None)
            self.hand_on(arrived) if self._decoder is None else self._decoder.put(arrived)

    def hand_on(self, arrived: Arrived) -> None:
        """Leave an image to the worker."""
        if self._inbox is not None and self._inbox.put(self.name, arrived):
            self.stats.count("dropped")

    def _on_lost(self, count: int) -> None:
        self.stats.count("lost", count)

    def _on_camera_info(self, msg: CameraInfo) -> None:
        self._infos.count("received")
        try:
            self._calibrations.add(_stamp(msg), messages.calibration(msg).folded())
        except (CloudyPointsError, ValueError, ZeroDivisionError, OverflowError) as error:
            self._info_refused = True
            self._notes.add("camera_info", Level.ERROR, f"This camera_info cannot be used: {error}")

    # ---- the worker

    def work(self, pipeline: Pipeline, arrived: Arrived) -> Answer | None:
        """Compute what one image leads to; None when nothing, which is counted then. Nothing is raised."""
        try:
            answer = self._answer(pipeline, arrived)
        except Exception as error:  # one bad frame must not end the node
            self._failed(error)
            return None
        if isinstance(answer, str):
            self.stats.count(answer)
            return None
        return answer

    def publish(self, answer: Answer) -> None:
        """Send an answer out and count it; nothing is raised."""
        try:
            self._publish(answer)
        except Exception as error:  # as above
            self._failed(error)
        else:
            self.stats.count("published")
            self._notes.clear("frame")

    def _failed(self, error: Exception) -> None:
        if self._node.context.ok():
            self.complain(error)
            self.stats.count("failed")

    def complain(self, error: Exception) -> None:
        """Say why a frame failed."""
        reason = str(error) if isinstance(error, CloudyPointsError) else f"{type(error).__name__}: {error}"
        self._failure = reason
        self._notes.add("frame", Level.ERROR, f"A frame failed: {reason}")
        self._node.get_logger().debug("".join(traceback.format_exception(error)))

    def _answer(self, pipeline: Pipeline, arrived: Arrived) -> Answer | str:
        """The answer, or how the image ended without one, as a name of :data:`OUTCOMES`."""
        settings, outputs, info_sub = self.settings, self._outputs, self._info_sub
        if outputs is None or info_sub is None:
            return "dropped"  # stopped meanwhile
        if self._calibrations.empty and self._info_refused:
            return "waiting"  # and the note says why it cannot be used
        if self._calibrations.empty:
            self._notes.add(
                "no camera_info",
                Level.ERROR,
                f"Images arrive but no camera_info on {info_sub.topic_name}, so there are no metres; publish it there "
                "or remap camera_info.",
            )
            return "waiting"
        self._notes.clear("no camera_info")
        wanted = outputs.take(settings.max_rate_hz)
        if not wanted:
            return "limited"
        msg = arrived.msg
        laps = Laps(arrived.at, arrived.decode_ms)
        picture = arrived.picture
        if picture is None:
            picture = messages.decode(msg)
            laps.lap("decode")
        height, width = picture.image.shape[:2]
        calibration = self._calibrations.find(_stamp(msg), width, height)
        region = settings.region.fitted(width, height)
        part = Picture(region.of(picture.image), picture.order)
        calibration = region.of_calibration(calibration)
        height, width = part.image.shape[:2]
        size = (max(1, width // settings.downscale), max(1, height // settings.downscale))
        frame: DepthFrame | None = None
        if wanted != {"info"}:
            frame = pipeline.depth(part.image, calibration.camera(settings.rectified), part.order, size)
            laps.add(frame.times_ms)
            if settings.ego_mask is not None:
                _blank(frame.depth, region.of(ego_mask_for(settings.ego_mask, *picture.image.shape[1::-1])))
            self._look_for_depth(frame.depth)
            if (factor := self._factor(pipeline, frame, settings, msg.header.stamp)) is None:
                return "waiting"
            if factor != 1:
                np.multiply(frame.depth, np.float32(factor), out=frame.depth)
            laps.lap("scale")
        self._facts = {
            "image": f"{picture.image.shape[1]}x{picture.image.shape[0]} {getattr(msg, 'encoding', 'compressed')}",
            "depth": f"{size[0]}x{size[1]} {settings.depth_encoding}",
        }
        return Answer(arrived, part, calibration.resized(*size), frame, wanted, settings, laps)

    def _publish(self, answer: Answer) -> None:
        outputs, settings, frame, wanted = self._outputs, answer.settings, answer.frame, answer.wanted
        header, laps = answer.arrived.msg.header, answer.laps
        assert outputs is not None  # the topics outlive the publishing
        laps.lap("handed over")
        if frame is not None and "depth" in wanted:
            depth_msg, too_far = messages.depth_message(
                frame.depth, header, settings.depth_encoding, outputs.messages["depth"]
            )
            outputs.publish("depth", depth_msg)
            self.stats.count("too_far_pixels", too_far)
        if "info" in wanted:  # right after the depth it belongs to, for those who wait for both
            outputs.publish("info", messages.camera_info(answer.calibration, header))
        if wanted & {"depth", "info"}:
            laps.lap("depth")
        if frame is not None and "points" in wanted:
            image = answer.picture.image
            if image.shape[:2] != frame.depth.shape:
                image = cv2.resize(image, frame.depth.shape[::-1], interpolation=cv2.INTER_AREA)
            packed = cloud(frame.depth, frame.camera, image, answer.picture.order, settings.cloud, settings.mount)
            outputs.publish("points", messages.cloud_message(packed, header, outputs.messages["points"]))
            laps.lap("points")
        if frame is not None and "color" in wanted:
            preview = colorize(frame.depth, settings.color_max_range_m)
            outputs.publish("color", messages.image_message(preview, header, "bgr8", outputs.messages["color"]))
            laps.lap("color")
        self.stats.add_times(laps.finish() | self._latency(answer.arrived, header.stamp))

    def _latency(self, arrived: Arrived, stamp: Any) -> dict[str, float]:
        """Milliseconds from the stamp to now on the node's clock; nothing where the stamp does not fit that clock."""
        if not arrived.stamp_fits:
            return {}
        now = self._node.get_clock().now().nanoseconds
        return {"stamp to published": (now - stamp.sec * 1_000_000_000 - stamp.nanosec) * 1e-6}

    def _look_for_depth(self, depth: Array) -> None:
        few = depth[::16, ::16]
        if np.isnan(few).all() and np.isnan(depth).all():
            self._notes.add(
                "no depth",
                Level.WARN,
                "The model gave no depth at any pixel; check the image, roi and ego_mask, or use another model.",
            )
        else:
            self._notes.clear("no depth")

    def _factor(self, pipeline: Pipeline, frame: DepthFrame, settings: CameraSettings, stamp: Any) -> float | None:
        """What the model's depth is multiplied by; None while there is no scale."""
        scale = settings.scale
        if scale.source == "card":
            self._scale_facts = {}
            return 1.0
        if scale.source == "constant":
            self._scale_facts = {"scale factor": f"{scale.constant:g}"}
            return scale.constant
        # Another model or another view may need another correction, which is no news to be smoothed.
        found_with = (pipeline, settings.mount, scale, settings.region, settings.rectified)
        kept = self._road
        road = kept[1] if kept is not None and kept[0] == found_with else None
        if road is None:
            road = RoadScale(settings.mount.height_m, scale.smoothing_s, scale.hold_s)
            self._road = (found_with, road)
        fitted = fit_road(frame.depth, frame.camera, settings.mount)
        road.update(fitted, stamp.sec + stamp.nanosec * 1e-9)
        factor = road.factor
        self._scale_facts = {
            "scale, from the road": road.words,
            "scale factor": "none" if factor is None else f"{factor:.6g}",
            "scale uncertainty (1 sigma, relative)": f"{road.uncertainty:.4f}",
            "road tilt against the mount [degrees]": "none" if fitted is None else f"{fitted.tilt_deg:.1f}",
        }
        if factor is None:
            self._notes.add("no road", Level.ERROR, no_road(road.missing_s))
        else:
            self._notes.clear("no road")
        return factor

    # ---- how it is doing

    def status(self, thresholds: Thresholds, clock: str) -> Status:
        """For the diagnostics; says in the log what keeps images away."""
        name = f"{self._node.get_fully_qualified_name().lstrip('/')}: camera {self.name}".rstrip()
        if self._image_sub is None:
            return Status(name, Level.STALE, "The node is not active, so no image is taken.")
        window = self.stats.window()
        self._explain(window, thresholds)
        facts = {"clock": clock, "qos": self._image_sub.words, "scale": self.settings.scale.source}
        facts |= {"last failure": self._failure, **self._facts, **self._scale_facts}
        return camera_status(name, window, self._notes.current(), thresholds, facts)

    def _explain(self, window: Window, thresholds: Thresholds) -> None:
        image_sub, info_sub, outputs = self._image_sub, self._info_sub, self._outputs
        if image_sub is None or info_sub is None or outputs is None:
            return
        if listeners := outputs.unmatched():
            self._notes.add("subscribers", Level.WARN, f"Nothing reaches {', '.join(listeners)}.")
        else:
            self._notes.clear("subscribers")
        for key, subscription in (("qos", image_sub), ("qos of camera_info", info_sub)):
            if unmatched := subscription.unmatched():
                only = len(unmatched) == len(subscription.publishers())
                self._notes.add(
                    key,
                    Level.ERROR if only else Level.WARN,
                    f"{', '.join(unmatched)} publishes {subscription.topic_name} with a QoS that does not match "
                    f"qos.input {self.settings.reliability}, so nothing of it arrives; set qos.input to auto.",
                )
            else:
                self._notes.clear(key)
        age = time.monotonic() - self._started if window.age_s is None else window.age_s
        if age > thresholds.stale_after_s:
            if len(image_sub.unmatched()) < max(1, len(image_sub.publishers())):
                self._notes.add("silence", *self._silence(image_sub, window, thresholds))
        else:
            self._notes.clear("silence")
            self._explain_loss(window)

    def _silence(self, image_sub: FollowingSubscription, window: Window, thresholds: Thresholds) -> tuple[Level, str]:
        """Why no image comes."""
        where = image_sub.topic_name
        publishers = len(image_sub.publishers())
        if publishers == 0:
            return Level.WARN, f"No image: nobody publishes {where}; start the camera or remap.{self._others(where)}"
        # A camera that is alive sends camera_info, which is small and arrives.
        info_age = self._infos.window().age_s
        alive = info_age is not None and info_age < thresholds.stale_after_s
        if not image_sub.best_effort or (window.age_s is not None and not alive):
            return Level.WARN, f"No image on {where}, though {publishers} would publish it; look at the camera driver."
        return Level.ERROR, (
            f"No image on {where} ({publishers} publishing, subscribed {image_sub.words}). {dds.REMEDY_BEST_EFFORT}"
        )

    def _others(self, where: str) -> str:
        """Image topics that might be meant."""
        kinds = {"sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"}
        own = self._node.get_name()
        others = [
            name
            for name, types in self._node.get_topic_names_and_types()
            if kinds & set(types) and name != where and f"/{own}/" not in name and self._node.count_publishers(name)
        ]
        return f" Images are published on {', '.join(sorted(others)[:5])}." if others else ""

    def _explain_loss(self, window: Window) -> None:
        """A camera publishes as many images as camera_info; when far fewer come, they are lost on the way."""
        expected, came = self._infos.window().counts.get("received", 0), window.counts.get("received", 0)
        if self._image_sub is None or not self._image_sub.best_effort or expected < 10:
            return
        if came < _LOST_SHARE * expected:
            self._notes.add(
                "lost",
                Level.ERROR,
                f"{came} images but {expected} camera_info came in {window.seconds:.0f} s: best-effort images are lost "
                f"on the way. {dds.REMEDY_BEST_EFFORT}",
            )


class _Decoder:
    """Decodes the newest compressed image of a camera in a thread of its own, while the worker is at another."""

    def __init__(self, lane: CameraLane) -> None:
        self._lane = lane
        self._box = Inbox()
        self._thread = threading.Thread(target=self._run, name=f"cloudypoints decoder {lane.name}", daemon=True)
        self._thread.start()

    def put(self, arrived: Arrived) -> None:
        if self._box.put(self._lane.name, arrived):
            self._lane.stats.count("dropped")

    def close(self) -> None:
        self._box.close()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while (item := self._box.take()) is not None:
            arrived = item[1]
            start = time.perf_counter()
            try:
                picture = messages.decode_compressed(arrived.msg)
            except Exception as error:  # one bad frame must not end the node
                self._lane.complain(error)
                self._lane.stats.count("failed")
                continue
            took_ms = (time.perf_counter() - start) * 1e3
            self._lane.hand_on(dataclasses.replace(arrived, picture=picture, decode_ms=took_ms))


def _blank(depth: Array, mask: Array) -> None:
    """No depth where the mask is set."""
    if mask.shape != depth.shape:
        mask = cv2.resize(mask.astype(np.uint8), depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    np.copyto(depth, np.float32(np.nan), where=mask.astype(bool))


def _stamp(msg: Any) -> tuple[int, int]:
    return msg.header.stamp.sec, msg.header.stamp.nanosec
