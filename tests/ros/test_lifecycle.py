"""The node's life as a manager drives it: over the lifecycle services, from another process."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver import PATIENCE_S, Driver, NodeProcess, image_message
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from test_node import info_of, picture
from tiny_models import write_model

pytestmark = pytest.mark.ros

CYCLES = 10


class Manager(Driver):
    """A driver that also changes the node's state."""

    def _call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, f"/cloudypoints/{name}")
        assert client.wait_for_service(PATIENCE_S)
        future = client.call_async(request)
        self.spin_until(future.done, what=name)
        self.node.destroy_client(client)
        return future.result()

    def change(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        return bool(self._call(ChangeState, "change_state", request).success)

    def state(self) -> int:
        return int(self._call(GetState, "get_state", GetState.Request()).current_state.id)

    def topics_of_the_node(self) -> dict[str, set[str]]:
        """What the node publishes and subscribes now, by name."""
        names = ("cloudypoints", "/")
        return {
            "out": {topic for topic, _ in self.node.get_publisher_names_and_types_by_node(*names)},
            "in": {topic for topic, _ in self.node.get_subscriber_names_and_types_by_node(*names)},
        }


@pytest.fixture
def manager() -> Iterator[Manager]:
    made = Manager()
    yield made
    made.close()


def start(node: NodeProcess) -> None:
    node.wait_for_line("is in force")


OUT = {"/cloudypoints/depth/image_raw", "/cloudypoints/depth/camera_info", "/cloudypoints/points"}
OUT |= {"/cloudypoints/depth/color"}
IN = {"/image_raw", "/camera_info"}


def settled(manager: Manager, out: bool, into: bool) -> None:
    """Wait until the node's topics are those of its state."""

    def done() -> bool:
        topics = manager.topics_of_the_node()
        return (topics["out"] & OUT == (OUT if out else set())) and (topics["in"] & IN == (IN if into else set()))

    manager.spin_until(done, what=f"out {out}, in {into}: {manager.topics_of_the_node()}")


def test_each_state_has_its_topics_and_only_an_active_node_answers(manager: Manager, tmp_path: Path) -> None:
    node = NodeProcess(model=write_model(tmp_path), autostart=False)
    try:
        start(node)
        assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
        settled(manager, out=False, into=False)
        assert manager.change(Transition.TRANSITION_CONFIGURE)
        settled(manager, out=True, into=False)
        assert manager.change(Transition.TRANSITION_ACTIVATE)
        settled(manager, out=True, into=True)
        manager.connect()
        (depth,) = manager.ask(image_message(picture()), info_of(), "depth")
        assert depth.width == 96

        assert manager.change(Transition.TRANSITION_DEACTIVATE)
        assert manager.state() == State.PRIMARY_STATE_INACTIVE
        settled(manager, out=True, into=False)
        before = len(manager.received["depth"])
        manager.image_pub.publish(image_message(picture()))
        manager.spin_for(0.5)
        assert len(manager.received["depth"]) == before
        assert manager.change(Transition.TRANSITION_CLEANUP)
        settled(manager, out=False, into=False)
        assert manager.change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
        assert manager.state() == State.PRIMARY_STATE_FINALIZED
        assert node.stop() == 0 and "Traceback" not in node.output
    finally:
        node.process.kill()


def test_a_transition_that_the_state_does_not_have_is_refused(manager: Manager, tmp_path: Path) -> None:
    """As when a manager configures a node that did so by itself; rclpy alone would end the process."""
    node = NodeProcess(model=write_model(tmp_path))
    try:
        start(node)
        manager.connect()
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, 200):
            assert not manager.change(transition)
        assert manager.state() == State.PRIMARY_STATE_ACTIVE
        (depth,) = manager.ask(image_message(picture()), info_of(), "depth")
        assert depth.width == 96
        assert node.process.poll() is None and "Traceback" not in node.output
    finally:
        node.process.kill()


def test_ten_cycles_leave_nothing_behind(manager: Manager, tmp_path: Path) -> None:
    node = NodeProcess(model=write_model(tmp_path), autostart=False)
    try:
        start(node)
        marks = []
        for cycle in range(CYCLES):
            assert manager.change(Transition.TRANSITION_CONFIGURE)
            assert manager.change(Transition.TRANSITION_ACTIVATE)
            settled(manager, out=True, into=True)
            manager.connect()
            (depth,) = manager.ask(image_message(picture(cycle), stamp=(cycle, 1)), info_of(), "depth")
            assert depth.header.stamp.sec == cycle
            assert manager.change(Transition.TRANSITION_DEACTIVATE)
            assert manager.change(Transition.TRANSITION_CLEANUP)
            settled(manager, out=False, into=False)
            marks.append(usage(node.process.pid))
        threads, files, resident = (np.array(column) for column in zip(*marks, strict=True))
        # The first cycles compile, load and fill pools.
        assert threads[-1] <= threads[2], threads
        assert files[-1] <= files[2], files
        assert resident[-1] - resident[2] < 8 << 20, resident
        assert node.stop() == 0
    finally:
        node.process.kill()


def test_a_failed_configuration_says_why_and_can_be_repeated(manager: Manager, tmp_path: Path) -> None:
    model = tmp_path / "later" / "tiny.onnx"
    node = NodeProcess(model=model, autostart=False)
    try:
        start(node)
        assert not manager.change(Transition.TRANSITION_CONFIGURE)
        node.wait_for_line(f"There is no model file {model}")
        assert manager.state() == State.PRIMARY_STATE_UNCONFIGURED
        write_model(model.parent)
        assert manager.change(Transition.TRANSITION_CONFIGURE)
        assert manager.state() == State.PRIMARY_STATE_INACTIVE
        assert node.stop() == 0
    finally:
        node.process.kill()


def test_an_active_node_shuts_down(manager: Manager, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    node = NodeProcess(model=write_model(tmp_path), stats_file=stats)
    try:
        node.wait_for_line("Subscribed to ")
        assert manager.state() == State.PRIMARY_STATE_ACTIVE
        assert manager.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
        settled(manager, out=False, into=False)
        assert manager.state() == State.PRIMARY_STATE_FINALIZED
        assert node.stop() == 0 and stats.is_file() and "Traceback" not in node.output
    finally:
        node.process.kill()


def usage(pid: int) -> tuple[int, int, int]:
    """Threads, open files and resident bytes of a process, once they hold still."""
    time.sleep(0.3)
    process = Path(f"/proc/{pid}")
    fields = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    resident = int(fields["VmRSS"].split()[0]) * 1024
    return int(fields["Threads"]), len(list((process / "fd").iterdir())), resident
