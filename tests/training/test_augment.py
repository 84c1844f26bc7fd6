"""What augmentations do to a world whose picture through any camera is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.augment import (
    CHANGES,
    PLAIN,
    Recipe,
    augmented,
    blur,
    cropped,
    fit_to,
    fog,
    jpeg,
    mirrored,
    resized,
)
from cloudypoints_training.sample import Sample

CAMERA = Camera(180, 120, 130.0, 131.0, 84.3, 61.7)
SIDE = -1  # of a mirrored world, whose x is the other way round


def world(camera: Camera, side: int = 1) -> Sample:
    """A slanted plane. Red and green say where a ray goes, blue how far it is to what it meets."""
    x, y = (ray.astype(np.float64) for ray in camera.rays())
    depth = 12 / (1 + 0.5 * side * x + 0.3 * y)
    channels = np.stack([128 + 140 * side * x + 31 * y, 128 + 190 * y + 37 * side * x, 9 * depth], -1)
    return Sample(np.clip(np.rint(channels), 0, 255).astype(np.uint8), depth.astype(np.float32), camera)


def agrees(sample: Sample, side: int = 1) -> None:
    """The sample is what its own camera would have seen."""
    expected = world(sample.camera, side)
    assert sample.image.shape == expected.image.shape and sample.image.dtype == np.uint8
    error = (sample.image.astype(float) - expected.image)[1:-1, 1:-1]  # what lies beyond an edge is not known
    # Half a pixel is half a step of 255 here, more in small pictures; OpenCV's rounding takes an eighth.
    assert np.abs(error.mean((0, 1))).max() < 0.2, error.mean((0, 1))
    assert np.abs(error).max() <= 2
    assert sample.depth.dtype == np.float32
    np.testing.assert_allclose(sample.depth[1:-1, 1:-1], expected.depth[1:-1, 1:-1], rtol=1e-5)


def test_a_crop_keeps_the_rays() -> None:
    agrees(cropped(world(CAMERA), 31, 17, 90, 60))
    with pytest.raises(CloudyPointsError, match=r"90x60 at \(100, 17\) does not lie inside"):
        cropped(world(CAMERA), 100, 17, 90, 60)


def test_a_mirrored_picture_is_of_a_mirrored_world() -> None:
    agrees(mirrored(world(CAMERA)), SIDE)
    again = mirrored(mirrored(world(CAMERA)))
    assert again.camera.cx == pytest.approx(CAMERA.cx)
    np.testing.assert_array_equal(again.depth, world(CAMERA).depth)


@pytest.mark.parametrize("size", [(60, 40), (120, 80), (100, 90), (270, 180)])
def test_a_resize_is_another_focal_length(size: tuple[int, int]) -> None:
    sample = resized(world(CAMERA), *size)
    assert sample.camera.fx == pytest.approx(CAMERA.fx * size[0] / CAMERA.width)
    agrees(sample)


def test_a_resized_depth_has_no_mixture() -> None:
    """A car before a wall, a hole and sky keep their depths, and sparse depth its points."""
    depth = np.full((120, 180), 30, np.float32)
    depth[40:81, 50:101] = 12
    depth[90:, 50:101], depth[:11] = np.nan, np.inf
    base = dataclasses.replace(world(CAMERA), depth=depth)
    for size in ((77, 50), (250, 170)):
        found = resized(base, *size).depth
        assert np.unique(found[~np.isnan(found)].round(4)).tolist() == [12, 30, np.inf]
        for test in (np.isnan, np.isposinf, lambda d: d < 20):
            assert test(found).mean() == pytest.approx(test(depth).mean(), abs=0.01)
    sparse = np.full_like(depth, np.nan)
    sparse[1::3, 1::3] = np.arange(2400).reshape(40, 60) / 100 + 2
    small = resized(dataclasses.replace(base, depth=sparse), 60, 40)
    np.testing.assert_allclose(small.depth, sparse[1::3, 1::3], rtol=1e-6)


def test_a_point_is_found_where_the_new_camera_projects_it() -> None:
    """A red pixel at a known place in space, through crop, resize and mirror."""
    base = world(CAMERA)
    image, depth = np.zeros_like(base.image), np.full_like(base.depth, 40)
    image[63:66, 102:105], depth[63:66, 102:105] = (255, 0, 0), 7.5
    point = 7.5 * np.array([(103 - CAMERA.cx) / CAMERA.fx, (64 - CAMERA.cy) / CAMERA.fy, 1])
    sample = dataclasses.replace(base, image=image, depth=depth)
    for change, to in (
        (lambda s: cropped(s, 40, 20, 120, 90), (1, 1, 1)),
        (lambda s: resized(s, 60, 40), (1, 1, 1)),
        (mirrored, (-1, 1, 1)),
        (lambda s: mirrored(resized(cropped(s, 60, 30, 90, 60), 60, 40)), (-1, 1, 1)),
    ):
        found = change(sample)
        ((u, v),) = found.camera.project(point * to)
        rows, columns = np.nonzero(np.abs(found.depth - 7.5) < 1e-4)
        weight = found.image[..., 0].astype(float)
        assert (np.average(np.arange(found.camera.width), weights=weight.sum(0))) == pytest.approx(u, abs=0.02)
        assert (np.average(np.arange(found.camera.height), weights=weight.sum(1))) == pytest.approx(v, abs=0.02)
        assert abs(rows.mean() - v) <= 0.5 and abs(columns.mean() - u) <= 0.5


@pytest.mark.parametrize("size", [(96, 64), (96, 32), (40, 64)])
def test_fit_to_gives_just_that_size_and_a_true_camera(size: tuple[int, int]) -> None:
    shares = []
    for seed in range(40):
        sample = fit_to(np.random.default_rng(seed), world(CAMERA), *size, smallest=0.5)
        assert (sample.camera.width, sample.camera.height) == size == sample.depth.shape[::-1]
        agrees(sample)
        assert sample.camera.fx / sample.camera.fy == pytest.approx(CAMERA.fx / CAMERA.fy, rel=0.015)
        largest = min(CAMERA.width, CAMERA.height * size[0] / size[1])
        shares.append(CAMERA.fx * size[0] / sample.camera.fx / largest)
    assert 0.49 < min(shares) < 0.6 and 0.9 < max(shares) < 1.01
    whole = fit_to(np.random.default_rng(0), world(CAMERA), 90, 60)
    assert whole.camera == CAMERA.resized(90, 60)


def black(depth: np.ndarray) -> Sample:
    return Sample(np.zeros((*depth.shape, 3), np.uint8), depth, CAMERA)


def test_fog_follows_the_law_along_the_ray() -> None:
    depth = world(CAMERA).depth.copy()
    depth[:20] = np.inf
    x, y = CAMERA.rays()
    ranges = (depth * np.sqrt(1 + x**2 + y**2))[20:]
    betas = []
    for seed in range(12):
        image = fog(np.random.default_rng(seed), black(depth)).image.astype(float)
        light = image[0, 0]
        assert (image[:20] == light).all() and (light > 140).all()  # sky is all fog
        # Black scatters nothing back: what is seen is A (1 - t).
        beta = -np.log(1 - image[20:] / light) / ranges[..., None]
        clear = image[20:] < 0.7 * light  # where rounding leaves it defined
        if clear.sum() > 1000:
            assert beta[clear].std() < 0.06 * beta[clear].mean()
            middle = np.median(ranges[..., None][clear.any(-1)])
            near, far = (beta[clear & part[..., None]].mean() for part in (ranges < middle, ranges >= middle))
            assert near == pytest.approx(far, rel=0.03)
            betas.append(beta[clear].mean())
    assert len(betas) > 6 and 3 / 410 < min(betas) < 0.02 and 0.03 < max(betas) < 3 / 39
    white = Sample(np.full((120, 180, 3), 255, np.uint8), depth, CAMERA)
    assert (fog(np.random.default_rng(1), white).image[20:].mean()) > 165  # and light that is there is kept


def test_fog_sees_no_holes_and_needs_a_depth() -> None:
    depth = np.full((120, 180), 20, np.float32)
    depth[:, 90:] = 60
    whole = fog(np.random.default_rng(3), black(depth)).image
    holes = depth.copy()
    holes[50:60, 20:30] = holes[70:80, 120:130] = np.nan
    sample = fog(np.random.default_rng(3), black(holes))
    np.testing.assert_array_equal(sample.image, whole)
    np.testing.assert_array_equal(sample.depth, holes)  # the truth is not filled
    sparse = np.full_like(depth, np.nan)
    sparse[::4, ::4] = 20
    assert not fog(np.random.default_rng(3), black(sparse)).image.any()


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_changes_of_the_picture_leave_the_truth_alone(change: Callable[..., Sample]) -> None:
    sample = world(CAMERA)
    grain = np.random.default_rng(0).integers(0, 40, sample.image.shape, np.uint8)
    sample = dataclasses.replace(sample, image=sample.image // 2 + grain)
    before = sample.image.copy()
    changed = [change(np.random.default_rng(seed), sample) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(sample.image, before)
    np.testing.assert_array_equal(changed[0].image, changed[1].image)
    assert (changed[0].image != changed[2].image).any()
    assert (changed[0].image != before).mean() > 0.05 and changed[0].image.dtype == np.uint8
    assert changed[0].depth is sample.depth and changed[0].camera is sample.camera
    if change in (blur, jpeg):  # channels in their order, nothing shifted
        means = [
            image[:, :, c].reshape(12, 10, 18, 10).mean((1, 3))
            for image in (changed[0].image, before)
            for c in range(3)
        ]
        np.testing.assert_allclose(means[:3], means[3:], atol=7)


def test_noise_is_of_the_sensor_and_colours_stay_a_curve() -> None:
    half = np.zeros((120, 180, 3), np.uint8) + np.uint8(60)
    half[:, 90:] = 190
    sample = dataclasses.replace(world(CAMERA), image=half)
    spread = []
    for seed in range(20):
        error = CHANGES["noise"](np.random.default_rng(seed), sample).image.astype(float) - half
        assert abs(error.mean()) < 0.2
        assert error[:, 90:].std() > 1.1 * error[:, :90].std()  # more light, more noise
        assert abs(np.corrcoef(error[..., 0].ravel(), error[..., 1].ravel())[0, 1]) < 0.03
        spread.append(error.std())
    assert 0.7 < min(spread) < 2 and 8 < max(spread) < 16
    ramp = np.repeat(np.arange(180, dtype=np.uint8)[None, :, None], 120, 0).repeat(3, 2)
    means = []
    for seed in range(20):
        image = CHANGES["colour"](np.random.default_rng(seed), dataclasses.replace(sample, image=ramp)).image
        assert (np.diff(image.sum(2, dtype=int), axis=1) >= -2).all() and (image == image[:1]).all()
        assert image[0, 0].max() == 0 and image[0, 120].min() > 40
        means.append(image.mean())
    assert min(means) < 0.85 * ramp.mean() and max(means) > 1.15 * ramp.mean()


def test_a_recipe_is_kept() -> None:
    sample = world(CAMERA)
    assert augmented(np.random.default_rng(0), sample, PLAIN) is sample
    always = {name: float(name == "jpeg") for name in CHANGES}
    expected = np.random.default_rng(5)
    assert [expected.random() < 1 for _ in CHANGES] == [True] * 5
    np.testing.assert_array_equal(
        augmented(np.random.default_rng(5), sample, Recipe(**always)).image, jpeg(expected, sample).image
    )
    touched = [
        augmented(np.random.default_rng(s), sample, dataclasses.replace(PLAIN, blur=0.3)) is not sample
        for s in range(200)
    ]
    assert 0.2 < np.mean(touched) < 0.4
    with pytest.raises(ValueError, match=r"Recipe\.fog is 1\.5"):
        Recipe(fog=1.5)
