"""`cloudypoints-train prepare`: Cityscapes disparity to image, metric depth and camera per frame."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.arguments import natural, positive


def add(commands: Any) -> None:
    p = commands.add_parser("prepare", help="Cityscapes disparity to metric depth, with every frame's own camera")
    p.add_argument("root", type=Path, help="Cityscapes tree: leftImg8bit, disparity, camera and, if there, gtFine")
    p.add_argument("-o", "--out", type=Path, required=True)
    p.add_argument("--split", help="train, val, test, train_extra (default: all)")
    p.add_argument("--crop", type=natural, nargs=4, metavar=("X", "Y", "W", "H"), help="pixels of the original")
    p.add_argument("--size", type=positive, nargs=2, metavar=("W", "H"), help="resize to this, after the crop")
    p.add_argument("--depth", choices=("png", "npy"), default="png", help="uint16 metres x 256, or float32 metres")
    p.add_argument("--image", choices=("png", "jpg"), default="png")
    p.add_argument("--strip", type=float, default=0.0625, help="share of the columns at the left that is masked")
    p.add_argument("--folds", type=natural, default=5, help="folds of training cities, for tuning; 0 for none")
    p.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="frames at a time (default: every core)")
    p.add_argument("--limit", type=positive, help="at most this many frames")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.conversion import Settings
    from cloudypoints_training.prepare import prepare

    if not 0 <= arguments.strip < 1:
        raise CloudyPointsError(f"--strip {arguments.strip} was given; expected a share from 0 to 1.")
    settings = Settings(
        crop=tuple(arguments.crop) if arguments.crop else None,
        size=tuple(arguments.size) if arguments.size else None,
        depth=arguments.depth,
        image=arguments.image,
        strip=arguments.strip,
    )
    outcome = prepare(
        arguments.root,
        arguments.out,
        settings,
        arguments.split,
        arguments.jobs,
        arguments.limit,
        arguments.folds,
    )
    without = f", {outcome.without} have no disparity and were left out" if outcome.without else ""
    print(f"{arguments.out}: {outcome.made} frames made, {outcome.kept} were there{without}")
    if outcome.broken:
        raise CloudyPointsError(
            f"{len(outcome.broken)} of the frames could not be prepared ({_named(list(outcome.broken))}); they "
            f"are named with the reason in {arguments.out / 'manifest.json'}: replace them and give the same command "
            "again."
        )


def _named(frames: list[str], most: int = 5) -> str:
    more = len(frames) - most
    return ", ".join(frames[:most]) + (f" and {more} more" if more > 0 else "")
