"""The other side of the node under test: starts it as a process of its own and talks to it over real DDS."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter, get_parameter_value, parameter_value_to_python
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2

SOURCE = Path(__file__).parents[2] / "src"
# Generous: the machine may be busy, and the first start compiles.
PATIENCE_S = 120.0

RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)


class NodeProcess:
    """A running depth_node; its output is collected line by line."""

    def __init__(self, *ros_arguments: str, environ: dict[str, str] | None = None, **parameters: Any) -> None:
        command = [sys.executable, "-m", "cloudypoints_ros.node", "--ros-args", *ros_arguments]
        for name, value in parameters.items():
            text = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
            command += ["-p", f"{name}:={text}"]
        self.lines: list[str] = []
        environment = {
            **os.environ,
            "PYTHONPATH": f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "RCUTILS_LOGGING_BUFFERED_STREAM": "0",
            **(environ or {}),
        }
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for_line(self, part: str, timeout: float = PATIENCE_S) -> str:
        """The first line that contains ``part``."""
        deadline = time.monotonic() + timeout
        while True:
            for line in list(self.lines):
                if part in line:
                    return line
            if self.process.poll() is not None:
                self._reader.join(2)
                if part not in self.output:
                    raise AssertionError(f"the node ended without '{part}':\n{self.output}")
                continue
            if time.monotonic() > deadline:
                raise AssertionError(f"no line with '{part}' in:\n{self.output}")
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self, timeout: float = 60.0) -> int:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the node did not end:\n{self.output}") from None
        self._reader.join(5)
        return code


@contextlib.contextmanager
def running(*ros_arguments: str, environ: dict[str, str] | None = None, **parameters: Any) -> Iterator[NodeProcess]:
    """A depth_node that has subscribed its image topic; killed at the end if it still runs."""
    node = NodeProcess(*ros_arguments, environ=environ, **parameters)
    try:
        node.wait_for_line("Subscribed to ")
        yield node
    finally:
        if node.process.poll() is None:
            node.stop()


class Driver:
    """Publishes images and collects what the node answers. One per test; ``close`` it."""

    def __init__(
        self,
        subscribe: tuple[str, ...] = ("depth", "info", "points", "color"),
        image_qos: QoSProfile = RELIABLE,
        compressed: bool = False,
        camera: str = "",
        use_sim_time: bool = False,
    ) -> None:
        parameters = [Parameter("use_sim_time", value=use_sim_time)]
        self.node = rclpy.create_node("driver", parameter_overrides=parameters)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        topic, kind = ("image_raw/compressed", CompressedImage) if compressed else ("image_raw", Image)
        into, out = (f"{camera}/", f"/cloudypoints/{camera}") if camera else ("", "/cloudypoints")
        self.image_pub = self.node.create_publisher(kind, into + topic, image_qos)
        self.info_pub = self.node.create_publisher(CameraInfo, into + "camera_info", RELIABLE)
        topics = {
            "depth": (Image, f"{out}/depth/image_raw"),
            "info": (CameraInfo, f"{out}/depth/camera_info"),
            "points": (PointCloud2, f"{out}/points"),
            "color": (Image, f"{out}/depth/color"),
        }
        self.statuses: list[DiagnosticStatus] = []
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, RELIABLE)
        self.received: dict[str, list[Any]] = {name: [] for name in topics}
        self.subscriptions = [
            self.node.create_subscription(topics[n][0], topics[n][1], self.received[n].append, RELIABLE)
            for n in subscribe
        ]

    def _on_diagnostics(self, msg: DiagnosticArray) -> None:
        self.statuses += msg.status

    def status(
        self, name: str, fits: Callable[[DiagnosticStatus], bool] = lambda _: True, timeout: float = PATIENCE_S
    ) -> DiagnosticStatus:
        """The next status "cloudypoints: NAME" that fits."""
        self.statuses.clear()

        def found() -> DiagnosticStatus | None:
            return next((s for s in self.statuses if s.name == f"cloudypoints: {name}" and fits(s)), None)

        try:
            self.spin_until(lambda: found() is not None, timeout, f"a status of {name}")
        except AssertionError as error:
            seen = [(s.name, level_of(s), s.message) for s in self.statuses][-4:]
            raise AssertionError(f"{error}; seen: {seen}") from None
        status = found()
        assert status is not None
        return status

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()

    def spin_until(self, done: Callable[[], bool], timeout: float = PATIENCE_S, what: str = "") -> None:
        deadline = time.monotonic() + timeout
        while not done():
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out waiting for {what or 'the node'}")
            self.executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def connect(self) -> None:
        """Wait until the node listens to us and we to it."""
        self.spin_until(
            lambda: (
                self.image_pub.get_subscription_count() > 0
                and self.info_pub.get_subscription_count() > 0
                and all(self.node.count_publishers(s.topic_name) > 0 for s in self.subscriptions)
            ),
            what="discovery",
        )
        self.spin_for(0.5)  # the node must have matched our subscriptions too

    def ask(self, image: Any, info: CameraInfo | None, *answers: str) -> list[Any]:
        """Publish one frame; the message of its stamp on each named topic, in that order.

        Frames that are asked for one after the other need stamps of their own: what one leaves on another topic may
        still be on its way.
        """
        before = {name: len(self.received[name]) for name in answers}
        if info is not None:
            self.info_pub.publish(info)
            self.spin_for(0.2)  # another topic: nothing orders it before the image
        self.image_pub.publish(image)

        def answered(name: str) -> list[Any]:
            return [m for m in self.received[name][before[name] :] if m.header.stamp == image.header.stamp]

        self.spin_until(lambda: all(answered(name) for name in answers), what=" and ".join(answers))
        return [answered(name)[0] for name in answers]

    def set_parameter(self, name: str, value: Any) -> Any:
        """The SetParametersResult of setting one parameter on the node."""
        client = self.node.create_client(SetParameters, "/cloudypoints/set_parameters")
        assert client.wait_for_service(PATIENCE_S)
        wrapped = ParameterMsg(name=name, value=_value(value))
        future = client.call_async(SetParameters.Request(parameters=[wrapped]))
        self.spin_until(future.done, what=f"set {name}")
        self.node.destroy_client(client)
        return future.result().results[0]

    def set_parameters(self, values: dict[str, Any]) -> Any:
        """The SetParametersResult of setting them all at once or none."""
        client = self.node.create_client(SetParametersAtomically, "/cloudypoints/set_parameters_atomically")
        assert client.wait_for_service(PATIENCE_S)
        wrapped = [ParameterMsg(name=name, value=_value(value)) for name, value in values.items()]
        future = client.call_async(SetParametersAtomically.Request(parameters=wrapped))
        self.spin_until(future.done, what=f"set {values}")
        self.node.destroy_client(client)
        return future.result().result

    def get_parameter(self, name: str) -> Any:
        client = self.node.create_client(GetParameters, "/cloudypoints/get_parameters")
        assert client.wait_for_service(PATIENCE_S)
        future = client.call_async(GetParameters.Request(names=[name]))
        self.spin_until(future.done, what=f"get {name}")
        self.node.destroy_client(client)
        return parameter_value_to_python(future.result().values[0])

    def describe(self, names: list[str]) -> list[Any]:
        client = self.node.create_client(DescribeParameters, "/cloudypoints/describe_parameters")
        assert client.wait_for_service(PATIENCE_S)
        future = client.call_async(DescribeParameters.Request(names=names))
        self.spin_until(future.done, what="describe")
        self.node.destroy_client(client)
        return list(future.result().descriptors)


def _value(value: Any) -> ParameterValue:
    # get_parameter_value parses YAML-like text; strings must stay strings
    if isinstance(value, str):
        return ParameterValue(type=4, string_value=value)
    return get_parameter_value(str(value).lower() if isinstance(value, bool) else str(value))


def level_of(status: DiagnosticStatus) -> int:
    return int.from_bytes(status.level, "little")


def values_of(status: DiagnosticStatus) -> dict[str, str]:
    return {each.key: each.value for each in status.values}


_stamps = itertools.count(12)


def image_message(image: np.ndarray, encoding: str = "rgb8", stamp: tuple[int, int] | None = None) -> Image:
    """An Image of uint8 (H, W, 3), frame_id "camera_optical"; without ``stamp`` one second after the last such."""
    msg = Image()
    msg.header.stamp.sec, msg.header.stamp.nanosec = stamp or (next(_stamps), 34)
    msg.header.frame_id = "camera_optical"
    msg.height, msg.width = image.shape[:2]
    msg.encoding, msg.step = encoding, image.shape[1] * 3
    msg.data.frombytes(np.ascontiguousarray(image).tobytes())
    return msg
