"""Depth as a picture for people."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NEAR_M = 1.0  # everything nearer has the brightest colour
_STEPS = 4096
_INVALID_BGR = (0, 0, 0)
_SKY_BGR = (150, 120, 90)


def colorize(depth: Array, max_range_m: float = 80.0) -> Array:
    """uint8 (H, W, 3) BGR of a depth map in metres: magma over log depth, near bright; NaN black, sky slate."""
    out = np.empty((*depth.shape, 3), np.uint8)
    _colorize(depth, _palette(max_range_m), np.float32(max_range_m), out)
    return out


@lru_cache(maxsize=4)
def _palette(max_range_m: float) -> Array:
    """uint8 (_STEPS + 2, 3) BGR by linear depth; then sky, then invalid."""
    depth = (np.arange(_STEPS) + 0.5) / _STEPS * max_range_m
    far = np.log(np.maximum(depth, NEAR_M) / NEAR_M) / np.log(max(max_range_m, NEAR_M * 1.01) / NEAR_M)
    index = np.clip(255 * (1 - far), 0, 255).astype(np.uint8)
    colours = cv2.applyColorMap(index.reshape(-1, 1), cv2.COLORMAP_MAGMA).reshape(-1, 3)
    return np.concatenate([colours, np.array([_SKY_BGR, _INVALID_BGR], np.uint8)])


@numba.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _colorize(depth: Array, palette: Array, max_range_m: float, out: Array) -> None:
    factor = np.float32(_STEPS) / max_range_m
    for y in numba.prange(depth.shape[0]):
        for x in range(depth.shape[1]):
            z = depth[y, x]
            if z != z:
                index = _STEPS + 1
            elif z == np.inf:
                index = _STEPS
            else:
                index = min(max(int(z * factor), 0), _STEPS - 1)
            for c in range(3):
                out[y, x, c] = palette[index, c]
