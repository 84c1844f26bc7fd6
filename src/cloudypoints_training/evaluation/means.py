"""Means over images and sources, and how sure they are."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def over_images(values: Array) -> Array:
    """The mean of the first axis, of what is not NaN; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of empty slices
        return np.asarray(np.nanmean(values, axis=0))


def over_sources(values: Array, sources: Sequence[str]) -> Array:
    """The mean over sources of the mean over a source's images; `values` (images, ...), NaN where one has none."""
    labels = np.asarray(sources)
    return over_images(np.array([over_images(values[labels == source]) for source in sorted(set(sources))]))


def bootstrap(values: Array, sources: Sequence[str], rounds: int, level: float = 0.95, seed: int = 0) -> Array:
    """The percentile interval (2, figures) of `over_sources` of (images, figures); Efron 1979.

    Images are drawn again within each source. A source of one image therefore adds nothing to the width, and frames
    of one drive are not independent: the truth is wider.
    """
    rng = np.random.default_rng(seed)
    labels = np.asarray(sources)
    per_source = []
    for source in sorted(set(sources)):
        own = values[labels == source]
        counts = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), rounds).astype(np.float64)
        known = ~np.isnan(own)
        with np.errstate(invalid="ignore"):
            per_source.append(counts @ np.where(known, own, 0) / (counts @ known))
    drawn = over_images(np.array(per_source))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2], axis=0))
