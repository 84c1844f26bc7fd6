"""A checkpoint behind the runtime's own pipeline, so that it is scored as its export would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from cloudypoints_ros.model_card import ModelCard
from cloudypoints_training.models import DepthModel

Array = npt.NDArray[Any]


class TorchEngine:
    """A `DepthModel` as an engine: tensors by the names of its `Output`."""

    name, precision = "torch", "fp32"

    def __init__(self, model: DepthModel, threads: int) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._model = model.eval()

    @torch.no_grad()
    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        output = self._model(torch.from_numpy(inputs["image"]))
        self._last = {name: t.float().numpy() for name, t in output._asdict().items() if t is not None}
        return self._last

    def variance(self, inputs: dict[str, Array]) -> Array:
        """Log variance of the inputs that were inferred last."""
        return self._last["log_variance"]


def open_checkpoint(path: Path, threads: int) -> tuple[ModelCard, TorchEngine]:
    """The averaged model of a checkpoint of `fit`, and the card that its export has in all that matters here."""
    from cloudypoints_training.checkpoint import load_averaged
    from cloudypoints_training.export import make_card, multiples, named_outputs, taken_size

    model, _ = load_averaged(path)
    engine = TorchEngine(model, threads)
    fixed = taken_size(model)
    outputs = named_outputs(model, *(fixed or multiples((64, 64), model.input.multiple)))
    card = make_card(model, "checkpoint", {}, outputs, fixed, licence="unknown: a checkpoint, not a release")
    return card, engine
