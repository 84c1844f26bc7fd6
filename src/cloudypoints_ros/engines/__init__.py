"""Engines run a network. One Protocol, one dict; each engine imports its vendor library when it is opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard

Array = npt.NDArray[Any]


class Engine(Protocol):
    """A loaded network. ``name`` says what runs it and ``precision`` what its numbers are, for people."""

    name: str
    precision: str

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Run the network: float32 arrays by tensor name in, float32 arrays by tensor name out."""
        ...


def _onnxruntime(model: Path, card: ModelCard, threads: int) -> Engine:
    from cloudypoints_ros.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, card, threads)


ENGINES: dict[str, Callable[[Path, ModelCard, int], Engine]] = {"onnxruntime": _onnxruntime}


def open_engine(name: str, model: Path, card: ModelCard, threads: int = 0) -> Engine:
    """Load ``model`` into the engine called ``name``; ``threads`` 0 means one per core this process may use."""
    if name not in ENGINES:
        raise CloudyPointsError(f"The engine '{name}' is not known; expected one of {', '.join(ENGINES)}.")
    return ENGINES[name](model, card, threads)
