"""What happened to the images, and how long each stage took."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PERCENTILES = (50, 95, 99)


class Stats:
    """Counts since the start, and milliseconds per stage of the last few thousand frames.

    Every received image ends as exactly one of published, dropped (displaced by a newer one), idle (nobody
    subscribes), waiting (no camera_info yet) or failed.
    """

    COUNTS = ("received", "published", "dropped", "idle", "waiting", "failed", "too_far_pixels")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(self.COUNTS, 0)
        self._last = dict(self._counts)
        self._since = time.monotonic()
        self._times: dict[str, deque[float]] = {}
        self._recent: list[float] = []

    def count(self, what: str, n: int = 1) -> None:
        with self._lock:
            self._counts[what] += n

    def add_times(self, times_ms: Mapping[str, float]) -> None:
        with self._lock:
            for stage, value in times_ms.items():
                self._times.setdefault(stage, deque(maxlen=5000)).append(value)
            self._recent.append(times_ms["total"])

    def line(self) -> str | None:
        """One line about the time since the last line; None when no image came."""
        with self._lock:
            now = time.monotonic()
            new = {what: n - self._last[what] for what, n in self._counts.items()}
            seconds = max(now - self._since, 1e-3)
            recent, self._recent = self._recent, []
            self._last, self._since = dict(self._counts), now
        if not new["received"]:
            return None
        parts = [f"in {new['received'] / seconds:.1f} Hz", f"out {new['published'] / seconds:.1f} Hz"]
        parts += [f"{what} {new[what]}" for what in ("dropped", "idle", "waiting", "failed") if new[what]]
        if recent:
            p50, p95 = np.percentile(recent, [50, 95])
            parts.append(f"arrival to published p50 {p50:.1f} ms p95 {p95:.1f} ms")
        return ", ".join(parts)

    def record(self) -> dict[str, Any]:
        """What the statistics file holds: counts, and p50, p95 and p99 in milliseconds per stage."""
        with self._lock:
            stages = {
                stage: {
                    "n": len(values),
                    **{f"p{p}": round(float(v), 3) for p, v in zip(PERCENTILES, _percentiles(values), strict=True)},
                }
                for stage, values in self._times.items()
            }
            return {"counts": dict(self._counts), "stages_ms": stages}


class Laps:
    """Milliseconds per stage of one frame; ``total`` runs from arrival to the last publish."""

    def __init__(self, arrived: float) -> None:
        self._arrived, self._last = arrived, time.perf_counter()
        self._times = {"wait": (self._last - arrived) * 1e3}

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


def _percentiles(values: Sequence[float] | deque[float]) -> list[float]:
    return [float(v) for v in np.percentile(list(values), PERCENTILES)]
