"""Which part of an image is worked on, and where in it the vehicle itself is seen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Calibration
from cloudypoints_ros.errors import CloudyPointsError

Array = npt.NDArray[Any]

# How much a mask's width over height may differ from the image's.
ASPECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Region:
    """A rectangle of an image in pixels, its upper left one at (x, y); all zero is the whole image."""

    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0

    @property
    def whole(self) -> bool:
        return self == Region()

    def fitted(self, width: int, height: int) -> Region:
        """The rectangle, with its size spelled out, in an image of ``width`` x ``height`` pixels.

        Raises CloudyPointsError unless it lies inside.
        """
        if self.whole:
            return Region(0, 0, width, height)
        inside = self.x >= 0 and self.y >= 0 and self.x + self.width <= width and self.y + self.height <= height
        if not inside or self.width < 1 or self.height < 1:
            raise CloudyPointsError(
                f"The region {self.width}x{self.height} at ({self.x}, {self.y}) does not lie inside the "
                f"{width}x{height} image; set roi to x, y, width, height within it, or all zero for the whole image."
            )
        return self

    def of(self, image: Array) -> Array:
        """A view of this part of an array (H, W) or (H, W, C)."""
        part = self.fitted(image.shape[1], image.shape[0])
        return image[part.y : part.y + part.height, part.x : part.x + part.width]

    def of_calibration(self, calibration: Calibration) -> Calibration:
        """The calibration of this part of the image that ``calibration`` describes; its roi and binning are folded."""
        base = calibration.folded()
        part = self.fitted(base.width, base.height)
        return dataclasses.replace(base, roi=dataclasses.astuple(part)).folded()


def load_ego_mask(path: Path | str) -> Array:
    """bool (H, W), read-only: True where the image file is not black, in any channel but alpha.

    What is True shall have no depth: the vehicle itself, a wiper, a mirror. JPEG smears black; PNG does not.
    """
    # The stored pixels: bits and orientation as they are, the alpha channel dropped.
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        encoded = np.frombuffer(Path(path).read_bytes(), np.uint8)
        image = cv2.imdecode(encoded, flags) if len(encoded) else None
    except OSError as error:
        raise CloudyPointsError(
            f"The ego mask {path} cannot be read ({error.strerror or error}); give a readable image file."
        ) from error
    except cv2.error:  # such as a header that promises 60000 x 60000 pixels
        image = None
    if image is None:
        raise CloudyPointsError(
            f"The ego mask {path} is not an image that can be read; give a PNG that is black where the road is seen "
            "and white where the vehicle itself is."
        )
    mask = np.asarray(image).any(axis=2)
    mask.flags.writeable = False
    return np.asarray(mask)


def ego_mask_for(mask: Array, width: int, height: int) -> Array:
    """The mask, bool or uint8 (H, W), as bool (height, width), read-only: each pixel is its nearest one's.

    Cached for each mask, which must not be written to any more. Raises CloudyPointsError when the proportions differ
    by more than 1 %. The mask of a region is the region of the whole image's mask.
    """
    return _fitted_mask(_Same(mask), width, height)


class _Same:
    """An array as a cache key: itself and no other. The cache keeps it alive, so nobody takes its place."""

    def __init__(self, array: Array) -> None:
        self.array = array

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.array is self.array

    def __hash__(self) -> int:
        return id(self.array)


@lru_cache(maxsize=32)
def _fitted_mask(same: _Same, width: int, height: int) -> Array:
    own_height, own_width = same.array.shape
    if abs(own_width * height / (own_height * width) - 1) > ASPECT_TOLERANCE:
        raise CloudyPointsError(
            f"The ego mask is {own_width}x{own_height} but the image {width}x{height}; give a mask drawn on this "
            "camera's image, of any size with the same proportions."
        )
    fitted = cv2.resize(
        (same.array != 0).astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    ).astype(bool)
    fitted.flags.writeable = False
    return np.asarray(fitted)
