"""The node while a better engine is built, when that fails, and when the one at work is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver import SOURCE, NodeProcess, image_message, level_of, values_of
from engine_process import FRAMES
from test_parameter_effects import Asker, depth_of, picture
from tiny_models import expected_depth

pytestmark = [pytest.mark.ros, pytest.mark.slow]


class EngineProcess(NodeProcess):
    """engine_process.py, which is a depth_node with one engine more."""

    def __init__(self, kind: str, **parameters: Any) -> None:
        command = [sys.executable, str(Path(__file__).parent / "engine_process.py"), kind, "--ros-args"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        self.lines = []
        paths = [str(SOURCE), os.environ.get("PYTHONPATH", "")]
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "RCUTILS_LOGGING_BUFFERED_STREAM": "0"}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()


@contextmanager
def running(kind: str, model: Path) -> Iterator[NodeProcess]:
    """A depth_node with the engine "extra" of that kind; killed at the end if it still runs."""
    node = EngineProcess(kind, model=model, **{"diagnostics.period": 0.2})
    try:
        node.wait_for_line("Subscribed to ")
        yield node
    finally:
        if node.process.poll() is None:
            node.stop()


def right(depth: Any) -> None:
    """It is the depth of the picture that was asked for, and no other's."""
    expected = expected_depth(picture()[..., 0])
    seen = np.isfinite(depth)
    assert seen.mean() > 0.3
    np.testing.assert_allclose(depth[seen], expected[seen], rtol=1e-3)


def test_frames_are_served_while_a_better_engine_is_built(drive: Any, model: Path) -> None:
    with running("slow", model) as node:
        driver = drive(("depth",))
        ask = Asker(driver)
        building = driver.status("engine")
        values = values_of(building)
        assert values["loading"] == f"{model} on extra, being built" and level_of(building) == 0
        assert "extra: has to be built first" in values["engine choice"]
        assert not values["engine"].startswith("slow")
        right(depth_of(ask("depth")))
        assert "slow engine works now" not in node.output  # that frame came before the switch
        ask.change("points.stride", 2)  # another parameter does not end the building
        node.wait_for_line("Model tiny on slow engine works now.")
        values = values_of(driver.status("engine", lambda s: values_of(s)["engine"] == "slow engine"))
        assert values["loading"] == "nothing" and values["engine choice"] == "extra"
        right(depth_of(ask("depth")))
        assert driver.get_parameter("engine") == "auto"
        assert node.output.count("Building extra;") == 1


def test_a_better_engine_that_fails_is_said_once_and_the_other_goes_on(drive: Any, model: Path) -> None:
    with running("broken", model) as node:
        driver = drive(("depth",))
        ask = Asker(driver)
        node.wait_for_line("The plan is 7 % off the depth of ONNX Runtime")
        values = values_of(driver.status("engine", lambda s: values_of(s)["loading"] == "nothing"))
        assert "extra: The plan is 7 % off" in values["engine choice"]
        assert "7 % off" in values["last failure to load"]
        right(depth_of(ask("depth")))
        ask.change("points.stride", 2)
        driver.spin_for(4.0)
        assert node.output.count("7 % off") == 1 and node.output.count("Building extra;") == 1
        assert driver.get_parameter("engine") == "auto"


def test_an_engine_that_is_lost_costs_its_frame_and_no_other(drive: Any, model: Path) -> None:
    with running("lost", model) as node:
        driver = drive(("depth",))
        ask = Asker(driver)
        right(depth_of(ask("depth")))
        assert values_of(driver.status("engine"))["engine"] == "fragile engine"
        for _ in range(FRAMES - 1):
            right(depth_of(ask("depth")))
        published = len(driver.received["depth"])
        driver.image_pub.publish(image_message(picture()))
        status = driver.status("engine", lambda s: level_of(s) == 1)
        assert "The GPU is out of memory" in status.message and "stands in for fragile engine" in status.message
        assert "extra: lost: The GPU is out of memory" in values_of(status)["engine choice"]
        assert values_of(status)["loading"] == "nothing"
        assert len(driver.received["depth"]) == published  # the frame of the loss has no depth, not that of another
        for _ in range(3):
            right(depth_of(ask("depth")))
        assert values_of(driver.status("camera"))["failed [images]"] == "1"
        driver.spin_for(8.0)  # longer than a note lasts
        assert level_of(driver.status("engine")) == 1
        assert node.output.count("stands in for") == 1

        ask.change("engine", "auto")  # told to try again, though it is the value that it had
        node.wait_for_line("Model tiny on fragile engine works now.")
        driver.status("engine", lambda s: level_of(s) == 0 and values_of(s)["engine"] == "fragile engine")
        right(depth_of(ask("depth")))
