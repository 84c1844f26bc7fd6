"""A subscription that asks for what the publishers offer, and asks again when that changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# How long to look for publishers that already run before subscribing without having seen one.
DISCOVERY_S = 0.5


class FollowingSubscription:
    """Reliable if every publisher of the topic is, else best effort; transient local likewise.

    Large images on an untuned DDS arrive only reliably, a best-effort camera matches only best effort, and a
    camera_info that was published once matters only to those who ask for the latched one. Call :meth:`follow`
    from time to time.
    """

    def __init__(self, node: Any, kind: Any, topic: str, callback: Callable[[Any], None], depth: int) -> None:
        self._node, self._kind, self._topic, self._callback, self._depth = node, kind, topic, callback, depth
        self._subscription: Any = None
        self._qos: tuple[ReliabilityPolicy, DurabilityPolicy] | None = None
        self._patient_until = time.monotonic() + DISCOVERY_S
        self.topic_name = str(node.resolve_topic_name(topic))
        self.follow()

    def follow(self) -> None:
        """Subscribe, or subscribe anew if the publishers' offer has changed; keeps the last offer when none is left."""
        offers = [info.qos_profile for info in self._node.get_publishers_info_by_topic(self.topic_name)]
        if not offers and (self._subscription is not None or time.monotonic() < self._patient_until):
            return
        reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
        latched = bool(offers) and all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        wanted = (
            ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT,
            DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        if wanted == self._qos:
            return
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        # The next call answers an incompatible publisher; rclpy's own warning about it would only alarm.
        quiet = SubscriptionEventCallbacks(incompatible_qos=lambda _event: None)
        self._subscription = self._node.create_subscription(
            self._kind,
            self._topic,  # not topic_name, which would be remapped a second time
            self._callback,
            QoSProfile(depth=self._depth, reliability=wanted[0], durability=wanted[1]),
            event_callbacks=quiet,
        )
        self._qos = wanted
        self._node.get_logger().info(f"Subscribed to {self.topic_name}, {self.words}.")

    def close(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    @property
    def words(self) -> str:
        """The QoS in force, for people."""
        if self._qos is None:
            return "not yet"
        reliable = "reliable" if self._qos[0] == ReliabilityPolicy.RELIABLE else "best effort"
        return reliable + (", latched" if self._qos[1] == DurabilityPolicy.TRANSIENT_LOCAL else "")
