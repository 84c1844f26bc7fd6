"""Starting the node: ``cloudypoints run`` without a ROS workspace, the executable ``depth_node`` in one."""

from __future__ import annotations

import argparse
import sys

from cloudypoints_ros.errors import missing_package


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--image", metavar="TOPIC", help="image topic (default: image_raw)")
    parser.add_argument("--camera-info", metavar="TOPIC", help="camera_info topic (default: camera_info)")
    parser.add_argument("--params-file", metavar="YAML", help="a ROS 2 parameter file, such as config/depth.yaml")
    parser.add_argument("-p", dest="parameters", action="append", default=[], metavar="NAME:=VALUE", help="a parameter")
    parser.add_argument("ros_arguments", nargs="*", metavar="-- ROS_ARGUMENT", help="anything else for --ros-args")


def main(args: argparse.Namespace) -> int:
    from cloudypoints_ros import node

    return node.main((["--debug"] if args.debug else []) + ros_arguments(args))


def depth_node() -> int:
    """The executable ``depth_node``; a missing package is a sentence here too."""
    try:
        from cloudypoints_ros import node
    except ImportError as error:
        print(f"depth_node: {missing_package(error)}", file=sys.stderr)
        return 2
    return node.main()


def ros_arguments(args: argparse.Namespace) -> list[str]:
    """The node's command line: [] or --ros-args with remappings, files and parameters."""
    words: list[str] = []
    # The compressed topic lives under the image's own name, as image_transport has it.
    for topic, given in (("image_raw", args.image), ("camera_info", args.camera_info)):
        if given:
            words += ["-r", f"{topic}:={given}"]
    if args.image:
        words += ["-r", f"image_raw/compressed:={args.image}/compressed"]
    if args.params_file:
        words += ["--params-file", args.params_file]
    for parameter in args.parameters:
        words += ["-p", parameter]
    words += args.ros_arguments
    return ["--ros-args", *words] if words else []
