"""ROS tests: real rclpy, real DDS, the node in a process of its own, on a ROS domain that nobody else uses."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before rclpy is imported or a node is started. Domains above 101 may meet the system's ephemeral ports.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")


@pytest.fixture(scope="session", autouse=True)
def ros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """rclpy in this process with our DDS profile, so that large images leave fast; logs go to a temporary folder."""
    from cloudypoints_ros import dds

    os.environ["ROS_LOG_DIR"] = str(tmp_path_factory.mktemp("ros_log"))
    dds.apply_profile()
    rclpy.init()
    rclpy.create_node("first").destroy_node()  # Fast DDS reads the profile with the first participant
    for variable in dds.PROFILE_VARIABLES:  # the nodes under test choose for themselves
        os.environ.pop(variable, None)
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model whose depth is linear in red and whose sky is blue."""
    from tiny_models import write_model

    return write_model(tmp_path_factory.mktemp("model"))
