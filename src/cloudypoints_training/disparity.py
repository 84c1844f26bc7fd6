"""Disparity as Cityscapes stores it, and the depth it means.

A PNG of uint16: p = 0 is no measurement, else the disparity is (p - 1) / 256 pixels (Cityscapes' README); p = 1 is
infinitely far. Z = baseline * fx / disparity, along the left camera's axis.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import Rig

Array = npt.NDArray[Any]

UNITS_PER_PIXEL = 256.0

# Neighbouring pixels whose disparities differ by more lie on different surfaces: the road's differ by the baseline over
# the camera's height, 0.17 px, at any distance.
SURFACE_PX = 1.0


def disparity_px(raw: Array) -> Array:
    """float32 (H, W) pixels of a uint16 (H, W) disparity; NaN where nothing was measured, 0 where infinitely far."""
    pixels = (raw.astype(np.float32) - 1) / np.float32(UNITS_PER_PIXEL)
    pixels[raw == 0] = np.nan
    return np.asarray(pixels)


def depth_of(disparity: Array, rig: Rig) -> Array:
    """float32 (H, W) metres of a disparity in pixels of the rig's own image: NaN stays NaN, 0 is +inf."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.float32(rig.baseline_m * rig.camera.fx) / disparity, np.float32)


def resized_disparity(disparity: Array, width: int, height: int) -> Array:
    """float32 (height, width): the disparity at the pixel centres of the resized image, in pixels of the original.

    Linear between the four neighbours where all are measured and lie on one surface, which keeps planes exact: the
    nearest pixel alone may lie half a pixel aside, 5 % of the depth of a road ten pixels below the horizon. Elsewhere
    the nearest pixel as it is, so that neither holes nor the sky nor what lies behind an edge mixes in.
    """
    y, x = _centres(disparity.shape[0], height), _centres(disparity.shape[1], width)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    bottom, right = np.minimum(top + 1, disparity.shape[0] - 1), np.minimum(left + 1, disparity.shape[1] - 1)
    down, across = (y - top).astype(np.float32)[:, None], (x - left).astype(np.float32)
    corners = [disparity[np.ix_(v, u)] for v in (top, bottom) for u in (left, right)]
    least, most = np.minimum.reduce(corners), np.maximum.reduce(corners)
    a, b, c, d = corners
    upper, lower = a + (b - a) * across, c + (d - c) * across
    nearest = disparity[np.ix_(np.floor(y + 0.5).astype(int), np.floor(x + 0.5).astype(int))]
    with np.errstate(invalid="ignore"):
        one_surface = (least > 0) & (most - least <= SURFACE_PX)  # False wherever one is NaN
    return np.asarray(np.where(one_surface, upper + (lower - upper) * down, nearest), np.float32)


def _centres(pixels: int, wanted: int) -> Array:
    """float64 (wanted,): where in `pixels` pixels the centres of `wanted` lie; as Camera.resized has it."""
    return np.asarray(np.clip((np.arange(wanted) + 0.5) * (pixels / wanted) - 0.5, 0, pixels - 1))


def disparity_from_depth(depth: Array, rig: Rig) -> Array:
    """uint16 (H, W), the inverse of `disparity_px` and `depth_of`, rounded; nearer than fits is no measurement."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = np.rint(rig.baseline_m * rig.camera.fx * UNITS_PER_PIXEL / depth) + 1
    return np.asarray(np.where((steps >= 1) & (steps <= 65535), np.nan_to_num(steps), 0), np.uint16)


def read_disparity(path: Path) -> Array:
    """The uint16 (H, W) of a disparity PNG."""
    try:
        raw = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # such as a header that promises 60000 x 60000 pixels
        raw = None
    if raw is None or raw.dtype != np.uint16 or raw.ndim != 2:
        found = "unreadable" if raw is None else f"{raw.dtype} with shape {raw.shape}"
        raise CloudyPointsError(
            f"The disparity file {path} is {found}; expected a 16-bit one-channel PNG as Cityscapes has it."
        )
    return np.asarray(raw)
