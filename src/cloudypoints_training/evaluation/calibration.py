"""Whether the network knows when it is wrong: coverage of its intervals and sparsification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

LEVELS = (0.5, 0.68, 0.8, 0.9, 0.95)
REMOVED = np.linspace(0, 0.95, 20)  # shares of pixels taken away


@dataclass(frozen=True)
class Calibration:
    """`coverage` (LEVELS,): share of true depths inside the interval that should hold that share of them.

    `curve` (REMOVED,): AbsRel of the pixels left when those of largest predicted variance are taken away; `oracle` the
    same with those of largest error taken away. AUSE is the area between the two (Ilg et al. 2018), AURG that between
    no order at all and the curve (Poggi et al. 2020): 0 is an uncertainty that says nothing.
    """

    coverage: Array
    curve: Array
    oracle: Array

    @property
    def ause(self) -> float:
        return float(np.trapezoid(self.curve - self.oracle, REMOVED))

    @property
    def aurg(self) -> float:
        return float(np.trapezoid(self.curve[0] - self.curve, REMOVED))


def calibration(prediction: Array, log_variance: Array, truth: Array) -> Calibration | None:
    """Of one image; None without a pixel that has truth and a finite prediction.

    Depths (H, W) metres; `log_variance` (H, W) is of log depth, of a Laplace density with variance 2 b^2, whose
    central interval of probability p is +- b ln(1 / (1 - p)).
    """
    where = np.isfinite(truth) & np.isfinite(prediction) & np.isfinite(log_variance)
    if not where.any():
        return None
    predicted, true = prediction[where].astype(np.float64), truth[where].astype(np.float64)
    scale = np.exp(log_variance[where].astype(np.float64) / 2) / np.sqrt(2)
    off = np.abs(np.log(predicted / true))
    coverage = np.array([np.mean(off <= scale * -np.log1p(-level)) for level in LEVELS])
    error = np.abs(predicted / true - 1)
    return Calibration(coverage, sparsified(error, scale), sparsified(error, error))


def sparsified(error: Array, uncertainty: Array) -> Array:
    """The mean error (n,) of what is left when each share REMOVED of largest uncertainty is taken away."""
    sums = np.cumsum(error[np.argsort(uncertainty, kind="stable")])
    left = np.maximum(1, np.round(len(error) * (1 - REMOVED)).astype(int))
    return np.asarray(sums[left - 1] / left)
