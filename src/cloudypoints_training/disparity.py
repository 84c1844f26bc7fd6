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


def depth_from_disparity(raw: Array, rig: Rig) -> Array:
    """float32 (H, W) metres of a uint16 (H, W) disparity; NaN where nothing was measured, +inf where p = 1."""
    steps = raw.astype(np.float32) - 1
    with np.errstate(divide="ignore"):
        depth = np.float32(rig.baseline_m * rig.camera.fx * UNITS_PER_PIXEL) / steps
    depth[raw == 0] = np.nan
    return np.asarray(depth, np.float32)


def disparity_from_depth(depth: Array, rig: Rig) -> Array:
    """uint16 (H, W), the inverse of `depth_from_disparity`, rounded; nearer than fits is no measurement."""
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
