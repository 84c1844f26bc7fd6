"""Raw network output -> float32 metres at the camera's resolution; NaN is invalid, +inf is sky."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.model_card import Mask, ModelOutput
from cloudypoints_ros.preprocess import Placement, network_camera

Array = npt.NDArray[Any]


def depth_map(
    outputs: dict[str, Array],
    card: ModelOutput,
    camera: Camera,
    placement: Placement,
    size: tuple[int, int] | None = None,
) -> Array:
    """Depth along Z, float32 (height, width) metres, from the network's outputs by name.

    ``camera`` is the image's; ``size`` (width, height) of the answer defaults to the image's.
    """
    f_net = network_camera(camera, placement).fx
    raw = _plane(outputs[card.tensor])
    inverse = inverse_depth(raw, card, f_net)
    sky = _mask(outputs, card.sky, raw.shape)
    valid = np.isfinite(inverse)
    if card.validity:
        valid &= _mask(outputs, card.validity, raw.shape)
    inverse = np.where(valid, inverse, np.float32(0))
    width, height = size or (camera.width, camera.height)
    depth = np.empty((height, width), np.float32)
    rows, row_weights = _taps(height, placement.top, placement.image_height, placement.height, raw.shape[0])
    columns, column_weights = _taps(width, placement.left, placement.image_width, placement.width, raw.shape[1])
    valid_or_sky = (valid | sky).astype(np.float32)
    inverse[sky] = 0
    _upsample(inverse, valid_or_sky, sky.astype(np.float32), rows, row_weights, columns, column_weights, depth)
    return depth


def inverse_depth(raw: Array, card: ModelOutput, f_net: float) -> Array:
    """1/Z in 1/metres, float32, clipped to the card's range; NaN where the network gave no number.

    A canonical model predicts D_c as if the focal length were f_c: Z = D_c * f_net / f_c.
    """
    factor = 1.0 if card.canonical_focal_px is None else f_net / card.canonical_focal_px
    near, far = card.range_m
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if card.quantity == "log_depth":
            inverse = np.exp(-raw) / np.float32(factor)
        elif card.quantity == "depth":
            inverse = np.where(raw > 0, 1 / (raw * np.float32(factor)), np.float32(np.nan))
        else:
            # Zero inverse depth is infinitely far, which the range then clips; negative is no answer.
            inverse = np.where(raw >= 0, raw / np.float32(factor), np.float32(np.nan))
    return np.asarray(np.clip(inverse, np.float32(1 / far), np.float32(1 / near)), np.float32)


def _plane(tensor: Array) -> Array:
    """The (h, w) plane of a (1, 1, h, w) or (1, h, w) tensor."""
    return np.asarray(tensor.reshape(tensor.shape[-2:]), np.float32)


def _mask(outputs: dict[str, Array], mask: Mask | None, shape: tuple[int, ...]) -> Array:
    if mask is None:
        return np.zeros(shape, bool)
    values = _plane(outputs[mask.tensor])
    return np.asarray(values > mask.threshold if mask.sense == "above" else values < mask.threshold)


@lru_cache(maxsize=64)
def _taps(length: int, start: int, image_length: int, net_length: int, map_length: int) -> tuple[Array, Array]:
    """Which two map pixels make each of ``length`` camera pixels along one axis, and the second one's weight.

    uint32 (2, length), unsigned so that numba need not ask for negative indices, and float32 (length,). Taps
    stay inside the image's part of the map, so that the letterbox never bleeds in.
    """
    net = (np.arange(length) + 0.5) * (image_length / length) - 0.5 + start
    ratio = map_length / net_length
    position = (net + 0.5) * ratio - 0.5
    first = int(np.ceil((start + 0.5) * ratio - 0.5 - 1e-6))
    last = max(first, int(np.floor((start + image_length - 0.5) * ratio - 0.5 + 1e-6)))
    position = np.clip(position, first, min(last, map_length - 1))
    low = np.floor(position).astype(np.uint32)
    high = np.minimum(low + 1, min(last, map_length - 1)).astype(np.uint32)
    return np.stack([low, high]), (position - low).astype(np.float32)


@numba.njit(cache=True, nogil=True, parallel=True, fastmath={"contract", "reassoc", "nsz", "arcp"})  # type: ignore[untyped-decorator]
def _upsample(
    inverse: Array, known: Array, sky: Array, rows: Array, row_w: Array, columns: Array, column_w: Array, out: Array
) -> None:
    """Bilinear in 1/Z, in which planes are linear; sky and holes take the majority of the four neighbours.

    First along each map row, of which there are few, then down the columns, where memory is contiguous.
    """
    height, width = out.shape
    map_height = len(inverse)
    # Of 1/Z where finite, of there being any answer, of the answer being sky.
    wide = np.empty((3, map_height, width), np.float32)
    plain = np.empty(map_height, np.bool_)
    for y in numba.prange(map_height):
        plain[y] = known[y].min() == 1 and sky[y].max() == 0
        for x in range(width):
            i, j, s = columns[0, x], columns[1, x], column_w[x]
            wide[0, y, x] = inverse[y, i] + (inverse[y, j] - inverse[y, i]) * s
            wide[1, y, x] = known[y, i] + (known[y, j] - known[y, i]) * s
            wide[2, y, x] = sky[y, i] + (sky[y, j] - sky[y, i]) * s
    for y in numba.prange(height):
        a, b, t = rows[0, y], rows[1, y], row_w[y]
        if plain[a] and plain[b]:
            for x in range(width):
                out[y, x] = np.float32(1) / (wide[0, a, x] + (wide[0, b, x] - wide[0, a, x]) * t)
        else:
            for x in range(width):
                v = wide[0, a, x] + (wide[0, b, x] - wide[0, a, x]) * t
                k = wide[1, a, x] + (wide[1, b, x] - wide[1, a, x]) * t
                c = wide[2, a, x] + (wide[2, b, x] - wide[2, a, x]) * t
                # Only the finite neighbours carry 1/Z, so their weights are put back to a sum of one.
                z = (k - c) / v
                z = np.float32(np.inf) if c > np.float32(0.5) * k else z
                out[y, x] = np.float32(np.nan) if k < np.float32(0.5) else z
