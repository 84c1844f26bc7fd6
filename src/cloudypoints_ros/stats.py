"""What happened to the images of a camera, and how long each stage took."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

PERCENTILES = (50, 95, 99)

# The node's stages in the order of a frame's way, and what each does.
STAGES = {
    "wait": "wait for the worker",
    "decode": "decode the image",
    "preprocess": "preprocess",
    "infer": "infer",
    "postprocess": "postprocess",
    "scale": "find the scale",
    "handed over": "wait for the publisher",
    "depth": "publish depth",
    "points": "make and publish points",
    "color": "make and publish preview",
    "total": "arrival to last publish",
}
WINDOW_S = 5.0

# How a received image ends: published, dropped (displaced by a newer one), idle (nobody subscribes), limited (more
# than the maximum rates ask for), waiting (no camera_info or no scale yet) or failed.
OUTCOMES = ("published", "dropped", "idle", "limited", "waiting", "failed")
COUNTS = ("received", *OUTCOMES, "lost", "too_far_pixels")


@dataclass(frozen=True)
class Window:
    """The last seconds: counts by name, milliseconds by stage and percentile, seconds since the newest image.

    ``age_s`` is None when there has never been an image.
    """

    seconds: float
    counts: Mapping[str, int]
    stages_ms: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    age_s: float | None = None

    def rate(self, what: str) -> float:
        """Hz"""
        return self.counts.get(what, 0) / self.seconds

    def share(self, what: str) -> float:
        """Of the images received."""
        return self.counts.get(what, 0) / max(1, self.counts.get("received", 0))

    @property
    def line(self) -> str | None:
        """One line for the log; None when no image came."""
        if not self.counts.get("received"):
            return None
        parts = [f"in {self.rate('received'):.1f} Hz", f"out {self.rate('published'):.1f} Hz"]
        parts += [f"{what} {self.counts[what]}" for what in (*OUTCOMES[1:], "lost") if self.counts.get(what)]
        if "total" in self.stages_ms:
            total = self.stages_ms["total"]
            parts.append(f"arrival to published p50 {total[50]:.1f} ms p95 {total[95]:.1f} ms")
        return ", ".join(parts)


class Stats:
    """Counts since the start, milliseconds per stage of the last few thousand frames, and the last seconds of both.

    Filled by callbacks and the worker, read by whoever reports.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(COUNTS, 0)
        self._times: dict[str, deque[float]] = {}
        self.begin()

    def begin(self) -> None:
        """The window starts anew, as after a pause; what is counted since the start stays."""
        with self._lock:
            self._since = time.monotonic()
            self._newest: float | None = None
            self._recent_counts: deque[tuple[float, str, int]] = deque()
            self._recent_times: deque[tuple[float, Mapping[str, float]]] = deque()

    def count(self, what: str, n: int = 1) -> None:
        now = time.monotonic()
        with self._lock:
            self._counts[what] += n
            self._recent_counts.append((now, what, n))
            if what == "received":
                self._newest = now
            _prune(self._recent_counts, now - WINDOW_S)

    def add_times(self, times_ms: Mapping[str, float]) -> None:
        now = time.monotonic()
        with self._lock:
            for stage, value in times_ms.items():
                self._times.setdefault(stage, deque(maxlen=5000)).append(value)
            self._recent_times.append((now, times_ms))
            _prune(self._recent_times, now - WINDOW_S)

    def window(self) -> Window:
        """The last WINDOW_S seconds, or the time since the start where that is shorter."""
        now = time.monotonic()
        counts: Counter[str] = Counter()
        stages: dict[str, list[float]] = {}
        with self._lock:
            _prune(self._recent_counts, now - WINDOW_S)
            _prune(self._recent_times, now - WINDOW_S)
            for _, what, n in self._recent_counts:
                counts[what] += n
            for _, times_ms in self._recent_times:
                for stage, value in times_ms.items():
                    stages.setdefault(stage, []).append(value)
            age = None if self._newest is None else now - self._newest
        seconds = min(WINDOW_S, max(now - self._since, 0.1))
        return Window(seconds, counts, {stage: _percentiles(values) for stage, values in stages.items()}, age)

    def record(self) -> dict[str, Any]:
        """What the statistics file holds: counts, and p50, p95 and p99 in milliseconds per stage."""
        with self._lock:
            stages = {stage: summary_ms(values) for stage, values in self._times.items()}
            return {"counts": dict(self._counts), "stages_ms": stages}


class Laps:
    """Milliseconds per stage of one frame; ``total`` runs from arrival to the last publish.

    ``decode_ms`` is what of the time since the arrival went into decoding; the rest was waiting.
    """

    def __init__(self, arrived: float, decode_ms: float = 0.0) -> None:
        self._arrived, self._last = arrived, time.perf_counter()
        self._times = {"wait": (self._last - arrived) * 1e3 - decode_ms, "decode": decode_ms}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._times[stage] = (now - self._last) * 1e3
        self._last = now

    def add(self, times_ms: Mapping[str, float]) -> None:
        """Take over stages that were measured elsewhere, up to now."""
        self._times.update(times_ms)
        self._last = time.perf_counter()

    def finish(self) -> dict[str, float]:
        self._times["total"] = (time.perf_counter() - self._arrived) * 1e3
        return self._times


def percentiles_ms(values_ms: Iterable[float]) -> dict[str, float]:
    """``n``, ``p50``, ``p95`` and ``p99``; only ``n`` of nothing."""
    values = list(values_ms)
    return {"n": len(values)} | ({f"p{p}": v for p, v in _percentiles(values).items()} if values else {})


def summary_ms(values_ms: Iterable[float]) -> dict[str, float]:
    """The same to the microsecond."""
    return {key: round(value, 3) for key, value in percentiles_ms(values_ms).items()}


def _prune(entries: deque[Any], before: float) -> None:
    while entries and entries[0][0] < before:
        entries.popleft()


def _percentiles(values: Sequence[float]) -> dict[int, float]:
    return {p: float(v) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)}
