"""What the demo is asked to do, checked before anything starts."""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import CLIP, CameraChoice, Source, add_camera_arguments, open_source

STILL_S = 3.0
DEVICE_S = 10.0

# What the recorder and the picture are made for.
NODE_PARAMETERS = {
    "image_transport": "raw",
    "depth.encoding": "32FC1",
    "points.stride": "4",
    "points.fields": "xyzrgb",
    "points.organised": "false",
}
# Set per run.
_OWN_PARAMETERS = frozenset((*NODE_PARAMETERS, "model", "stats_file", "cameras"))


@dataclass(frozen=True)
class Options:
    """What to stream and where to put it. ``frames`` 0 means until Ctrl-C."""

    source: str
    camera_arguments: tuple[str, ...]
    rate_hz: float
    frames: int
    out: Path
    model: str | None = None
    node_parameters: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--source", metavar="PATH", help="folder of images, image, video or camera (default: the synthetic street clip)"
    )
    parser.add_argument("--rate", type=float, metavar="HZ", help="frames per second (default: the source's own)")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--repeat", type=int, metavar="N", help="show the source N times")
    again.add_argument("--loop", action="store_true", help="show the source again and again until Ctrl-C")
    parser.add_argument(
        "-o",
        "--output",
        dest="out",
        type=Path,
        default=Path("out"),
        metavar="OUT",
        help="folder that gets demo/ and demo.png (default: out)",
    )
    parser.add_argument("--model", metavar="ONNX", help="a path, or a name in the library (default: the embedded one)")
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="NAME:=VALUE", help="a parameter of the node; repeatable"
    )
    add_camera_arguments(parser)


def options_of(args: argparse.Namespace) -> Options:
    """Check what was asked for; opens the source once, so that a broken one is named before anything starts."""
    for name, value in (("--duration", args.duration), ("--repeat", args.repeat)):
        if value is not None and not (value > 0 and math.isfinite(value)):
            raise CloudyPointsError(f"{name} is {value}; expected more than 0.")
    if args.source is None and not CLIP.is_dir():
        raise CloudyPointsError(
            f"The bundled clip {CLIP} is missing; install the package again, or give --source PATH."
        )
    if args.model is not None and not Path(args.model).is_file():
        raise CloudyPointsError(f"The model {args.model} does not exist; give an existing .onnx file.")
    for parameter in args.param:
        _check_parameter(parameter)
    name = str(CLIP) if args.source is None else args.source
    source = open_source(name, CameraChoice.from_arguments(args), args.rate)
    return Options(
        source=name,
        camera_arguments=_camera_arguments(args),
        rate_hz=source.rate_hz,
        frames=_frame_count(source, args),
        out=args.out,
        model=args.model,
        node_parameters=tuple(args.param),
    )


def _check_parameter(parameter: str) -> None:
    name, given, _ = parameter.partition(":=")
    if not given:
        raise CloudyPointsError(f"The parameter '{parameter}' has no value; give it as NAME:=VALUE.")
    name = name.rpartition(":")[2]  # ROS also takes NODE:NAME
    if name in _OWN_PARAMETERS:
        instead = "use --model" if name == "model" else "leave it out"
        raise CloudyPointsError(
            f"The demo sets {name} itself; {instead}, or start the node with `cloudypoints run -p {parameter}`."
        )


def _frame_count(source: Source, args: argparse.Namespace) -> int:
    """How many frames to stream; 0 means until Ctrl-C."""
    by_time = None if args.duration is None else max(1, int(args.duration * source.rate_hz + 0.5))
    if args.loop:
        return by_time or 0
    if args.repeat is not None:
        if source.count is None:
            raise CloudyPointsError(
                f"The length of {source.name} is not known, so --repeat means nothing; use --duration."
            )
        wanted = source.count * int(args.repeat)
    elif source.count is None:
        wanted = by_time or round(DEVICE_S * source.rate_hz)
    elif source.count == 1:
        wanted = by_time or max(1, round(STILL_S * source.rate_hz))
    else:
        wanted = source.count
    return wanted if by_time is None else min(wanted, by_time)


def _camera_arguments(args: argparse.Namespace) -> tuple[str, ...]:
    """The camera options again, for the process that publishes."""
    words: list[str] = [] if args.camera is None else ["--camera", str(args.camera)]
    for name in ("fx", "fy", "cx", "cy", "hfov"):
        value = getattr(args, name)
        if value is not None:
            words.append(f"--{name}={value!r}")
    return tuple(words)
