"""`cloudypoints-train explore`: what a data set holds, as a report with pictures."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from cloudypoints_training.arguments import natural, positive


def add(commands: Any) -> None:
    p = commands.add_parser("explore", help="what a data set holds: counts, calibration, validity, depths, samples")
    p.add_argument("root", type=Path, help="a Cityscapes tree, whole or partial, or any folder of images with depth")
    p.add_argument("-o", "--out", type=Path, required=True, help="folder for explore.html and explore.json")
    p.add_argument("--kind", default="auto", help="layout of the data set (default: recognise it)")
    p.add_argument("--split", help="train, val, test, ... (default: all)")
    p.add_argument("--limit", type=positive, metavar="N", help="read only N frames, drawn evenly")
    p.add_argument("--seed", type=natural, default=0, help="of the drawing")
    p.add_argument("--jobs", type=positive, default=os.cpu_count() or 1, help="frames at a time (default: every core)")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.exploration.explore import REPORT, explore
    from cloudypoints_training.exploration.findings import findings

    record = explore(
        arguments.root,
        arguments.out,
        arguments.kind,
        arguments.split,
        arguments.limit,
        arguments.seed,
        arguments.jobs,
    )
    for sentence in findings(record):
        print(sentence)
    print(f"{arguments.out / REPORT}: {record['frames']['read']} of {record['frames']['found']} frames were read")
