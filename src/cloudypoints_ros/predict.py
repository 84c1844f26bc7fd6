"""``cloudypoints predict``: depth and point clouds for image files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from cloudypoints_ros.engines import AUTO, ENGINES
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
    parser.add_argument(
        "--model", type=Path, metavar="ONNX", help="a path, or a name in the library (default: the embedded one)"
    )
    parser.add_argument("--engine", choices=[AUTO, *ENGINES], default=AUTO, help="what runs the model (default: auto)")
    add_camera_arguments(parser)


@dataclass(frozen=True)
class Job:
    """An image, where its camera is searched up to, and the file of each format."""

    image: Path
    root: Path | None
    targets: dict[str, Path]


def main(args: argparse.Namespace) -> int:
    CloudOptions(stride=args.stride)  # refuses a bad stride before any work
    jobs = plan(args.paths, args.output, args.format or ["npy", "color"])
    choice = CameraChoice.from_arguments(args)
    pipeline = Pipeline.open(args.model, args.engine)
    print(f"Engine: {pipeline.choice}", file=sys.stderr)
    failures: list[str] = []
    for job in track(jobs, "Predicting", console=Console(stderr=True)):
        try:
            _predict(pipeline, job, choice, args.stride)
        except CloudyPointsError as error:
            # One bad file must not cost the others; all are named at the end.
            failures.append(str(error))
    print(f"{len(jobs) - len(failures)} of {len(jobs)} images written to {args.output} ({', '.join(jobs[0].targets)})")
    if failures:
        raise CloudyPointsError(f"{len(failures)} of {len(jobs)} images failed:\n" + "\n".join(failures))
    return 0


def plan(paths: list[Path], output: Path, formats: list[str]) -> list[Job]:
    """What to read and write. No output may replace an image that is read, nor another output."""
    jobs = []
    for path in paths:
        root = path if path.is_dir() else None
        for image in find_images(path):
            if root and output != root and output.resolve() in image.resolve().parents:
                continue  # an earlier result
            relative = image.relative_to(path) if root else Path(image.name)
            stem = output / relative.with_suffix("")
            jobs.append(Job(image, root, {name: stem.with_name(stem.name + FORMATS[name][0]) for name in formats}))
    taken = {job.image.resolve(): job.image for job in jobs}
    for job in jobs:
        for target in job.targets.values():
            other = taken.setdefault(target.resolve(), job.image)
            if other == job.image and target.resolve() != job.image.resolve():
                continue
            raise CloudyPointsError(
                f"The result {target} of {job.image} would replace {other if other != job.image else 'it'} or its "
                "result; give another -o, or predict them apart."
            )
    return jobs


def _predict(pipeline: Pipeline, job: Job, choice: CameraChoice, stride: int) -> None:
    image = read_image(job.image)
    camera = choice.calibration(job.image, job.root, image.shape[1], image.shape[0]).camera()
    frame = pipeline.depth(image, camera, "bgr")
    for name, target in job.targets.items():
        FORMATS[name][1](frame, image, target, stride)
