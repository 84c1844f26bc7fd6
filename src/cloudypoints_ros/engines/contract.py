"""What every engine asks of a model and its card, and the sentences it says when the two do not fit."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard

Array = npt.NDArray[Any]
Shape = Sequence[int | str | None]  # what is not an int is free


def wanted_outputs(model: Path, card: ModelCard, inputs: Mapping[str, Shape], outputs: Sequence[str]) -> list[str]:
    """Names of the outputs that are computed, in the model's order; CloudyPointsError when the card does not fit."""
    tensor = card.input.tensor
    _require(model, "inputs", [tensor, card.input.ray_angles], list(inputs))
    _require_size(model, card, inputs[tensor])
    masks = [mask.tensor for mask in (card.output.sky, card.output.validity) if mask]
    _require(model, "outputs", [card.output.tensor, card.output.log_variance, *masks], outputs)
    return [name for name in outputs if name in (card.output.tensor, *masks)]


def cannot_load(model: Path, library: str, reason: str) -> CloudyPointsError:
    return CloudyPointsError(
        f"The model {model} cannot be loaded by {library} ({reason}); it may be truncated or not an "
        "ONNX file: copy or export it again."
    )


def cannot_run(library: str, inputs: Mapping[str, Array], reason: str) -> CloudyPointsError:
    shapes = ", ".join(f"{name} {value.dtype} {value.shape}" for name, value in inputs.items())
    return CloudyPointsError(
        f"{library} cannot run the model on {shapes} ({reason}); correct the sizes in its card or export the model "
        "again."
    )


def available_cores() -> int:
    """Cores this process may use; more threads than that only wait for each other."""
    return len(os.sched_getaffinity(0))


def zeros(card: ModelCard) -> dict[str, Array]:
    """An input of the preferred size, all zeros."""
    height, width = card.input.size.opt
    inputs = {card.input.tensor: np.zeros((1, 3, height, width), np.float32)}
    if card.input.ray_angles:
        inputs[card.input.ray_angles] = np.zeros((1, 2, height, width), np.float32)
    return inputs


def _require_size(model: Path, card: ModelCard, shape: Shape) -> None:
    """A height or width that the model fixes must be the only one its card allows."""
    size = card.input.size
    for axis, length in enumerate(shape[2:4]):
        if isinstance(length, int) and not size.min[axis] == size.max[axis] == length:
            raise CloudyPointsError(
                f"The model {model} takes images of {shape[2]}x{shape[3]} (height x width), but its card allows "
                f"{size.min} to {size.max}; correct the size in the card or export the model again."
            )


def _require(model: Path, what: str, wanted: Sequence[str | None], present: Sequence[str]) -> None:
    missing = [name for name in wanted if name is not None and name not in present]
    if missing:
        raise CloudyPointsError(
            f"The card of {model} names the {what} {', '.join(missing)}, but the model has {', '.join(present)}; "
            "correct the card or export the model again."
        )
