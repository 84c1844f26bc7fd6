"""A checkpoint behind the runtime's own pipeline, so that it is scored as its export would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cloudypoints_ros.model_card import InputSize, Mask, ModelCard, ModelInput, ModelOutput
from cloudypoints_training.models import DepthModel

Array = npt.NDArray[Any]

RANGE_M = (0.5, 150.0)
# Height and width: least, preferred, most.
SIZES = ((64, 64), (320, 640), (512, 1024))


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

    model, _ = load_averaged(path)
    engine = TorchEngine(model, threads)
    return card_of(model, set(engine.infer({"image": _grey(model)}))), engine


def card_of(model: DepthModel, outputs: set[str]) -> ModelCard:
    """A card for any network: letterboxed into 640 x 320 or the multiples next to that."""
    least, preferred, most = ((_multiple(h, model), _multiple(w, model)) for h, w in SIZES)
    return ModelCard(
        name="checkpoint",
        input=ModelInput(
            tensor="image",
            size=InputSize(least, preferred, most, model.input.multiple),
            resize="letterbox",
            colour="rgb",
            scale=1.0,
            mean=model.input.mean,
            std=model.input.std,
        ),
        output=ModelOutput(
            tensor="log_depth",
            quantity="log_depth",
            unit="metre",
            range_m=RANGE_M,
            canonical_focal_px=model.canonical_focal_px,
            sky=Mask("sky", "above", model.sky_threshold) if "sky" in outputs else None,
            log_variance="log_variance" if "log_variance" in outputs else None,
        ),
        licence="unknown: a checkpoint, not a release",
    )


def _grey(model: DepthModel) -> Array:
    side = _multiple(64, model)
    return np.zeros((1, 3, side, side), np.float32)


def _multiple(pixels: int, model: DepthModel) -> int:
    return max(1, round(pixels / model.input.multiple)) * model.input.multiple
