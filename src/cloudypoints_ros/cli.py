"""The ``cloudypoints`` command: one table of commands; each is a module with add_arguments() and main()."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from cloudypoints_ros import __version__
from cloudypoints_ros.errors import CloudyPointsError, missing_package

# Name -> (module, one line of help). A module is imported only when its command is asked for, so that each
# needs no more than its own libraries.
COMMANDS = {
    "demo": ("cloudypoints_ros.demo", "camera, node and recorder over real DDS: a bag, a picture and a table"),
    "run": ("cloudypoints_ros.run", "start the depth node (everything after -- goes to ROS)"),
    "predict": ("cloudypoints_ros.predict", "depth and point clouds for image files"),
    "models": ("cloudypoints_ros.model_library", "the models at hand: list, add, inspect, verify, build, remove"),
    "doctor": ("cloudypoints_ros.doctor", "what is wrong on this machine, and what to do about it"),
    "bench": ("cloudypoints_ros.benchmark", "how fast this machine is: stages, comparisons, the node under load"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0 done, 2 for what the user can mend, 130 after Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = next((a for a in arguments if a in COMMANDS), None)
    parser = argparse.ArgumentParser(prog="cloudypoints", description="Metric depth and point clouds from one camera.")
    parser.add_argument("--version", action="version", version=f"cloudypoints {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command, (module, text) in COMMANDS.items():
        subparser = subparsers.add_parser(command, help=text, description=text.capitalize() + ".")
        subparser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        if command == name:
            try:
                import_module(module).add_arguments(subparser)
            except ImportError as error:
                print(f"cloudypoints {command}: {missing_package(error)}", file=sys.stderr)
                return 2
    args = parser.parse_args(arguments)
    try:
        return int(import_module(COMMANDS[args.command][0]).main(args))
    except CloudyPointsError as error:
        if args.debug:
            raise
        print(f"cloudypoints {args.command}: {error}", file=sys.stderr)
        return 2
    except ImportError as error:
        if args.debug:
            raise
        print(f"cloudypoints {args.command}: {missing_package(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
