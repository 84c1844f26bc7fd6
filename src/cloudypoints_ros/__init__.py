"""CloudyPoints ROS: camera images in, metric depth and point clouds out."""

__version__ = "0.1.0"
