"""What the node publishes for one camera: topics, who wants them, and how often."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rclpy.event_handler import PublisherEventCallbacks
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from cloudypoints_ros.parameters import topic
from cloudypoints_ros.subscription import mismatch
from cloudypoints_ros.timing import RateLimit

# Output -> message, topic as in the table, and whose maximum rate it keeps.
OUTPUTS: dict[str, tuple[Any, str, str]] = {
    "depth": (Image, "~/depth/image_raw", "depth"),
    "info": (CameraInfo, "~/depth/camera_info", "depth"),
    "points": (PointCloud2, "~/points", "points"),
    "color": (Image, "~/depth/color", "color"),
}


class Outputs:
    """The publishers of one camera. Publishing serialises before it returns, so one message per topic is filled
    again and again: ``messages``."""

    def __init__(self, node: Any, camera: str, reliability: str, depth: int) -> None:
        self._node = node
        policy = ReliabilityPolicy.RELIABLE if reliability == "reliable" else ReliabilityPolicy.BEST_EFFORT
        self._qos = QoSProfile(depth=depth, reliability=policy)
        # unmatched() names those who ask for more; rclpy's own warning would name nobody.
        events = PublisherEventCallbacks(incompatible_qos=lambda _event: None)
        self._publishers = {
            name: node.create_lifecycle_publisher(kind, topic(where, camera), self._qos, event_callbacks=events)
            for name, (kind, where, _) in OUTPUTS.items()
        }
        self._limits = {rate: RateLimit() for _, _, rate in OUTPUTS.values()}
        self.messages = {"depth": Image(), "points": PointCloud2(), "color": Image()}

    def subscribed(self) -> set[str]:
        """The outputs that somebody subscribes to."""
        return {name for name, publisher in self._publishers.items() if publisher.get_subscription_count() > 0}

    def due(self, subscribed: set[str], max_rate_hz: Mapping[str, float]) -> bool:
        """Whether a frame that comes now would be published at all."""
        now = time.monotonic()
        return any(self._limits[OUTPUTS[name][2]].due(now, max_rate_hz[OUTPUTS[name][2]]) for name in subscribed)

    def take(self, max_rate_hz: Mapping[str, float]) -> set[str]:
        """The outputs to publish for the frame at hand; they count towards their rates."""
        now, subscribed = time.monotonic(), self.subscribed()
        rates = {OUTPUTS[name][2] for name in subscribed}
        going = {rate for rate in rates if self._limits[rate].take(now, max_rate_hz[rate])}
        return {name for name in subscribed if OUTPUTS[name][2] in going}

    def publish(self, name: str, message: Any) -> None:
        self._publishers[name].publish(message)

    def unmatched(self) -> list[str]:
        """Who subscribes but cannot receive, as "NODE (TOPIC: why)"."""
        return [
            f"{info.node_name} ({publisher.topic_name}: {reason})"
            for publisher in self._publishers.values()
            for info in self._node.get_subscriptions_info_by_topic(publisher.topic_name)
            if (reason := mismatch(self._qos, info.qos_profile))
        ]

    def close(self) -> None:
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
