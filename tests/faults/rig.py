"""A node with a driver around it, and the one question after every fault: is the next good frame answered?"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from driver import Driver, NodeProcess, image_message, level_of
from fuzz import REMEDY
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from test_node import SKY_ROWS, depth_of, info_of, picture
from tiny_models import expected_depth

PATIENCE_S = 30.0
# Often, and nothing but the faults themselves may raise the level on a machine that is busy with other tests.
DIAGNOSTICS = {
    "diagnostics.period": 0.1,
    "diagnostics.stale_after": 600.0,
    "diagnostics.latency_warn": 3600.0,
    "diagnostics.latency_error": 3600.0,
    "diagnostics.drops_warn": 1.0,
    "diagnostics.drops_error": 1.0,
}

# A node that subscribes anew forgets the camera_info it has had.
_SUBSCRIBE_ANEW = ("qos__input", "image_transport")


def now() -> tuple[int, int]:
    """The stamp of a camera whose clock is right."""
    nanoseconds = time.time_ns()
    return nanoseconds // 1_000_000_000, nanoseconds % 1_000_000_000


def image(**changes: Any) -> Image:
    """A good image, of which some fields are then set."""
    return changed(image_message(picture(), stamp=now()), **changes)


def info(**changes: Any) -> CameraInfo:
    """The good camera_info, of which some fields are then set."""
    return changed(info_of(), **changes)


def changed(msg: Any, **changes: Any) -> Any:
    for name, value in changes.items():
        *path, leaf = name.split("__")
        setattr(functools.reduce(getattr, path, msg), leaf, value)
    return msg


class Rig:
    """One node under test, and a camera and a listener in this process."""

    def __init__(self, node: NodeProcess, driver: Driver) -> None:
        self.node, self.driver = node, driver
        self.frames = 0
        self.calibrated = False  # whether the good camera_info is the last one the node has

    @property
    def compressed(self) -> bool:
        return self.driver.image_pub.msg_type is CompressedImage

    def connect(self) -> None:
        """Wait for a first answer, which alone shows that both sides have found each other.

        It takes seconds beside a node that was killed: Fast DDS still takes that one for alive.
        """
        self.driver.connect()
        self.driver.received["depth"].clear()
        deadline = time.monotonic() + PATIENCE_S
        while not self.driver.received["depth"]:
            assert time.monotonic() < deadline, f"never an answer; the node said:\n{self.node.output[-3000:]}"
            self.publish_info(info())
            self.publish(image())
            self.driver.spin_for(0.2)

    # ---- what the camera does

    def publish(self, msg: Image | CompressedImage) -> None:
        self.driver.image_pub.publish(msg)

    def publish_info(self, msg: CameraInfo, patience_s: float = 0.1) -> None:
        """Another topic: nothing orders it before an image that follows, so give it time."""
        self.driver.info_pub.publish(msg)
        self.driver.spin_for(patience_s)
        self.calibrated = False

    def image_publisher(self, kind: Any = Image, topic: str = "image_raw", qos: QoSProfile | int = 10) -> None:
        """A camera that publishes otherwise takes the place of the one there is."""
        self.stop_camera()
        self.driver.image_pub = self.driver.node.create_publisher(kind, topic, qos)

    def stop_camera(self) -> None:
        if self.driver.image_pub is not None:
            self.driver.node.destroy_publisher(self.driver.image_pub)
        self.driver.image_pub = None

    def set(self, **values: Any) -> None:
        """Parameters, with __ for the dot."""
        for name, value in values.items():
            result = self.driver.set_parameter(name.replace("__", "."), value)
            assert result.successful, result.reason
            self.calibrated &= name not in _SUBSCRIBE_ANEW

    def change(self, transition: int) -> bool:
        """One step of the node's life."""
        self.calibrated = False
        client = self.driver.node.create_client(ChangeState, "/cloudypoints/change_state")
        assert client.wait_for_service(PATIENCE_S)
        future = client.call_async(ChangeState.Request(transition=Transition(id=transition)))
        self.driver.spin_until(future.done, what="change_state")
        self.driver.node.destroy_client(client)
        return bool(future.result().success)

    # ---- what must follow

    def answers_a_good_frame(self) -> None:
        """The next good frame comes back with its own stamp and its own metres."""
        self.frames += 1
        offset = self.frames * 7 % 60
        sent: Any = image_message(picture(offset), stamp=now())
        if self.compressed:
            png = cv2.imencode(".png", picture(offset)[..., ::-1])[1].tobytes()
            sent = CompressedImage(header=sent.header, format="png", data=png)
        if not self.calibrated:
            self.publish_info(info(), patience_s=0.3)
            self.calibrated = True
        before = len(self.driver.received["depth"])
        self.publish(sent)
        self.driver.spin_until(
            lambda: any(msg.header == sent.header for msg in self.driver.received["depth"][before:]),
            PATIENCE_S,
            f"the answer to a good frame; the node said:\n{self.node.output[-3000:]}",
        )
        depth = depth_of(self.driver.received["depth"][-1])
        below = slice(SKY_ROWS + 1, None)
        np.testing.assert_allclose(depth[below], expected_depth(picture(offset)[below, :, 0]), rtol=1e-4)
        assert np.isposinf(depth[: SKY_ROWS - 1]).all()

    def logs(self, sentence: str, since: int, again: Callable[[], None] = lambda: None, remedy: bool = True) -> str:
        """The first line after the first ``since`` ones that has the sentence; ``again`` is done until it comes."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            again()
            self.driver.spin_for(0.1)
            line = next((line for line in self.node.lines[since:] if sentence in line), None)
            if line is not None:
                assert not remedy or REMEDY.search(line), f"no remedy in: {line}"
                return line
            if time.monotonic() > deadline:
                raise AssertionError(f"'{sentence}' is not in the log:\n" + "\n".join(self.node.lines[since:][-20:]))

    def diagnoses(
        self, sentence: str, level: int, status: str = "camera", again: Callable[[], None] = lambda: None
    ) -> None:
        """The sentence is in the diagnostics, and the level is right; ``again`` is done until it comes."""
        self.driver.statuses.clear()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            seen = [each for each in self.driver.statuses if each.name == f"cloudypoints: {status}"]
            found = next((each for each in seen if sentence in each.message), None)
            if found is not None:
                assert level_of(found) == level, f"level {level_of(found)}: {found.message}"
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"'{sentence}' is not in the diagnostics: {[each.message for each in seen[-3:]]}")
            again()
            self.driver.spin_for(0.1)
