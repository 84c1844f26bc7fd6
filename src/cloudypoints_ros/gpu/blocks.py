"""What crosses the bus: one block of bytes in, one block of bytes out, each a single copy; typed views of both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cloudypoints_ros.geometry import CloudOptions
from cloudypoints_ros.gpu.pixels import pixel_bytes
from cloudypoints_ros.gpu.points import point_words

# Offsets are multiples of this, so that any type may lie there.
_ALIGNED = 16
DEPTH_TYPES = {"32FC1": torch.float32, "16UC1": torch.int16}  # millimetres in the bits of an int16


@dataclass(frozen=True)
class Shape:
    """All that a captured graph is fixed to; everything else may change from frame to frame.

    ``count`` images of ``width`` x ``height`` pixels, each row ``width`` pixels without padding. ``region`` is x, y,
    width and height of the part that is worked on, in pixels. ``depth_size`` is the answer's (width, height);
    ``depth`` is 32FC1, 16UC1 or "" for none, ``cloud`` None for none. ``pinhole`` cameras have rays by row and column.
    """

    count: int
    width: int
    height: int
    encoding: str
    big_endian: bool
    region: tuple[int, int, int, int]
    depth_size: tuple[int, int]
    depth: str
    cloud: CloudOptions | None
    pinhole: bool

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of pixels that may become points."""
        stride = self.cloud.stride if self.cloud else 1
        return -(-self.depth_size[1] // stride), -(-self.depth_size[0] // stride)


@dataclass(frozen=True)
class Input:
    """Views of the block that goes in, for N images.

    ``number`` int32 (N,): of the frame. ``factors`` float32 (N, 2): what the network's depth and then the answer is
    multiplied by. ``rows`` uint8 (N, H, W * bytes per pixel).
    """

    block: Tensor
    number: Tensor
    factors: Tensor
    rows: Tensor


@dataclass(frozen=True)
class Output:
    """Views of the block that comes out, for N images.

    ``number`` int32 (N,), copied from the input, so that an answer can be told from the one before. ``counts`` int32
    (N, 3): points, finite depths beyond 16UC1, depths that are not NaN. ``depth`` (N, H, W), float32 metres or
    millimetres in an int16. ``points`` int32 (N, places + 1, words); the last place is nobody's.
    """

    block: Tensor
    number: Tensor
    counts: Tensor
    depth: Tensor
    points: Tensor


def input_block(shape: Shape, device: torch.device, pinned: bool = False) -> Input:
    heads = 16 * shape.count
    row = shape.width * pixel_bytes(shape.encoding)
    block = torch.zeros(heads + shape.count * shape.height * row, dtype=torch.uint8, device=device, pin_memory=pinned)
    head = block[:heads].view(shape.count, 16)
    rows = block[heads:].view(shape.count, shape.height, row)
    return Input(block, head[:, :4].view(torch.int32)[:, 0], head[:, 4:12].view(torch.float32), rows)


def output_block(shape: Shape, device: torch.device, pinned: bool = False) -> Output:
    heads = 16 * shape.count
    width, height = shape.depth_size
    kind = DEPTH_TYPES.get(shape.depth, torch.float32)
    pixels = width * height if shape.depth else 0
    depth_size = _aligned(shape.count * pixels * kind.itemsize)
    places = shape.grid[0] * shape.grid[1] + 1 if shape.cloud else 0
    words = point_words(shape.cloud.fields) if shape.cloud else 0
    end = heads + depth_size + 4 * shape.count * places * words
    block = torch.zeros(end, dtype=torch.uint8, device=device, pin_memory=pinned)
    head = block[:heads].view(torch.int32).view(shape.count, 4)
    depth = block[heads : heads + shape.count * pixels * kind.itemsize].view(kind)
    points = block[heads + depth_size :].view(torch.int32)
    return Output(
        block,
        head[:, 0],
        head[:, 1:],
        depth.view(shape.count, height if shape.depth else 0, width if shape.depth else 0),
        points.view(shape.count, places, words),
    )


def _aligned(size: int) -> int:
    return -(-size // _ALIGNED) * _ALIGNED
