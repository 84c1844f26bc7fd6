"""Which pixels and which depths count: the protocols of the field, as fractions of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Protocol:
    """Truth counts from `near_m` to `far_m` inside the box; predictions are clipped to the same depths.

    The box is top, bottom, left, right as fractions of the image's height and width, rounded down to pixels.
    `headline` names the figures that publications quote; both kinds are always given.
    """

    name: str
    near_m: float
    far_m: float
    box: tuple[float, float, float, float] = (0.0, 1.0, 0.0, 1.0)
    headline: str = "raw"
    words: str = ""

    def region(self, truth: Array) -> Array:
        """The truth that counts, (H, W) float32 metres: NaN outside the box and the range, sky outside the box only.

        Sky inside stays +inf, which no figure of depth counts but the boundaries do.
        """
        height, width = truth.shape
        top, bottom, left, right = self.box
        rows = slice(_floor(top * height), _floor(bottom * height))
        columns = slice(_floor(left * width), _floor(right * width))
        kept = np.full_like(truth, np.nan)
        kept[rows, columns] = truth[rows, columns]
        with np.errstate(invalid="ignore"):
            kept[(kept < self.near_m) | ((kept > self.far_m) & np.isfinite(kept))] = np.nan
        return kept

    def counts(self, truth: Array) -> bool:
        """Whether some pixel of a depth map has truth that counts."""
        return bool(np.isfinite(self.region(truth)).any())


def _floor(pixels: float) -> int:
    return int(pixels + 1e-6)  # fractions of the reference size come back as its whole pixels


PROTOCOLS = {
    p.name: p
    for p in (
        Protocol("plain", 1.0, 80.0, words="all measured pixels"),
        Protocol(
            "kitti",
            1e-3,
            80.0,
            # Garg et al. 2016, as in the evaluation code of monodepth.
            (0.40810811, 0.99189189, 0.03594771, 0.96405229),
            words="the crop of Garg et al. 2016",
        ),
        Protocol(
            "cityscapes",
            1e-3,
            80.0,
            # Of 2048 x 1024: without the lowest quarter (the car itself), then [256:, 192:1856]. ManyDepth, Watson et
            # al. 2021, which scales by the median per image.
            (256 / 1024, 768 / 1024, 192 / 2048, 1856 / 2048),
            "scaled",
            words="rows 256 to 768 and columns 192 to 1856 of 2048x1024 (ManyDepth, Watson et al. 2021)",
        ),
    )
}
