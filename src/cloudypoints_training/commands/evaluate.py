"""`cloudypoints-train evaluate`: score a model on measured depth."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from cloudypoints_training.arguments import natural


def add(commands: Any) -> None:
    p = commands.add_parser("evaluate", help="score an exported model on measured depth")
    p.add_argument("model", type=Path)
    p.add_argument("root", type=Path, help="tree of NAME/{image.jpg,depth.png,camera.json}")
    p.add_argument(
        "--sources",
        nargs="+",
        default=(),
        metavar="PREFIX",
        help="starts of NAME; a source is all that share one, else NAME up to its first digit",
    )
    p.add_argument("--json", type=Path, help="also write every figure here")
    p.add_argument("--threads", type=natural, default=1, help="0: all")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.evaluate import evaluate, table

    result = evaluate(arguments.model, arguments.root, arguments.threads, arguments.sources)
    print(table(result))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")
