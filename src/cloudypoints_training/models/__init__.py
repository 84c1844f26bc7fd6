"""Depth networks: `build(config)` makes one, `DepthModel` says what each can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.models.base import DepthModel, InputSpec, Output

__all__ = ["DepthModel", "InputSpec", "Output", "build"]


def _efficientnet_lite(**config: Any) -> DepthModel:
    from cloudypoints_training.models.efficientnet_lite import DepthNet

    return DepthNet(**config)


KINDS: dict[str, Callable[..., DepthModel]] = {"efficientnet_lite": _efficientnet_lite}


def build(config: Mapping[str, Any]) -> DepthModel:
    """A network from its configuration: `kind` and the arguments of that kind. Weights as initialised, no downloads."""
    kind = config.get("kind")
    if kind not in KINDS:
        raise CloudyPointsError(f"There is no kind of model '{kind}'; expected one of {', '.join(KINDS)}.")
    return KINDS[kind](**{name: value for name, value in config.items() if name != "kind"})
