"""Depth -> packed points in torch on any device, as geometry.cloud packs them.

Voxels, flying points and height bands are not here: geometry.cloud does them on the CPU.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.geometry import _SINGLE_STRONGEST, POINT_STEP, CloudOptions

# An int32 that is a NaN when read as a float32.
_NAN = int(np.float32(np.nan).view(np.int32))


def packs(options: CloudOptions) -> bool:
    """Whether :func:`pack` does all that these options ask for."""
    return not (options.voxel_m or options.min_incidence_deg or options.height_band)


def point_words(fields: str) -> int:
    """How many 32-bit words a point has."""
    return POINT_STEP[fields] // 4


def rays(camera: Camera, stride: int) -> tuple[Tensor, Tensor]:
    """x/z of (1, w) columns and y/z of (h, 1) rows of a pinhole, of all (h, w) pixels of any other; on the CPU."""
    x, y = camera.rays(stride)
    if camera.pinhole:
        x, y = x[:1], y[:, :1]
    return torch.from_numpy(x.copy()), torch.from_numpy(y.copy())


def millimetres(depth: Tensor) -> tuple[Tensor, Tensor]:
    """uint16 millimetres in the bits of an int16, as files.millimetres; and which finite depths were too far for it."""
    scaled = torch.round(depth * 1000)
    fits = (scaled >= 1) & (scaled <= 65535)
    whole = scaled.masked_fill_(~fits, 0).int()
    too_far = ~fits & depth.isfinite() & (depth > 1)
    return whole.to(torch.int16), too_far  # wraps around, which keeps the bits


def extra_words(image: Tensor, order: str, fields: str) -> Tensor:
    """The fourth word of each point, int32 (N, h, w): 0x00RRGGBB, or intensity, return_type and channel.

    ``image`` is uint8 (N, h, w, 3), one pixel for each point.
    """
    red, green, blue = (image[..., i].int() for i in ((0, 1, 2) if order == "rgb" else (2, 1, 0)))
    if fields == "xyzrgb":
        return (red << 16) | (green << 8) | blue
    grey = (77 * red + 150 * green + 29 * blue) >> 8
    channel = torch.arange(image.shape[1], dtype=torch.int32, device=image.device)[:, None]
    return grey | (_SINGLE_STRONGEST << 8) | (channel << 16)


def pack(
    depth: Tensor, ray_x: Tensor, ray_y: Tensor, extra: Tensor | None, options: CloudOptions, out: Tensor
) -> Tensor:
    """Fill ``out``, int32 (N, h * w + 1, words), with the points of N depth maps, float32 (N, h, w); how many, (N,).

    ``depth`` is every ``stride``-th pixel of every ``stride``-th row and the rays are those pixels'. An organised cloud
    has h * w points, NaN where there is none. A dense one begins with its points, in the order of rows, then columns;
    what follows them has no meaning, and the last place takes what is left out: the shape never depends on the data,
    so that a CUDA graph can hold it.
    """
    low = float(np.float32(options.min_range_m))
    high = float(np.float32(min(options.max_range_m, float(np.finfo(np.float32).max))))
    kept = (depth >= low) & (depth <= high) & ~ray_x.isnan()
    columns = [ray_x * depth, ray_y * depth, depth]
    words = [column.view(torch.int32) for column in columns]
    if options.organised:
        words = [word.masked_fill(~kept, _NAN) for word in words]
    points = torch.stack(words if extra is None else [*words, extra], -1).flatten(1, 2)
    places = points.shape[1]
    if options.organised:
        out[:, :places] = points
        return torch.full_like(out[:, 0, 0], places)
    kept = kept.flatten(1)
    position = kept.cumsum(1, dtype=torch.int64)
    counts = position[:, -1].int()
    position = (position - 1).masked_fill_(~kept, places)
    for target, where, source in zip(out, position, points, strict=True):
        target.index_copy_(0, where, source)
    return counts
