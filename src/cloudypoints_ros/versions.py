"""Which versions are installed here. Standard library only."""

from __future__ import annotations

import os
import re
from importlib import metadata


def version_of(distribution: str) -> str:
    """Of a Python distribution; "" when it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def ros_wheels() -> list[str]:
    """The ROS distributions whose rclpy was installed from PyPI: ["jazzy"]."""
    names = (re.fullmatch(r"ros-([a-z]+)-rclpy", str(each.metadata["Name"])) for each in metadata.distributions())
    return sorted({name[1] for name in names if name})


def ros_distro() -> str:
    """The ROS distribution that was sourced, else that of the wheels; "" when there is none."""
    return os.environ.get("ROS_DISTRO") or next(iter(ros_wheels()), "")
