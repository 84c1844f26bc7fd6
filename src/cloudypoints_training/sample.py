"""One training sample: an image, the truth about it, and the camera that took it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Sample:
    """What every data set gives and every augmentation takes.

    image: (H, W, 3) uint8 RGB. depth: (H, W) float32 metres along the camera's Z axis at the ray of the pixel's
    centre; +inf = sky, NaN = unknown. camera: the pinhole that took it, of this very size. source: what scores are
    averaged over before the total (a city, a drive, a style).
    """

    image: Array
    depth: Array
    camera: Camera
    name: str = ""
    source: str = ""

    @property
    def valid(self) -> Array:
        """(H, W) bool: where the depth is a number of metres."""
        return np.isfinite(self.depth)
