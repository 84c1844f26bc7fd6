"""ROS tests: real rclpy, real DDS, the node in a process of its own, on a ROS domain that nobody else uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from ros_session import initialised  # noqa: E402

pytest.importorskip("rclpy", reason="ROS 2 is not installed")


@pytest.fixture(scope="session", autouse=True)
def ros(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with initialised(tmp_path_factory.mktemp("ros_log")):
        yield


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model whose depth is linear in red and whose sky is blue."""
    from tiny_models import write_model

    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def drive() -> Iterator[Any]:
    """A factory of drivers that are closed at the end."""
    from driver import Driver

    made: list[Driver] = []

    def make(*args: Any, **options: Any) -> Driver:
        made.append(Driver(*args, **options))
        return made[-1]

    yield make
    for driver in made:
        driver.close()
