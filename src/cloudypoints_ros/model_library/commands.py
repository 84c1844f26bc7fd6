"""The commands below ``cloudypoints models``: a table of them, and their options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cloudypoints_ros.engines.backends import BACKENDS
from cloudypoints_ros.model_library import adding, building, showing, verifying
from cloudypoints_ros.model_library.catalogue import CATALOGUE


def _list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON array instead of a table")
    parser.add_argument("--catalogue", action="store_true", help="the public networks whose cards are known")


def _add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="an .onnx file, its weights inside or beside it")
    parser.add_argument("--card", type=Path, metavar="JSON", help="its card, if it lies neither inside nor beside")
    known = ", ".join(CATALOGUE)
    parser.add_argument("--as", dest="entry", metavar="ENTRY", help=f"take the card from the catalogue: {known}")
    parser.add_argument("--name", help="its name in the library (default: the card's)")
    parser.add_argument("--force", action="store_true", help="replace a model of that name")


def _build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a name or a path (default: the embedded one)")
    parser.add_argument("--for", dest="sm", metavar="SM", help="another GPU, such as sm_89 (default: the one at hand)")
    parser.add_argument("--backend", default="tensorrt_rtx", choices=list(BACKENDS), help="default: tensorrt_rtx")


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a name or a path (default: the embedded one)")


def _verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="a name or a path (default: the embedded one)")
    parser.add_argument("--frames", type=int, default=20, metavar="N", help="how many are timed (default: 20)")
    parser.add_argument("--threads", type=int, default=0, metavar="N", help="of CPU engines (default: one per core)")


def _remove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="a name in the library")
    parser.add_argument("--yes", action="store_true", help="do not ask")


@dataclass(frozen=True)
class Command:
    help: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


COMMANDS = {
    "list": Command("what is there", _list, showing.list_models),
    "add": Command("put an ONNX file with its card into the library, after it has run", _add, adding.add),
    "build": Command("make a TensorRT plan, also for a GPU that is not here", _build, building.build),
    "inspect": Command("card and contents of a model", _inspect, showing.inspect),
    "verify": Command("every engine that runs here against ONNX Runtime on the CPU, and its speed", _verify,
                      verifying.verify),
    "rm": Command("remove a model from the library", _remove, adding.remove),
}  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="models_command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        below = commands.add_parser(name, help=command.help, description=command.help.capitalize() + ".")
        below.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        command.options(below)


def main(args: argparse.Namespace) -> int:
    return COMMANDS[args.models_command].run(args)
