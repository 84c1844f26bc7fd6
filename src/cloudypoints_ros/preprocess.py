"""uint8 image -> float32 network input, as the model card asks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numba
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.model_card import InputSize, ModelInput

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Placement:
    """Where the resized image lies in the network input, in network pixels.

    The input is ``width`` x ``height``; the image fills ``image_width`` x ``image_height`` of it from
    (``left``, ``top``); the rest is letterbox.
    """

    width: int
    height: int
    left: int
    top: int
    image_width: int
    image_height: int


@lru_cache(maxsize=64)
def place(width: int, height: int, size: InputSize, resize: str) -> Placement:
    """Fit a ``width`` x ``height`` image into the input size that a card allows.

    letterbox: isotropic resize to fit inside the preferred size, centred, then padded to the next allowed
    size. stretch: the nearest allowed size, each axis resized on its own.
    """
    opt_height, opt_width = size.opt
    scale = min(opt_width / width, opt_height / height)
    if resize == "stretch":
        net_height = _allowed(round(height * scale / size.multiple) * size.multiple, size, 0)
        net_width = _allowed(round(width * scale / size.multiple) * size.multiple, size, 1)
        return Placement(net_width, net_height, 0, 0, net_width, net_height)
    image_width = max(1, round(width * scale))
    image_height = max(1, round(height * scale))
    net_height, net_width = _allowed(image_height, size, 0), _allowed(image_width, size, 1)
    left, top = (net_width - image_width) // 2, (net_height - image_height) // 2
    return Placement(net_width, net_height, left, top, image_width, image_height)


def network_image(image: Array, placement: Placement, card: ModelInput, order: str = "rgb") -> Array:
    """The image tensor, float32 (1, 3, H, W), of a uint8 (h, w, 3) image whose channels are in ``order``.

    Shrinking averages the area under each network pixel, growing either axis interpolates; letterbox is 0, the mean
    colour.
    """
    size = (placement.image_width, placement.image_height)
    if size[0] > image.shape[1] or size[1] > image.shape[0]:
        image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    tensor = np.zeros((3, placement.height, placement.width), np.float32)
    part = tensor[:, placement.top : placement.top + size[1], placement.left : placement.left + size[0]]
    factor = card.scale / np.array(card.std, np.float64)
    offset = -np.array(card.mean, np.float64) / np.array(card.std, np.float64)
    channels = np.array([0, 1, 2] if order == card.colour else [2, 1, 0])
    rows, row_shares = _area_taps(image.shape[0], size[1])
    columns, column_shares = _area_taps(image.shape[1], size[0])
    _shrink_and_normalise(
        image, rows, row_shares, columns, column_shares, channels,
        factor.astype(np.float32), offset.astype(np.float32), part,
    )  # fmt: skip
    return tensor[None]


def network_camera(camera: Camera, placement: Placement) -> Camera:
    """The camera of the resized image, without the letterbox."""
    return camera.resized(placement.image_width, placement.image_height)


@lru_cache(maxsize=16)
def ray_angles(camera: Camera, placement: Placement) -> Array:
    """float32 (1, 2, H, W): atan(x/z) and atan(y/z) of every network pixel, 0 in the letterbox."""
    angles = np.zeros((1, 2, placement.height, placement.width), np.float32)
    rows = slice(placement.top, placement.top + placement.image_height)
    columns = slice(placement.left, placement.left + placement.image_width)
    for plane, ray in zip(angles[0], network_camera(camera, placement).rays(), strict=True):
        plane[rows, columns] = np.arctan(np.nan_to_num(ray))
    return angles


def _allowed(length: int, size: InputSize, axis: int) -> int:
    padded = math.ceil(length / size.multiple) * size.multiple
    return min(max(padded, size.min[axis]), size.max[axis])


@lru_cache(maxsize=64)
def _area_taps(length: int, target: int) -> tuple[Array, Array]:
    """Which source pixels lie under each of ``target`` pixels along one axis, and their shares.

    First index int64 (target,) and shares float32 (target, taps), each row summing to one.
    """
    ratio = length / target
    edges = np.arange(target + 1) * ratio
    first = np.minimum(np.floor(edges[:-1] + 1e-9).astype(np.int64), length - 1)
    taps = int(np.ceil(ratio - 1e-9)) + (0 if length % target == 0 else 1)
    source = first[:, None] + np.arange(taps)
    overlap = np.minimum(source + 1, edges[1:, None]) - np.maximum(source, edges[:-1, None])
    shares = np.where(source < length, np.maximum(overlap, 0), 0) / ratio
    return first, (shares / shares.sum(1, keepdims=True)).astype(np.float32)


@numba.njit(cache=True, nogil=True, parallel=True, fastmath=True)  # type: ignore[untyped-decorator]
def _shrink_and_normalise(
    image: Array,
    rows: Array,
    row_shares: Array,
    columns: Array,
    column_shares: Array,
    channels: Array,
    factor: Array,
    offset: Array,
    out: Array,
) -> None:
    """Area average and ``value * factor + offset`` in one pass; ``channels`` picks the source of each plane."""
    source_width = image.shape[1]
    row_taps, column_taps = row_shares.shape[1], column_shares.shape[1]
    for y in numba.prange(out.shape[1]):
        line = np.zeros(source_width * 3, np.float32)
        for k in range(row_taps):
            share = row_shares[y, k]
            if share > 0:
                source = image[rows[y] + k].reshape(source_width * 3)
                for i in range(source_width * 3):
                    line[i] += share * source[i]
        for x in range(out.shape[2]):
            a = b = c = np.float32(0)
            start = columns[x] * 3
            for k in range(column_taps):
                share = column_shares[x, k]
                i = min(start + 3 * k, source_width * 3 - 3)
                a += share * line[i]
                b += share * line[i + 1]
                c += share * line[i + 2]
            pixel = (a, b, c)
            for p in range(3):
                out[p, y, x] = pixel[channels[p]] * factor[p] + offset[p]
