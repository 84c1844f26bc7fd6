"""What the budgets of a point cloud cost, and whether leaving out grazed surfaces pays, printed as Markdown.

    python bench/cloud.py [--runs 40]

Both on the clip that ships, as the shipped model sees it. Times: one of its frames at 2048x1024, the filters by turns
with the cloud without any, so that a slow moment of the machine touches all of them alike. Accuracy: the frames with a
measured depth, every pixel of the image's own size; beside each angle what the same number of points costs when
simply the farthest ones go.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from frame import machine

import cloudypoints_ros
from cloudypoints_ros.camera import Camera, load_camera
from cloudypoints_ros.dds import keep_buffers
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.mount import Mount
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.sources import find_images, read_image, read_truth, truth_for

CLIP = Path(cloudypoints_ros.__file__).parent / "clip"
SIZE = (2048, 1024)
STRIDES = (1, 2, 4)
FILTERS: dict[str, dict[str, Any]] = {
    "none": {},
    "height band -0.5 to 3 m": {"min_height_m": -0.5, "max_height_m": 3.0},
    "incidence 1 degree": {"min_incidence_deg": 1.0},
    "voxels of 0.5 m": {"voxel_m": 0.5},
    "voxels of 0.1 m": {"voxel_m": 0.1},
    "voxels of 0.02 m": {"voxel_m": 0.02},
}
MOUNT = Mount(height_m=1.5)  # the band's cost does not depend on it
ANGLES_DEG = (0.5, 1.0, 2.0, 3.0)
NEAR_M, FAR_M, WRONG = 1.0, 80.0, 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40)
    args = parser.parse_args()
    keep_buffers()  # as the node does
    pipeline = Pipeline.open()
    camera = load_camera(CLIP / "camera.json")
    images = find_images(CLIP / "image")
    print(f"{machine()}; model {pipeline.card.name}; the bundled clip; {args.runs} runs each.\n")
    image = read_image(images[0])
    answer = pipeline.depth(image, camera, "bgr", SIZE)
    image = cv2.resize(image, SIZE)
    print(time_table("2048x1024 XYZRGB", answer.depth, answer.camera, image, args.runs) + "\n")
    noise = np.random.default_rng(0).uniform(2, 80, answer.depth.shape).astype(np.float32)
    print(time_table("the same of noise, which has no neighbours", noise, answer.camera, image, args.runs) + "\n")
    measured = [(path, truth) for path in images if (truth := truth_for(path)) is not None]
    frames = [(pipeline.depth(read_image(path), camera, "bgr").depth, read_truth(truth)) for path, truth in measured]
    print(error_table(frames, camera))


def time_table(heading: str, depth: np.ndarray, camera: Camera, image: np.ndarray, runs: int) -> str:
    """Points, median milliseconds, and the median of their differences to the cloud without a filter."""
    columns = " | ".join(f"stride {s}: points | ms | more than none" for s in STRIDES)
    lines = [f"| {heading} | {columns} |", "|" + "---|" * (1 + 3 * len(STRIDES))]
    cells: dict[str, list[str]] = {name: [] for name in FILTERS}
    for stride in STRIDES:
        times: dict[str, list[float]] = {name: [] for name in FILTERS}
        points: dict[str, int] = {}
        for run in range(-3, runs):
            for name, asked in FILTERS.items():
                start = perf_counter()
                packed = cloud(depth, camera, image, "bgr", CloudOptions("xyzrgb", stride, **asked), MOUNT)
                end = perf_counter()
                points[name] = packed.width
                if run >= 0:
                    times[name].append((end - start) * 1e3)
        for name in FILTERS:
            more = statistics.median(ms - plain for ms, plain in zip(times[name], times["none"], strict=True))
            cells[name].append(f"{points[name]:,} | {statistics.median(times[name]):.2f} | {more:.2f}")
    return "\n".join([*lines, *(f"| {name} | {' | '.join(row)} |" for name, row in cells.items())])


def error_table(frames: list[tuple[np.ndarray, np.ndarray]], camera: Camera) -> str:
    """Per angle: what is left out, and how many of the points with a measured depth are wrong before and after."""
    predicted = np.stack([depth for depth, _ in frames])
    true = np.stack([truth for _, truth in frames])
    points = np.isfinite(predicted)
    with np.errstate(invalid="ignore"):
        known = points & (true >= NEAR_M) & (true <= FAR_M)
        wrong = known & (np.abs(predicted - true) > WRONG * true)
    before = wrong.sum() / known.sum()
    lines = [
        f"| least incidence | points left out | of those measured, {NEAR_M:g} to {FAR_M:g} m: left out | "
        f"off by more than {WRONG:.0%} among these | among all that stay | if as many of the farthest went instead |",
        "|" + "---|" * 6,
        f"| 0 (off) | 0 | 0 of {known.sum():,} | | {before:.2%} | {before:.2%} |",
    ]
    far_first = np.argsort(-predicted[known], kind="stable")
    for angle in ANGLES_DEG:
        options = CloudOptions("xyz", 1, organised=True, min_incidence_deg=angle)
        packed = [cloud(depth, camera, options=options) for depth, _ in frames]
        stays = np.stack([np.isfinite(p.data.view(np.float32).reshape(p.height, p.width, 3)[..., 2]) for p in packed])
        out, gone = known & ~stays, int((known & ~stays).sum())
        nearer = wrong[known][far_first[gone:]]
        lines.append(
            f"| {angle:g} degrees | {1 - stays.sum() / points.sum():.2%} | {gone:,} ({gone / known.sum():.2%}) | "
            f"{wrong[out].mean():.0%} | {wrong[known & stays].mean():.2%} | {nearer.mean():.2%} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
