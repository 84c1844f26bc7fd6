"""ONNX Runtime, on the CPU or with its CUDA provider. The latter is untested on a GPU."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy.typing as npt

from cloudypoints_ros.engines.contract import available_cores, cannot_load, cannot_run, wanted_outputs
from cloudypoints_ros.engines.gpu_probe import gpu_problem
from cloudypoints_ros.errors import CloudyPointsError, EngineLost
from cloudypoints_ros.model_card import ModelCard

Array = npt.NDArray[Any]

_CUDA = "CUDAExecutionProvider"
_PRECISIONS = {"tensor(float)": "float32", "tensor(float16)": "float16"}


class OnnxRuntimeEngine:
    """An ONNX Runtime session; with ``cuda`` on the GPU, never silently on the CPU instead."""

    def __init__(self, model: Path, card: ModelCard, threads: int = 0, cuda: bool = False) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise CloudyPointsError(
                f"The engine onnxruntime cannot be imported ({error}); install it with 'pip install onnxruntime'."
            ) from error
        if cuda and (problem := cuda_problem()):
            raise CloudyPointsError(f"The engine onnxruntime_cuda cannot be used: {problem}; use another engine.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or available_cores()
        options.log_severity_level = 3  # errors only; what matters comes back as an exception
        # Threads that spin between frames starve the rest of the frame on a small machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if cuda and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # CUDA and cuDNN may lie in Python packages, where the loader does not look
        providers = [_CUDA] if cuda else []
        try:
            self._session = onnxruntime.InferenceSession(
                str(model), options, providers=[*providers, "CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime raises many kinds, all meaning the same here
            raise cannot_load(model, "ONNX Runtime", str(error).splitlines()[0]) from error
        if cuda and _CUDA not in self._session.get_providers():
            raise CloudyPointsError(
                "ONNX Runtime fell back to the CPU where its CUDA provider was asked for; install the CUDA and cuDNN "
                "that this onnxruntime-gpu was built for (pip install 'onnxruntime-gpu[cuda,cudnn]')."
            )
        where = "CUDA" if cuda else f"CPU, {options.intra_op_num_threads} threads"
        self.name = f"onnxruntime {onnxruntime.__version__} {where}"
        inputs = {each.name: each for each in self._session.get_inputs()}
        outputs = [output.name for output in self._session.get_outputs()]
        self._wanted = wanted_outputs(model, card, {name: each.shape for name, each in inputs.items()}, outputs)
        kind = inputs[card.input.tensor].type
        self.precision = _PRECISIONS.get(kind, kind)
        self._cuda = cuda

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        try:
            return dict(zip(self._wanted, self._session.run(self._wanted, inputs), strict=True))
        except Exception as error:  # as above
            reason = str(error).splitlines()[0]
            if self._cuda and "INVALID_ARGUMENT" not in reason:
                raise EngineLost(
                    f"ONNX Runtime failed on the GPU ({reason}); free its memory or look at the driver's log, then set "
                    "the engine again."
                ) from error
            raise cannot_run("ONNX Runtime", inputs, reason) from error


def cuda_problem() -> str | None:
    """Why ONNX Runtime cannot run on a GPU here; nothing is imported to find out."""
    spec = find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return "not installed"
    if not (Path(spec.origin).parent / "capi" / "libonnxruntime_providers_cuda.so").is_file():
        return "the onnxruntime that is installed has no CUDA provider (onnxruntime-gpu has)"
    return gpu_problem()
