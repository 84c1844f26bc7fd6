"""What counts, what needs no network, and what means mean."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cloudypoints_ros.camera import Camera
from cloudypoints_training.evaluation.floors import floor_maps, row_mean, row_profile, survey
from cloudypoints_training.evaluation.means import bootstrap, over_images, over_sources
from cloudypoints_training.evaluation.protocols import PROTOCOLS
from cloudypoints_training.evaluation.road import CAMERA_HEIGHT_M, Road, fit_road, flat_road, near_objects
from cloudypoints_training.sample import Sample

CAMERA = Camera(160, 80, 100.0, 100.0, 79.5, 29.5)


def road_depth(camera: Camera, height_m: float, pitch_deg: float = 0.0, roll_deg: float = 0.0) -> np.ndarray:
    """Depth of a tilted plane, NaN above its horizon: solved per ray, with a rotation made of sines."""
    pitch, roll = math.radians(pitch_deg), math.radians(roll_deg)
    normal = (math.sin(roll), math.cos(roll) * math.cos(pitch), math.cos(roll) * math.sin(pitch))
    depth = np.full((camera.height, camera.width), np.nan, np.float32)
    for v in range(camera.height):
        for u in range(camera.width):
            ray = ((u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, 1.0)
            slope = sum(n * r for n, r in zip(normal, ray, strict=True))
            if slope > 1e-3:
                depth[v, u] = height_m / slope
    return depth


def sample(depth: np.ndarray, name: str, source: str, camera: Camera = CAMERA) -> Sample:
    return Sample(np.zeros((*depth.shape, 3), np.uint8), depth.astype(np.float32), camera, name, source)


def test_the_cityscapes_crop_is_the_papers_on_the_full_image() -> None:
    """ManyDepth: depth[:768] of 1024 rows, then [256:, 192:1856]."""
    truth = np.arange(1024 * 2048, dtype=np.float32).reshape(1024, 2048) % 70 + 1
    kept = PROTOCOLS["cityscapes"].region(truth)
    papers = np.full_like(truth, np.nan)
    papers[256:768, 192:1856] = truth[:768][256:, 192:1856]
    np.testing.assert_array_equal(kept, papers)
    half = PROTOCOLS["cityscapes"].region(truth[::2, ::2])
    assert np.argwhere(~np.isnan(half)).min(0).tolist() == [128, 96]
    assert np.argwhere(~np.isnan(half)).max(0).tolist() == [383, 927]


def test_the_kitti_crop_is_gargs() -> None:
    truth = np.full((375, 1242), 0.5, np.float32)  # nearer than the plain protocol counts
    kept = PROTOCOLS["kitti"].region(truth)
    rows, columns = (np.unique(c) for c in np.nonzero(~np.isnan(kept)))
    crop = np.array([0.40810811 * 375, 0.99189189 * 375, 0.03594771 * 1242, 0.96405229 * 1242]).astype(int)
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == tuple(crop) == (153, 371, 44, 1197)
    assert not PROTOCOLS["plain"].counts(truth)


def test_what_is_out_of_range_is_unknown_and_sky_stays() -> None:
    kept = PROTOCOLS["plain"].region(np.array([[0.9, 1.0, 80.0, 80.5, np.inf, np.nan]], np.float32))
    np.testing.assert_array_equal(kept, np.array([[np.nan, 1.0, 80.0, np.nan, np.inf, np.nan]], np.float32))
    assert not PROTOCOLS["plain"].counts(np.full((2, 2), np.inf))


def test_the_flat_road() -> None:
    depth = flat_road(CAMERA)
    assert depth.dtype == np.float32 and (depth[:30] == 80).all()
    np.testing.assert_allclose(depth[40], 1.65 * 100 / (40 - 29.5), rtol=1e-6)
    below = road_depth(CAMERA, 1.2)
    np.testing.assert_allclose(flat_road(CAMERA, 1.2)[35:], below[35:], rtol=1e-5)


@pytest.mark.parametrize(("height", "pitch", "roll"), [(1.2, 0.0, 0.0), (1.65, 3.0, -2.0), (2.4, -2.0, 4.0)])
def test_a_road_is_found_under_traffic(height: float, pitch: float, roll: float) -> None:
    rng = np.random.default_rng(0)
    depth = road_depth(CAMERA, height, pitch, roll)
    depth *= 1 + rng.normal(0, 0.003, depth.shape).astype(np.float32)
    depth[30:60, 20:60] = 6.0  # a lorry
    depth[rng.random(depth.shape) < 0.5] = np.nan
    road = fit_road(depth, CAMERA)
    assert road.fitted and road.height_m == pytest.approx(height, rel=0.02)
    assert math.degrees(math.atan2(road.normal[2], road.normal[1])) == pytest.approx(pitch, abs=0.5)
    assert math.degrees(math.asin(road.normal[0])) == pytest.approx(roll, abs=0.5)
    assert fit_road(depth, CAMERA) == road


def test_no_road_is_no_road() -> None:
    assert fit_road(np.full((80, 160), 12.0, np.float32), CAMERA) == Road()  # a wall
    assert fit_road(np.full((80, 160), np.nan, np.float32), CAMERA) == Road()
    assert Road().height_m == CAMERA_HEIGHT_M and not Road().fitted


def test_near_objects_stand_on_the_road() -> None:
    depth = road_depth(CAMERA, 1.5)
    depth[30:48, 40:60] = 8.0  # bottom 1.5 - 8 * 18.5 / 100 = 0.02 m above the road
    depth[20:35, 100:120] = 15.0
    near = near_objects(depth, CAMERA, Road((0.0, 1.0, 0.0), 1.5, True))
    rows, columns = np.nonzero(near)
    # 0.3 m above the road at 8 m is row 29.5 + 1.2 / 8 * 100 = 44.5.
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 44, 40, 59)
    assert near.sum() == 15 * 20


def test_row_mean_leaves_the_image_itself_out() -> None:
    depths = [np.full((64, 96), metres, np.float32) for metres in (10, 20, 60)]
    depths[1][32:] = np.nan
    depths[2][:16] = np.nan
    profiles = np.array([row_profile(depth) for depth in depths])
    first = row_mean(profiles, 0, (64, 96))
    assert (first[:16] == 20).all() and (first[16:32] == 40).all() and (first[32:] == 60).all()
    assert (row_mean(profiles, 1, (128, 5))[-60:] == 35).all()  # another size, the same rows
    assert np.isnan(row_mean(profiles[:1], 0, (64, 96))).all()
    # Rows of which nobody knows anything take the nearest.
    assert (row_mean(profiles[[0, 1]], 0, (64, 96)) == 20).all()


def test_the_survey_finds_the_best_constant_of_the_mean_over_sources() -> None:
    tens = [sample(np.full((80, 160), 10.0), f"a{i}", "a") for i in range(3)]
    others = [sample(np.full((80, 160), 20.0), "b", "b"), sample(np.full((80, 160), np.nan), "none", "c")]
    found = survey(enumerate([others[1], *tens, others[0]]), PROTOCOLS["plain"])
    assert found.indices == [1, 2, 3, 4] and found.without_truth == ["none"]
    assert found.best_constant().best_m == 10 and found.best_constant().raw.min() == pytest.approx(0.25)
    assert found.best_constant_of("b").best_m == 20 and found.best_constant_of("b").raw.min() == 0
    maps = floor_maps(others[0], 3, found, 10.0)
    assert set(maps) == {"constant", "row_mean", "flat_road"}
    assert (maps["constant"] == 10).all() and (maps["row_mean"] == 10).all()
    np.testing.assert_array_equal(maps["flat_road"], flat_road(CAMERA))


def test_means_over_sources_and_images() -> None:
    values = np.array([[1.0, np.nan], [3.0, 5.0], [10.0, np.nan]])
    sources = ["a", "a", "b"]
    assert over_sources(values, sources) == pytest.approx([6.0, 5.0])
    assert over_images(values) == pytest.approx([14 / 3, 5.0])
    assert math.isnan(over_images(np.full((2, 1), np.nan))[0])


def test_the_bootstrap_is_as_wide_as_the_textbook_says() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(1, 0.2, (60, 1)), rng.normal(3, 0.6, (90, 1))])
    sources = ["a"] * 60 + ["b"] * 90
    low, high = bootstrap(values, sources, 4000)
    error = math.sqrt(values[:60].var() / 60 + values[60:].var() / 90) / 2
    middle = over_sources(values, sources)[0]
    assert (low[0], high[0]) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=0.1 * error)
    np.testing.assert_array_equal(bootstrap(values, sources, 100), bootstrap(values, sources, 100))
    one = bootstrap(np.array([[2.0, np.nan]]), ["a"], 50)
    assert one[:, 0].tolist() == [2, 2] and np.isnan(one[:, 1]).all()
