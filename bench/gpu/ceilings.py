"""What this card can do at most, measured: copies, matrix products, the least time of a launch."""

from __future__ import annotations

import torch
from measuring import Bench, Row
from torch import Tensor, ones, rand, zeros

PART = "ceilings"
PRODUCTS = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32 (TF32 off)": torch.float32}


def rows(bench: Bench) -> list[Row]:
    return [*copies(bench), *products(bench), launch(bench)]


def copies(bench: Bench) -> list[Row]:
    size = bench.pick(1 << 30, 1 << 20)
    here, there = (zeros(size, dtype=torch.uint8, device=bench.device) for _ in "ab")
    figures = {"device to device": (lambda: there.copy_(here), 2)}
    if not bench.dry:
        host = zeros(size // 8, dtype=torch.uint8, pin_memory=True)
        part = here[: size // 8]
        figures["host to device, pinned"] = (lambda: part.copy_(host, non_blocking=True), 1 / 8)
        figures["device to host, pinned"] = (lambda: host.copy_(part, non_blocking=True), 1 / 8)
    found = []
    for name, (call, share) in figures.items():
        times = bench.timed(call)
        times["GB/s"] = size * share / times["p50 ms"] / 1e6
        found.append(bench.row(PART, f"copy, {name}", times, "bytes read and written" if share == 2 else ""))
    return found


def products(bench: Bench) -> list[Row]:
    n = bench.pick(8192, 64)
    found = []
    for name, dtype in PRODUCTS.items():
        a, b = (rand(n, n, device=bench.device).to(dtype) for _ in "ab")
        out: Tensor = a @ b
        times = bench.timed(lambda a=a, b=b, out=out: torch.matmul(a, b, out=out))
        times["TFLOP/s"] = 2 * n**3 / times["p50 ms"] / 1e9
        found.append(bench.row(PART, f"matrix product {n}x{n}x{n}, {name}, random numbers", times))
    return found


def launch(bench: Bench) -> Row:
    x = ones(1, device=bench.device)
    return bench.row(PART, "CUDA graph of one empty addition", bench.timed(bench.captured(lambda: x.add_(0))))


def matrix_tflops(bench: Bench) -> float:
    """The float16 ceiling alone, for ratios."""
    return products(Bench(bench.dry))[0].figures["TFLOP/s"]
