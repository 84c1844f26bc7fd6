"""What every part of the bench returns, and how it takes times: CUDA events on a GPU, the clock in a dry run."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import torch

DRY = "dry run on a CPU, not a result"
WARM_UP, LEAST, MOST, SECONDS = 10, 50, 500, 2.0


@dataclass(frozen=True)
class Row:
    """One line of the table: figures by name, or why there are none. Names of figures end in their unit."""

    part: str
    what: str
    figures: dict[str, float] = field(default_factory=dict)
    note: str = ""
    not_measured: str = ""
    label: str = ""

    def record(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value not in ("", {})}


@dataclass(frozen=True)
class Bench:
    """Where it runs. ``dry`` takes tiny sizes on a CPU."""

    dry: bool

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.dry else "cuda")

    def row(self, part: str, what: str, figures: dict[str, float], note: str = "") -> Row:
        return Row(part, what, {k: float(f"{v:.6g}") for k, v in figures.items()}, note, label=DRY if self.dry else "")

    def pick(self, full: Any, dry: Any) -> Any:
        return dry if self.dry else full

    def times_ms(self, call: Callable[[], object]) -> np.ndarray:
        """Milliseconds on the device of many calls, after some that do not count; at most about two seconds."""
        if self.dry:
            return np.array([clocked(call) for _ in range(3)][1:])
        for _ in range(WARM_UP):
            call()
        torch.cuda.synchronize()
        start = perf_counter()
        call()
        torch.cuda.synchronize()
        count = int(np.clip(SECONDS / max(perf_counter() - start, 1e-6), LEAST, MOST))
        pairs = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(count)]
        for begin, end in pairs:
            begin.record()
            call()
            end.record()
        torch.cuda.synchronize()
        return np.array([begin.elapsed_time(end) for begin, end in pairs])

    def timed(self, call: Callable[[], object]) -> dict[str, float]:
        return summary(self.times_ms(call))

    def synchronize(self) -> None:
        if not self.dry:
            torch.cuda.synchronize()

    def captured(self, call: Callable[[], object]) -> Callable[[], object]:
        """The call as a CUDA graph; itself in a dry run."""
        if self.dry:
            return call
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            call()
        return graph.replay


def clocked(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return (perf_counter() - start) * 1e3


def summary(times_ms: np.ndarray, name: str = "") -> dict[str, float]:
    prefix = f"{name} " if name else ""
    p50, p95, p99 = np.percentile(times_ms, [50, 95, 99])
    return {f"{prefix}p50 ms": p50, f"{prefix}p95 ms": p95, f"{prefix}p99 ms": p99, f"{prefix}runs": len(times_ms)}


def missing(part: str, what: str, reason: Exception | str) -> Row:
    """A line that says why there is no figure."""
    text = reason if isinstance(reason, str) else f"{type(reason).__name__}: {reason}"
    return Row(part, what, not_measured=" ".join(text.split())[:400] or type(reason).__name__)


def tidy() -> None:
    """Give memory back before the next network."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
