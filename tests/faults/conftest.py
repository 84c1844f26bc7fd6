"""Faults against real nodes: rclpy, DDS and processes as in tests/ros, whose driver is used."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before rclpy is imported or a node is started, and as tests/ros/conftest.py has it: one domain per test process.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

_TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(_TESTS / "ros"), str(_TESTS), str(_TESTS.parent / "bench")]

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")


@pytest.fixture(scope="module", autouse=True)
def ros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """rclpy in this process with our DDS profile: what tests/ros has initialised, else of this module."""
    from cloudypoints_ros import dds

    if rclpy.ok():
        yield
        return
    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))
    dds.apply_profile()
    rclpy.init()
    rclpy.create_node("first").destroy_node()  # Fast DDS reads the profile with the first participant
    for variable in dds.PROFILE_VARIABLES:  # the nodes under test choose for themselves
        os.environ.pop(variable, None)
    yield
    rclpy.try_shutdown()
