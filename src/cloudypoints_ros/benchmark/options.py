"""What is measured and how often, checked before anything starts."""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError

ENCODINGS = ("rgb8", "jpeg")
RELIABILITIES = ("reliable", "best_effort")


@dataclass(frozen=True)
class Load:
    """What the cameras publish: images of ``width`` x ``height`` pixels, each camera at ``rate_hz``.

    ``together`` triggers all cameras at once, as a synchronised rig does; else they take turns within a period.
    ``stride`` is the cloud's; depth is 32FC1 at full resolution, points are xyzrgb.
    """

    name: str
    width: int
    height: int
    rate_hz: float
    encoding: str = "rgb8"
    cameras: tuple[str, ...] = ("",)
    reliability: str = "reliable"
    together: bool = False
    stride: int = 2

    @property
    def words(self) -> str:
        cameras = "" if len(self.cameras) == 1 else f"{len(self.cameras)} cameras, "
        at_once = " at once" if self.together and len(self.cameras) > 1 else ""
        reliability = self.reliability.replace("_", " ")
        return f"{cameras}{self.width}x{self.height} {self.encoding}, {self.rate_hz:g} Hz{at_once}, {reliability}"


_THREE = ("front", "left", "right")
SCENARIOS = {
    load.name: load
    for load in (
        Load("raw", 2048, 1024, 17.0),
        Load("jpeg", 2048, 1024, 17.0, "jpeg"),
        Load("three", 960, 540, 10.0, cameras=_THREE),
        Load("three-at-once", 960, 540, 10.0, cameras=_THREE, together=True),
    )
}

# Part -> what it measures. Those not in BY_DEFAULT are asked for by name.
PARTS = {
    "stages": "every stage of a frame in one process, and the engine beside the bare ONNX Runtime session",
    "compare": "our conversions beside what one would otherwise write",
    "node": "the whole node under load, in a process of its own",
    "start": "from `cloudypoints run` to the first depth",
    "memory": "the node's memory over --minutes",
}
BY_DEFAULT = ("stages", "compare", "node", "start")


@dataclass(frozen=True)
class Options:
    """``frames`` per timing in one process, ``seconds`` and ``runs`` of the node; ``minutes`` of the memory part."""

    parts: tuple[str, ...]
    loads: tuple[Load, ...]
    frames: int
    seconds: float
    runs: int
    minutes: float
    peak: bool
    model: Path | None
    node_parameters: tuple[str, ...]
    json: Path | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = {"parts": PARTS, "scenarios": {name: load.words for name, load in SCENARIOS.items()}}
    parser.epilog = "\n".join(
        f"{title}:\n" + "\n".join(f"  {name:15}{text}" for name, text in rows.items()) for title, rows in lines.items()
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"what to measure, see below (default: {', '.join(BY_DEFAULT)})"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure of every run there, too")
    parser.add_argument("--frames", type=int, default=100, metavar="N", help="frames per timing in one process (100)")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="runs of the node, of which the median (3)")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="S", help="length of a run (10)")
    parser.add_argument("--minutes", type=float, metavar="M", help="length of the memory part, which it adds (5)")
    parser.add_argument("--peak", action="store_true", help="also find the highest rate with less than 5 %% loss")
    parser.add_argument(
        "--model", type=Path, metavar="ONNX", help="a path, or a name in the library (default: the embedded one)"
    )
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter of the node; repeatable"
    )
    load = parser.add_argument_group("load", "a scenario (default: all), or one of your own beginning from 'raw'")
    load.add_argument("--scenario", action="append", metavar="NAME", help="one of those below; repeatable")
    load.add_argument("--size", metavar="WIDTHxHEIGHT", help="of the images, pixels")
    load.add_argument("--rate", type=float, metavar="HZ", help="images per second and camera")
    load.add_argument("--encoding", choices=ENCODINGS, help="raw rgb8, or JPEG of quality 90")
    load.add_argument("--cameras", type=int, metavar="N", help="how many cameras")
    load.add_argument("--reliability", choices=RELIABILITIES, help="what the cameras offer")
    load.add_argument("--together", action="store_true", help="all cameras at the same moment")
    load.add_argument("--stride", type=int, metavar="N", help="every n-th pixel and row becomes a point")


def options_of(args: argparse.Namespace) -> Options:
    """CloudyPointsError for what cannot be measured."""
    parts = tuple(args.parts) or BY_DEFAULT
    for part in parts:
        if part not in PARTS:
            raise CloudyPointsError(f"There is no part '{part}'; expected some of {', '.join(PARTS)}.")
    if args.minutes is not None and "memory" not in parts:
        parts += ("memory",)
    for name in ("frames", "runs", "seconds", "minutes", "rate", "cameras", "stride"):
        value = getattr(args, name)
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise CloudyPointsError(f"--{name} is {value}; expected more than 0.")
    if args.model is not None and not args.model.is_file():
        raise CloudyPointsError(f"The model {args.model} does not exist; give an existing .onnx file.")
    for parameter in args.param:
        if ":=" not in parameter:
            raise CloudyPointsError(f"The parameter '{parameter}' has no value; give it as NAME:=VALUE.")
    if args.json is not None and not os.access(args.json.absolute().parent, os.W_OK):
        raise CloudyPointsError(f"{args.json} cannot be written; give --json a file in a folder that can be written.")
    return Options(
        parts=tuple(part for part in PARTS if part in parts),
        loads=_loads(args),
        frames=args.frames,
        seconds=args.seconds,
        runs=args.runs,
        minutes=args.minutes or 5.0,
        peak=args.peak,
        model=args.model,
        node_parameters=tuple(args.param),
        json=args.json,
    )


def _loads(args: argparse.Namespace) -> tuple[Load, ...]:
    changes: dict[str, Any] = {"rate_hz": args.rate, "encoding": args.encoding, "reliability": args.reliability}
    changes |= {"stride": args.stride, "together": args.together or None}
    if args.size is not None:
        changes["width"], changes["height"] = size_of(args.size)
    if args.cameras is not None:
        changes["cameras"] = ("",) if args.cameras == 1 else tuple(f"camera{n + 1}" for n in range(args.cameras))
    changes = {name: value for name, value in changes.items() if value is not None}
    for name in args.scenario or ():
        if name not in SCENARIOS:
            raise CloudyPointsError(f"There is no scenario '{name}'; expected one of {', '.join(SCENARIOS)}.")
    if args.scenario:
        return tuple(dataclasses.replace(SCENARIOS[name], **changes) for name in args.scenario)
    if changes:
        return (dataclasses.replace(SCENARIOS["raw"], name="own", **changes),)
    return tuple(SCENARIOS.values())


def size_of(text: str) -> tuple[int, int]:
    """(width, height) of "2048x1024"."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and 32 <= int(width) <= 8192 and 32 <= int(height) <= 8192):
        raise CloudyPointsError(f"The size is '{text}'; expected WIDTHxHEIGHT, such as 1920x1080, 32 to 8192 each.")
    return int(width), int(height)
