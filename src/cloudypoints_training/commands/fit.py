"""`cloudypoints-train fit`: train a depth network."""

from __future__ import annotations

import argparse
import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.arguments import natural, positive

if TYPE_CHECKING:
    from cloudypoints_training.stream import Draw

# By kind of model: a decoder from nothing takes larger steps than a network that is fine-tuned.
LEARNING_RATES = {"efficientnet_lite": 2e-3, "huggingface": 1e-4}


def add(commands: Any) -> None:
    p = commands.add_parser(
        "fit",
        help="train a network",
        description="Train on drawn street scenes, on data with measured depth, or on both. Ctrl-C stops after the "
        "current step; the same command and --resume go on exactly. Under torchrun each process takes its share: "
        "torchrun --nproc_per_node=2 --no-python cloudypoints-train fit OUT --batch-multiple 2",
    )
    p.add_argument("out", type=Path, help="folder for checkpoints, log.jsonl, tensorboard and curves.png")
    p.add_argument("--resume", action="store_true", help="go on from the checkpoint in OUT, if there is one")
    what = p.add_argument_group("what is trained")
    what.add_argument("--model", default="efficientnet_lite0", help="efficientnet_lite0 to 4, or hf:NAME_OR_FOLDER")
    what.add_argument("--init", type=Path, metavar="CHECKPOINT", help="start from its weights instead of --model")
    what.add_argument("--encoder-rate", type=share, default=0.0, help="learning rate of the pretrained part, 0 to 1")
    what.add_argument("--frozen-norm", action="store_true", help="leave normalisation statistics as they are")
    data = p.add_argument_group("on what")
    data.add_argument("--data", nargs="+", default=[], metavar="ROOT[:KIND]", help="trees with measured depth")
    data.add_argument("--synthetic-share", type=share, help="of drawn scenes; 0.5 with --data, else 1")
    data.add_argument("--draw-on", choices=("cpu", "gpu"), default="cpu", help="gpu: NVIDIA, in each drawing process")
    data.add_argument("--without-fold", type=natural, metavar="N", help="of prepared trees: leave these cities out")
    data.add_argument("--batch-pixels", type=positive, default=4 * 640 * 320, help="images x width x height of a step")
    data.add_argument("--batch-multiple", type=positive, help="images of a step; number of processes")
    data.add_argument("--seed", type=natural, default=0)
    how = p.add_argument_group("how")
    how.add_argument("--steps", type=positive, default=13000)
    how.add_argument("--learning-rate", type=rate, help=", ".join(f"{v:g} for {k}" for k, v in LEARNING_RATES.items()))
    how.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true")
    how.add_argument("--accelerator", choices=("auto", "cpu", "gpu"), default="auto")
    how.add_argument("--devices", type=positive, help="GPUs, or processes on a CPU; not under torchrun")
    how.add_argument("--workers", type=natural, default=1, help="processes that draw, for each that trains")
    how.add_argument("--threads", type=positive, default=1, help="of each process that trains")
    how.add_argument("--validate-every", type=positive, default=500, help="steps between validations")
    how.add_argument("--validation-scenes", type=positive, default=24, help="of each kind")
    p.set_defaults(run=run)


def share(text: str) -> float:
    """An argument from 0 to 1."""
    value = number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' was given; expected a number from 0 to 1")
    return value


def rate(text: str) -> float:
    """An argument greater than 0."""
    value = number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' was given; expected a number greater than 0")
    return value


def number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def run(arguments: argparse.Namespace) -> None:
    import torch

    from cloudypoints_training.checkpoint import load_averaged
    from cloudypoints_training.devices import open_fabric, processes
    from cloudypoints_training.evaluation.validation import draw_scenes, validator
    from cloudypoints_training.fit import CHECKPOINT, Settings, fit
    from cloudypoints_training.look import viewer
    from cloudypoints_training.models import create
    from cloudypoints_training.scenes import HELD_OUT_STYLES, draw
    from cloudypoints_training.stream import Stream

    out, checkpoint = arguments.out, arguments.out / CHECKPOINT
    if not arguments.resume and checkpoint.exists():
        raise CloudyPointsError(f"{out} already holds a checkpoint; add --resume or name another folder.")
    world, _ = processes(arguments.devices)
    torch.manual_seed(arguments.seed)  # of the fresh weights
    model, before = load_averaged(arguments.init) if arguments.init else (create(arguments.model), None)
    kind = model.config["kind"]
    given = {
        **vars(arguments),
        "learning_rate": arguments.learning_rate or LEARNING_RATES[kind],
        "batch_multiple": arguments.batch_multiple or world,
    }
    settings = Settings(**{f.name: given[f.name] for f in dataclasses.fields(Settings) if f.name in given})
    source, data = open_data(arguments)
    if before:
        data["before"] = before.get("data")
    # The parameters of the networks of `transformers` do not all take part in the depth.
    fabric = open_fabric(arguments.accelerator, arguments.devices, settings.precision, unused=kind == "huggingface")

    stream = Stream(
        source,
        batch_pixels=settings.batch_pixels,
        seed=settings.seed,
        multiple=model.input.multiple,
        output_stride=model.output_stride,
        focal_px=model.canonical_focal_px,
        batch_multiple=settings.batch_multiple,
        fill=tuple(round(level) for level in model.input.mean),
    )
    sets = {}
    if fabric.is_global_zero:
        kinds = {"seen": None, **{style: style for style in HELD_OUT_STYLES}}
        sets = {name: draw_scenes(draw, style, arguments.validation_scenes) for name, style in kinds.items()}
    fit(model, stream, settings, out, arguments.resume, validator(**sets), viewer(sets), data, fabric)
    if fabric.is_global_zero:
        print(f"done: cloudypoints-train export {checkpoint} MODEL.onnx")


def open_data(arguments: argparse.Namespace) -> tuple[Draw, dict[str, Any]]:
    """What samples are drawn from, and what the checkpoint says of that and of other weights that are started from.

    A tree weighs as much as it has images; of a layout that has a split `train`, only that is trained on.
    """
    from cloudypoints_training.datasets import open_dataset
    from cloudypoints_training.datasets.layouts import KINDS, LAYOUTS, recognise
    from cloudypoints_training.scenes import GpuDraw, draw
    from cloudypoints_training.scenes.gpu_device import find_device
    from cloudypoints_training.stream import DatasetDraw, Mixture

    scenes: Draw = draw
    if arguments.draw_on == "gpu":
        find_device()  # before any process is started in vain
        scenes = GpuDraw()
    if arguments.without_fold is not None and not arguments.data:
        raise CloudyPointsError(f"--without-fold {arguments.without_fold} needs --data, a prepared tree.")
    trees = []
    for text in arguments.data:
        root, _, kind = text.rpartition(":")
        if not root or kind not in KINDS:
            root, kind = text, "auto"
        kind = recognise(Path(root)) if kind == "auto" and Path(root).is_dir() else kind
        split = "train" if kind in LAYOUTS and "train" in LAYOUTS[kind].splits else None
        fold = arguments.without_fold
        if fold is not None and kind != "prepared":
            raise CloudyPointsError(
                f"--without-fold {fold} was given, but {root} ({kind}) has no folds; make it a tree that has some with "
                "cloudypoints-train prepare."
            )
        trees.append((root, kind, open_dataset(root, kind, split, without_fold=fold)))
    drawn = arguments.synthetic_share
    if drawn is None:
        drawn = 0.5 if trees else 1.0
    if not trees and drawn < 1:
        raise CloudyPointsError(
            f"--synthetic-share {drawn:g} leaves {1 - drawn:g} for measured images; name their trees with --data."
        )
    total = sum(len(images) for _, _, images in trees)
    parts = [(DatasetDraw(images), (1 - drawn) * len(images) / total) for _, _, images in trees]
    data: dict[str, Any] = {
        "drawn_share": drawn,
        "trees": [{"root": root, "kind": kind, "images": len(images)} for root, kind, images in trees],
    }
    if arguments.init:
        data["weights_of"] = str(arguments.init)
    if arguments.draw_on == "gpu":  # equal pictures but for rounding, so a run stays with what it began with
        data["drawn_on"] = "gpu"
    return Mixture(((scenes, drawn), *parts)) if trees else scenes, data
