"""A subscription that asks for what the publishers offer, and asks again when that changes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

# How long to look for publishers that already run before subscribing without having seen one.
DISCOVERY_S = 0.5

_RELIABILITY = {"reliable": ReliabilityPolicy.RELIABLE, "best_effort": ReliabilityPolicy.BEST_EFFORT}


def mismatch(offered: QoSProfile, asked: QoSProfile) -> str:
    """Why messages offered like this do not reach who asks like that, in words; empty when they do.

    Of the policies that can keep them apart these two do in practice; rclpy's own comparison takes the infinite
    deadlines that discovery reports for real ones.
    """
    if asked.reliability == ReliabilityPolicy.RELIABLE and offered.reliability == ReliabilityPolicy.BEST_EFFORT:
        return "reliable is asked for and best effort offered; set best effort there, or qos.output to reliable here"
    if asked.durability == DurabilityPolicy.TRANSIENT_LOCAL and offered.durability == DurabilityPolicy.VOLATILE:
        return "transient local is asked for and volatile offered; set its durability to volatile"
    return ""


class FollowingSubscription:
    """Reliable if every publisher of the topic is, else best effort; transient local likewise.

    Large images on an untuned DDS arrive only reliably, a best-effort camera matches only best effort, and a
    camera_info that was published once matters only to those who ask for the latched one. Call :meth:`follow`
    from time to time. ``reliability`` other than "auto" is asked for whatever is offered; ``lost`` is told how many
    messages the middleware gave up.
    """

    def __init__(
        self,
        node: Any,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        depth: int,
        reliability: str = "auto",
        lost: Callable[[int], None] | None = None,
    ) -> None:
        self._node, self._kind, self._topic, self._callback, self._depth = node, kind, topic, callback, depth
        self._fixed = _RELIABILITY.get(reliability)
        self._lost = lost
        self._subscription: Any = None
        self._qos: tuple[ReliabilityPolicy, DurabilityPolicy] | None = None
        self._patient_until = time.monotonic() + DISCOVERY_S
        self.topic_name = str(node.resolve_topic_name(topic))
        self.follow()

    def follow(self) -> None:
        """Subscribe, or subscribe anew if the publishers' offer has changed; keeps the last offer when none is left."""
        offers = [info.qos_profile for info in self.publishers()]
        if not offers and (self._subscription is not None or time.monotonic() < self._patient_until):
            return
        reliable = all(offer.reliability == ReliabilityPolicy.RELIABLE for offer in offers)
        latched = bool(offers) and all(offer.durability == DurabilityPolicy.TRANSIENT_LOCAL for offer in offers)
        wanted = (
            self._fixed or (ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT),
            DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
        )
        if wanted == self._qos:
            return
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
        try:
            self._subscription = self._subscribe(wanted, self._lost)
        except UnsupportedEventTypeError:  # an RMW that does not tell what it loses
            self._subscription = self._subscribe(wanted, None)
        self._qos = wanted
        self._node.get_logger().info(f"Subscribed to {self.topic_name}, {self.words}.")

    def _subscribe(self, qos: tuple[ReliabilityPolicy, DurabilityPolicy], lost: Callable[[int], None] | None) -> Any:
        events = SubscriptionEventCallbacks(
            # The next follow() answers an incompatible publisher; rclpy's own warning about it would only alarm.
            incompatible_qos=lambda _event: None,
            message_lost=None if lost is None else lambda event: lost(event.total_count_change),
        )
        # Not topic_name, which would be remapped a second time.
        return self._node.create_subscription(
            self._kind, self._topic, self._callback, self._profile(qos), event_callbacks=events
        )

    def publishers(self) -> list[Any]:
        """The TopicEndpointInfo of everyone who publishes the topic."""
        return list(self._node.get_publishers_info_by_topic(self.topic_name))

    def unmatched(self) -> list[str]:
        """The nodes whose messages cannot arrive because their QoS offers less than is asked for here."""
        if self._qos is None:
            return []
        asked = self._profile(self._qos)
        return [info.node_name for info in self.publishers() if mismatch(info.qos_profile, asked)]

    def close(self) -> None:
        """Unsubscribe."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    @property
    def best_effort(self) -> bool:
        return self._qos is not None and self._qos[0] == ReliabilityPolicy.BEST_EFFORT

    @property
    def words(self) -> str:
        """The QoS in force, for people."""
        if self._qos is None:
            return "not yet"
        reliable = "best effort" if self.best_effort else "reliable"
        return reliable + (", latched" if self._qos[1] == DurabilityPolicy.TRANSIENT_LOCAL else "")

    def _profile(self, qos: tuple[ReliabilityPolicy, DurabilityPolicy]) -> QoSProfile:
        return QoSProfile(depth=self._depth, reliability=qos[0], durability=qos[1])
