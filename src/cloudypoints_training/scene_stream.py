"""Training batches, drawn as they are needed.

A batch is a pure function of its step, so that a run can be resumed exactly and batches can be
drawn by any number of processes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cloudypoints_training.losses import canonical_log_depth
from cloudypoints_training.models.efficientnet_lite import MEAN, OUTPUT_STRIDE, STRIDE

Array = npt.NDArray[Any]

# Picture sizes (width, height). The runtime letterboxes into 640 x 320: Cityscapes fills it, 16:9
# becomes 569 x 320, KITTI 640 x 193, 4:3 427 x 320. Weights trained at one size alone were much
# worse in metres at others, so all of these are trained, and smaller ones, which are cheap.
PICTURES = (
    (640, 320),
    (320, 180),
    (569, 320),
    (448, 224),
    (640, 193),
    (320, 192),
    (427, 320),
    (448, 252),
)
VALIDATION_PICTURES = ((640, 320), (569, 320), (640, 193))
VALIDATION_SEED = 1_000_000_000  # training seeds stay below


class Drawn(Protocol):
    """One drawn scene: uint8 H x W x 3 RGB, metres (+inf sky, NaN unknown), camera with fx."""

    @property
    def image(self) -> Array: ...
    @property
    def depth(self) -> Array: ...
    @property
    def camera(self) -> Any: ...


class Draw(Protocol):
    def __call__(self, seed: int, width: int, height: int, style: str | None = None) -> Drawn: ...


@dataclass(frozen=True)
class Batch:
    image: Tensor  # uint8 N x H x W x 3, RGB, letterboxed with the mean colour
    target: Tensor  # float32 N x 1 x H/2 x W/2, canonical log depth, NaN unknown, +inf sky


@dataclass(frozen=True)
class SceneStream(Dataset[Batch]):
    """`stream[step]` is the batch of that step."""

    draw: Draw
    batch_pixels: int = 4 * 640 * 320
    pictures: tuple[tuple[int, int], ...] = PICTURES
    seed: int = 0

    def __getitem__(self, step: int) -> Batch:
        width, height = self.pictures[step % len(self.pictures)]
        count = self.size(step)
        rng = np.random.default_rng((self.seed, step))
        images, targets = [], []
        for seed in rng.integers(0, VALIDATION_SEED, count):
            drawn = self.draw(int(seed), width, height)
            image, depth = drawn.image, drawn.depth
            if rng.random() < 0.5:
                image, depth = image[:, ::-1], depth[:, ::-1]
            image, depth = letterbox(image, depth)
            images.append(image)
            # One of each 2 x 2 pixels; which one changes, so that the output grid has no bias.
            dy, dx = rng.integers(0, OUTPUT_STRIDE, 2)
            few = torch.from_numpy(depth[dy::OUTPUT_STRIDE, dx::OUTPUT_STRIDE].copy())
            targets.append(canonical_log_depth(few, drawn.camera.fx)[None])
        return Batch(torch.from_numpy(np.stack(images)), torch.stack(targets))

    def size(self, step: int) -> int:
        """How many images that batch holds: as many as `batch_pixels` allows."""
        width, height = self.pictures[step % len(self.pictures)]
        return max(1, round(self.batch_pixels / (width * height)))

    def batches(self, start: int, stop: int, workers: int) -> Iterator[Batch]:
        """The batches of steps `start` to `stop`, in order, drawn ahead in `workers` processes."""
        if workers == 0:
            return (self[step] for step in range(start, stop))
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=workers,
            prefetch_factor=4,
            multiprocessing_context="spawn",
        )
        return iter(loader)


def letterbox(image: Array, depth: Array) -> tuple[Array, Array]:
    """Centre a picture in sides that are multiples of 32, as the runtime does."""
    height, width = depth.shape
    net_height, net_width = (math.ceil(side / STRIDE) * STRIDE for side in (height, width))
    if (net_height, net_width) == (height, width):
        return np.ascontiguousarray(image), depth
    top, left = (net_height - height) // 2, (net_width - width) // 2
    inside = (slice(top, top + height), slice(left, left + width))
    wide = np.full((net_height, net_width, 3), int(MEAN), np.uint8)
    wide[inside] = image
    unknown = np.full((net_height, net_width), np.nan, np.float32)
    unknown[inside] = depth
    return wide, unknown
