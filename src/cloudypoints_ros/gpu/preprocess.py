"""uint8 image -> float32 network input in torch on any device, with the taps and shares of the CPU's preprocess."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cloudypoints_ros.model_card import ModelInput
from cloudypoints_ros.preprocess import Placement, _area_taps

Array = npt.NDArray[Any]

# The fixed point of OpenCV's resize.cpp: weights of 11 bits, of whose products 22 bits go again.
_WEIGHT = 1 << 11


@dataclass(frozen=True)
class Taps:
    """Which source pixels make each of the target's along one axis, int64 (taps, target), and their shares of it.

    Shares are float32 and sum to one, or int32 that sum to 2048 where OpenCV's interpolation is meant.
    """

    index: Tensor
    shares: Tensor


def area_taps(length: int, target: int, device: torch.device) -> Taps:
    """The average of what lies under each target pixel."""
    first, shares = _area_taps(length, target)
    index = np.minimum(first[:, None] + np.arange(shares.shape[1]), length - 1)
    return _on(device, index.T, shares.T)


def linear_taps(length: int, target: int, device: torch.device) -> Taps:
    """The two nearest pixels by their distance, the rim repeated, with the weights of OpenCV's INTER_LINEAR."""
    position = ((np.arange(target) + 0.5) * (length / target) - 0.5).astype(np.float32)
    low = np.floor(position).astype(np.int64)
    far = position - low.astype(np.float32)
    index = np.clip(np.stack([low, low + 1]), 0, length - 1)
    return _on(device, index, np.rint(np.stack([1 - far, far]) * np.float32(_WEIGHT)).astype(np.int32))


def image_taps(width: int, height: int, placement: Placement, device: torch.device) -> tuple[Taps, Taps]:
    """Rows and columns from an image of this size to its part of the network input.

    As on the CPU, shrinking averages; where either axis grows, both are interpolated.
    """
    size = (placement.image_height, placement.image_width)
    if size[0] > height or size[1] > width:
        return linear_taps(height, size[0], device), linear_taps(width, size[1], device)
    return area_taps(height, size[0], device), area_taps(width, size[1], device)


def resized(image: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """float32 (N, h, w, 3) grey levels of a uint8 image (N, H, W, 3); whole ones where it is interpolated."""
    if not rows.shares.is_floating_point():
        return _interpolated(image, rows, columns).float()
    return _averaged(_averaged(image, rows, 1), columns, 2)


def network_image(image: Tensor, order: str, taps: tuple[Taps, Taps], card: ModelInput, part: Tensor) -> None:
    """Fill ``part``, float32 (N, 3, h, w), the image's place in the network input, from uint8 (N, H, W, 3).

    Equal to preprocess.network_image within 1e-3 of a grey level.
    """
    small = resized(image, *taps)
    for plane in range(3):
        channel = plane if order == card.colour else 2 - plane
        factor = card.scale / card.std[plane]
        torch.add(small[..., channel] * factor, -card.mean[plane] / card.std[plane], out=part[:, plane])


def _averaged(image: Tensor, taps: Taps, axis: int) -> Tensor:
    shape = _along(axis, image.ndim)
    total = image.index_select(axis, taps.index[0]) * taps.shares[0].view(shape)
    for index, share in zip(taps.index[1:], taps.shares[1:], strict=True):
        total.addcmul_(image.index_select(axis, index).float(), share.view(shape))
    return total


def _interpolated(image: Tensor, rows: Taps, columns: Taps) -> Tensor:
    """int32 grey levels, to the bit what OpenCV's vector code makes of uint8 on x86."""
    shape = _along(2, image.ndim)
    near, far = (
        image.index_select(2, index).int() * share.view(shape)
        for index, share in zip(columns.index, columns.shares, strict=True)
    )
    wide = (near + far) >> 4
    shape = _along(1, image.ndim)
    upper, lower = (
        (wide.index_select(1, index) * share.view(shape)) >> 16
        for index, share in zip(rows.index, rows.shares, strict=True)
    )
    return (upper + lower + 2) >> 2


def _along(axis: int, dims: int) -> list[int]:
    """The shape that broadcasts a vector along one axis."""
    return [-1 if i == axis else 1 for i in range(dims)]


def _on(device: torch.device, index: Array, shares: Array) -> Taps:
    index, shares = np.ascontiguousarray(index), np.ascontiguousarray(shares)
    return Taps(torch.from_numpy(index).to(device), torch.from_numpy(shares).to(device))
