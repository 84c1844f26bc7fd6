"""How well the points lie: F-score and Chamfer distance between two clouds of the same pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera

Array = npt.NDArray[Any]

# MDEC (Spencer et al. 2023) counts points within 0.1 m, which from one image at 40 m is luck; 0.5 m stands beside it.
THRESHOLDS_M = (0.1, 0.5)
MAX_POINTS = 10_000


@dataclass(frozen=True)
class PointScores:
    """`fscore` per THRESHOLDS_M, 0 to 1; `chamfer_m` the mean of the mean distances from each cloud to the other."""

    fscore: tuple[float, ...]
    chamfer_m: float


def point_scores(prediction: Array, truth: Array, camera: Camera, near_m: float, far_m: float) -> PointScores:
    """Compare the clouds of two depth maps, float32 (H, W) metres, over the pixels where both have one.

    F-score (Knapitsch et al. 2017): the harmonic mean of the share of predicted points within a threshold of a true
    one and of true points within it of a predicted one. Predictions are clipped to the range, as everywhere. Of more
    than 10,000 pixels as many are drawn, always the same ones, so clouds of unlike density do not compare.
    """
    from scipy.spatial import cKDTree

    x, y = camera.rays()
    where = np.flatnonzero(np.isfinite(truth) & ~np.isnan(prediction) & np.isfinite(x))
    if len(where) == 0:
        return PointScores((float("nan"),) * len(THRESHOLDS_M), float("nan"))
    if len(where) > MAX_POINTS:
        where = np.sort(np.random.default_rng(0).choice(where, MAX_POINTS, replace=False))
    ours, theirs = (
        _cloud(np.clip(depth.flat[where], near_m, far_m), x.flat[where], y.flat[where]) for depth in (prediction, truth)
    )
    from_ours, _ = cKDTree(theirs).query(ours)
    from_theirs, _ = cKDTree(ours).query(theirs)
    scores = (_fscore((from_ours < t).mean(), (from_theirs < t).mean()) for t in THRESHOLDS_M)
    return PointScores(tuple(scores), float(from_ours.mean() + from_theirs.mean()) / 2)


def _cloud(z: Array, x: Array, y: Array) -> Array:
    return np.stack([x * z, y * z, z], 1).astype(np.float64)


def _fscore(precision: float, recall: float) -> float:
    return float(2 * precision * recall / (precision + recall)) if precision + recall > 0 else 0.0
