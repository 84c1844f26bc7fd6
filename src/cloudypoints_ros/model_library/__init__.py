"""``cloudypoints models``: what is there, more of it, and whether it is right."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    # Engines read ONNX files with a module of this package, and the commands open engines.
    from cloudypoints_ros.model_library import commands

    commands.add_arguments(parser)


def main(args: argparse.Namespace) -> int:
    from cloudypoints_ros.model_library import commands

    return commands.main(args)
