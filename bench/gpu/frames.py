"""The whole frame, copy in to copy out: equality, latency, host time, rate, stages, memory."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from measuring import Bench, Row, clocked, missing, summary, tidy
from networks import FASTEST, Case, TorchEngine, cases, onnx_file, scratch

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.engines import open_engine
from cloudypoints_ros.geometry import CloudOptions
from cloudypoints_ros.gpu.blocks import input_block, output_block
from cloudypoints_ros.gpu.pipeline import GpuPipeline, Look, Wanted
from cloudypoints_ros.gpu.pixels import RawImage
from cloudypoints_ros.pipeline import Pipeline

PART = "whole frame"
STAGES = ("copy in", "resize and normalise", "network", "depth and points", "copy out")


def rows(bench: Bench) -> list[Row]:
    found: list[Row] = []
    with scratch() as folder:
        for case in cases(bench):
            label = f"{case.name} {case.size[1]}x{case.size[0]}, camera {case.camera[0]}x{case.camera[1]}"
            try:
                engine = _engine(bench, case, Path(folder))
            except Exception as error:
                found.append(missing(PART, label, error))
                continue
            for name, wanted in list(_answers(case).items())[: bench.pick(None, 1)]:
                found += _measured(bench, case, engine, f"{label}, {name}", wanted)
            tidy()
    return found


def _answers(case: Case) -> dict[str, Wanted]:
    small = (case.size[1], case.size[0])
    return {
        "depth and cloud at the network's size": Wanted("32FC1", CloudOptions("xyzrgb", 1), small),
        "depth of every pixel, cloud of every 4th": Wanted("32FC1", CloudOptions("xyzrgb", 4)),
        "cloud alone, every 4th": Wanted("", CloudOptions("xyzrgb", 4)),
    }


def _engine(bench: Bench, case: Case, folder: Path) -> Any:
    """TensorRT where it is, else PyTorch compiled."""
    if not bench.dry:
        for name in ("tensorrt", "tensorrt_rtx"):
            try:
                __import__(name)
                return open_engine(name, *onnx_file(case, folder, half=True))
            except Exception as error:
                print(f"{name} is not used for the frame: {error}", flush=True)
    return TorchEngine(case.module(), FASTEST, bench)


def _measured(bench: Bench, case: Case, engine: Any, what: str, wanted: Wanted) -> list[Row]:
    note = f"network by {engine.name}" + (f"; {case.note}" if case.note else "")
    found = []
    for name, part in (("", _whole), (": stages, no graph", _stages), (": three cameras at once", _three)):
        try:
            found.append(bench.row(PART, what + name, part(bench, case, engine, wanted), note))
        except Exception as error:
            found.append(missing(PART, what + name, error))
    return found


def _look(case: Case, seed: int = 0) -> Look:
    width, height = case.camera
    coarse = np.random.default_rng(seed).integers(0, 256, (-(-height // 16), -(-width // 16), 3), np.uint8)
    image = np.ascontiguousarray(coarse.repeat(16, 0).repeat(16, 1)[:height, :width])
    camera = Camera(width, height, 1.1 * width, 1.1 * width, width / 2 - 0.5, height / 2 - 0.5)
    return Look(RawImage.of(image, "rgb"), camera)


def _whole(bench: Bench, case: Case, engine: Any, wanted: Wanted) -> dict[str, float]:
    """Latency is from the image in the host's memory to depth and points in the host's memory."""
    pipeline = GpuPipeline(case.card, engine, str(bench.device))
    look = _look(case)
    apart = _against_cpu(bench, case, pipeline, look) if case.onnx else None
    count = bench.pick(300, 2)
    for _ in range(bench.pick(20, 1)):
        pipeline.finish(pipeline.start([look], wanted))
    bench.synchronize()
    if not bench.dry:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_stats()["allocation.all.allocated"]
    whole, host = [], []
    for _ in range(count):
        begin = perf_counter()
        started = pipeline.start([look], wanted)
        host.append((perf_counter() - begin) * 1e3)
        pipeline.finish(started)
        whole.append((perf_counter() - begin) * 1e3)
    begin, pending = perf_counter(), None
    for _ in range(count):
        started = pipeline.start([look], wanted)
        if pending is not None:
            pipeline.finish(pending)
        pending = started
    assert pending is not None
    pipeline.finish(pending)
    rate = count / (perf_counter() - begin)
    figures = {**summary(np.array(whole)), **summary(np.array(host), "host"), "frames/s, two in flight": rate}
    if apart is not None:
        figures["largest relative difference from the CPU's depth, 99.9 % of pixels"] = apart
    if not bench.dry:
        figures["allocations after warm-up"] = torch.cuda.memory_stats()["allocation.all.allocated"] - before
        figures["reserved MiB"] = torch.cuda.memory_reserved() / 2**20
        free, total = torch.cuda.mem_get_info()
        figures["in use on the card MiB"] = (total - free) / 2**20
    return figures


def _against_cpu(bench: Bench, case: Case, pipeline: GpuPipeline, look: Look) -> float:
    """Networks in float16 differ from float32, so this is a check of the way, not of the last digit."""
    cpu = Pipeline(case.card, open_engine("onnxruntime", case.onnx or Path(), case.card))
    image = look.image.packed.reshape(look.image.height, look.image.width, 3)
    expected = cpu.depth(image, look.camera).depth
    got = pipeline.finish(pipeline.start([look], Wanted()))[0].depth
    assert got is not None
    both = np.isfinite(got) & np.isfinite(expected)
    if not (both.any() and (np.isfinite(got) == np.isfinite(expected)).mean() > 0.98):
        raise AssertionError("the sky is not where the CPU's pipeline has it")
    return float(np.quantile(np.abs(got[both] / expected[both] - 1), 0.999))


def _stages(bench: Bench, case: Case, engine: Any, wanted: Wanted) -> dict[str, float]:
    """Each stage by CUDA events, one kernel launched after the other; a graph has less between them."""
    pipeline = GpuPipeline(case.card, engine, str(bench.device), graphs=False)
    look = _look(case)
    pipeline.finish(pipeline.start([look], wanted))
    ((shape, kept),) = pipeline.frames._kept.items()
    way, stream = kept.way, pipeline.frames.stream
    there_in, there_out = input_block(shape, bench.device), output_block(shape, bench.device)
    here_in, here_out = (make(shape, torch.device("cpu"), pinned=not bench.dry) for make in (input_block, output_block))
    here_in.rows.copy_(torch.from_numpy(look.image.packed))
    here_in.factors.copy_(torch.tensor([[way.network_factor(look.camera), 1.0]]))
    kept_values: dict[str, Any] = {}

    def infer() -> None:
        kept_values["outputs"] = way.infer(stream)

    def prepare() -> None:
        kept_values["colours"] = way.prepare(there_in)

    calls = (
        lambda: there_in.block.copy_(here_in.block, non_blocking=True),
        prepare,
        infer,
        lambda: way.answer(there_in, kept_values["colours"], kept_values["outputs"], there_out),
        lambda: here_out.block.copy_(there_out.block, non_blocking=True),
    )
    times: dict[str, list[float]] = {name: [] for name in STAGES}
    with torch.inference_mode():
        for run in range(bench.pick(110, 2)):
            for name, ms in zip(STAGES, _lap(bench, calls, stream), strict=True):
                if run >= bench.pick(10, 1):
                    times[name].append(ms)
    figures = {f"{name} p50 ms": float(np.median(values)) for name, values in times.items()}
    return {**figures, "in MB": here_in.block.numel() / 1e6, "out MB": here_out.block.numel() / 1e6}


def _lap(bench: Bench, calls: tuple[Any, ...], stream: Any) -> list[float]:
    if bench.dry:
        return [clocked(call) for call in calls]
    events = [torch.cuda.Event(enable_timing=True) for _ in range(len(calls) + 1)]
    with torch.cuda.stream(stream):
        events[0].record()
        for call, event in zip(calls, events[1:], strict=True):
            call()
            event.record()
    stream.synchronize()
    return [a.elapsed_time(b) for a, b in pairwise(events)]


def _three(bench: Bench, case: Case, engine: Any, wanted: Wanted) -> dict[str, float]:
    pipeline = GpuPipeline(case.card, engine, str(bench.device))
    looks = [_look(case, seed) for seed in range(3)]
    for _ in range(bench.pick(10, 1)):
        pipeline.finish(pipeline.start(looks, wanted))
    times = [clocked(lambda: pipeline.finish(pipeline.start(looks, wanted))) for _ in range(bench.pick(200, 2))]
    return {**summary(np.array(times)), "images/s": 3e3 / float(np.median(times))}
