"""Every engine that can be had, for every case: first whether its depth is right, then its time and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from ceilings import matrix_tflops
from measuring import Bench, Row, missing, tidy
from networks import VARIANTS, Case, TorchEngine, Variant, cases, onnx_file, operations, scratch

from cloudypoints_ros.engines import open_engine
from cloudypoints_ros.engines.parity import differences, fixed_inputs
from cloudypoints_ros.errors import CloudyPointsError

PART = "engines"
RUNTIMES = ("onnxruntime_cuda", "tensorrt", "tensorrt_rtx")
Outputs = dict[str, Any]


def rows(bench: Bench) -> list[Row]:
    found: list[Row] = []
    tflops = matrix_tflops(bench)
    for case in cases(bench):
        label = f"{case.name} {case.size[1]}x{case.size[0]}"
        inputs = fixed_inputs(case.card)
        reference: Outputs = {}
        flops = 0.0
        try:
            flops = operations(case)
            reference = _reference(bench, case, inputs)
        except Exception as error:
            found.append(missing(PART, f"{label}: the reference", error))
            continue
        floor = flops / tflops / 1e9
        found.append(
            bench.row(PART, f"{label}: arithmetic", {"GFLOP": flops / 1e9, "floor ms": floor}, "by the float16 ceiling")
        )
        for variant in VARIANTS:
            measure = partial(_in_torch, bench, case, variant, inputs, reference, floor)
            found.append(_tried(bench, f"{label}: {variant.name}", case.note, measure))
        found += _runtimes(bench, case, label, inputs, reference, floor)
    return found


def _tried(bench: Bench, what: str, note: str, measure: Callable[[], dict[str, float]]) -> Row:
    try:
        return bench.row(PART, what, measure(), note)
    except Exception as error:
        return missing(PART, what, error)
    finally:
        tidy()


def _reference(bench: Bench, case: Case, inputs: Outputs) -> Outputs:
    """ONNX Runtime's answer on the CPU; PyTorch's where there is no ONNX file."""
    if case.onnx is not None:
        return open_engine("onnxruntime", case.onnx, case.card).infer(inputs)
    with torch.inference_mode():
        outputs = case.module()(torch.from_numpy(inputs[case.card.input.tensor]))
    return {name: value.numpy() for name, value in outputs.items()}


def _parity(case: Case, reference: Outputs, outputs: Outputs) -> dict[str, float]:
    apart = differences(reference, outputs, case.card)
    if not apart.small:
        raise CloudyPointsError(f"the depth is wrong: it differs by {apart}; not timed")
    return {"log depth largest difference": apart.largest, "log depth mean difference": apart.mean}


def _in_torch(
    bench: Bench, case: Case, variant: Variant, inputs: Outputs, reference: Outputs, floor: float
) -> dict[str, float]:
    engine = TorchEngine(case.module(), variant, bench)
    return _on_device(bench, case, engine, variant.graph, inputs, reference, floor)


def _on_device(
    bench: Bench, case: Case, engine: Any, graph: bool, inputs: Outputs, reference: Outputs, floor: float
) -> dict[str, float]:
    """Tensors on the device in and out."""
    there = {name: torch.from_numpy(value).to(bench.device) for name, value in inputs.items()}
    kept: Outputs = {}
    if not bench.dry:
        torch.cuda.reset_peak_memory_stats()

    def once() -> None:
        stream = None if bench.dry else torch.cuda.current_stream()
        kept.update(engine.enqueue(there, stream))

    once()
    call = bench.captured(once) if graph else once
    call()
    bench.synchronize()
    figures = _parity(case, reference, {name: value.float().cpu().numpy() for name, value in kept.items()})
    times = bench.timed(call)
    figures = {**times, "times the floor": times["p50 ms"] / floor, **figures}
    if not bench.dry:
        figures["peak MiB"] = torch.cuda.max_memory_allocated() / 2**20
    return figures


def _runtimes(bench: Bench, case: Case, label: str, inputs: Outputs, reference: Outputs, floor: float) -> list[Row]:
    """Engines that take an ONNX file; it is exported only if one of them starts at all."""
    problems = {name: _problem(name) for name in RUNTIMES}
    found = [missing(PART, f"{label}: {name}", problem) for name, problem in problems.items() if problem]
    usable = [name for name, problem in problems.items() if not problem]
    if not usable:
        return found
    with scratch() as folder:
        for half in (False, True):
            kind = "float16" if half else "float32"
            try:
                model, card = onnx_file(case, Path(folder), half)
            except Exception as error:
                found += [missing(PART, f"{label}: {name}, {kind}: export", error) for name in usable]
                continue
            for name in usable:
                measure = partial(_runtime, bench, replace(case, card=card), name, model, inputs, reference, floor)
                found.append(_tried(bench, f"{label}: {name}, {kind}", case.note, measure))
    return found


def _problem(name: str) -> str:
    """Why a runtime cannot be used on this machine; "" when it can, or when only trying will tell."""
    from cloudypoints_ros.engines.gpu_probe import gpu_problem
    from cloudypoints_ros.engines.onnxruntime import cuda_problem

    if name == "onnxruntime_cuda":
        return cuda_problem() or ""
    try:
        __import__(name)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return gpu_problem() or ""


def _runtime(
    bench: Bench, case: Case, name: str, model: Path, inputs: Outputs, reference: Outputs, floor: float
) -> dict[str, float]:
    engine = open_engine(name, model, case.card)
    if hasattr(engine, "enqueue"):
        figures = _on_device(bench, case, engine, False, inputs, reference, floor)
        captured = _on_device(bench, case, engine, True, inputs, reference, floor)
        return {**figures, "in a graph p50 ms": captured["p50 ms"], "in a graph p99 ms": captured["p99 ms"]}
    figures = _parity(case, reference, engine.infer(inputs))
    times = {f"with copies {k}": v for k, v in bench.timed(lambda: engine.infer(inputs)).items()}
    return {**times, **figures}
