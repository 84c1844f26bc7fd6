"""`cloudypoints-train evaluate`: score a model on measured or drawn depth."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.arguments import natural, positive

if TYPE_CHECKING:
    from cloudypoints_training.datasets import DepthDataset
    from cloudypoints_training.evaluation.evaluate import Evaluation
    from cloudypoints_training.evaluation.predictors import Predictor

HELP = "score a model, checkpoint or folder of predictions on known depth"


def add(commands: Any) -> None:
    p = commands.add_parser("evaluate", help=HELP, description=f"{HELP[0].upper()}{HELP[1:]}; floors stand beside.")
    p.add_argument("model", type=Path, help="MODEL.onnx, checkpoint.safetensors, or what cloudypoints predict wrote")
    p.add_argument("root", type=Path, nargs="?", help="any data set with depth; with --flicker a folder of images")
    p.add_argument("-o", "--output", type=Path, metavar="OUT", help="folder for evaluation.json, .md and pictures")
    p.add_argument("--synthetic", type=positive, metavar="N", help="instead of ROOT: N scenes of each held-out style")
    p.add_argument("--kind", default="auto", help="layout of ROOT (default: recognised); a wrong one lists them")
    p.add_argument("--split", help="of ROOT, where it has splits")
    p.add_argument("--protocol", default="plain", choices=("plain", "kitti", "cityscapes"), help="what truth counts")
    p.add_argument(
        "--sources",
        nargs="+",
        default=(),
        metavar="PREFIX",
        help="starts of NAME; a source is all that share one, else what the data set says",
    )
    p.add_argument("--corruptions", action="store_true", help="also with noise, blur, fog, dark, contrast and JPEG")
    p.add_argument("--bootstrap", type=natural, default=1000, metavar="N", help="draws for the intervals, 0: none")
    p.add_argument("--flicker", action="store_true", help="instead of scores: how the road trembles along a clip")
    p.add_argument("--camera-height", type=float, default=1.65, metavar="M", help="above the road, for --flicker")
    p.add_argument("--threads", type=natural, default=1, help="0: all")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    if (arguments.root is None) == (arguments.synthetic is None):
        raise CloudyPointsError("Give either ROOT, a data set with depth, or --synthetic N.")
    if arguments.flicker:
        if arguments.root is None:
            raise CloudyPointsError("--flicker needs ROOT, a folder of consecutive images with their camera.json.")
        flicker(arguments)
    else:
        score(arguments)


def score(arguments: argparse.Namespace) -> None:
    from cloudypoints_ros.files import replacing
    from cloudypoints_training.evaluation.report import markdown

    scored = evaluated(arguments)
    text = markdown(scored.record)
    print(text, end="")
    if arguments.output is None:
        return
    from cloudypoints_training.evaluation.pictures import write_pictures

    with replacing(arguments.output / "evaluation.json") as temporary:
        temporary.write_text(json.dumps(scored.record, indent=1, allow_nan=False) + "\n")
    with replacing(arguments.output / "evaluation.md") as temporary:
        temporary.write_text(text)
    write_pictures(scored.record, scored.evaluation, scored.samples, scored.predictor, arguments.output)
    print(f"written to {arguments.output}")


@dataclass(frozen=True)
class Scored:
    """An evaluation, its record, and what it was made of."""

    record: dict[str, Any]
    evaluation: Evaluation
    samples: DepthDataset
    predictor: Predictor


def evaluated(arguments: argparse.Namespace) -> Scored:
    from cloudypoints_training.datasets import open_dataset
    from cloudypoints_training.evaluation.data import Drawn, Kept
    from cloudypoints_training.evaluation.evaluate import evaluate
    from cloudypoints_training.evaluation.predictors import open_predictor
    from cloudypoints_training.evaluation.protocols import PROTOCOLS
    from cloudypoints_training.evaluation.summary import summary

    samples: DepthDataset
    if arguments.synthetic is not None:
        samples, data = Drawn(arguments.synthetic), "drawn scenes of held-out styles"
    else:
        samples = open_dataset(arguments.root, arguments.kind, arguments.split, arguments.sources)
        data = str(arguments.root)
    samples = Kept(samples)
    predictor = open_predictor(arguments.model, arguments.threads)
    found = evaluate(predictor, samples, PROTOCOLS[arguments.protocol], arguments.corruptions)
    record = summary(found, str(arguments.model), data, arguments.bootstrap)
    return Scored(record, found, samples, predictor)


def flicker(arguments: argparse.Namespace) -> None:
    from dataclasses import asdict

    from tqdm import tqdm  # type: ignore[import-untyped]

    from cloudypoints_ros.files import replacing
    from cloudypoints_training.evaluation import flicker as measure
    from cloudypoints_training.evaluation.predictors import open_predictor

    predictor = open_predictor(arguments.model, arguments.threads)
    clip = measure.Clip.open(arguments.root)
    with tqdm(clip.frames(), total=len(clip), unit="frame") as frames:
        found = measure.flicker((predictor(frame).depth for frame in frames), clip.camera, arguments.camera_height)
    text = measure.words(found, str(arguments.model), str(arguments.root), arguments.camera_height)
    print(text)
    if arguments.output is None:
        return
    from cloudypoints_training.evaluation.pictures import flicker_picture

    record = {**asdict(found), "scales": [None if s != s else float(s) for s in found.scales]}
    with replacing(arguments.output / "flicker.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n")
    with replacing(arguments.output / "flicker.md") as temporary:
        temporary.write_text(text + "\n")
    flicker_picture(found, arguments.output / "flicker.png")
