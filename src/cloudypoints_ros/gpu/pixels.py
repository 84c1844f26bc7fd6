"""The bytes of an image as red, green and blue, in torch on any device: what messages.decode does with OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cloudypoints_ros.errors import CloudyPointsError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RawImage:
    """An image as it came: ``rows``, uint8 (height, step), of which every row begins with ``width`` pixels."""

    rows: Array
    width: int
    encoding: str
    big_endian: bool = False

    @staticmethod
    def of(image: Array, order: str) -> RawImage:
        """A decoded image, uint8 (H, W, 3), channels in ``order`` ("rgb" or "bgr")."""
        return RawImage(np.ascontiguousarray(image).reshape(len(image), -1), image.shape[1], f"{order}8")

    @property
    def height(self) -> int:
        return len(self.rows)

    @property
    def packed(self) -> Array:
        """The rows without what pads them, uint8 (height, width * bytes per pixel), a view."""
        return self.rows[:, : self.width * pixel_bytes(self.encoding)]


@dataclass(frozen=True)
class _Encoding:
    """Bytes per pixel, the order of the result, and how pixels (N, H, W, bytes) become (N, H, W, 3)."""

    pixel_bytes: int
    order: str
    convert: Callable[[Tensor, bool], Tensor]


def _first_three(pixels: Tensor, _big_endian: bool) -> Tensor:
    return pixels[..., :3]


def _grey(pixels: Tensor, _big_endian: bool) -> Tensor:
    return pixels[..., :1].expand(*pixels.shape[:-1], 3)


def _grey16(pixels: Tensor, big_endian: bool) -> Tensor:
    # value >> 8 is the high byte, wherever the byte order puts it
    high = 0 if big_endian else 1
    return pixels[..., high : high + 1].expand(*pixels.shape[:-1], 3)


# ITU-R BT.601, studio range, in the fixed point of OpenCV's color_yuv.simd.hpp.
_SHIFT = 20
_HALF = 1 << (_SHIFT - 1)
_Y, _V_TO_R, _U_TO_G, _V_TO_G, _U_TO_B = 1220542, 1673527, -409993, -852492, 2116026


def _yuv(luma: int) -> Callable[[Tensor, bool], Tensor]:
    """Two pixels share their colour; ``luma`` is the byte of a pixel that holds its own brightness."""

    def convert(pixels: Tensor, _big_endian: bool) -> Tensor:
        y = (pixels[..., luma].int() - 16).clamp_(min=0) * _Y + _HALF
        chroma = pixels[..., 1 - luma].int() - 128
        u, v = (chroma[..., i::2].repeat_interleave(2, -1, output_size=chroma.shape[-1]) for i in (0, 1))
        red, green, blue = y + v * _V_TO_R, y + u * _U_TO_G + v * _V_TO_G, y + u * _U_TO_B
        return torch.stack([red, green, blue], -1).bitwise_right_shift_(_SHIFT).clamp_(0, 255).to(torch.uint8)

    return convert


def _bayer(red_row: int, red_column: int) -> Callable[[Tensor, bool], Tensor]:
    """Bilinear, as OpenCV: what is missing is the rounded mean of the nearest that have it; the rim repeats."""

    def convert(pixels: Tensor, _big_endian: bool) -> Tensor:
        raw = pixels[..., 0].int()
        height, width = raw.shape[-2:]
        v, up, down = raw[:, 1:-1], raw[:, :-2], raw[:, 2:]
        across, along = (up + down)[..., 1:-1], v[..., :-2] + v[..., 2:]
        beside, above = (along + 1) >> 1, (across + 1) >> 1
        cross = (across + along + 2) >> 2
        diagonal = (up[..., :-2] + up[..., 2:] + down[..., :-2] + down[..., 2:] + 2) >> 2
        here = v[..., 1:-1]
        # The inner picture begins at (1, 1), where the mosaic is turned by one pixel each way.
        rows = torch.arange(1, height - 1, device=raw.device)[:, None] % 2 == red_row
        columns = torch.arange(1, width - 1, device=raw.device) % 2 == red_column
        # Four kinds of pixel: red, green in a red row, green in a blue row, blue.
        red = _chosen(rows, columns, here, beside, above, diagonal)
        green = _chosen(rows, columns, cross, here, here, cross)
        blue = _chosen(rows, columns, diagonal, above, beside, here)
        inner = torch.stack([red, green, blue], -1).to(torch.uint8)
        y = torch.arange(height, device=raw.device).clamp_(1, height - 2) - 1
        x = torch.arange(width, device=raw.device).clamp_(1, width - 2) - 1
        return inner.index_select(1, y).index_select(2, x)

    return convert


def _chosen(
    rows: Tensor, columns: Tensor, red: Tensor, in_red_row: Tensor, in_blue_row: Tensor, blue: Tensor
) -> Tensor:
    return torch.where(
        rows, torch.where(columns, red, in_red_row), torch.where(columns, in_blue_row, blue)
    )  # fmt: skip


_ENCODINGS: dict[str, _Encoding] = {
    "rgb8": _Encoding(3, "rgb", _first_three),
    "bgr8": _Encoding(3, "bgr", _first_three),
    "rgba8": _Encoding(4, "rgb", _first_three),
    "bgra8": _Encoding(4, "bgr", _first_three),
    "mono8": _Encoding(1, "rgb", _grey),
    "mono16": _Encoding(2, "rgb", _grey16),
    "yuv422": _Encoding(2, "rgb", _yuv(1)),
    "uyvy": _Encoding(2, "rgb", _yuv(1)),
    "yuv422_yuy2": _Encoding(2, "rgb", _yuv(0)),
    "yuyv": _Encoding(2, "rgb", _yuv(0)),
    "bayer_rggb8": _Encoding(1, "rgb", _bayer(0, 0)),
    "bayer_bggr8": _Encoding(1, "rgb", _bayer(1, 1)),
    "bayer_gbrg8": _Encoding(1, "rgb", _bayer(1, 0)),
    "bayer_grbg8": _Encoding(1, "rgb", _bayer(0, 1)),
}
ENCODINGS = tuple(_ENCODINGS)


def pixel_bytes(encoding: str) -> int:
    """Of one pixel. CloudyPointsError for an encoding that is not in :data:`ENCODINGS`."""
    if encoding not in _ENCODINGS:
        raise CloudyPointsError(
            f"The image encoding '{encoding}' is not one of {', '.join(ENCODINGS)}; decode it to rgb8 on the CPU first."
        )
    return _ENCODINGS[encoding].pixel_bytes


def check(image: RawImage) -> None:
    """CloudyPointsError for an image that :func:`colours` cannot read."""
    row = image.width * pixel_bytes(image.encoding)
    if image.rows.dtype != np.uint8 or image.rows.ndim != 2 or image.rows.shape[1] < row:
        raise CloudyPointsError(
            f"A {image.width} pixels wide {image.encoding} image has rows {image.rows.dtype} {image.rows.shape}; "
            f"expected uint8 and at least {row} bytes per row. Correct step in the publisher."
        )
    least, multiple = _SIZES.get(image.encoding.partition("_")[0], (1, 1))
    if min(image.width, image.height) < least or image.width % multiple:
        raise CloudyPointsError(
            f"A {image.encoding} image is {image.width}x{image.height}; expected at least {least}x{least} pixels and a "
            f"width that is a multiple of {multiple}. Decode it on the CPU first, or correct the publisher."
        )


# Kind of encoding -> the fewest pixels each way, and what the width is a multiple of: two pixels share their colour.
_SIZES = {"bayer": (3, 1), "yuv422": (1, 2), "uyvy": (1, 2), "yuyv": (1, 2)}


def order(encoding: str) -> str:
    """Of the channels that :func:`colours` gives: "rgb" or "bgr"."""
    return _ENCODINGS[encoding].order


def colours(rows: Tensor, encoding: str, big_endian: bool = False) -> Tensor:
    """uint8 (N, H, W, 3), a view where the bytes lie so, of unpadded rows, uint8 (N, H, W * bytes per pixel).

    The same numbers as messages.decode. YUV needs an even width, a mosaic at least 3 x 3 pixels.
    """
    size = pixel_bytes(encoding)
    pixels = rows.unflatten(-1, (-1, size))
    return _ENCODINGS[encoding].convert(pixels, big_endian)
