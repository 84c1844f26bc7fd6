"""Raw network output -> metres: quantities, canonical focal length, sky, holes, letterbox, upsampling."""

from __future__ import annotations

import numpy as np
import pytest

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.model_card import InputSize, Mask, ModelOutput
from cloudypoints_ros.postprocess import depth_map, inverse_depth
from cloudypoints_ros.preprocess import Placement, network_camera, place

SIZE = InputSize((64, 64), (320, 640), (512, 1024), 32)


def output(quantity: str = "depth", **more: object) -> ModelOutput:
    return ModelOutput("d", quantity, "metre", (0.5, 100.0), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("quantity", "raw", "metres"),
    [("depth", 12.0, 12.0), ("log_depth", np.log(12.0), 12.0), ("inverse_depth", 1 / 12, 12.0)],
)
def test_quantities(quantity: str, raw: float, metres: float) -> None:
    plane = np.full((4, 6), raw, np.float32)
    assert 1 / inverse_depth(plane, output(quantity), 300.0) == pytest.approx(np.full((4, 6), metres), rel=1e-5)


def test_canonical_focal_length_scales_metres() -> None:
    card = output(canonical_focal_px=500.0)
    plane = np.full((2, 2), 10.0, np.float32)
    assert 1 / inverse_depth(plane, card, 250.0) == pytest.approx(np.full((2, 2), 5.0), rel=1e-6)


def test_range_clips_and_nonsense_is_unknown() -> None:
    depth = np.array([[0.1, 10.0, 500.0, -1.0, 0.0, np.nan]], np.float32)
    z = 1 / inverse_depth(depth, output(), 1.0)[0]
    assert z[:3] == pytest.approx([0.5, 10.0, 100.0], rel=1e-5)
    assert np.isnan(z[3:]).all()
    inverse = np.array([[0.0, -1.0, np.nan, 10.0]], np.float32)
    z = 1 / inverse_depth(inverse, output("inverse_depth"), 1.0)[0]
    assert z[[0, 3]] == pytest.approx([100.0, 0.5], rel=1e-5) and np.isnan(z[1:3]).all()


def test_a_slanted_plane_comes_out_exact_at_camera_resolution() -> None:
    """A road 1.5 m below the camera: 1/Z is linear in v, so bilinear in 1/Z loses nothing."""
    camera = Camera(1242, 375, 700.0, 700.0, 620.0, 100.0)
    p = place(1242, 375, SIZE, "letterbox")
    small = network_camera(camera, p)
    rows = np.arange(p.height) - p.top
    inverse = np.maximum((rows - small.cy) / small.fy / 1.5, 0.02)
    raw = np.repeat((1 / inverse).astype(np.float32)[:, None], p.width, 1)
    depth = depth_map({"d": raw[None, None]}, output(), camera, p)
    assert depth.shape == (375, 1242) and depth.dtype == np.float32
    v = np.arange(140, 373)
    expected = 1.5 * camera.fy / (v - camera.cy)
    np.testing.assert_allclose(depth[140:373, 700], expected, rtol=2e-3)


def test_half_resolution_output_is_aligned() -> None:
    camera = Camera(640, 320, 500.0, 500.0, 319.5, 159.5)
    p = place(640, 320, SIZE, "letterbox")
    centres = (np.arange(320) + 0.5) * 2 - 0.5
    raw = np.repeat((1 / (0.05 + centres * 1e-4)).astype(np.float32)[None], 160, 0)
    depth = depth_map({"d": raw[None]}, output(), camera, p)
    np.testing.assert_allclose(1 / depth[100, 2:-2], 0.05 + np.arange(2, 638) * 1e-4, rtol=1e-4)


def test_letterbox_never_bleeds_in() -> None:
    camera = Camera(1242, 375, 700.0, 700.0, 620.0, 100.0)
    p = place(1242, 375, SIZE, "letterbox")
    raw = np.full((1, 1, p.height, p.width), 90.0, np.float32)
    raw[..., p.top : p.top + p.image_height, :] = 10.0
    depth = depth_map({"d": raw}, output(), camera, p)
    np.testing.assert_allclose(depth, 10.0, rtol=1e-5)


@pytest.mark.parametrize(("sense", "value"), [("above", 1.0), ("below", -1.0)])
def test_sky_is_infinite_invalid_is_nan_and_neither_spoils_its_neighbour(sense: str, value: float) -> None:
    camera = Camera(640, 320, 500.0, 500.0, 319.5, 159.5)
    p = Placement(64, 32, 0, 0, 64, 32)
    raw = np.full((1, 1, 32, 64), 20.0, np.float32)
    sky = np.zeros_like(raw)
    sky[..., :10, :] = value
    valid = np.ones_like(raw)
    valid[..., 20:, :30] = 0
    raw[..., :10, :] = 3.0  # what the network says under its own sky is meaningless
    raw[..., 20:, :30] = np.nan
    card = output(sky=Mask("sky", sense, value / 2), validity=Mask("valid", "above", 0.5))
    depth = depth_map({"d": raw, "sky": sky, "valid": valid}, card, camera, p)
    assert np.isposinf(depth[:99]).all()
    assert np.isnan(depth[201:, :289]).all()  # the corner is rounded
    assert np.isnan(depth[211:, :299]).all()
    rest = np.ones(depth.shape, bool)
    rest[:101] = False
    rest[199:, :301] = False
    np.testing.assert_allclose(depth[rest], 20.0, rtol=1e-5)
    known = np.isfinite(depth)
    np.testing.assert_allclose(depth[known], 20.0, rtol=1e-5)  # no mixed values at the borders


def test_nan_without_a_validity_output_is_nan() -> None:
    camera = Camera(64, 32, 50.0, 50.0, 31.5, 15.5)
    raw = np.full((1, 1, 32, 64), 20.0, np.float32)
    raw[..., 5, 7] = np.nan
    depth = depth_map({"d": raw}, output(), camera, Placement(64, 32, 0, 0, 64, 32))
    assert np.argwhere(np.isnan(depth)).tolist() == [[5, 7]]
