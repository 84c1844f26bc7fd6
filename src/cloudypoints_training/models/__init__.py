"""Depth networks: `build(config)` makes one, `DepthModel` says what each can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.models.base import DepthModel, InputSpec, Output

__all__ = ["DepthModel", "InputSpec", "Output", "build", "create"]


def _efficientnet_lite(**config: Any) -> DepthModel:
    from cloudypoints_training.models.efficientnet_lite import DepthNet

    return DepthNet(**config)


def _huggingface(**config: Any) -> DepthModel:
    from cloudypoints_training.models.huggingface import HuggingFaceDepth

    return HuggingFaceDepth(**config)


KINDS: dict[str, Callable[..., DepthModel]] = {"efficientnet_lite": _efficientnet_lite, "huggingface": _huggingface}


def build(config: Mapping[str, Any]) -> DepthModel:
    """A network from its configuration: `kind` and the arguments of that kind. Weights as initialised, no downloads."""
    kind = config.get("kind")
    if kind not in KINDS:
        raise CloudyPointsError(f"There is no kind of model '{kind}'; expected one of {', '.join(KINDS)}.")
    return KINDS[kind](**{name: value for name, value in config.items() if name != "kind"})


def create(name: str, scenes: int = 12) -> DepthModel:
    """A network to train, with its pretrained weights: efficientnet_lite0 to 4, or hf:NAME_OR_FOLDER.

    scenes: how many are drawn to put the answers of a network of Hugging Face into metres.
    """
    if name.startswith("hf:"):
        from cloudypoints_training.models.huggingface import load, scene_pairs

        model = load(name.removeprefix("hf:"))
        model.align(scene_pairs(model, scenes))
        return model.train()
    variant = name.removeprefix("efficientnet_")
    from cloudypoints_training.models.efficientnet_lite import new_model
    from cloudypoints_training.models.encoder import VARIANTS

    if variant == name or variant not in VARIANTS:
        raise CloudyPointsError(
            f"There is no network '{name}'; expected {', '.join(f'efficientnet_{v}' for v in VARIANTS)}, or "
            "hf:NAME_OR_FOLDER."
        )
    return new_model(variant=variant)
