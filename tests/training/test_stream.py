"""Batches are a function of their step: after a restart, in workers, and divided among processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cityscapes_tree import write_tree
from tiny_run import draw

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.augment import PLAIN, Recipe
from cloudypoints_training.datasets import open_dataset
from cloudypoints_training.sample import Sample
from cloudypoints_training.stream import (
    VALIDATION_SEED,
    Batch,
    DatasetDraw,
    Mixture,
    Stream,
    draw_all,
    letterbox,
)

STREAM = Stream(draw, batch_pixels=4 * 96 * 64, pictures=((96, 64), (96, 40), (64, 64)), batch_multiple=2)


def same(one: Batch, other: Batch) -> bool:
    return torch.equal(one.image, other.image) and torch.equal(one.target.nan_to_num(-1), other.target.nan_to_num(-1))


def test_a_restarted_run_sees_the_same_batches() -> None:
    whole = list(STREAM.batches(0, 6, workers=0))
    again = list(STREAM.batches(3, 6, workers=0))
    assert [same(a, b) for a, b in zip(whole[3:], again, strict=True)] == [True] * 3
    assert not same(whole[0], whole[3]) and not same(whole[0], replace(STREAM, seed=1)[0])
    assert len(whole[0].image.flatten(1).unique(dim=0)) == 4


def test_worker_processes_draw_the_same_batches_in_order() -> None:
    expected = [STREAM[step] for step in range(1, 5)]
    drawn = list(STREAM.batches(1, 5, workers=2))
    assert [same(a, b) for a, b in zip(expected, drawn, strict=True)] == [True] * 4


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_divide_one_batch(world: int) -> None:
    stream = replace(STREAM, batch_multiple=4)
    ranks = [list(stream.batches(0, 3, 0, rank, world)) for rank in range(world)]
    for step in range(3):
        whole = stream[step]
        assert len(whole.image) == stream.size(step) and stream.size(step) % world == 0
        for rank in range(world):
            part = ranks[rank][step]
            assert same(part, Batch(whole.image[rank::world], whole.target[rank::world]))
    with pytest.raises(ValueError, match="batch_multiple is 4; expected a multiple of world 3"):
        stream.batches(0, 1, 0, 0, 3)


def test_a_batch_holds_about_as_many_pixels_and_a_multiple_of_images() -> None:
    stream = Stream(draw, batch_pixels=20_000, pictures=((100, 50), (100, 40), (400, 200)), batch_multiple=1)
    assert [stream.size(step) for step in range(4)] == [4, 5, 1, 4]
    assert [replace(stream, batch_multiple=3).size(step) for step in range(3)] == [3, 6, 3]


def flat(seed: int, width: int, height: int) -> Sample:
    """10 m, with the top quarter sky and a green row at the bottom; focal length 250."""
    depth = np.full((height, width), 10, np.float32)
    depth[: height // 4] = np.inf
    image = np.full((height, width, 3), 200, np.uint8)
    image[-1] = (0, 255, 0)
    return Sample(image, depth, Camera(width, height, 250.0, 250.0, width / 2 - 0.5, height / 2 - 0.5))


def test_targets_are_canonical_and_letterboxes_unknown() -> None:
    batch = Stream(flat, batch_pixels=2 * 96 * 40, pictures=((96, 40),))[0]
    assert batch.image.shape == (2, 64, 96, 3) and batch.image.dtype == torch.uint8
    assert batch.target.shape == (2, 1, 32, 48) and batch.target.dtype == torch.float32
    assert (batch.image[:, :12] == 127).all() and (batch.image[:, 52:] == 127).all()
    assert (batch.image[:, 51] == torch.tensor([0, 255, 0])).all() and (batch.image[:, 12] == 200).all()
    assert batch.target[:, :, :6].isnan().all() and batch.target[:, :, 26:].isnan().all()
    assert batch.target[:, :, 6:11].isposinf().all()
    assert batch.target[:, :, 11:26] == pytest.approx(math.log(10 * 500 / 250))


def test_other_networks_ask_for_other_sides_strides_and_focal_lengths() -> None:
    stream = Stream(flat, 96 * 40, ((96, 40),), multiple=14, output_stride=1, focal_px=1000.0, fill=(1, 2, 3))
    batch = stream[0]
    assert batch.image.shape == (1, 42, 98, 3) and batch.target.shape == (1, 1, 42, 98)
    assert batch.image[0, 0, 0].tolist() == [1, 2, 3]
    assert batch.target[0, 0, 20, 50] == pytest.approx(math.log(10 * 1000 / 250))
    with pytest.raises(ValueError, match="multiple is 14; expected a multiple of output_stride 4"):
        replace(stream, output_stride=4)


def halves(seed: int, width: int, height: int) -> Sample:
    """4 m on the left, 40 m on the right, each pixel of a row a little further; the image tells near from far."""
    depth = np.full((height, width), 4, np.float32)
    depth[:, width // 2 :] = 40
    image = np.where(depth[..., None] < 10, 255, 0).astype(np.uint8).repeat(3, 2)
    row = np.arange(height, dtype=np.float32)[:, None] % 2  # odd rows and columns are known by their depth
    column = np.arange(width, dtype=np.float32)[None] % 2
    return Sample(image, depth + 0.25 * row + 0.5 * column, Camera(width, height, 500.0, 500.0, width / 2, height / 2))


def test_image_and_target_are_mirrored_together_and_every_pixel_of_a_square_is_used() -> None:
    batch = Stream(halves, batch_pixels=64 * 64 * 64, pictures=((64, 64),))[0]
    metres = batch.target.exp()
    near = batch.image[:, ::2, ::2, 0] == 255
    assert torch.equal(near, metres[:, 0] < 10)
    share = near[:, 0, 0].float().mean()
    assert 0.25 < share < 0.75
    offsets = {round(float(m.min()) - 4, 2) for m in metres}
    assert offsets == {0.0, 0.25, 0.5, 0.75}
    straight = Stream(halves, batch_pixels=64 * 64 * 64, pictures=((64, 64),), flip=0)[0]
    assert (straight.image[:, 0, 0] == 255).all()


def test_letterbox_leaves_what_fits() -> None:
    image, depth = letterbox(np.zeros((64, 96, 3), np.uint8), np.zeros((64, 96), np.float32))
    assert image.shape == (64, 96, 3) and not np.isnan(depth).any()


@dataclass(frozen=True)
class Constant:
    """A picture of one grey that remembers its seed in the depth."""

    grey: int

    def __call__(self, seed: int, width: int, height: int) -> Sample:
        camera = Camera(width, height, 500.0, 500.0, 0.0, 0.0)
        image = np.full((height, width, 3), self.grey, np.uint8)
        return Sample(image, np.full((height, width), 1 + seed % 1000, np.float32), camera)


@dataclass(frozen=True)
class Together(Constant):
    """The same, only all at once."""

    def __call__(self, seed: int, width: int, height: int) -> Sample:
        raise AssertionError("one by one")

    def draw_many(self, seeds: Sequence[int], width: int, height: int) -> list[Sample]:
        return [Constant(self.grey)(seed, width, height) for seed in seeds]


def test_a_mixture_keeps_its_shares_and_draws_by_the_seed_alone() -> None:
    mixture = Mixture(((Constant(10), 3.0), (Constant(20), 1.0), (Constant(30), 0.0)))
    seeds = [int(s) for s in np.random.default_rng(0).integers(0, VALIDATION_SEED, 800)]
    greys = [int(s.image[0, 0, 0]) for s in draw_all(mixture, seeds, 8, 8)]
    assert greys == [int(mixture(seed, 8, 8).image[0, 0, 0]) for seed in seeds]
    assert 30 not in greys and 0.70 < greys.count(10) / 800 < 0.80
    for bad in ((), ((Constant(1), 0.0),), ((Constant(1), -1.0), (Constant(2), 2.0))):
        with pytest.raises(ValueError, match=r"the weights are \["):
            Mixture(bad)


def test_a_source_that_draws_many_at_once_changes_nothing() -> None:
    pictures = {"batch_pixels": 16 * 32 * 32, "pictures": ((32, 32),)}
    alone = Mixture(((Constant(10), 1.0), (Constant(20), 1.0)))
    together = Mixture(((Together(10), 1.0), (Constant(20), 1.0)))
    one, other = Stream(alone, **pictures)[0], Stream(together, **pictures)[0]
    assert same(one, other) and set(one.image.unique().tolist()) == {10, 20}
    assert same(Stream(Together(10), **pictures)[0], Stream(Constant(10), **pictures)[0])


def test_measured_images_become_batches(tmp_path: Path) -> None:
    """Cityscapes through recipe and stream: the road's depth still fits its picture's camera."""
    written = write_tree(tmp_path, {"train": {"aachen": 3}}, size=(256, 128))
    data = open_dataset(tmp_path)
    drawing = DatasetDraw(data, replace(PLAIN, smallest_crop=0.5))
    samples = [drawing(seed, 96, 64) for seed in range(24)]
    assert {s.name for s in samples} == {w.frame.name for w in written}
    np.testing.assert_array_equal(samples[5].depth, drawing(5, 96, 64).depth)
    focals = [s.camera.fx / s.camera.width for s in samples]
    assert max(focals) > 1.5 * min(focals)  # crops of many sizes
    lowest = []
    for sample in samples:
        assert sample.image.shape == (64, 96, 3) and sample.depth.shape == (64, 96)
        _, y = sample.camera.rays()
        lowest.append((y * sample.depth)[sample.valid & (sample.depth < 30)].max())
    assert np.median(lowest) == pytest.approx(1.22, abs=0.005) and max(lowest) < 1.3  # the road below the camera
    batch = Stream(DatasetDraw(data, Recipe(1, *[1.0] * 5)), 4 * 96 * 64, ((96, 64),))[0]
    focal = written[0].rig.camera.fx
    metres = (batch.target[batch.target.isfinite()].exp() * focal * 64 / 128 / 500).numpy()
    truth = written[0].depth[np.isfinite(written[0].depth)]
    assert len(metres) > 1000 and truth.min() * 0.8 < metres.min() and metres.max() < 1.2 * truth.max()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_one_sentence_from_any_process(tmp_path: Path, workers: int) -> None:
    (written,) = write_tree(tmp_path, {"train": {"aachen": 1}}, size=(64, 32))
    stream = Stream(DatasetDraw(open_dataset(tmp_path)), 64 * 32, ((64, 32),))
    written.frame.require("disparity").write_bytes(b"broken")
    with pytest.raises(CloudyPointsError, match=r"aachen_000000_000019_disparity\.png is unreadable") as error:
        next(stream.batches(0, 4, workers))
    assert "\n" not in str(error.value)
