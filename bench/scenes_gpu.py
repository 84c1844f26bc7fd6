"""Scenes drawn on an NVIDIA GPU: images/s, and what planning them on the CPU allows; printed as Markdown.

    .venv-training/bin/python bench/scenes_gpu.py [--images 200] [--workers 16]

Without a GPU it tells so and times the planning alone, which is the part that stays on the CPU.
"""

from __future__ import annotations

import argparse
import os
from time import perf_counter, process_time

import numpy as np

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.scenes.gpu_device import find_device
from cloudypoints_training.scenes.sample import STYLES, draw, draw_each, plan

SIZES = ((320, 160), (640, 320))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    for style in STYLES:  # compiles the CPU's part
        plan(0, 64, 32, style)
    print("| planned on the CPU | ms of one core per image, mean over styles |\n|---|---|")
    for width, height in SIZES:
        print(f"| {width}x{height} | {planning_ms(width, height):.1f} |", flush=True)
    try:
        device = find_device()
    except CloudyPointsError as error:
        print(f"\nNot timed on a GPU: {error}")
        return
    print(f"\n{gpu_name(device)}, {args.workers} planning processes, {args.images} images a row\n")
    print("| rendered on the GPU | ms per image, plans at hand | images/s with planning | grey levels from the CPU |")
    print("|---|---|---|---|")
    for width, height in SIZES:
        rendering, apart = rendering_ms(width, height, args.images, device)
        rate = images_per_s(width, height, args.images, args.workers)
        print(f"| {width}x{height} | {rendering:.2f} | {rate:.0f} | {apart:.2f} |", flush=True)


def planning_ms(width: int, height: int) -> float:
    """CPU time, so that other processes count less."""
    start = process_time()
    for seed in range(3):
        for style in STYLES:
            plan(seed, width, height, style)
    return (process_time() - start) / (3 * len(STYLES)) * 1e3


def rendering_ms(width: int, height: int, images: int, device: object) -> tuple[float, float]:
    """Time per image on the GPU, copies there and back included, and how far pictures are from the CPU's."""
    from cloudypoints_training.scenes.gpu import take

    shots = [plan(seed, width, height) for seed in range(20)]
    pictures = [take(shot, device).image for shot in shots]  # type: ignore[arg-type]
    start = perf_counter()
    for i in range(images):
        take(shots[i % len(shots)], device)  # type: ignore[arg-type]
    passed = perf_counter() - start
    apart = [np.abs(picture.astype(int) - draw(seed, width, height).image) for seed, picture in enumerate(pictures)]
    return passed / images * 1e3, float(np.mean(apart))


def images_per_s(width: int, height: int, images: int, workers: int) -> float:
    """The whole way, from the second batch of plans on: starting the processes is not counted."""
    drawn = draw_each(range(images + 8 * workers), width, height, device="cuda", workers=workers)
    for _ in range(8 * workers):
        next(drawn)
    start = perf_counter()
    count = sum(1 for _ in drawn)
    return count / (perf_counter() - start)


def gpu_name(device: object) -> str:
    import torch

    return str(torch.cuda.get_device_name(device))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
