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
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction has shape {prediction.shape}, truth {truth.shape}; they must be equal")
    with np.errstate(invalid="ignore"):
        measured = (truth >= near_m) & (truth <= far_m)
    predicted = prediction[measured].astype(np.float64)
    true = truth[measured].astype(np.float64)
    seen = ~np.isnan(predicted)
    missing = 1.0 - float(seen.mean()) if len(seen) else 0.0
    predicted, true = predicted[seen], true[seen]
    if len(true) == 0:
        nan = float("nan")
        return DepthMetrics(0, missing, nan, nan, nan, nan, nan, nan, nan, nan)
    if median_scaled:
        # Clipped first, so that sky over most of the truth still has a median.
        predicted = predicted * (np.median(true) / np.median(np.clip(predicted, near_m, far_m)))
    predicted = np.clip(predicted, near_m, far_m)
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
