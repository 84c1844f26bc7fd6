"""The listener: finds the image topics, subscribes to what may be a camera, counts and looks at the first message.

Runs as a child of the doctor. It never subscribes to a depth node's answers: that would make the node compute them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from typing import Any

from cloudypoints_ros.doctor.cameras import Info, Publisher, Seen
from cloudypoints_ros.doctor.child import attempt, reason, tell
from cloudypoints_ros.parameter_table import DEPTH_ENCODINGS

NODE_NAME = "cloudypoints"
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
# How long others take to be found: Fast DDS announces a participant every 3 s, more often only at its start.
DISCOVERY_S = 3.5
# A publisher may be known before the name of its node; longer than this no name is waited for.
NAMES_S = 1.5
LOOK_S = 0.2
STATE_S = 2.0
_UNKNOWN = "_NODE_NAME_UNKNOWN_"


def main(arguments: list[str]) -> None:
    """The child: seconds to listen per topic, and the one topic to listen to ("" for all)."""
    attempt(lambda: _listen(float(arguments[0]), arguments[1]))


def _listen(watch_s: float, camera: str) -> None:
    import rclpy
    from rclpy.executors import SingleThreadedExecutor

    from cloudypoints_ros import dds

    dds.apply_profile()  # as the node would
    dds.keep_buffers()
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node(
        "cloudypoints_doctor", context=context, enable_rosout=False, start_parameter_services=False
    )
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    try:
        listener = Listener(node, camera)
        end = start = time.monotonic()
        while (now := time.monotonic()) < end or now < start + DISCOVERY_S:
            listener.look(settled=now > start + NAMES_S)
            # Whatever is found gets its full time; what appears without end does not.
            end = min(listener.last_start + watch_s, start + DISCOVERY_S + 2 * watch_s)
            pause = time.monotonic() + LOOK_S
            while (left := pause - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=left)
        nodes = [{"name": name, "state": _state(node, executor, name)} for name in listener.depth_nodes()]
        tell(
            nodes=nodes,
            topics=[asdict(each.seen) for _, each in sorted(listener.listening.items())],
            camera_infos=listener.topics_of(CAMERA_INFO),
        )
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


class Listener:
    """All image topics of a ROS graph; ``look`` from time to time, and spin the node."""

    def __init__(self, node: Any, camera: str = "") -> None:
        self.node = node
        self.camera = node.resolve_topic_name(camera) if camera else ""
        self.listening: dict[str, Topic] = {}
        self.last_start = time.monotonic()

    def look(self, settled: bool) -> None:
        """Take up new topics, follow the QoS of known ones. ``settled``: no longer wait for unknown names."""
        ours = self.depth_nodes()
        images, compressed = self.topics_of(IMAGE), self.topics_of(COMPRESSED)
        for name in [*images, *compressed]:
            if (self.camera and name != self.camera) or name in self.listening:
                continue
            publishers = self.publishers(name)
            if not publishers or (not settled and any(_UNKNOWN in publisher.node for publisher in publishers)):
                continue
            skipped = ""
            depth = name.endswith("/compressedDepth")
            if all(publisher.node in ours for publisher in publishers):
                skipped, depth = f"the depth node's own answer ({publishers[0].node})", True
            elif depth:
                skipped = "compressed depth images"
            elif name in compressed and name.rpartition("/")[0] in images and not self.camera:
                # Listening would make the camera compress.
                skipped = f"the same images as {name.rpartition('/')[0]}"
            self.listening[name] = Topic(self, name, name in compressed, publishers, skipped, depth)
            self.last_start = time.monotonic()
        for topic in self.listening.values():
            topic.follow()

    def topics_of(self, kind: str) -> list[str]:
        """Names of the topics of a message type that somebody publishes."""
        names = [name for name, kinds in self.node.get_topic_names_and_types() if kind in kinds]
        return sorted(name for name in names if self.node.count_publishers(name))

    def publishers(self, topic: str) -> list[Publisher]:
        from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

        return [
            Publisher(
                node=_full_name(info.node_namespace, info.node_name),
                reliable=info.qos_profile.reliability == ReliabilityPolicy.RELIABLE,
                latched=info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
            )
            for info in self.node.get_publishers_info_by_topic(topic)
        ]

    def depth_nodes(self) -> list[str]:
        """Nodes called cloudypoints, and those of another name that offer its topics."""
        topics = {name for name, _ in self.node.get_topic_names_and_types()}
        names = [_full_name(space, name) for name, space in self.node.get_node_names_and_namespaces()]
        answers = ("depth/image_raw", "depth/color", "points")
        return sorted(
            {
                name
                for name in names
                if name.rpartition("/")[2] == NODE_NAME or all(f"{name}/{answer}" in topics for answer in answers)
            }
        )


class Topic:
    """One image topic and the camera_info beside it. Only the first message is looked at, later ones are counted."""

    def __init__(
        self, listener: Listener, name: str, compressed: bool, publishers: list[Publisher], skipped: str, depth: bool
    ) -> None:
        base = name.rpartition("/")[0] if compressed else name
        info_topic = f"{base.rpartition('/')[0]}/camera_info"
        self.seen = Seen(name, compressed, publishers, Info(info_topic), skipped, depth=depth)
        self._listener = listener
        self._first = self._last = 0.0
        self._subscriptions: list[Any] = []
        self._calibration: Any = None
        if skipped:
            return
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image

        from cloudypoints_ros.subscription import FollowingSubscription

        kind = CompressedImage if compressed else Image
        self._subscriptions = [
            FollowingSubscription(listener.node, kind, name, self._on_image, 2),
            FollowingSubscription(listener.node, CameraInfo, info_topic, self._on_info, 2),
        ]

    def follow(self) -> None:
        if not self._subscriptions:
            return
        for subscription in self._subscriptions:
            subscription.follow()
        self.seen.publishers = self._listener.publishers(self.seen.topic) or self.seen.publishers
        self.seen.info.publishers = self._listener.publishers(self.seen.info.topic) or self.seen.info.publishers

    def _on_image(self, msg: Any) -> None:
        seen, self._last = self.seen, time.monotonic()
        seen.messages += 1
        if seen.messages > 1:
            seen.rate_hz = (seen.messages - 1) / (self._last - self._first)
            return
        self._first = self._last
        seen.bytes = len(msg.data)
        if seen.compressed:
            seen.encoding = str(msg.format)
            seen.problem = _problem(lambda: self._decode(msg))
        else:
            seen.encoding, seen.width, seen.height = str(msg.encoding), int(msg.width), int(msg.height)
            seen.depth = seen.encoding in DEPTH_ENCODINGS
            if not seen.depth:
                seen.problem = _problem(lambda: self._decode(msg))
        self._check_pair()

    def _decode(self, msg: Any) -> None:
        from cloudypoints_ros import messages

        picture = messages.decode_compressed(msg) if self.seen.compressed else messages.decode(msg)
        self.seen.height, self.seen.width = picture.image.shape[:2]

    def _on_info(self, msg: Any) -> None:
        info = self.seen.info
        info.messages += 1
        if info.messages == 1:
            info.width, info.height = int(msg.width), int(msg.height)
            self._calibration = msg
            self._check_pair()

    def _check_pair(self) -> None:
        """The camera of the image, once both have come."""
        if self._calibration is not None:
            self.seen.info.problem = _problem(self._camera)

    def _camera(self) -> None:
        from cloudypoints_ros import messages

        calibration = messages.calibration(self._calibration).folded()
        calibration.camera()
        if self.seen.width:
            calibration.require_image(self.seen.width, self.seen.height)


def _problem(check: Callable[[], None]) -> str:
    """What a check raises, as a sentence; "" when it passes."""
    from cloudypoints_ros.errors import CloudyPointsError

    try:
        check()
    except CloudyPointsError as error:
        return str(error)
    except ImportError as error:
        return f"it could not be looked at ({reason(error)}); mend that library first"
    except Exception as error:  # a message may hold anything
        return f"it cannot be used ({reason(error)}); correct the publisher"
    return ""


def _state(node: Any, executor: Any, name: str) -> str:
    """The lifecycle state of a node; "" when it does not say."""
    try:
        get_state = import_module("lifecycle_msgs.srv").GetState
    except ImportError:
        return ""
    client = node.create_client(get_state, f"{name}/get_state")
    try:
        if not client.wait_for_service(STATE_S):
            return ""
        future = client.call_async(get_state.Request())
        executor.spin_until_future_complete(future, STATE_S)
        return str(future.result().current_state.label) if future.done() else ""
    finally:
        node.destroy_client(client)


def _full_name(namespace: str, name: str) -> str:
    return f"{namespace.rstrip('/')}/{name}"
