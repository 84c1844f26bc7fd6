from __future__ import annotations

import json
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.camera import Camera, save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.evaluation.flicker import Clip, flicker, trapezoid
from cloudypoints_training.evaluation.road import flat_road

CAMERA = Camera(320, 160, 250.0, 250.0, 159.5, 60.5)


def drive(scales: list[float], noise: float = 0.0, seed: int = 0) -> list[np.ndarray]:
    """Flat roads, each frame off by its factor and each pixel by noise."""
    rng = np.random.default_rng(seed)
    plane = flat_road(CAMERA)
    return [(plane * s * np.exp(rng.normal(0, noise, plane.shape))).astype(np.float32) for s in scales]


def test_the_trapezoid_is_the_road_ahead() -> None:
    where, plane = trapezoid(CAMERA, 1.65)
    rows, columns = np.divmod(where, CAMERA.width)
    np.testing.assert_allclose(plane, 1.65 * 250 / (rows - 60.5), rtol=1e-5)
    assert plane.min() >= 5 and 5 <= plane.max() <= 25
    across = (columns - 159.5) / 250 * plane
    assert np.abs(across).max() <= 1.5 and np.abs(across).max() > 1.4
    with pytest.raises(CloudyPointsError, match=r"0 pixels show the road .* --camera-height"):
        trapezoid(Camera(320, 60, 250.0, 250.0, 159.5, 60.5), 1.65)


def test_a_steady_road_does_not_flicker_whatever_its_scale() -> None:
    found = flicker(drive([0.8] * 5), CAMERA)
    assert (found.frames, found.frames_with_road, found.share) == (5, 5, 1)
    assert found.scale_mean == pytest.approx(0.8, rel=1e-5)
    assert max(found.shape_std, found.scale_std, found.scale_step) < 1e-6


def test_scale_and_shape_are_told_apart() -> None:
    scales = [1.0, 1.1, 1.0, 1.1, 1.0, 1.1]
    only_scale = flicker(drive(scales), CAMERA)
    assert only_scale.scale_std == pytest.approx(math.log(1.1) / 2, rel=1e-4)
    assert only_scale.scale_step == pytest.approx(math.log(1.1), rel=1e-4)
    assert only_scale.shape_std < 1e-6
    np.testing.assert_allclose(only_scale.scales, scales, rtol=1e-5)
    both = flicker(drive(scales * 10, noise=0.03), CAMERA)
    assert both.shape_std == pytest.approx(0.03, rel=0.03)
    assert both.scale_std == pytest.approx(math.log(1.1) / 2, rel=0.03)


def test_slow_drift_is_no_step() -> None:
    found = flicker(drive(np.linspace(1, 1.5, 50).tolist()), CAMERA)
    assert found.scale_std > 0.1 > 0.02 > found.scale_step


def test_a_lorry_on_the_road_is_not_road() -> None:
    depths = drive([0.9] * 6)
    for depth in depths[::2]:
        depth[40:110, 100:220] = np.minimum(depth[40:110, 100:220], 7.0 * 0.9)
    found = flicker(depths, CAMERA)
    np.testing.assert_allclose(found.scales, 0.9, rtol=0.04)  # its foot is as far as the road
    assert found.share < 0.95 and found.scale_mean == pytest.approx(0.9, rel=0.03)


def test_frames_without_road_are_left_out_and_too_few_are_refused() -> None:
    nothing = np.full((160, 320), np.nan, np.float32)
    found = flicker([*drive([1, 1.2]), nothing, *drive([1.2])], CAMERA)
    assert (found.frames, found.frames_with_road) == (4, 3) and math.isnan(found.scales[2])
    assert found.scale_step == pytest.approx(math.log(1.2), rel=1e-4)  # none across the gap
    with pytest.raises(CloudyPointsError, match="2 of 3 frames show"):
        flicker([*drive([1, 1]), nothing], CAMERA)


def test_a_clip_is_read_in_order_and_must_have_one_camera(tmp_path: Path) -> None:
    for i in (2, 10):
        image = np.zeros((160, 320, 3), np.uint8)
        image[..., 2] = 10 * i
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
    save_camera(CAMERA, tmp_path / "camera.json")
    clip = Clip.open(tmp_path)
    frames = list(clip.frames())
    assert len(clip) == 2 and clip.camera == CAMERA
    assert [(f.name, int(f.image[0, 0, 0])) for f in frames] == [("2", 20), ("10", 100)]  # RGB
    other = tmp_path / "z"
    other.mkdir()
    cv2.imwrite(str(other / "11.png"), image)
    record = json.loads((tmp_path / "camera.json").read_text())
    (other / "camera.json").write_text(json.dumps({**record, "fx": 99}))
    with pytest.raises(CloudyPointsError, match="another camera"):
        list(Clip.open(tmp_path).frames())
