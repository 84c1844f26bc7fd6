"""Numbers from numbers: percentiles, medians over runs, which image was answered when. Nothing here touches a clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from cloudypoints_ros.stats import percentiles_ms

OUTPUTS = ("depth", "points")
# Where the highest rate is searched, and to which share of itself it is found.
RATES_HZ = (1.0, 240.0)
RATE_STEP = 0.05

# (camera, stamp in nanoseconds)
Sent = Sequence[tuple[str, int]]
# Camera -> output -> (stamp, received) in nanoseconds
Received = Mapping[str, Mapping[str, Sequence[tuple[int, int]]]]


def answers(sent: Sent, received: Received) -> dict[str, Any]:
    """How many of the sent images were answered, by depth and points both, and milliseconds from stamp to received.

    What answers nothing in ``sent`` (a warm-up) is not looked at; of two answers to one image the first counts.
    """
    arrivals: dict[str, dict[tuple[str, int], int]] = {output: {} for output in OUTPUTS}
    for camera, outputs in received.items():
        for output, messages in outputs.items():
            for stamp, at in messages:
                arrivals[output].setdefault((camera, stamp), at)
    answered = sum(all(image in arrivals[output] for output in OUTPUTS) for image in sent)
    delays = {
        output: percentiles_ms((at[image] - image[1]) * 1e-6 for image in sent if image in at)
        for output, at in arrivals.items()
    }
    return {"sent": len(sent), "answered": answered, "share": answered / max(1, len(sent)), "delays_ms": delays}


def median_of(runs: Sequence[Any]) -> Any:
    """The median of every number in records of the same shape; what only some runs have is left out."""
    first = runs[0]
    if isinstance(first, dict):
        return {key: median_of([run[key] for run in runs]) for key in first if all(key in run for run in runs)}
    return median(runs) if isinstance(first, (int, float)) else first


def growth_per_minute(samples: Sequence[tuple[float, float]]) -> float:
    """The slope per minute of the least-squares line through (seconds, value); 0 of fewer than two samples."""
    if len(samples) < 2:
        return 0.0
    mean_t = sum(t for t, _ in samples) / len(samples)
    mean_v = sum(v for _, v in samples) / len(samples)
    spread = sum((t - mean_t) ** 2 for t, _ in samples)
    return 60 * sum((t - mean_t) * (v - mean_v) for t, v in samples) / spread if spread else 0.0


def highest(first_hz: float, sustained: Callable[[float], bool]) -> float:
    """The highest rate in RATES_HZ that is sustained, to RATE_STEP, looked for from ``first_hz`` on; 0 if none is."""
    lowest, most = RATES_HZ
    low, high, rate = 0.0, math.inf, first_hz
    while True:
        if sustained(rate):
            low = rate
        else:
            high = rate
        if low >= most or high <= lowest or (low and high <= low * (1 + RATE_STEP)):
            return low
        # By factors until the highest is between two rates, then halfway between them.
        rate = _next_rate(low, high)


def _next_rate(low: float, high: float) -> float:
    lowest, most = RATES_HZ
    if not low:
        return max(lowest, high * 0.6)
    return min(most, low * 1.5) if high == math.inf else math.sqrt(low * high)
