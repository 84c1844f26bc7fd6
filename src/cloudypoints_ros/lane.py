"""One camera's way through the node: its topics, one frame's work, and how it is doing."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros import messages
from cloudypoints_ros.camera import Calibration
from cloudypoints_ros.errors import CloudyPointsError, EngineLost
from cloudypoints_ros.geometry import cloud
from cloudypoints_ros.health import Status, camera_status
from cloudypoints_ros.inbox import Inbox
from cloudypoints_ros.intake import Arrived, Intake
from cloudypoints_ros.messages import Picture
from cloudypoints_ros.notes import Level, Note, Notes
from cloudypoints_ros.outputs import Outputs
from cloudypoints_ros.pipeline import DepthFrame, Pipeline
from cloudypoints_ros.preview import colorize
from cloudypoints_ros.regions import ego_mask_for
from cloudypoints_ros.scale import RoadScale, fit_road, no_road
from cloudypoints_ros.settings import CameraSettings, Thresholds
from cloudypoints_ros.stats import Laps, Stats

Array = npt.NDArray[Any]


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
        self._intake: Intake | None = None
        # Written whole by one thread, read by another.
        self._facts: dict[str, str] = {}
        self._scale_facts: dict[str, str] = {}
        self._failure = "none"
        self._road: tuple[Any, RoadScale] | None = None  # what the correction was found with, and the correction

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
        """Subscribe; images go to ``inbox``. What was seen before may be wrong by now, and is forgotten."""
        self._inbox = inbox
        self.stats.begin()
        self._road, self._scale_facts = None, {}
        settings = self.settings
        self._intake = Intake(
            self._node, self.name, settings.compressed, settings.reliability, self.stats, self._notes, self._admit,
            self._hand_on, self._failed,
        )  # fmt: skip

    def stop(self) -> None:
        """Unsubscribe; what was decoded may still arrive in the inbox."""
        intake, self._intake = self._intake, None
        if intake is not None:
            intake.close()

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
        if anew and self._inbox is not None and self._intake is not None:
            self.stop()
            self.start(self._inbox)

    def follow(self) -> None:
        """Ask for what the publishers offer now."""
        if self._intake is not None:
            self._intake.follow()

    # ---- in

    def _admit(self) -> str:
        """How an image that comes now ends right away, as a name of :data:`OUTCOMES`; "" when it is to be worked on."""
        outputs = self._outputs
        assert outputs is not None  # the topics outlive the subscriptions
        subscribed = outputs.subscribed()
        if not subscribed:
            return "idle"
        return "" if outputs.due(subscribed, self.settings.max_rate_hz) else "limited"

    def _hand_on(self, arrived: Arrived) -> None:
        if self._inbox is not None and self._inbox.put(self.name, arrived):
            self.stats.count("dropped")

    # ---- the worker

    def work(self, pipeline: Pipeline, arrived: Arrived) -> Answer | None:
        """Compute what one image leads to; None when nothing, which is counted then.

        Nothing is raised but EngineLost: no other frame should meet that engine.
        """
        try:
            answer = self._answer(pipeline, arrived)
        except EngineLost as error:
            self._failed(error)
            raise
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
        if not self._node.context.ok():
            return  # the end of the node is no failure of a frame
        self.stats.count("failed")
        reason = str(error) if isinstance(error, CloudyPointsError) else f"{type(error).__name__}: {error}"
        self._failure = reason
        self._notes.add("frame", Level.ERROR, f"A frame failed: {reason}")
        self._node.get_logger().debug("".join(traceback.format_exception(error)))

    def _answer(self, pipeline: Pipeline, arrived: Arrived) -> Answer | str:
        """The answer, or how the image ended without one, as a name of :data:`OUTCOMES`."""
        settings, outputs, intake = self.settings, self._outputs, self._intake
        if outputs is None or intake is None:
            return "dropped"  # stopped meanwhile
        if not intake.calibrated():
            return "waiting"
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
        calibration = intake.calibration(msg, width, height)
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
        intake, outputs = self._intake, self._outputs
        if intake is None or outputs is None:
            return Status(name, Level.STALE, "The node is not active, so no image is taken.")
        window = self.stats.window()
        intake.explain(window, thresholds)
        if listeners := outputs.unmatched():
            self._notes.add("subscribers", Level.WARN, f"Nothing reaches {', '.join(listeners)}.")
        else:
            self._notes.clear("subscribers")
        facts = {"clock": clock, "qos": intake.qos_words, "scale": self.settings.scale.source}
        facts |= {"last failure": self._failure, **self._facts, **self._scale_facts}
        return camera_status(name, window, self._notes.current(), thresholds, facts)


def _blank(depth: Array, mask: Array) -> None:
    """No depth where the mask is set."""
    if mask.shape != depth.shape:
        mask = cv2.resize(mask.astype(np.uint8), depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    np.copyto(depth, np.float32(np.nan), where=mask.astype(bool))
