from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapes_tree import write_tree

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import Rig
from cloudypoints_training.disparity import (
    depth_of,
    disparity_from_depth,
    disparity_px,
    read_disparity,
    resized_disparity,
)


def test_a_disparity_of_known_depth_comes_back_within_its_quantisation(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path, {"train": {"aachen": 1}})
    depth = depth_of(disparity_px(read_disparity(written.frame.require("disparity"))), written.rig)
    known = ~written.unseen
    assert 0.3 < known.mean() < 0.9
    assert np.isnan(depth[~known]).all()
    bf = written.rig.baseline_m * written.rig.camera.fx
    off = np.abs(bf / depth[known] - bf / written.depth[known])  # in pixels of disparity
    assert off.max() <= 0.5 / 256 + 1e-4


def test_the_three_kinds_of_disparity() -> None:
    rig = Rig(Camera(5, 1, 1000.0, 1000.0, 2.0, 0.0), 0.25)
    raw = np.array([[0, 1, 2, 257, 65535]], np.uint16)
    depth = depth_of(disparity_px(raw), rig)
    assert np.isnan(depth[0, 0]) and np.isposinf(depth[0, 1])
    np.testing.assert_allclose(depth[0, 2:], [0.25 * 1000 * 256, 0.25 * 1000, 0.25 * 1000 * 256 / 65534], rtol=1e-6)
    np.testing.assert_array_equal(disparity_from_depth(depth, rig), raw)
    assert disparity_from_depth(np.array([[0.5]]), rig)[0, 0] == 0  # 500 px do not fit


def test_a_damaged_disparity_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a_disparity.png"
    path.write_bytes(b"no picture")
    with pytest.raises(CloudyPointsError, match=r"a_disparity.png is unreadable; expected a 16-bit"):
        read_disparity(path)


def test_only_a_16_bit_grey_picture_is_a_disparity(tmp_path: Path) -> None:
    path = tmp_path / "a_disparity.png"
    cv2.imwrite(str(path), np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(CloudyPointsError, match=r"is uint8 with shape \(4, 6, 3\); expected a 16-bit"):
        read_disparity(path)


@pytest.mark.parametrize("size", [(128, 64), (100, 48), (64, 32), (400, 190), (256, 128)])
def test_a_plane_keeps_its_depth_when_it_is_resized(size: tuple[int, int]) -> None:
    camera = Camera(256, 128, 280.0, 280.0, 130.0, 20.0)
    rig = Rig(camera, 0.22)

    def road(camera: Camera) -> np.ndarray:
        below = np.arange(camera.height)[:, None] - camera.cy + 0.1 * (np.arange(camera.width) - camera.cx)
        with np.errstate(divide="ignore"):
            return np.where(below > 0, 1.2 * camera.fy / below, np.nan)

    far = road(camera) > 100
    depth = np.where(far, np.nan, road(camera))
    disparity = rig.baseline_m * camera.fx / depth
    out = depth_of(resized_disparity(disparity.astype(np.float32), *size), rig)
    small = camera.resized(*size)
    # Its equation in the resized camera, whose pixels are no longer square.
    below = (np.arange(size[1])[:, None] - small.cy) / small.fy + 0.1 * (np.arange(size[0]) - small.cx) / small.fx
    with np.errstate(divide="ignore"):
        truth = np.where(below > 0, 1.2 / below, np.nan)
    inner = np.s_[: int(0.95 * size[1]), 2:-2]
    sure = (truth < 80)[inner]
    assert sure.mean() > 0.4 and np.isfinite(out[inner][sure]).all()
    error = np.abs(out[inner] / truth[inner] - 1)[sure]
    assert np.quantile(error, 0.98) < 1e-3  # beside the edge to the unknown it is the nearest pixel's


def test_edges_and_holes_and_sky_do_not_mix() -> None:
    near, far, hole, sky = 40.0, 4.0, np.nan, 0.0
    disparity = np.tile(np.array([near, near, near, far, far, hole, hole, far, sky, sky, 0.5, 0.5], np.float32), (6, 1))
    for width in (3, 4, 5, 6, 7, 12, 17, 40):
        out = resized_disparity(disparity, width, 3)
        assert set(out[np.isfinite(out)]) <= {np.float32(v) for v in (near, far, sky, 0.5)}
        # the same width of each as before, to a pixel
        for value in (near, far, sky):
            assert abs((out[0] == value).mean() - (disparity[0] == value).mean()) <= 1.01 / min(width, 12)
        assert abs(np.isnan(out[0]).mean() - 2 / 12) <= 1.01 / min(width, 12)


def test_the_same_size_is_the_same_disparity() -> None:
    disparity = np.random.default_rng(0).uniform(0, 60, (20, 30)).astype(np.float32)
    disparity[4:7, 3:9] = np.nan
    np.testing.assert_array_equal(resized_disparity(disparity, 30, 20), disparity)
    assert resized_disparity(disparity[:1, :1], 3, 2).shape == (2, 3)
