"""Depth metrics as the field defines them (Eigen et al. 2014; KITTI; SILog as in the KITTI depth benchmark)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class DepthMetrics:
    """Errors over ``n`` pixels; lengths in metres, ``silog`` in log units x 100, the rest ratios.

    ``missing`` is the share of truth pixels for which the prediction was NaN; they are in no other figure.
    """

    n: int
    missing: float
    abs_rel: float
    sq_rel: float
    rmse: float
    rmse_log: float
    silog: float
    delta1: float
    delta2: float
    delta3: float


def depth_metrics(
    prediction: Array, truth: Array, near_m: float = 1.0, far_m: float = 80.0, median_scaled: bool = False
) -> DepthMetrics:
    """Compare depth maps of one shape, in metres; truth counts where it lies in [near_m, far_m].

    Predictions are clipped to the same range, so predicted sky (+inf) over measured ground counts as far_m.
    With ``median_scaled`` the prediction is first multiplied by median(truth) / median(prediction).
    """
    compared = _compare(prediction, truth, near_m, far_m, median_scaled)
    predicted, true, missing = compared.predicted, compared.true, compared.missing
    if len(true) == 0:
        nan = float("nan")
        return DepthMetrics(0, missing, nan, nan, nan, nan, nan, nan, nan, nan)
    error = predicted - true
    log_error = np.log(predicted) - np.log(true)
    ratio = np.maximum(predicted / true, true / predicted)
    return DepthMetrics(
        n=len(true),
        missing=missing,
        abs_rel=float(np.mean(np.abs(error) / true)),
        sq_rel=float(np.mean(error**2 / true)),
        rmse=float(np.sqrt(np.mean(error**2))),
        rmse_log=float(np.sqrt(np.mean(log_error**2))),
        silog=float(np.std(log_error) * 100),
        delta1=float(np.mean(ratio < 1.25)),
        delta2=float(np.mean(ratio < 1.25**2)),
        delta3=float(np.mean(ratio < 1.25**3)),
    )


@dataclass(frozen=True)
class GroupErrors:
    """Errors per group of pixels, arrays (groups,): ``n`` pixels, and NaN where that is 0.

    ``abs_rel`` is the mean of abs(prediction / truth - 1), ``ratio`` the geometric mean of prediction / truth: above 1
    is too far.
    """

    n: Array
    abs_rel: Array
    ratio: Array


def grouped_errors(
    prediction: Array,
    truth: Array,
    groups: Array,
    count: int,
    near_m: float = 1.0,
    far_m: float = 80.0,
    median_scaled: bool = False,
) -> GroupErrors:
    """The errors of :func:`depth_metrics` apart for each of ``count`` groups.

    ``groups`` (H, W) integer gives each pixel's group, negative for none. Scaling is by the medians of all pixels.
    """
    compared = _compare(prediction, truth, near_m, far_m, median_scaled)
    group = groups[compared.where]
    inside = group >= 0
    group, ratio = group[inside], compared.predicted[inside] / compared.true[inside]
    n = np.bincount(group, minlength=count)
    with np.errstate(invalid="ignore"):
        abs_rel = np.bincount(group, np.abs(ratio - 1), count) / n
        log_ratio = np.bincount(group, np.log(ratio), count) / n
    return GroupErrors(n, abs_rel, np.exp(log_ratio))


def distance_groups(truth: Array, edges_m: Sequence[float]) -> Array:
    """Which interval [edge, next edge) of true depth each pixel is in, int (H, W); -1 outside all and where unknown."""
    group = np.searchsorted(np.asarray(edges_m), truth, side="right") - 1
    return np.where(np.isfinite(truth) & (group < len(edges_m) - 1), group, -1)


def row_groups(shape: tuple[int, ...], count: int) -> Array:
    """Which of ``count`` equal bands of rows each pixel is in, from the top, int (H, W)."""
    height, width = shape
    bands = np.arange(height) * count // height
    return np.broadcast_to(bands[:, None], (height, width))


@dataclass(frozen=True)
class _Compared:
    """Float64 (n,) of the pixels that count, ``where`` (H, W) bool they are."""

    predicted: Array
    true: Array
    where: Array
    missing: float


def _compare(prediction: Array, truth: Array, near_m: float, far_m: float, median_scaled: bool) -> _Compared:
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}; they must be equal")
    with np.errstate(invalid="ignore"):
        measured = (truth >= near_m) & (truth <= far_m)
    where = measured & ~np.isnan(prediction)
    predicted = prediction[where].astype(np.float64)
    true = truth[where].astype(np.float64)
    n = int(measured.sum())
    missing = 1.0 - len(true) / n if n else 0.0
    if len(true):
        if median_scaled:
            # Clipped first, so that sky over most of the truth still has a median.
            predicted = predicted * (np.median(true) / np.median(np.clip(predicted, near_m, far_m)))
        predicted = np.clip(predicted, near_m, far_m)
    return _Compared(predicted, true, where, missing)


# Depths that a constant guess is tried at.
CONSTANTS_M = np.arange(3.0, 31.0)


@dataclass(frozen=True)
class ConstantErrors:
    """AbsRel of guessing one depth everywhere: ``raw`` per CONSTANTS_M, and ``scaled``, median-scaled."""

    raw: Array
    scaled: float

    @property
    def best_m(self) -> float:
        """The best of CONSTANTS_M."""
        return float(CONSTANTS_M[np.argmin(self.raw)])


def constant_errors(truth: Array, near_m: float = 1.0, far_m: float = 80.0) -> ConstantErrors:
    """The floor of one depth map in metres: what needs no image to be reached."""
    with np.errstate(invalid="ignore"):
        true = truth[(truth >= near_m) & (truth <= far_m)].astype(np.float64)
    if len(true) == 0:
        return ConstantErrors(np.full(len(CONSTANTS_M), np.nan), float("nan"))
    raw = np.array([np.mean(np.abs(metres / true - 1)) for metres in CONSTANTS_M])
    return ConstantErrors(raw, float(np.mean(np.abs(np.median(true) / true - 1))))


def mean_constant_errors(errors: Sequence[ConstantErrors]) -> ConstantErrors:
    """The mean over maps, or over the means of groups of maps."""
    return ConstantErrors(np.mean([e.raw for e in errors], 0), float(np.mean([e.scaled for e in errors])))
