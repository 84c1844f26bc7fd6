"""Faults against real nodes: rclpy, DDS and processes as in tests/ros, whose driver is used."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / "ros"), str(_TESTS), str(_TESTS.parent / "bench")]

from ros_session import initialised  # noqa: E402

pytest.importorskip("rclpy", reason="ROS 2 is not installed")


@pytest.fixture(scope="module", autouse=True)
def ros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Of a module, so that tests/ros can initialise rclpy again."""
    with initialised(tmp_path_factory.mktemp("ros_log")):
        yield
