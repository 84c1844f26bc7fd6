"""What comes in from one camera: its images and calibrations, and why nothing comes when nothing does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cloudypoints_ros import dds, messages
from cloudypoints_ros.camera import Calibration
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.inbox import STAMPS_KEPT, Calibrations, Inbox
from cloudypoints_ros.messages import Picture
from cloudypoints_ros.notes import Level, Notes
from cloudypoints_ros.parameters import topic
from cloudypoints_ros.settings import Thresholds
from cloudypoints_ros.stats import Stats, Window
from cloudypoints_ros.subscription import FollowingSubscription
from cloudypoints_ros.timing import StampWatch

QUEUE_DEPTH = 2
# So many camera_info in the window say something about the images that should have come with them.
_INFOS_THAT_COUNT = 10


@dataclass(frozen=True)
class Arrived:
    """An image on its way: the message, when it came (perf_counter), whether its stamp can be held against the
    clock, and the picture with its milliseconds where it has been decoded already."""

    msg: Any
    at: float
    stamp_fits: bool
    picture: Picture | None = None
    decode_ms: float = 0.0


class Intake:
    """The subscriptions of one camera, from being made to :meth:`close`.

    Every image is counted and its stamp looked at; ``admit`` is asked for the outcome of an image that nobody needs
    ("" when somebody does), and what is needed goes to ``hand_on``, decoded if it was compressed. What goes wrong on
    the way is noted; ``failed`` is told what could not be decoded.
    """

    def __init__(
        self,
        node: Any,
        camera: str,
        compressed: bool,
        reliability: str,
        stats: Stats,
        notes: Notes,
        admit: Callable[[], str],
        hand_on: Callable[[Arrived], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._node, self._label, self._reliability = node, f"{camera}: " if camera else "", reliability
        self._stats, self._notes = stats, notes
        self._admit, self._hand_on = admit, hand_on
        self._calibrations = Calibrations()
        self._info_refused = False
        self._infos = Stats()
        self._stamps = StampWatch()
        self._started = time.monotonic()
        self._closed = False
        self._decoder = _Decoder(camera, stats, hand_on, failed) if compressed else None
        kind, name = (CompressedImage, "image_raw/compressed") if compressed else (Image, "image_raw")
        self._images = FollowingSubscription(
            node, kind, topic(name, camera), self._on_image, QUEUE_DEPTH, reliability, self._on_lost
        )
        self._camera_infos = FollowingSubscription(
            node, CameraInfo, topic("camera_info", camera), self._on_camera_info, STAMPS_KEPT, reliability
        )

    def close(self) -> None:
        """Unsubscribe; an image that is being decoded is still handed on."""
        self._closed = True
        self._images.close()
        self._camera_infos.close()
        if self._decoder is not None:
            self._decoder.close()

    def follow(self) -> None:
        """Ask for what the publishers offer now."""
        self._images.follow()
        self._camera_infos.follow()

    @property
    def qos_words(self) -> str:
        return self._images.words

    def calibration(self, msg: Any, width: int, height: int) -> Calibration:
        """The calibration of an image of this size. CloudyPointsError when none fits it."""
        return self._calibrations.find(_stamp(msg), width, height)

    def calibrated(self) -> bool:
        """Whether a camera_info that can be used has come; if none has come at all, that is noted."""
        if not self._calibrations.empty:
            self._notes.clear("no camera_info")
            return True
        if not self._info_refused:  # else there is a note that says why
            self._notes.add(
                "no camera_info",
                Level.ERROR,
                f"Images arrive but no camera_info on {self._camera_infos.topic_name}, so there are no metres; publish "
                "it there or remap camera_info.",
            )
        return False

    # ---- callbacks

    def _on_image(self, msg: Any) -> None:
        if self._closed:
            return  # it was on its way
        self._stats.count("received")
        clock, stamp = self._node.get_clock(), msg.header.stamp
        seen = self._stamps.see(
            stamp.sec * 1_000_000_000 + stamp.nanosec, clock.now().nanoseconds, clock.ros_time_is_active
        )
        if seen.problem:
            self._notes.add("stamp", Level.WARN, seen.problem)
        else:
            self._notes.clear("stamp")
        if seen.looped:
            self._node.get_logger().info(f"{self._label}time went back, a bag that loops or a camera that restarted.")
        if outcome := self._admit():
            self._stats.count(outcome)
            return
        take = self._hand_on if self._decoder is None else self._decoder.put
        take(Arrived(msg, time.perf_counter(), not seen.problem))

    def _on_lost(self, count: int) -> None:
        self._stats.count("lost", count)

    def _on_camera_info(self, msg: CameraInfo) -> None:
        self._infos.count("received")
        try:
            self._calibrations.add(_stamp(msg), messages.calibration(msg).folded())
        except (CloudyPointsError, ValueError, ZeroDivisionError, OverflowError) as error:
            self._info_refused = True
            self._notes.add("camera_info", Level.ERROR, f"This camera_info cannot be used: {error}")

    # ---- why nothing comes

    def explain(self, window: Window, thresholds: Thresholds) -> None:
        """Note what keeps images and calibrations away, if anything does."""
        unmatched = {
            "qos": (self._images, self._images.unmatched()),
            "qos of camera_info": (self._camera_infos, self._camera_infos.unmatched()),
        }
        publishers = {key: len(subscription.publishers()) for key, (subscription, _) in unmatched.items()}
        for key, (subscription, nodes) in unmatched.items():
            if not nodes:
                self._notes.clear(key)
                continue
            self._notes.add(
                key,
                Level.ERROR if len(nodes) == publishers[key] else Level.WARN,
                f"{', '.join(nodes)} publishes {subscription.topic_name} with a QoS that does not match qos.input "
                f"{self._reliability}, so nothing of it arrives; set qos.input to auto.",
            )
        age = time.monotonic() - self._started if window.age_s is None else window.age_s
        if age <= thresholds.stale_after_s:
            self._notes.clear("silence")
            self._explain_loss(window)
        elif publishers["qos"] == 0 or len(unmatched["qos"][1]) < publishers["qos"]:
            self._notes.add("silence", *self._silence(publishers["qos"], window, thresholds))

    def _silence(self, publishers: int, window: Window, thresholds: Thresholds) -> tuple[Level, str]:
        """Why no image comes."""
        where = self._images.topic_name
        if publishers == 0:
            return Level.WARN, f"No image: nobody publishes {where}; start the camera or remap.{self._others(where)}"
        # A camera that is alive sends camera_info, which is small and arrives.
        info_age = self._infos.window().age_s
        alive = info_age is not None and info_age < thresholds.stale_after_s
        if not self._images.best_effort or (window.age_s is not None and not alive):
            return Level.WARN, f"No image on {where}, though {publishers} would publish it; look at the camera driver."
        return Level.ERROR, (
            f"No image on {where} ({publishers} publishing, subscribed {self._images.words}). {dds.REMEDY_BEST_EFFORT}"
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
        if self._images.best_effort and expected >= _INFOS_THAT_COUNT and came < dds.LOSS_SHARE * expected:
            self._notes.add(
                "lost",
                Level.ERROR,
                f"{came} images but {expected} camera_info came in {window.seconds:.0f} s: best-effort images are lost "
                f"on the way. {dds.REMEDY_BEST_EFFORT}",
            )


class _Decoder:
    """Decodes the newest compressed image of a camera in a thread of its own, while the worker is at another."""

    def __init__(
        self, camera: str, stats: Stats, hand_on: Callable[[Arrived], None], failed: Callable[[Exception], None]
    ) -> None:
        self._camera, self._stats, self._hand_on, self._failed = camera, stats, hand_on, failed
        self._box = Inbox()
        self._thread = threading.Thread(target=self._run, name=f"cloudypoints decoder {camera}", daemon=True)
        self._thread.start()

    def put(self, arrived: Arrived) -> None:
        if self._box.put(self._camera, arrived):
            self._stats.count("dropped")

    def close(self) -> None:
        self._box.close()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        while (item := self._box.take()) is not None:
            arrived: Arrived = item[1]
            start = time.perf_counter()
            try:
                picture = messages.decode_compressed(arrived.msg)
            except Exception as error:  # one bad frame must not end the node
                self._failed(error)
                continue
            took_ms = (time.perf_counter() - start) * 1e3
            self._hand_on(replace(arrived, picture=picture, decode_ms=took_ms))


def _stamp(msg: Any) -> tuple[int, int]:
    return msg.header.stamp.sec, msg.header.stamp.nanosec
