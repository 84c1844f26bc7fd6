"""`cloudypoints-train fit`: train a depth network."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.arguments import natural, positive


def add(commands: Any) -> None:
    p = commands.add_parser("fit", help="train on drawn street scenes")
    p.add_argument("out", type=Path, help="folder for checkpoints and the log")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in OUT")
    p.add_argument("--steps", type=positive, default=6200)
    p.add_argument("--learning-rate", type=float, default=2e-3)
    p.add_argument("--batch-pixels", type=positive, default=4 * 640 * 320, help="images x width x height")
    p.add_argument("--workers", type=natural, default=1, help="processes that draw scenes")
    p.add_argument("--threads", type=positive, default=1, help="threads that train")
    p.add_argument("--seed", type=natural, default=0)
    p.add_argument("--validate-every", type=positive, default=500, help="steps between validations")
    p.add_argument("--validation-scenes", type=positive, default=24, help="of each kind")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.evaluate import draw_scenes, validator
    from cloudypoints_training.fit import CHECKPOINT, Settings, fit
    from cloudypoints_training.models.efficientnet_lite import new_model
    from cloudypoints_training.scene_stream import SceneStream
    from cloudypoints_training.scenes import HELD_OUT_STYLES, draw

    if not arguments.resume and (arguments.out / CHECKPOINT).exists():
        raise CloudyPointsError(f"{arguments.out} already holds a checkpoint; add --resume or name another folder.")
    names = {f.name for f in dataclasses.fields(Settings)}
    settings = Settings(**{k: v for k, v in vars(arguments).items() if k in names})
    sets = {"seen": draw_scenes(draw, None, arguments.validation_scenes)}
    for style in HELD_OUT_STYLES:
        sets[style] = draw_scenes(draw, style, arguments.validation_scenes)
    validate = validator(**sets)
    stream = SceneStream(draw, batch_pixels=settings.batch_pixels, seed=settings.seed)
    fit(new_model(), stream, settings, arguments.out, arguments.resume, validate)
    print(f"done: cloudypoints-train export {arguments.out / CHECKPOINT} MODEL.onnx")
