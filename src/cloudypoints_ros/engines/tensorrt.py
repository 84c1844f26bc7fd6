"""TensorRT and TensorRT for RTX over CUDA tensors of PyTorch. Not tested on a GPU yet.

Execution follows NVIDIA's Python API reference: set_input_shape, set_tensor_address, execute_async_v3.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.engines.backends import Loaded, load
from cloudypoints_ros.engines.build_progress import Progress
from cloudypoints_ros.engines.contract import cannot_run, wanted_outputs
from cloudypoints_ros.engines.gpu_identity import gpu
from cloudypoints_ros.engines.onnxruntime import OnnxRuntimeEngine
from cloudypoints_ros.engines.parity import require_parity
from cloudypoints_ros.engines.plans import Plan
from cloudypoints_ros.engines.ready import plan_here
from cloudypoints_ros.errors import CloudyPointsError, EngineLost
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.model_library.onnx_file import read_onnx

Array = npt.NDArray[Any]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]

_TYPES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16"}  # TensorRT's names and torch's
_ALIGNMENT = 256  # bytes, of the address of a tensor


@dataclass(frozen=True)
class _Buffers:
    """All memory for one set of input shapes: nothing is allocated when the shapes come again.

    ``inputs`` and ``outputs`` are of the plan's types, ``answers`` (the outputs that are asked for) float32, the
    ``host`` ones float32 in pinned memory.
    """

    inputs: dict[str, Any]
    outputs: dict[str, Any]
    answers: dict[str, Any]
    host_in: dict[str, Any]
    host_out: dict[str, Any]


class TensorRtEngine:
    """A plan on the GPU. Opening builds it where the cache has none, which can take minutes."""

    def __init__(
        self, model: Path, card: ModelCard, backend: str = "tensorrt", progress: Progress | None = None
    ) -> None:
        here = gpu()  # before anything of TensorRT: without a GPU parts of it crash
        loaded, torch = load(backend), _torch()
        onnx = read_onnx(model)
        wanted = wanted_outputs(
            model, card, {each.name: each.shape for each in onnx.inputs}, [each.name for each in onnx.outputs]
        )
        self._lock = threading.Lock()
        runs: list[_Run] = []

        def check(plan: Plan) -> None:
            runs.append(_Run(loaded, torch, plan, model, card, wanted))
            reference = OnnxRuntimeEngine(model, card)
            require_parity(loaded.backend.title, model, card, runs[0].infer, reference.infer)

        ready = plan_here(backend, model, card, check, progress)
        self._run = runs[0] if runs else _Run(loaded, torch, ready.plan, model, card, wanted)
        self.name = f"{loaded.backend.title} {loaded.trt.__version__} on {here.name}"
        self.precision = ready.plan.precision
        self.built = ready.why  # why the plan was built now; "" when it was at hand

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        """Copy in, run, copy out and wait: float32 arrays by tensor name."""
        with self._lock:
            return self._run.infer(inputs)

    def enqueue(self, inputs: Mapping[str, Any], stream: Any) -> dict[str, Any]:
        """Queue the network on a ``torch.cuda.Stream``: CUDA tensors by name in, float32 CUDA tensors by name out.

        Nothing is synchronised; the next call with the same shapes writes into the same output tensors. Inputs have to
        live until the stream has passed. May be captured into a CUDA graph after one call with the same shapes.
        """
        with self._lock:
            return self._run.enqueue(inputs, stream)


class _Run:
    """An execution context and its memory."""

    def __init__(self, loaded: Loaded, torch: Any, plan: Plan, model: Path, card: ModelCard, wanted: list[str]) -> None:
        self._loaded, self._torch, self._wanted, self._card = loaded, torch, wanted, card
        trt = loaded.trt
        with _reported(torch, "start"):
            self._stream = torch.cuda.Stream()
            self._runtime = trt.Runtime(loaded.logger)
            self._engine = self._runtime.deserialize_cuda_engine(plan.data)
            self._context: Any = None if self._engine is None else _context(trt, self._engine)
        if self._context is None:
            raise EngineLost(
                f"{loaded.backend.title} cannot load the plan of {model} ({loaded.last_error()}); free GPU memory, or "
                "remove the plan from the cache so that it is built anew."
            )
        names = [self._engine.get_tensor_name(i) for i in range(self._engine.num_io_tensors)]
        self._modes = {name: self._engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT for name in names}
        self._dtypes = {name: getattr(torch, _TYPES[self._engine.get_tensor_dtype(name).name]) for name in names}
        self._buffers: dict[Shapes, _Buffers] = {}
        self._shapes: Shapes = ()

    def infer(self, inputs: dict[str, Array]) -> dict[str, Array]:
        torch = self._torch
        with _reported(torch, "run the model"), torch.cuda.stream(self._stream):
            buffers = self._prepare(inputs)
            for name, value in inputs.items():
                buffers.host_in[name].numpy()[...] = value
                buffers.inputs[name].copy_(buffers.host_in[name], non_blocking=True)
            answers = self._execute(buffers, buffers.inputs, self._stream)
            for name in self._wanted:
                buffers.host_out[name].copy_(answers[name], non_blocking=True)
            self._stream.synchronize()
            # The next call overwrites the pinned memory.
            return {name: np.array(buffers.host_out[name].numpy()) for name in self._wanted}

    def enqueue(self, inputs: Mapping[str, Any], stream: Any) -> dict[str, Any]:
        torch = self._torch
        with _reported(torch, "queue the model"), torch.cuda.stream(stream):
            buffers = self._prepare(inputs)
            ready = {}
            for name, value in inputs.items():
                fits = value.dtype == self._dtypes[name] and value.is_contiguous()
                if fits and value.data_ptr() % _ALIGNMENT == 0:
                    ready[name] = value
                else:
                    ready[name] = buffers.inputs[name].copy_(value, non_blocking=True)
            return self._execute(buffers, ready, stream)

    def _prepare(self, inputs: Mapping[str, Any]) -> _Buffers:
        """Tell the context the shapes where they are new, and the memory that goes with them."""
        expected = {name for name, is_input in self._modes.items() if is_input}
        if set(inputs) != expected:
            raise cannot_run(self._loaded.backend.title, inputs, f"expected the inputs {', '.join(sorted(expected))}")
        shapes: Shapes = tuple((name, tuple(inputs[name].shape)) for name in sorted(inputs))
        if shapes != self._shapes:
            self._shapes = ()  # whatever fails below must not leave the old ones believed
            for name, shape in shapes:
                if not self._context.set_input_shape(name, shape):
                    size = self._card.input.size
                    raise cannot_run(
                        self._loaded.backend.title, inputs, f"the plan takes {size.min} to {size.max}, batch 1"
                    )
            if shapes not in self._buffers:
                self._buffers[shapes] = self._allocate(dict(shapes))
            self._shapes = shapes
        return self._buffers[shapes]

    def _allocate(self, shapes: dict[str, tuple[int, ...]]) -> _Buffers:
        torch = self._torch
        for name, is_input in self._modes.items():
            if not is_input:
                shapes[name] = tuple(self._context.get_tensor_shape(name))
                if min(shapes[name], default=1) < 0:
                    raise EngineLost(
                        f"{self._loaded.backend.title} does not know the shape of the output {name} "
                        f"({shapes[name]}); export the model with shapes that follow from its input's."
                    )

        def device(name: str, dtype: Any) -> Any:
            return torch.empty(shapes[name], dtype=dtype, device="cuda")

        def host(name: str) -> Any:
            return torch.empty(shapes[name], dtype=torch.float32, pin_memory=True)

        outputs = {name: device(name, self._dtypes[name]) for name, is_input in self._modes.items() if not is_input}
        answers = {
            name: outputs[name] if self._dtypes[name] == torch.float32 else device(name, torch.float32)
            for name in self._wanted
        }
        names = [name for name, is_input in self._modes.items() if is_input]
        return _Buffers(
            {name: device(name, self._dtypes[name]) for name in names},
            outputs,
            answers,
            {name: host(name) for name in names},
            {name: host(name) for name in self._wanted},
        )

    def _execute(self, buffers: _Buffers, inputs: Mapping[str, Any], stream: Any) -> dict[str, Any]:
        context = self._context
        done = all(
            context.set_tensor_address(name, tensor.data_ptr())
            for name, tensor in {**buffers.outputs, **inputs}.items()
        )
        if not (done and context.execute_async_v3(stream.cuda_stream)):
            raise EngineLost(
                f"{self._loaded.backend.title} cannot queue the model ({self._loaded.last_error()}); free GPU memory "
                "or restart the program, or use a CPU engine."
            )
        for name, answer in buffers.answers.items():
            if answer is not buffers.outputs[name]:
                answer.copy_(buffers.outputs[name], non_blocking=True)
        return buffers.answers


def _torch() -> Any:
    try:
        torch: Any = import_module("torch")
    except ImportError as error:
        raise CloudyPointsError(
            f"TensorRT engines need PyTorch, which cannot be imported ({error}); install it with 'pip install torch'."
        ) from error
    if not torch.cuda.is_available():
        raise CloudyPointsError(
            f"PyTorch {torch.__version__} sees no GPU although the driver does; install a build of it for CUDA."
        )
    return torch


def _context(trt: Any, engine: Any) -> Any:
    strategy = getattr(trt, "DynamicShapesKernelSpecializationStrategy", None)  # TensorRT-RTX only
    if strategy is None:
        return engine.create_execution_context()
    config = engine.create_runtime_config()
    # Kernels that are exchanged later, as is the default, would not reach a captured CUDA graph.
    config.dynamic_shapes_kernel_specialization_strategy = strategy.EAGER
    return engine.create_execution_context(config)


@contextmanager
def _reported(torch: Any, what: str) -> Iterator[None]:
    """CUDA's and PyTorch's failures as EngineLost: what is on the GPU after one is worth nothing."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise EngineLost(
            f"The GPU has no memory left to {what} ({str(error).splitlines()[0]}); end other programs on it, or use a "
            "CPU engine."
        ) from error
    except RuntimeError as error:
        raise EngineLost(
            f"The GPU failed to {what} ({str(error).splitlines()[0]}); restart the program, or use a CPU engine."
        ) from error
