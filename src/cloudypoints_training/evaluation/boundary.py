"""How sharp the edges are: the scale-invariant boundary F1 of Depth Pro (Bochkovskii et al. 2024, section 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# A neighbour stands behind where its depth is more than t times this one's. Weights are in proportion to t.
THRESHOLDS = np.linspace(1.05, 1.25, 10)
WEIGHTS = THRESHOLDS / THRESHOLDS.sum()
MIN_DENSITY = 0.5


def dense(truth: Array) -> bool:
    """Whether most known pixels have a known neighbour beside and below: a LiDAR scan has no edges to compare with."""
    known = ~np.isnan(truth)
    count = max(int(known.sum()), 1)
    beside, below = (known[:, 1:] & known[:, :-1]).sum(), (known[1:] & known[:-1]).sum()
    return bool(min(beside, below) / count > MIN_DENSITY)


def boundary_f1(prediction: Array, truth: Array, far_m: float) -> float:
    """F1 of occlusion edges between neighbouring pixels, 0 to 1; NaN where the truth is sparse or has no edge.

    Depths are float (H, W) metres, NaN unknown, +inf sky; both are cut off at `far_m`, so that sky is the background.
    Precision and recall are means over the four directions (one without edges counts 0, as in the authors' code), F1
    the weighted mean over THRESHOLDS. Pairs of pixels where one of the maps knows nothing are left out.
    """
    if not dense(truth):
        return float("nan")
    ours, theirs = (np.minimum(depth.astype(np.float64), far_m) for depth in (prediction, truth))
    hits, found, there = (np.array(c) for c in zip(*_directions(ours, theirs), strict=True))  # (4, thresholds) each
    if not there.any():
        return float("nan")
    recall = (hits / np.maximum(there, 1)).mean(0)
    precision = (hits / np.maximum(found, 1)).mean(0)
    both = np.maximum(recall + precision, np.finfo(float).tiny)
    return float((2 * recall * precision / both) @ WEIGHTS)


def _directions(ours: Array, theirs: Array) -> Iterator[tuple[Array, Array, Array]]:
    """Per direction and threshold: edges of both, of ours, of theirs."""
    first, second = (slice(None, -1), slice(1, None))
    for a, b in (
        (np.s_[:, first], np.s_[:, second]),
        (np.s_[:, second], np.s_[:, first]),
        (np.s_[first], np.s_[second]),
        (np.s_[second], np.s_[first]),
    ):
        ratios = [depth[b] / depth[a] for depth in (ours, theirs)]
        known = np.isfinite(ratios[0]) & np.isfinite(ratios[1])
        passed = [np.searchsorted(THRESHOLDS, ratio[known]) for ratio in ratios]  # how many thresholds lie below
        yield _above(np.minimum(*passed)), _above(passed[0]), _above(passed[1])


def _above(passed: Array) -> Array:
    """How many pairs exceed each threshold."""
    counts = np.bincount(passed, minlength=len(THRESHOLDS) + 1)
    return np.asarray(counts[::-1].cumsum()[::-1][1:])
