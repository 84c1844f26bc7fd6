"""Where the time of a frame goes on this machine: medians of interleaved runs, printed as Markdown.

    python bench/frame.py [--frames 60] [--model ONNX]

Every stage is timed in one process, the sizes interleaved frame by frame, so that a slow moment of the machine
touches all of them alike. "Outside the model" is preprocess, postprocess and the default cloud (stride 4); messages
and DDS are not in it: the demo's table has those. Images are noise; what the model makes of them decides how many
points there are, so the packing table has full, sky-cut and holed depth of its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import platform
import statistics
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import numpy as np

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.dds import keep_buffers
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.pipeline import Pipeline

CAMERAS = {
    "KITTI": Camera(1242, 375, 721.5, 721.5, 609.6, 172.9),
    "nuScenes": Camera(1600, 900, 1266.4, 1266.4, 816.3, 491.5),
    "Cityscapes": Camera(2048, 1024, 2262.5, 2265.3, 1097.0, 513.1),
}
CLOUDS = {"cloud, stride 4": CloudOptions("xyzrgb", 4), "cloud, every pixel": CloudOptions("xyzrgb", 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--engine", default="onnxruntime")
    args = parser.parse_args()
    keep_buffers()  # as the node does
    pipeline = Pipeline.open(args.model, args.engine)
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for frame in range(-5, args.frames):
        for name, camera in CAMERAS.items():
            for stage, ms in one_frame(pipeline, camera, frame).items():
                if frame >= 0:
                    times[name][stage].append(ms)
    print(f"{machine()}; {pipeline.engine.name}; model {pipeline.card.name}; {args.frames} frames each.\n")
    print(stage_table(times))
    print()
    print(packing_table(args.frames))


def one_frame(pipeline: Pipeline, camera: Camera, seed: int) -> dict[str, float]:
    """Milliseconds per stage of one image."""
    noise = np.random.default_rng(seed + 100).integers(0, 64, (camera.height, camera.width, 1), np.uint8)
    image = noise + np.arange(3, dtype=np.uint8) * 50
    answer = pipeline.depth(image, camera)
    stages = dict(answer.times_ms)
    for name, options in CLOUDS.items():
        start = perf_counter()
        cloud(answer.depth, camera, image, "rgb", options)
        stages[name] = (perf_counter() - start) * 1e3
    return stages


def stage_table(times: dict[str, dict[str, list[float]]]) -> str:
    """Medians per camera, and the share of a frame (with the default cloud) that is not the model."""
    stages = list(next(iter(times.values())))
    lines = ["| camera | " + " | ".join(stages) + " | frame | outside the model |"]
    lines.append("|" + "---|" * (len(stages) + 3))
    for name, by_stage in times.items():
        camera = CAMERAS[name]
        medians = {stage: statistics.median(values) for stage, values in by_stage.items()}
        in_frame = [stage for stage in stages if stage != "cloud, every pixel"]
        whole = statistics.median(sum(values) for values in zip(*(by_stage[s] for s in in_frame), strict=True))
        outside = statistics.median(
            1 - infer / sum(rest)
            for infer, *rest in zip(by_stage["infer"], *(by_stage[s] for s in in_frame), strict=True)
        )
        cells = " | ".join(f"{medians[stage]:.2f} ms" for stage in stages)
        lines.append(f"| {name} {camera.width}x{camera.height} | {cells} | {whole:.1f} ms | {outside:.0%} |")
    return "\n".join(lines)


def packing_table(runs: int) -> str:
    """2 M XYZRGB points against one copy of the same bytes, run by turns."""
    camera = CAMERAS["Cityscapes"]
    lens = dataclasses.replace(camera, d=(-0.05, 0.01, 0.0, 0.0, 0.0))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (camera.height, camera.width, 3), np.uint8)
    full = rng.uniform(2, 80, (camera.height, camera.width)).astype(np.float32)
    sky = full.copy()
    sky[:300, 500:1500] = np.inf
    holes = full.copy()
    holes[rng.random(full.shape) < 0.03] = np.nan
    cases = {
        "every pixel": (full, camera),
        "sky in 300 rows": (sky, camera),
        "3 % scattered holes": (holes, camera),
        "distorted lens": (full, lens),
    }
    lines = ["| 2048x1024 XYZRGB | points | pack | copy of the same bytes | ratio |", "|---|---|---|---|---|"]
    for name, (depth, of_camera) in cases.items():
        packed: list[float] = []
        copied: list[float] = []
        for run in range(-3, runs):
            start = perf_counter()
            points = cloud(depth, of_camera, image, "rgb", CLOUDS["cloud, every pixel"])
            middle = perf_counter()
            points.data.copy()
            end = perf_counter()
            if run >= 0:
                packed.append((middle - start) * 1e3)
                copied.append((end - middle) * 1e3)
        ratio = statistics.median(p / c for p, c in zip(packed, copied, strict=True))
        lines.append(
            f"| {name} | {points.width / 1e6:.2f} M | {statistics.median(packed):.2f} ms | "
            f"{statistics.median(copied):.2f} ms | {ratio:.2f} |"
        )
    return "\n".join(lines)


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "")
    return f"{model or platform.processor()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    main()
