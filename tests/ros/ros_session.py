"""What every test against real nodes needs before rclpy is imported, and rclpy itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

# Before rclpy is imported or a node is started. Domains above 101 may meet the system's ephemeral ports.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)


@contextlib.contextmanager
def initialised(log_folder: Path) -> Iterator[None]:
    """rclpy in this process with our DDS profile, so that large images leave fast; as it is if somebody did that."""
    import rclpy

    from cloudypoints_ros import dds

    if rclpy.ok():
        yield
        return
    os.environ["ROS_LOG_DIR"] = str(log_folder)
    dds.apply_profile()
    rclpy.init()
    rclpy.create_node("first").destroy_node()  # Fast DDS reads the profile with the first participant
    for variable in dds.PROFILE_VARIABLES:  # the nodes under test choose for themselves
        os.environ.pop(variable, None)
    yield
    rclpy.try_shutdown()
