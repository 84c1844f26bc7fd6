"""What no network is needed for: a constant, the mean of each image row, a flat road."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.metrics import ConstantErrors, constant_errors, mean_constant_errors
from cloudypoints_training.evaluation.means import over_images
from cloudypoints_training.evaluation.protocols import Protocol
from cloudypoints_training.evaluation.road import flat_road
from cloudypoints_training.sample import Sample

Array = npt.NDArray[Any]

FLOORS = {
    "constant": "best constant",
    "row_mean": "row mean",
    "flat_road": "flat road",
}
ROWS = 64  # that every image's rows are counted into, so that sizes may differ


@dataclass(frozen=True)
class Survey:
    """What the floors need to know of the truth, in the order of `indices`, the samples that have some.

    `profiles` (N, ROWS) is the mean true depth per row in metres, NaN where a row has none.
    """

    indices: list[int]
    sources: list[str]
    profiles: Array
    constants: list[ConstantErrors]
    without_truth: list[str]

    def best_constant(self) -> ConstantErrors:
        """Of the mean over sources."""
        return mean_constant_errors([self.best_constant_of(source) for source in sorted(set(self.sources))])

    def best_constant_of(self, source: str) -> ConstantErrors:
        own = [c for c, s in zip(self.constants, self.sources, strict=True) if s == source]
        return mean_constant_errors(own)


def survey(samples: Iterator[tuple[int, Sample]], protocol: Protocol) -> Survey:
    """One pass over the truth."""
    found = Survey([], [], np.empty((0, ROWS)), [], [])
    profiles = []
    for index, sample in samples:
        truth = protocol.region(sample.depth)
        if not np.isfinite(truth).any():
            found.without_truth.append(sample.name)
            continue
        found.indices.append(index)
        found.sources.append(sample.source)
        found.constants.append(constant_errors(truth, protocol.near_m, protocol.far_m))
        profiles.append(row_profile(truth))
    return Survey(found.indices, found.sources, np.array(profiles), found.constants, found.without_truth)


def row_profile(truth: Array) -> Array:
    """The mean of the finite depths (H, W) in each of ROWS bands, float64; NaN where there is none."""
    band = np.arange(len(truth)) * ROWS // len(truth)
    known = np.isfinite(truth)
    count = np.bincount(band, known.sum(1), ROWS)
    total = np.bincount(band, np.where(known, truth, 0).sum(1, dtype=np.float64), ROWS)
    with np.errstate(invalid="ignore"):
        return np.asarray(total / count)


def row_mean(profiles: Array, index: int, shape: tuple[int, int]) -> Array:
    """The mean depth per row over all images but this one, float32 (H, W) metres; NaN where there is no other.

    Rows without truth anywhere take the nearest row that has some.
    """
    others = over_images(np.delete(profiles, index, 0))
    known = np.flatnonzero(~np.isnan(others))
    if len(known) == 0:
        return np.full(shape, np.nan, np.float32)
    position = (np.arange(shape[0]) + 0.5) * ROWS / shape[0] - 0.5
    rows = np.interp(position, known, others[known])
    return np.broadcast_to(rows.astype(np.float32)[:, None], shape)


def floor_maps(sample: Sample, at: int, surveyed: Survey, constant_m: float) -> dict[str, Array]:
    """The depth maps of all floors for the sample that is number `at` of the survey."""
    shape = (sample.camera.height, sample.camera.width)
    return {
        "constant": np.full(shape, constant_m, np.float32),
        "row_mean": row_mean(surveyed.profiles, at, shape),
        "flat_road": flat_road(sample.camera),
    }
