"""ONNX Runtime on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard

Array = npt.NDArray[Any]


class OnnxRuntimeEngine:
    """An ONNX Runtime session on the CPU."""

    def __init__(self, model: Path, card: ModelCard, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise CloudyPointsError(
                f"The engine onnxruntime cannot be imported ({error}); install it with 'pip install onnxruntime'."
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.log_severity_level = 3  # errors only; what matters comes back as an exception
        # Threads that spin between frames starve the rest of the frame on a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises many kinds, all meaning the same here
            reason = str(error).splitlines()[0]
            raise CloudyPointsError(
                f"The model {model} cannot be loaded by ONNX Runtime ({reason}); it may be truncated or not an "
                "ONNX file: copy or export it again."
            ) from error
        self.name = f"onnxruntime {onnxruntime.__version__} CPU, {options.intra_op_num_threads} threads"
        self._outputs = [output.name for output in self._session.get_outputs()]
        inputs = {each.name: each for each in self._session.get_inputs()}
        kind = inputs[card.input.tensor].type if card.input.tensor in inputs else ""
        self.precision = {"tensor(float)": "float32", "tensor(float16)": "float16"}.get(kind, kind)
        _require(model, "inputs", [card.input.tensor, card.input.ray_angles], list(inputs))
        _require_size(model, card, inputs[card.input.tensor].shape)
        masks = [mask.tensor for mask in (card.output.sky, card.output.validity) if mask]
        _require(model, "outputs", [card.output.tensor, card.output.log_variance, *masks], self._outputs)
        self._wanted = [name for name in self._outputs if name in (card.output.tensor, *masks)]

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        try:
            return dict(zip(self._wanted, self._session.run(self._wanted, inputs), strict=True))
        except Exception as error:  # as above
            shapes = ", ".join(f"{name} {value.dtype} {value.shape}" for name, value in inputs.items())
            raise CloudyPointsError(
                f"ONNX Runtime cannot run the model on {shapes} ({str(error).splitlines()[0]}); correct the "
                "sizes in its card or export the model again."
            ) from error


def available_cores() -> int:
    """Cores this process may use; more threads than that only wait for each other."""
    return len(os.sched_getaffinity(0))


def _require_size(model: Path, card: ModelCard, shape: list[int | str | None]) -> None:
    """A height or width that the model fixes must be the only one its card allows."""
    size = card.input.size
    for axis, length in enumerate(shape[2:4]):
        if isinstance(length, int) and not size.min[axis] == size.max[axis] == length:
            raise CloudyPointsError(
                f"The model {model} takes images of {shape[2]}x{shape[3]} (height x width), but its card allows "
                f"{size.min} to {size.max}; correct the size in the card or export the model again."
            )


def _require(model: Path, what: str, wanted: list[str | None], present: list[str]) -> None:
    missing = [name for name in wanted if name is not None and name not in present]
    if missing:
        raise CloudyPointsError(
            f"The card of {model} names the {what} {', '.join(missing)}, but the model has {', '.join(present)}; "
            "correct the card or export the model again."
        )
