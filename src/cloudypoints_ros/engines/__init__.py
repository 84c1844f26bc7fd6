"""Engines run a network. One Protocol, one dict; each engine imports its vendor library when it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard

Array = npt.NDArray[Any]

AUTO = "auto"


class Engine(Protocol):
    """A loaded network. ``name`` says what runs it and ``precision`` what its numbers are, for people."""

    name: str
    precision: str

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Run the network: float32 arrays by tensor name in, float32 arrays by tensor name out.

        Raises EngineLost when the engine cannot go on, CloudyPointsError for an input that it does not take.
        """
        ...


class CudaEngine(Engine, Protocol):
    """An engine that also takes what is on the GPU already."""

    def enqueue(self, inputs: Mapping[str, Any], stream: Any) -> dict[str, Any]:
        """Queue the network on a ``torch.cuda.Stream``: CUDA tensors by name in, CUDA tensors by name out.

        Nothing is synchronised, and the next call writes into the same output tensors.
        """
        ...


def _onnxruntime(model: Path, card: ModelCard, threads: int) -> Engine:
    from cloudypoints_ros.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, card, threads)


def _onnxruntime_cuda(model: Path, card: ModelCard, threads: int) -> Engine:
    from cloudypoints_ros.engines.onnxruntime import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, card, threads, cuda=True)


def _openvino(model: Path, card: ModelCard, threads: int) -> Engine:
    from cloudypoints_ros.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, card, threads)


def _openvino_bf16(model: Path, card: ModelCard, threads: int) -> Engine:
    from cloudypoints_ros.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, card, threads, "bfloat16")


def _tensorrt(model: Path, card: ModelCard, threads: int) -> Engine:
    from cloudypoints_ros.engines.tensorrt import TensorRtEngine

    return TensorRtEngine(model, card, "tensorrt")


def _tensorrt_rtx(model: Path, card: ModelCard, threads: int) -> Engine:
    from cloudypoints_ros.engines.tensorrt import TensorRtEngine

    return TensorRtEngine(model, card, "tensorrt_rtx")


ENGINES: dict[str, Callable[[Path, ModelCard, int], Engine]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "openvino_bf16": _openvino_bf16,
    "onnxruntime_cuda": _onnxruntime_cuda,
    "tensorrt": _tensorrt,
    "tensorrt_rtx": _tensorrt_rtx,
}
CPU_ENGINES = ("onnxruntime", "openvino")


def open_engine(name: str, model: Path, card: ModelCard, threads: int = 0) -> Engine:
    """Load ``model`` into the engine called ``name``; ``threads`` 0 means one per core this process may use."""
    if name not in ENGINES:
        raise CloudyPointsError(f"The engine '{name}' is not known; expected one of {', '.join(ENGINES)}.")
    return ENGINES[name](model, card, threads)
