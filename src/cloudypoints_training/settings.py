"""What a training run is told, and what of it must stay the same when the run is resumed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError


@dataclass(frozen=True)
class Settings:
    steps: int = 13000
    learning_rate: float = 2e-3
    encoder_rate: float = 0.0  # factor for the pretrained part; 0 leaves it as it is
    weight_decay: float = 0.01
    warmup_steps: int = 200
    gradient_norm: float = 1.0
    average_decay: float = 0.998  # of the weights that are validated and exported
    frozen_norm: bool = False  # normalisation statistics stay as they are
    seed: int = 0
    batch_pixels: int = 4 * 640 * 320
    batch_multiple: int = 1  # images of a step are a multiple of this, so that processes get equal shares
    precision: str = "32-true"
    workers: int = 1  # processes that draw, for each that trains
    threads: int = 1  # of each process that trains
    checkpoint_seconds: float = 180.0
    validate_every: int = 500
    log_every: int = 20


# What changes the weights, by flag or, where there is none, by its name in `Settings`. How the work is spread and how
# often it is logged may change when a run is resumed.
KEPT = (
    "--steps",
    "--learning-rate",
    "--encoder-rate",
    "--frozen-norm",
    "--seed",
    "--batch-pixels",
    "--batch-multiple",
    "--precision",
    "weight_decay",
    "warmup_steps",
    "gradient_norm",
    "average_decay",
)


def require_same(record: dict[str, Any], settings: Settings, model: dict[str, Any], data: Any, out: Path) -> None:
    """Raise unless these continue the run of a checkpoint's record; what an older record lacks cannot differ."""
    recorded = {**record["settings"], "model": record.get("model", model), "data": record.get("data", data)}
    given = {**dataclasses.asdict(settings), "model": model, "data": data}
    names = {label: label.lstrip("-").replace("-", "_") for label in (*KEPT, "--model", "--data")}
    different = [
        f"{label} {recorded[name]} but now {given[name]}"
        for label, name in names.items()
        if name in recorded and recorded[name] != given[name]
    ]
    if different:
        raise CloudyPointsError(
            f"The run in {out} was started with {', '.join(different)}; "
            "repeat the flags of the run, or start another folder."
        )
