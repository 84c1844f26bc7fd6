"""A training run of seconds: small pictures of a road and a box. As a program, one process of such a run.

python tiny_run.py OUT [--steps N] [--resume] [--frozen-norm] [--checkpoint-seconds S] [--pause SECONDS]
    [--write-limit BYTES]
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cloudypoints_ros.camera import Camera
from cloudypoints_training.losses import canonical_log_depth
from cloudypoints_training.models import DepthModel
from cloudypoints_training.models.efficientnet_lite import DepthNet, new_model
from cloudypoints_training.sample import Sample
from cloudypoints_training.settings import Settings
from cloudypoints_training.stream import Stream

SIZES = ((96, 64), (64, 64))
IMAGES = 4


def draw(seed: int, width: int, height: int, style: str | None = None) -> Sample:
    """A road to the horizon and one box whose height in the picture tells its distance."""
    rng = np.random.default_rng(seed)
    focal = width * rng.uniform(0.6, 1.2)
    horizon = height // 2
    rows = np.arange(height)[:, None].repeat(width, 1)
    depth = np.where(rows > horizon, 1.5 * focal / np.maximum(rows - horizon, 1), np.inf)
    image = np.full((height, width, 3), 200, np.uint8)
    image[horizon:] = 90
    distance = rng.uniform(4, 20)
    half = int(focal * 0.8 / distance)
    x = int(rng.integers(0, width - 8))
    box = np.s_[max(0, horizon - half) : horizon + half, x : x + half + 1]
    image[box] = rng.integers(0, 255, 3)
    depth[box] = distance
    depth[-2:] = np.nan
    camera = Camera(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)
    return Sample(image, depth.astype(np.float32), camera)


@dataclass(frozen=True)
class Batch:
    image: Tensor
    target: Tensor


@dataclass(frozen=True)
class Tiny:
    """Batches of four pictures; each takes `pause` seconds."""

    pause: float = 0.0

    def batch(self, step: int) -> Batch:
        width, height = SIZES[step % len(SIZES)]
        samples = [draw(IMAGES * step + i, width, height) for i in range(IMAGES)]
        targets = [
            canonical_log_depth(torch.from_numpy(np.ascontiguousarray(s.depth[::2, ::2])), s.camera.fx) for s in samples
        ]
        return Batch(torch.from_numpy(np.stack([s.image for s in samples])), torch.stack(targets)[:, None])

    def batches(
        self, start: int, stop: int, workers: int, rank: int = 0, world: int = 1
    ) -> Generator[Batch, None, None]:
        for step in range(start, stop):
            time.sleep(self.pause)
            whole = self.batch(step)
            yield Batch(whole.image[rank::world], whole.target[rank::world])


@dataclass(frozen=True)
class Slow:
    """A `Draw` that takes its time."""

    pause: float

    def __call__(self, seed: int, width: int, height: int) -> Sample:
        time.sleep(self.pause)
        return draw(seed, width, height)


def fresh(seed: int = 1) -> DepthNet:
    """The default network with random weights, the same at every call."""
    torch.manual_seed(seed)
    return new_model(imagenet=False)


def same(one: DepthModel, other: DepthModel) -> list[str]:
    """The names of tensors that are not bitwise the same."""
    pairs = zip(one.state_dict().items(), other.state_dict().items(), strict=True)
    return [name for (name, a), (_, b) in pairs if not torch.equal(a, b)]


def settings(steps: int = 8, frozen_norm: bool = False, checkpoint_seconds: float = 0.0, workers: int = 0) -> Settings:
    """Those of the program below."""
    return Settings(
        steps=steps,
        warmup_steps=2,
        frozen_norm=frozen_norm,
        batch_multiple=IMAGES,
        log_every=1,
        checkpoint_seconds=checkpoint_seconds,
        workers=workers,
    )


def main() -> None:
    from cloudypoints_training.devices import open_fabric
    from cloudypoints_training.fit import fit

    p = argparse.ArgumentParser()
    p.add_argument("out", type=Path)
    p.add_argument("--steps", type=int, default=8)
    p.add_argument("--resume", action="store_true")
    p.add_argument("--frozen-norm", action="store_true")
    p.add_argument("--checkpoint-seconds", type=float, default=0.0)
    p.add_argument("--pause", type=float, default=0.0)
    p.add_argument("--write-limit", type=int)
    p.add_argument("--workers", type=int, default=0)
    a = p.parse_args()
    if a.write_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (a.write_limit, a.write_limit))
    told = settings(a.steps, a.frozen_norm, a.checkpoint_seconds, a.workers)
    stream = Stream(Slow(a.pause), IMAGES * 96 * 64, SIZES, batch_multiple=IMAGES) if a.workers else Tiny(a.pause)
    fit(fresh(), stream, told, a.out, resume=a.resume, fabric=open_fabric("cpu"))


if __name__ == "__main__":
    main()
