"""Training batches, drawn as they are needed.

A batch is a pure function of its step, so that a run can be resumed exactly and batches can be drawn by any number of
processes. What it is made of is a `Draw`: `scenes.draw`, measured images (`DatasetDraw`), or a `Mixture`.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.augment import Recipe, augmented, fit_to, mirrored
from cloudypoints_training.datasets import DepthDataset
from cloudypoints_training.losses import canonical_log_depth
from cloudypoints_training.sample import Sample
from cloudypoints_training.stopping import ignore_signals

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


class Draw(Protocol):
    """The sample of `width` x `height` pixels that belongs to a seed."""

    def __call__(self, seed: int, width: int, height: int) -> Sample: ...


@runtime_checkable
class DrawMany(Protocol):
    """A `Draw` that would rather draw several samples at once, as on a GPU."""

    def draw_many(self, seeds: Sequence[int], width: int, height: int) -> list[Sample]: ...


def draw_all(draw: Draw, seeds: Sequence[int], width: int, height: int) -> list[Sample]:
    """The samples of these seeds, drawn at once where the source can."""
    if isinstance(draw, DrawMany):
        return draw.draw_many(seeds, width, height)
    return [draw(seed, width, height) for seed in seeds]


@dataclass(frozen=True)
class DatasetDraw:
    """Measured images: the seed picks one, its crop and its changes."""

    dataset: DepthDataset
    recipe: Recipe = field(default_factory=Recipe)

    def __call__(self, seed: int, width: int, height: int) -> Sample:
        rng = np.random.default_rng((seed, 91))
        sample = self.dataset[int(rng.integers(len(self.dataset)))]
        sample = fit_to(rng, sample, width, height, self.recipe.smallest_crop)
        return augmented(rng, sample, self.recipe)


@dataclass(frozen=True)
class Mixture:
    """Sources and their weights; the seed alone says which of them draws it."""

    parts: tuple[tuple[Draw, float], ...]

    def __post_init__(self) -> None:
        weights = [weight for _, weight in self.parts]
        if not weights or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError(f"the weights are {weights}; expected some, none negative, not all 0")

    def __call__(self, seed: int, width: int, height: int) -> Sample:
        return self.parts[self._part(seed)][0](seed, width, height)

    def draw_many(self, seeds: Sequence[int], width: int, height: int) -> list[Sample]:
        drawn: dict[int, Sample] = {}
        chosen = [self._part(seed) for seed in seeds]
        for part in sorted(set(chosen)):
            places = [i for i, each in enumerate(chosen) if each == part]
            samples = draw_all(self.parts[part][0], [seeds[i] for i in places], width, height)
            drawn.update(zip(places, samples, strict=True))
        return [drawn[i] for i in range(len(seeds))]

    def _part(self, seed: int) -> int:
        bounds = np.cumsum([weight for _, weight in self.parts])
        at = np.random.default_rng((seed, 37)).random() * bounds[-1]
        return int(np.searchsorted(bounds, at, side="right"))


@dataclass(frozen=True)
class Batch:
    image: Tensor  # uint8 N x H x W x 3, RGB, letterboxed
    target: Tensor  # float32 N x 1 x H/output_stride x W/output_stride, canonical log depth, NaN unknown, +inf sky


@dataclass(frozen=True)
class Stream:
    """The batches of a training run.

    batch_pixels, batch_multiple: a batch holds about as many pixels, and a multiple of so many images. pictures: sizes
    (width, height), one per step, in turn. multiple, fill: sides become multiples of this, by borders of this RGB.
    output_stride: of the network; its targets are one of each such square of pixels. focal_px: the canonical one.
    """

    draw: Draw
    batch_pixels: int = 4 * 640 * 320
    pictures: tuple[tuple[int, int], ...] = PICTURES
    seed: int = 0
    multiple: int = 32
    output_stride: int = 2
    focal_px: float = 500.0
    batch_multiple: int = 1
    fill: tuple[int, int, int] = (127, 127, 127)
    flip: float = 0.5  # how likely

    def __post_init__(self) -> None:
        if self.multiple % self.output_stride:
            raise ValueError(f"multiple is {self.multiple}; expected a multiple of output_stride {self.output_stride}")

    def size(self, step: int) -> int:
        """How many images the batch of all processes holds."""
        width, height = self.pictures[step % len(self.pictures)]
        groups = round(self.batch_pixels / (width * height * self.batch_multiple))
        return self.batch_multiple * max(1, groups)

    def __getitem__(self, step: int) -> Batch:
        """The batch of all processes."""
        return self.part(step, 0, 1)

    def part(self, step: int, rank: int, world: int) -> Batch:
        """What process `rank` of `world` sees of a batch: image i belongs to rank i % world."""
        width, height = self.pictures[step % len(self.pictures)]
        # Each image has its own generator: what a process draws does not depend on what the others draw.
        rngs = [np.random.default_rng((self.seed, step, i)) for i in range(rank, self.size(step), world)]
        seeds = [int(rng.integers(VALIDATION_SEED)) for rng in rngs]
        samples = draw_all(self.draw, seeds, width, height)
        images, targets = zip(*(self._placed(*each) for each in zip(rngs, samples, strict=True)), strict=True)
        return Batch(torch.from_numpy(np.stack(images)), torch.stack(targets))

    def batches(
        self, start: int, stop: int, workers: int, rank: int = 0, world: int = 1
    ) -> Generator[Batch, None, None]:
        """The batches of steps `start` to `stop`, in order, drawn ahead in `workers` processes, which start now."""
        if self.batch_multiple % world:
            raise ValueError(f"batch_multiple is {self.batch_multiple}; expected a multiple of world {world}")
        parts = _Parts(self, rank, world)
        if workers == 0:
            return _given(parts[step] for step in range(start, stop))
        loader = DataLoader(
            parts,
            batch_size=None,
            sampler=range(start, stop),
            num_workers=workers,
            prefetch_factor=4,
            multiprocessing_context="spawn",
            worker_init_fn=_begin_to_draw,
        )
        return _given(iter(loader))

    def _placed(self, rng: np.random.Generator, sample: Sample) -> tuple[Array, Tensor]:
        """A sample as the network's image and target."""
        if rng.random() < self.flip:
            sample = mirrored(sample)
        image, depth = letterbox(sample.image, sample.depth, self.multiple, self.fill)
        # Which pixel of each square it is changes, so that the output grid has no bias.
        dy, dx = rng.integers(0, self.output_stride, 2)
        few = torch.from_numpy(depth[dy :: self.output_stride, dx :: self.output_stride].copy())
        return image, canonical_log_depth(few, sample.camera.fx, self.focal_px)[None]


@dataclass(frozen=True)
class _Parts(Dataset["Batch | CloudyPointsError"]):
    """A process's batches. An error comes as a value: raised in a worker it would come as a traceback's text."""

    stream: Stream
    rank: int
    world: int

    def __getitem__(self, step: int) -> Batch | CloudyPointsError:
        try:
            return self.stream.part(step, self.rank, self.world)
        except CloudyPointsError as error:
            return error


def _given(batches: Iterable[Batch | CloudyPointsError]) -> Generator[Batch, None, None]:
    for batch in batches:
        if isinstance(batch, CloudyPointsError):
            raise batch
        yield batch


def _begin_to_draw(_: int) -> None:
    cv2.setNumThreads(1)
    ignore_signals()  # again: DataLoader has just set its own handlers


def letterbox(
    image: Array, depth: Array, multiple: int = 32, fill: tuple[int, int, int] = (127, 127, 127)
) -> tuple[Array, Array]:
    """Centre a picture in sides that are multiples of `multiple`, as the runtime does; the border is unknown."""
    height, width = depth.shape
    net_height, net_width = (math.ceil(side / multiple) * multiple for side in (height, width))
    if (net_height, net_width) == (height, width):
        return np.ascontiguousarray(image), depth
    top, left = (net_height - height) // 2, (net_width - width) // 2
    inside = (slice(top, top + height), slice(left, left + width))
    wide = np.full((net_height, net_width, 3), fill, np.uint8)
    wide[inside] = image
    unknown = np.full((net_height, net_width), np.nan, np.float32)
    unknown[inside] = depth
    return wide, unknown
