"""``cloudypoints predict``: depth and point clouds for image files."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.progress import track

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import millimetres, write_npy, write_ply, write_png
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.pipeline import Array, DepthFrame, Pipeline
from cloudypoints_ros.preview import colorize
from cloudypoints_ros.sources import CameraChoice, add_camera_arguments, find_images, read_image


def _write_cloud(frame: DepthFrame, image: Array, path: Path, stride: int) -> None:
    write_ply(cloud(frame.depth, frame.camera, image, "bgr", CloudOptions("xyzrgb", stride)), path)


# Format -> (suffix of the file, how to write it from the frame, its BGR image and the cloud's stride).
FORMATS: dict[str, tuple[str, Callable[[DepthFrame, Array, Path, int], None]]] = {
    "npy": (".npy", lambda frame, image, path, stride: write_npy(frame.depth, path)),
    "png": (".png", lambda frame, image, path, stride: write_png(millimetres(frame.depth), path)),
    "color": ("_color.png", lambda frame, image, path, stride: write_png(colorize(frame.depth), path)),
    "ply": (".ply", _write_cloud),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="images, or folders that are walked")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder for the results")
    parser.add_argument(
        "--format",
        action="append",
        choices=list(FORMATS),
        help="npy: float32 metres; png: 16-bit millimetres; color: a picture; ply: coloured points. May be repeated; "
        "default npy and color",
    )
    parser.add_argument("--stride", type=int, default=1, metavar="N", help="every n-th pixel and row in the PLY")
    parser.add_argument("--model", type=Path, metavar="ONNX", help="a model with its card (default: the embedded one)")
    add_camera_arguments(parser)


def main(args: argparse.Namespace) -> int:
    formats = args.format or ["npy", "color"]
    CloudOptions(stride=args.stride)  # refuses a bad stride before any work
    jobs = _jobs(args.paths)
    choice = CameraChoice.from_arguments(args)
    pipeline = Pipeline.open(args.model)
    console = Console(stderr=True)
    failures: list[str] = []
    for image_path, relative, root in track(jobs, "Predicting", console=console):
        try:
            _predict(pipeline, image_path, root, args.output / relative, formats, args.stride, choice)
        except CloudyPointsError as error:
            # One bad file must not cost the others; all are named at the end.
            failures.append(str(error))
    done = len(jobs) - len(failures)
    print(f"{done} of {len(jobs)} images written to {args.output} ({', '.join(formats)})")
    if failures:
        raise CloudyPointsError(f"{len(failures)} of {len(jobs)} images failed:\n" + "\n".join(failures))
    return 0


def _predict(
    pipeline: Pipeline,
    path: Path,
    root: Path | None,
    output: Path,
    formats: list[str],
    stride: int,
    choice: CameraChoice,
) -> None:
    image = read_image(path)
    camera = choice.calibration(path, root, image.shape[1], image.shape[0]).camera()
    frame = pipeline.depth(image, camera, "bgr")
    for name in formats:
        suffix, write = FORMATS[name]
        write(frame, image, output.with_name(output.stem + suffix), stride)


def _jobs(paths: list[Path]) -> list[tuple[Path, Path, Path | None]]:
    """(image, its path below OUT, root for the camera search) of every image; two may not share an output."""
    jobs = []
    seen: dict[Path, Path] = {}
    for path in paths:
        root = path if path.is_dir() else None
        for image in find_images(path):
            relative = image.relative_to(path) if root else Path(image.name)
            other = seen.setdefault(relative.with_suffix(""), image)
            if other != image:
                raise CloudyPointsError(
                    f"{other} and {image} would both be written as {relative.with_suffix('')}; predict them into two "
                    "output folders."
                )
            jobs.append((image, relative, root))
    return jobs
