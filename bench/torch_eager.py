"""PyTorch in eager mode beside ONNX Runtime, the same network and weights on the same input; printed as Markdown.

    .venv-training/bin/python bench/torch_eager.py [--frames 60] [--threads N]

Needs the training environment (`make test-training` makes it); the runtime never imports torch. The weights are
random, which the time does not depend on; what both give is compared before anything is timed.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

import numpy as np
import onnxruntime
import torch

from cloudypoints_training.models.efficientnet_lite import DepthNet, new_model
from cloudypoints_training.onnx_graph import to_onnx

SIZES = ((320, 576), (320, 640))  # what 960x540 and 2048x1024 images become
TOLERANCE = 1e-3
OUTPUTS = ("log_depth", "sky", "log_variance")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model = new_model(imagenet=False).eval()
    session = open_session(model, args.threads)
    print(
        f"{cpu()}, {args.threads} threads, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}; "
        f"milliseconds of {args.frames} frames by turns.\n"
    )
    print("| input | ONNX Runtime p50 / p95 | torch eager p50 / p95 | torch, channels last p50 / p95 | eager / ours |")
    print("|---|---|---|---|---|")
    for height, width in SIZES:
        image = np.random.default_rng(0).normal(0, 1, (1, 3, height, width)).astype(np.float32)
        ours, eager, last = times(callables(model, session, image), args.frames)
        ratio = median(b / a for a, b in zip(ours, eager, strict=True))
        print(f"| {width}x{height} | {cell(ours)} | {cell(eager)} | {cell(last)} | {ratio:.2f} |")


def open_session(model: DepthNet, threads: int) -> onnxruntime.InferenceSession:
    """As the node's engine opens it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    graph = to_onnx(model, OUTPUTS).SerializeToString()
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def callables(
    model: DepthNet, session: onnxruntime.InferenceSession, image: np.ndarray
) -> tuple[Callable[[], object], ...]:
    """The three ways, after a check that they give the same depth."""
    tensor = torch.from_numpy(image)
    last = tensor.contiguous(memory_format=torch.channels_last)

    def eager(x: torch.Tensor) -> np.ndarray:
        with torch.inference_mode():
            return model(x).log_depth.numpy()

    expected = session.run(["log_depth"], {"image": image})[0]
    for x in (tensor, last):
        difference = float(np.abs(eager(x) - expected).max())
        if not difference < TOLERANCE:
            raise SystemExit(f"torch and ONNX Runtime differ by {difference:.2g}, expected less than {TOLERANCE:g}.")
    return lambda: session.run(["log_depth"], {"image": image}), lambda: eager(tensor), lambda: eager(last)


def times(calls: tuple[Callable[[], object], ...], frames: int) -> list[list[float]]:
    """Milliseconds of each, one after the other, each first in its turn."""
    took: list[list[float]] = [[] for _ in calls]
    for turn in range(-3, frames):
        for position in range(len(calls)):
            which = (position + turn) % len(calls)
            start = perf_counter()
            calls[which]()
            if turn >= 0:
                took[which].append((perf_counter() - start) * 1e3)
    return took


def cell(values: list[float]) -> str:
    return f"{median(values):.1f} / {quantiles(values, n=20)[-1]:.1f}"


def cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")


if __name__ == "__main__":
    main()
