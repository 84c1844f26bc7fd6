"""``cloudypoints demo``: a camera, the node and a recorder in three processes over real DDS."""

from cloudypoints_ros.demo.options import add_arguments
from cloudypoints_ros.demo.session import main

__all__ = ["add_arguments", "main"]
