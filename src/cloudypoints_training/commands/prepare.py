"""`cloudypoints-train prepare`: Cityscapes disparity to image, metric depth and camera per frame."""

from __future__ import annotations

import argparse
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
    p.add_argument("--folds", type=natural, default=0, help="deal the training cities into folds for tuning")
    p.add_argument("--jobs", type=positive, default=1, help="processes")
    p.add_argument("--limit", type=positive, help="at most this many frames")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.prepare import Settings, prepare

    if not 0 <= arguments.strip < 1:
        raise CloudyPointsError(f"--strip {arguments.strip} was given; expected a share from 0 to 1.")
    settings = Settings(
        crop=tuple(arguments.crop) if arguments.crop else None,
        size=tuple(arguments.size) if arguments.size else None,
        depth=arguments.depth,
        image=arguments.image,
        strip=arguments.strip,
        folds=arguments.folds,
    )
    outcome = prepare(arguments.root, arguments.out, settings, arguments.split, arguments.jobs, arguments.limit)
    print(f"{arguments.out}: {outcome.made} frames made, {outcome.kept} were there")
    if outcome.broken:
        raise CloudyPointsError(
            f"{len(outcome.broken)} of the frames could not be prepared ({', '.join(outcome.broken)}); they are named "
            f"with the reason in {arguments.out / 'manifest.json'}: replace them and give the same command again."
        )
