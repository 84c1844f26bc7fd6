"""Cameras against OpenCV's own undistortion, and the arithmetic of resizing and cropping."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloudypoints_ros.camera import Calibration, Camera, camera_from_hfov, load_calibration, load_camera, save_camera
from cloudypoints_ros.errors import CloudyPointsError

PINHOLE = Camera(640, 320, 500.0, 510.0, 310.0, 170.0)
LENSES = {
    "plumb_bob": Camera(640, 480, 420.0, 425.0, 322.0, 238.0, "plumb_bob", (-0.28, 0.09, 0.0012, -0.0007, -0.01)),
    "rational_polynomial": Camera(
        640, 480, 420.0, 425.0, 322.0, 238.0, "rational_polynomial", (0.4, 0.1, 1e-4, -2e-4, 0.01, 0.75, 0.2, 0.02)
    ),
    "equidistant": Camera(640, 480, 300.0, 302.0, 322.0, 238.0, "equidistant", (-0.02, 0.004, -0.001, 0.0002)),
}


def pixels(camera: Camera) -> np.ndarray:
    u, v = np.meshgrid(np.arange(camera.width, dtype=float), np.arange(camera.height, dtype=float))
    return np.stack([u, v], -1).reshape(-1, 2)


def rays(camera: Camera) -> np.ndarray:
    return np.stack(camera.rays(), -1).reshape(-1, 2)


def test_pinhole_rays_are_the_textbook_formula() -> None:
    x, y = PINHOLE.rays()
    assert x.shape == y.shape == (320, 640) and x.dtype == np.float32
    assert x[7, 100] == pytest.approx((100 - 310) / 500, rel=1e-6)
    assert y[7, 100] == pytest.approx((7 - 170) / 510, rel=1e-6)


@pytest.mark.parametrize("model", LENSES)
def test_every_ray_projects_back_onto_its_pixel(model: str) -> None:
    camera = LENSES[model]
    xy = rays(camera).astype(float)
    known = ~np.isnan(xy).any(1)
    assert known.mean() > 0.99
    uv = camera.project(np.concatenate([xy, np.ones((len(xy), 1))], 1)[known])
    assert np.abs(uv - pixels(camera)[known]).max() < 0.05


@pytest.mark.parametrize("model", LENSES)
def test_projection_agrees_with_opencvs_rectification_map(model: str) -> None:
    """The map says where each undistorted pixel is found in the raw image: its ray must project there."""
    camera = LENSES[model]
    init = cv2.fisheye.initUndistortRectifyMap if model == "equidistant" else cv2.initUndistortRectifyMap
    size = (camera.width, camera.height)
    map_x, map_y = init(camera.matrix, np.array(camera.d), np.eye(3), camera.matrix, size, cv2.CV_32FC1)
    undistorted = (pixels(camera) - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    uv = camera.project(np.concatenate([undistorted, np.ones((len(undistorted), 1))], 1))
    np.testing.assert_allclose(uv, np.stack([map_x, map_y], -1).reshape(-1, 2), atol=1e-3)


def test_equidistant_follows_its_formula() -> None:
    """theta_d = theta (1 + k1 theta^2 + ...), Kannala-Brandt as OpenCV documents it."""
    camera = LENSES["equidistant"]
    point = np.array([[0.8, -0.5, 1.0]])
    r = np.hypot(0.8, 0.5)
    theta = np.arctan(r)
    bent = theta * (1 + sum(k * theta ** (2 * i + 2) for i, k in enumerate(camera.d)))
    expected = [camera.fx * bent * 0.8 / r + camera.cx, camera.fy * bent * -0.5 / r + camera.cy]
    assert camera.project(point)[0] == pytest.approx(expected, abs=1e-9)


def test_a_lens_that_cannot_be_inverted_gives_nan_not_a_wrong_ray() -> None:
    camera = Camera(640, 480, 200.0, 200.0, 320.0, 240.0, "plumb_bob", (-0.4, 0.0, 0.0, 0.0))
    xy = rays(camera).astype(float)
    known = ~np.isnan(xy).any(1)
    assert 0.1 < known.mean() < 0.99
    assert not known[0] and known[240 * 640 + 320]
    uv = camera.project(np.concatenate([xy[known], np.ones((known.sum(), 1))], 1))
    assert np.abs(uv - pixels(camera)[known]).max() < 0.05


@given(st.integers(1, 4), st.integers(1, 4))
def test_scaling_keeps_the_ray_of_a_pixel_corner(sx: int, sy: int) -> None:
    """The image's outer corner is u = -0.5 at any size."""
    scaled = PINHOLE.scaled(1 / sx, 1 / sy)
    for camera, fx_ratio in ((scaled, sx),):
        assert (-0.5 - camera.cx) / camera.fx == pytest.approx((-0.5 - PINHOLE.cx) / PINHOLE.fx)
        assert (-0.5 - camera.cy) / camera.fy == pytest.approx((-0.5 - PINHOLE.cy) / PINHOLE.fy)
        assert camera.fx * fx_ratio == pytest.approx(PINHOLE.fx)


@given(st.integers(0, 600), st.integers(0, 300))
def test_cropping_keeps_the_rays(x: int, y: int) -> None:
    crop = PINHOLE.cropped(x, y, 640 - x, 320 - y)
    whole = PINHOLE.rays()
    for ray, full in zip(crop.rays(), whole, strict=True):
        np.testing.assert_allclose(ray, full[y:, x:], atol=1e-6)


def test_a_crop_outside_the_image_is_refused() -> None:
    with pytest.raises(CloudyPointsError, match=r"100x100 at \(600, 0\) does not lie inside the 640x320"):
        PINHOLE.cropped(600, 0, 100, 100)


def test_roi_and_binning_fold_into_k_and_p() -> None:
    calibration = Calibration(
        width=1280,
        height=960,
        k=(800.0, 0, 640.0, 0, 810.0, 480.0, 0, 0, 1),
        p=(790.0, 0, 630.0, -79.0, 0, 790.0, 470.0, 0, 0, 0, 1, 0),
        roi=(200, 100, 800, 600),
        binning=(2, 2),
    )
    folded = calibration.folded()
    assert (folded.width, folded.height) == (400, 300)
    assert folded.roi == (0, 0, 0, 0) and folded.binning == (1, 1)
    assert folded.k[0] == 400 and folded.k[2] == pytest.approx((640 - 200 + 0.5) / 2 - 0.5)
    assert folded.k[4] == 405 and folded.k[5] == pytest.approx((480 - 100 + 0.5) / 2 - 0.5)
    assert folded.p[0] == 395 and folded.p[3] == -39.5 and folded.p[2] == pytest.approx((630 - 200 + 0.5) / 2 - 0.5)
    assert folded.folded() == folded


def test_an_unset_p_stays_unset_and_a_roi_outside_is_refused() -> None:
    k = (800.0, 0.0, 640.0, 0.0, 810.0, 480.0, 0.0, 0.0, 1.0)
    assert Calibration(1280, 960, k, roi=(200, 100, 800, 600), binning=(2, 2)).folded().p == (0.0,) * 12
    with pytest.raises(CloudyPointsError, match="on a 1280x960 sensor; expected one inside it"):
        Calibration(1280, 960, k, roi=(600, 100, 800, 600)).folded()


def test_resizing_a_calibration_scales_k_and_p() -> None:
    k = (420.0, 0, 322.0, 0, 425.0, 238.0, 0, 0, 1)
    p = (400.0, 0, 300.0, -40.0, 0, 400.0, 230.0, 0, 0, 0, 1.0, 0)
    calibration = Calibration(640, 480, k, p=p)
    half = calibration.resized(320, 240)
    assert (half.width, half.height, half.k[0], half.k[4]) == (320, 240, 210.0, 212.5)
    assert half.k[2] == pytest.approx(322.5 / 2 - 0.5) and half.k[5] == pytest.approx(238.5 / 2 - 0.5)
    assert half.p[0] == 200.0 and half.p[3] == -20.0
    assert half.camera() == calibration.camera().resized(320, 240)


def test_rays_at_a_stride_are_every_nth_ray() -> None:
    for camera in (PINHOLE, LENSES["plumb_bob"]):
        for some, full in zip(camera.rays(3), camera.rays(), strict=True):
            np.testing.assert_allclose(some, full[::3, ::3], atol=1e-6)


def test_a_filled_up_rational_lens_is_the_same_lens() -> None:
    lens = LENSES["rational_polynomial"]
    filled = Camera(640, 480, lens.fx, lens.fy, lens.cx, lens.cy, lens.model, (*lens.d, *(0.0,) * 6))
    for a, b in zip(lens.rays(), filled.rays(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_rectified_reads_p_and_raw_reads_k() -> None:
    calibration = Calibration(
        width=640,
        height=480,
        k=(420.0, 0, 322.0, 0, 425.0, 238.0, 0, 0, 1),
        d=(-0.28, 0.09, 0.0012, -0.0007, -0.01),
        p=(400.0, 0, 300.0, 0, 0, 400.0, 230.0, 0, 0, 0, 1, 0),
    )
    raw, rectified = calibration.camera(), calibration.camera(rectified=True)
    assert (raw.fx, raw.cx, raw.d[0]) == (420.0, 322.0, -0.28)
    assert (rectified.fx, rectified.cx, rectified.distorted) == (400.0, 300.0, False)
    with pytest.raises(CloudyPointsError, match="no projection matrix P"):
        Calibration.of(PINHOLE).__class__(width=640, height=480, k=calibration.k).camera(rectified=True)


def test_an_image_of_another_size_is_refused_with_both_sizes() -> None:
    calibration = Calibration.of(PINHOLE)
    calibration.require_image(640, 320)
    with pytest.raises(CloudyPointsError, match=r"640x320 image .* but the image is 640x480"):
        calibration.require_image(640, 480)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fx": 0.0}, "focal lengths must be positive"),
        ({"cx": float("nan")}, "focal lengths must be positive"),
        ({"width": 0}, "both must be at least 1 pixel"),
        ({"model": "thin_prism"}, "'thin_prism' is not known; expected one of plumb_bob"),
        ({"d": (0.1, float("nan"), 0.0, 0.0)}, "expected finite numbers"),
        ({"d": (0.1, 0.2)}, "came with 2 coefficients; expected 0 or 4 or 5"),
    ],
)
def test_impossible_cameras_are_refused(change: dict, sentence: str) -> None:
    values = {"width": 640, "height": 320, "fx": 500.0, "fy": 500.0, "cx": 320.0, "cy": 160.0} | change
    with pytest.raises(CloudyPointsError, match=sentence):
        Camera(**values)


def test_json_round_trip(tmp_path: Path) -> None:
    for camera in (PINHOLE, LENSES["plumb_bob"], LENSES["equidistant"]):
        save_camera(camera, tmp_path / "camera.json")
        assert load_camera(tmp_path / "camera.json") == camera


def test_cityscapes_camera_json(tmp_path: Path) -> None:
    record = {
        "extrinsic": {"baseline": 0.209313, "pitch": 0.038, "roll": 0.0, "x": 1.7, "y": 0.1, "yaw": -0.0195, "z": 1.22},
        "intrinsic": {"fx": 2262.52, "fy": 2265.3017905988554, "u0": 1096.98, "v0": 513.137},
    }
    (tmp_path / "camera.json").write_text(json.dumps(record))
    assert load_camera(tmp_path / "camera.json") == Camera(2048, 1024, 2262.52, 2265.3017905988554, 1096.98, 513.137)


def test_camera_calibration_yaml(tmp_path: Path) -> None:
    (tmp_path / "camera_info.yaml").write_text(
        """image_width: 640
image_height: 480
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [420.0, 0, 322.0, 0, 425.0, 238.0, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [-0.28, 0.09, 0.0012, -0.0007, -0.01]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [400.0, 0, 300.0, 0, 0, 400.0, 230.0, 0, 0, 0, 1, 0]}
"""
    )
    calibration = load_calibration(tmp_path / "camera_info.yaml")
    assert calibration.camera() == LENSES["plumb_bob"]
    assert calibration.camera(rectified=True).fx == 400.0


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("camera.json", '{"width": 3}', "has no 'height'"),
        ("camera.json", "{", "cannot be understood"),
        ("camera.json", '{"width": 9, "height": 9, "fx": "a", "fy": 1, "cx": 1, "cy": 1}', "cannot be understood"),
        ("camera.yaml", "- 1", "holds no mapping"),
        (
            "camera.yaml",
            "{image_width: 9, image_height: 9, camera_matrix: {data: [1, 0, 1, 0, 1, 1, 0, 0]},"
            " distortion_coefficients: {data: []}}",
            "camera_matrix has 8 numbers, expected 9",
        ),
        ("camera.yaml", "{", "is not YAML"),
    ],
)
def test_broken_camera_files_say_what_is_wrong(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(CloudyPointsError, match=sentence):
        load_camera(tmp_path / name)
    with pytest.raises(CloudyPointsError, match="cannot be read"):
        load_camera(tmp_path / "absent.json")


def test_field_of_view() -> None:
    camera = camera_from_hfov(1000, 500, 90.0)
    assert camera.fx == pytest.approx(500.0) and camera.cx == 499.5 and camera.cy == 249.5
    with pytest.raises(CloudyPointsError, match="expected 0 to 180"):
        camera_from_hfov(1000, 500, 180.0)
