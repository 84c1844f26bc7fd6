"""cloudypoints-train: draw, train, score and export depth networks."""

from __future__ import annotations

import argparse
import sys

from safetensors import SafetensorError

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.commands import COMMANDS


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="cloudypoints-train", description=__doc__)
    top.add_argument("--debug", action="store_true", help="show tracebacks")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add(commands)
    return top


def sentence(error: Exception) -> str:
    """What happened and what to do."""
    if isinstance(error, SafetensorError):
        return f"The checkpoint cannot be read or written ({error}); check the disk, or give an undamaged one."
    if isinstance(error, OSError):
        return f"A file cannot be read or written ({error}); check the path, its permissions and the disk's space."
    return str(error)


def main(argv: list[str] | None = None) -> int:
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (CloudyPointsError, OSError, SafetensorError) as error:
        if arguments.debug:
            raise
        print(f"cloudypoints-train: {sentence(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
