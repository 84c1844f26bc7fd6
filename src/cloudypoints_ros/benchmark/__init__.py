"""``cloudypoints bench``: stages in one process, what one would otherwise write, and the whole node under load."""

from cloudypoints_ros.benchmark.options import add_arguments
from cloudypoints_ros.benchmark.session import main

__all__ = ["add_arguments", "main"]
