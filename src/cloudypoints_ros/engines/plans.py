"""From a typed ONNX to a TensorRT plan: parse, check, build.

One path for TensorRT 10.3 to 11 and TensorRT for RTX. Networks are strongly typed: every layer computes in the type
that the ONNX gives it, so that a float16 plan comes of a float16 file (``cloudypoints-train export --half``).
Only TensorRT for RTX builds without a GPU, and only those builds are tested.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloudypoints_ros.engines.backends import Backend, Loaded, backend_of, load, shortened
from cloudypoints_ros.engines.build_progress import Progress, logged, monitor
from cloudypoints_ros.engines.contract import cannot_load, wanted_outputs
from cloudypoints_ros.engines.gpu_identity import gpu
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.model_library.onnx_file import read_onnx

OPSETS = (9, 24)  # docs/operators.md of onnx-tensorrt, TensorRT 10.15 to 11.2; the parser itself does not object
PRECISION = "as typed in the ONNX, TF32 allowed"  # builder defaults; part of the cache key
_INPUT_TYPES = ("FLOAT", "HALF")
_NAMES = {"FLOAT": "float32", "HALF": "float16", "BF16": "bfloat16", "INT8": "int8", "FP8": "float8"}
_COMPUTES = ("CONVOLUTION", "DECONVOLUTION", "MATRIX_MULTIPLY", "EINSUM")

_log = logging.getLogger(__name__)
_building = threading.Lock()  # TensorRT measures kernels while it builds: two at once would measure each other


@dataclass(frozen=True)
class Plan:
    """A serialised engine. ``precision`` is the type that most of its convolutions and products put out."""

    data: bytes
    precision: str


def sm_of(text: str) -> str:
    """A compute capability as "89", from "89", "8.9", "sm_89" or "SM89"."""
    number = text.lower().removeprefix("sm").lstrip("_").replace(".", "")
    if not (number.isdigit() and 2 <= len(number) <= 3):
        raise CloudyPointsError(f"'{text}' is no compute capability; expected one such as sm_89 (or 89, or 8.9).")
    return number


def targets(backend: str) -> list[str]:
    """The compute capabilities that a backend builds for without having them; empty where it cannot."""
    loaded = load(backend)
    return _capabilities(loaded.trt) if loaded.backend.ahead_of_time else []


def build_plan(
    backend: str,
    model: Path,
    card: ModelCard,
    sm: str | None = None,
    progress: Progress | None = None,
    timing_cache: Path | None = None,
) -> Plan:
    """Build the plan of an ONNX file for the sizes that its card allows, batch 1.

    sm: the compute capability to build for ("89"); none means the GPU at hand. timing_cache: where measurements of
    kernels are kept between builds. Blocks; Ctrl-C stops the build at its next step. Raises CloudyPointsError.
    """
    known = backend_of(backend)
    if sm is None:
        sm = gpu().sm  # before anything of TensorRT: without a GPU parts of it crash
    elif not known.ahead_of_time:
        raise CloudyPointsError(
            f"{known.title} builds only for the GPU at hand, not for sm_{sm}; build on the machine that has it, or use "
            "tensorrt_rtx."
        )
    onnx = read_onnx(model)
    if not OPSETS[0] <= onnx.opset <= OPSETS[1]:
        raise CloudyPointsError(
            f"The model {model} is of ONNX opset {onnx.opset}, but {known.title} takes {OPSETS[0]} to {OPSETS[1]}; "
            "export it again with opset 17."
        )
    wanted_outputs(model, card, {each.name: each.shape for each in onnx.inputs}, [each.name for each in onnx.outputs])
    loaded = load(backend)
    with _building, loaded.errors() as errors:
        trt = loaded.trt
        builder = trt.Builder(loaded.logger)
        network = builder.create_network(_typed(trt))
        parser = trt.OnnxParser(network, loaded.logger)
        if not parser.parse_from_file(str(model)):
            raise _parse_error(known, model, parser)
        config = builder.create_builder_config()
        for flag in known.flags:
            if hasattr(trt.BuilderFlag, flag):
                config.set_flag(getattr(trt.BuilderFlag, flag))
        if known.ahead_of_time:
            _aim(loaded, config, sm)
        profile = builder.create_optimization_profile()
        for name, sizes in _sizes(known, model, card, network).items():
            profile.set_shape(name, *sizes)
        if config.add_optimization_profile(profile) < 0:
            raise _build_error(known, model, card, errors)
        timings = _attach_timings(config, timing_cache) if known.timing_cache and timing_cache else None
        data = _serialised(trt, builder, network, config, progress or logged())
        if data is None:
            raise _build_error(known, model, card, errors)
        if timings is not None and timing_cache is not None:
            _keep_timings(config, timing_cache)
        return Plan(data, _precision(network))


def _typed(trt: Any) -> int:
    """The creation flags of a strongly typed network, where it is still a flag."""
    flag = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    return 0 if flag is None else 1 << int(flag)


def _capabilities(trt: Any) -> list[str]:
    names = [name.removeprefix("SM") for name in dir(trt.ComputeCapability) if name.startswith("SM")]
    return sorted(names, key=int)


def _aim(loaded: Loaded, config: Any, sm: str) -> None:
    possible = _capabilities(loaded.trt)
    if sm not in possible:
        raise CloudyPointsError(
            f"{loaded.backend.title} {loaded.trt.__version__} does not build for sm_{sm}; it does for "
            f"{', '.join('sm_' + each for each in possible)}: choose one of them, or the engine tensorrt or "
            "onnxruntime_cuda on that GPU."
        )
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(loaded.trt.ComputeCapability, f"SM{sm}"), 0)


def _sizes(known: Backend, model: Path, card: ModelCard, network: Any) -> dict[str, list[tuple[int, ...]]]:
    """Least, preferred and largest shape of every input, after the card."""
    channels = {card.input.tensor: 3} | ({card.input.ray_angles: 2} if card.input.ray_angles else {})
    size = card.input.size
    sizes: dict[str, list[tuple[int, ...]]] = {}
    for tensor in (network.get_input(i) for i in range(network.num_inputs)):
        if tensor.name not in channels:
            raise CloudyPointsError(
                f"The model {model} has an input {tensor.name} that its card does not name; correct the card or export "
                "the model without it."
            )
        if tensor.dtype.name not in _INPUT_TYPES:
            raise CloudyPointsError(
                f"The input {tensor.name} of {model} is {tensor.dtype.name}; expected float32 or float16: export the "
                "model again."
            )
        shapes: list[tuple[int, ...]] = [(1, channels[tensor.name], *each) for each in (size.min, size.opt, size.max)]
        own = tuple(tensor.shape)
        # A free length is -1.
        if len(own) != 4 or any(have not in (-1, want) for have, want in zip(own[:2], shapes[0], strict=False)):
            raise CloudyPointsError(
                f"The input {tensor.name} of {model} is {own}; expected (1, {channels[tensor.name]}, height, width): "
                "export the model again with batch 1."
            )
        sizes[tensor.name] = shapes
    return sizes


def _serialised(trt: Any, builder: Any, network: Any, config: Any, progress: Progress) -> bytes | None:
    """The plan. Built in a thread of its own, because only there no Ctrl-C can break into a call from TensorRT."""
    stopped, finished, result = threading.Event(), threading.Event(), []
    watch = monitor(trt, progress, stopped)
    config.progress_monitor = watch

    def work() -> None:
        try:
            result.append(builder.build_serialized_network(network, config))
        finally:
            finished.set()

    def stop() -> None:
        stopped.set()
        finished.wait()  # an interpreter that ends while TensorRT calls into it takes the process down

    atexit.register(stop)
    try:
        threading.Thread(target=work, name="plan", daemon=True).start()
        finished.wait()  # join() would believe a thread dead after Ctrl-C, in Python before 3.13
    except BaseException:
        stop()
        raise
    finally:
        atexit.unregister(stop)
    return bytes(memoryview(result[0])) if result and result[0] is not None else None


def _precision(network: Any) -> str:
    layers = (network.get_layer(i) for i in range(network.num_layers))
    found = Counter(each.get_output(0).dtype.name for each in layers if each.type.name in _COMPUTES)
    kind = str(found.most_common(1)[0][0] if found else network.get_output(0).dtype.name)
    return _NAMES.get(kind, kind.lower())


def _parse_error(known: Backend, model: Path, parser: Any) -> CloudyPointsError:
    if not parser.num_errors:
        return cannot_load(model, known.title, "the parser gives no reason")
    error = parser.get_error(0)
    code, operator = error.code().name, error.node_operator()
    if not operator:
        return cannot_load(model, known.title, shortened(error.desc()))
    named = f"'{error.node_name()}'" if error.node_name() else f"number {error.node()}"
    if code == "UNSUPPORTED_NODE" or "Plugin not found" in error.desc():
        return CloudyPointsError(
            f"{known.title} has no operator {operator}, which node {named} of {model} needs; export the model without "
            "it, or use the engine onnxruntime_cuda or onnxruntime."
        )
    words = [shortened(line) for line in error.desc().splitlines()]
    reason = next((each for each in words[1:] if each and not each.startswith("[")), words[0])
    return CloudyPointsError(
        f"{known.title} cannot take node {named}, {operator}, of {model} ({reason}); export the model again, or use "
        "the engine onnxruntime_cuda or onnxruntime."
    )


def _build_error(known: Backend, model: Path, card: ModelCard, errors: Iterable[str]) -> CloudyPointsError:
    size = card.input.size
    reason = next((each for each in errors if each), "it gives no reason")
    return CloudyPointsError(
        f"{known.title} cannot build {model} for images of {size.min} to {size.max} ({reason}); correct the size in "
        "its card or export the model again."
    )


def _attach_timings(config: Any, path: Path) -> Any:
    try:
        kept = path.read_bytes()
    except OSError:  # the first build
        kept = b""
    cache = config.create_timing_cache(kept)
    # What another GPU or version measured is refused by TensorRT itself; then it starts anew.
    if cache is None or not config.set_timing_cache(cache, False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    return cache


def _keep_timings(config: Any, path: Path) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(bytes(memoryview(config.get_timing_cache().serialize())))
    except CloudyPointsError as error:  # the next build takes longer, nothing else
        _log.warning("%s", error)
