"""OpenVINO on the CPU.

The network is compiled once per input size: with its size fixed, the embedded model at 640x320 took 30.2 ms of one
thread on an AVX-512 CPU that did other work too, with its size left free 34.9, and 33.5 in ONNX Runtime.

bfloat16 is for CPUs with AMX; without, it took 1.6 times as long as float32. On 24 drawn scenes it moved the AbsRel of
the model that was embedded then by -0.1 % (0.2015 to 0.2013), by +0.8 % on the worst of three sets of eight. Another
model may lose more, so it is taken only where it is asked for.
"""

from __future__ import annotations

import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.engines.contract import available_cores, cannot_load, cannot_run, wanted_outputs
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard

Array = npt.NDArray[Any]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # of the inputs, by name

_HINTS = {"float32": "FP32", "bfloat16": "BF16"}
_SIZES = 8  # compiled at a time; one per shape of image among the cameras


class OpenVinoEngine:
    """An OpenVINO network on the CPU. The first image of another size waits until that size is compiled.

    ``precision`` is always set: left alone, OpenVINO takes bfloat16 where the CPU knows it, and the depth is another.
    """

    def __init__(self, model: Path, card: ModelCard, threads: int = 0, precision: str = "float32") -> None:
        try:
            import openvino
        except ImportError as error:
            raise CloudyPointsError(
                f"The engine openvino cannot be imported ({error}); install it with 'pip install openvino'."
            ) from error
        self._core = openvino.Core()
        self._threads = threads or available_cores()
        self.precision = precision
        if _HINTS[precision] not in (offered := self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")):
            raise CloudyPointsError(
                f"This CPU does not compute in {precision} (OpenVINO: {', '.join(offered)}); use the engine openvino."
            )
        try:
            network = self._core.read_model(str(model))
        except Exception as error:  # OpenVINO raises RuntimeError for all there is
            raise cannot_load(model, "OpenVINO", _reason(error)) from error
        inputs = {each.any_name: _shape(each.partial_shape) for each in network.inputs}
        outputs = [each.any_name for each in network.outputs]
        self._wanted = wanted_outputs(model, card, inputs, outputs)
        # What is not asked for is not computed.
        self._network = openvino.Model([network.output(name) for name in self._wanted], network.get_parameters())
        self._compiled: dict[Shapes, Any] = {}  # requests, least recently used first
        self._lock = threading.Lock()  # a request serves one caller at a time
        version = openvino.__version__.split("-")[0]
        self.name = f"openvino {version} CPU, {self.precision}, {self._threads} threads"

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        shapes = tuple(sorted((name, value.shape) for name, value in inputs.items()))
        try:
            with self._lock:
                # Not functools' cache: it would hold the engine, and its threads would outlive the last use of it.
                request = self._compiled.pop(shapes, None) or self._compile(shapes)
                self._compiled[shapes] = request
                if len(self._compiled) > _SIZES:
                    del self._compiled[next(iter(self._compiled))]
                request.infer(inputs, share_inputs=True)
                # Copied: the next frame writes where this one did.
                return {name: np.array(request.get_tensor(name).data) for name in self._wanted}
        except Exception as error:  # as above
            raise cannot_run("OpenVINO", inputs, _reason(error)) from error

    def _compile(self, shapes: Shapes) -> Any:
        import openvino

        network = self._network.clone()
        for name, shape in shapes:
            allowed = network.input(name).partial_shape
            if not allowed.compatible(openvino.PartialShape(list(shape))):
                raise ValueError(f"{name} takes {allowed}")
        network.reshape({name: list(shape) for name, shape in shapes})
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision].replace("FP", "f").lower(),
        }
        return self._core.compile_model(network, "CPU", options).create_infer_request()


def openvino_problem() -> str | None:
    """Why OpenVINO cannot be used here; nothing is imported to find out."""
    return None if find_spec("openvino") else "not installed"


def _shape(shape: Any) -> list[int | None]:
    if shape.rank.is_dynamic:
        return []
    return [length.get_length() if length.is_static else None for length in shape]


def _reason(error: Exception) -> str:
    """The line that says what is wrong; others say where in OpenVINO's own source it was noticed."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip(" -")]
    said = [line for line in lines if not line.startswith(("Exception from", "Check '", "FrontEnd API failed"))]
    unknown = [line for line in said if "No conversion rule found" in line]
    return next(iter(unknown or said or lines), type(error).__name__)
