"""Points: geometry, packing, ranges, strides, layouts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import LAYOUTS, POINT_STEP, Cloud, CloudOptions, cloud

NUMPY_TYPES = {2: "u1", 4: "<u2", 7: "<f4"}
DISTORTED = Camera(320, 240, 210.0, 212.0, 161.0, 119.0, "plumb_bob", (-0.28, 0.09, 0.0012, -0.0007, -0.01))
PINHOLE = Camera(320, 240, 210.0, 212.0, 161.0, 119.0)


def read(packed: Cloud) -> np.ndarray:
    """The points as a structured array, by the declared offsets."""
    names, offsets, kinds = zip(*LAYOUTS[packed.fields], strict=True)
    dtype = np.dtype(
        {"names": names, "offsets": offsets, "formats": [NUMPY_TYPES[k] for k in kinds], "itemsize": packed.point_step}
    )
    return np.frombuffer(packed.data, dtype)


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    depth = rng.uniform(1, 60, (240, 320)).astype(np.float32)
    depth[:50] = np.inf
    depth[100:110, 40:60] = np.nan
    return depth, rng.integers(0, 256, (240, 320, 3), np.uint8)


@pytest.mark.parametrize("camera", [PINHOLE, DISTORTED], ids=["pinhole", "distorted"])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("fields", LAYOUTS)
def test_every_point_projects_onto_its_pixel_with_its_depth(camera: Camera, stride: int, fields: str) -> None:
    depth, image = scene()
    packed = cloud(depth, camera, image, options=CloudOptions(fields, stride))
    points = read(packed)
    kept = np.isfinite(depth[::stride, ::stride])
    assert packed.is_dense and packed.height == 1 and packed.width == len(points) == kept.sum()
    v, u = np.argwhere(kept).T * stride
    np.testing.assert_array_equal(points["z"], depth[v, u])
    xyz = np.stack([points["x"], points["y"], points["z"]], -1)
    assert np.abs(camera.project(xyz) - np.stack([u, v], -1)).max() < 0.05


@pytest.mark.parametrize(("order", "red"), [("rgb", 0), ("bgr", 2)])
def test_colour_is_packed_as_pcl_does(order: str, red: int) -> None:
    depth, image = scene()
    for options in (CloudOptions("xyzrgb", 2), CloudOptions("xyzrgb", 2, organised=True)):
        points = read(cloud(depth, PINHOLE, image, order, options))
        bits = (
            points["rgb"].view(np.uint32) if points["rgb"].flags.c_contiguous else points["rgb"].copy().view(np.uint32)
        )
        kept = np.isfinite(depth[::2, ::2]) | options.organised
        pixels = image[::2, ::2][kept].astype(np.uint32)
        np.testing.assert_array_equal(bits, (pixels[:, red] << 16) | (pixels[:, 1] << 8) | pixels[:, 2 - red])


def test_xyzirc_is_autowares_layout() -> None:
    assert POINT_STEP["xyzirc"] == 16
    depth, image = scene()
    points = read(cloud(depth, PINHOLE, image, options=CloudOptions("xyzirc", 4)))
    v, u = np.argwhere(np.isfinite(depth[::4, ::4])).T
    r, g, b = image[::4, ::4][v, u].astype(float).T
    assert np.abs(points["intensity"] - (0.299 * r + 0.587 * g + 0.114 * b)).max() <= 1.5
    assert (points["return_type"] == 1).all()
    np.testing.assert_array_equal(points["channel"], v)


def test_organised_keeps_the_grid() -> None:
    depth, image = scene()
    packed = cloud(depth, PINHOLE, image, options=CloudOptions("xyzrgb", 4, organised=True))
    assert (packed.height, packed.width, packed.is_dense) == (60, 80, False)
    z = read(packed)["z"].reshape(60, 80)
    finite = np.isfinite(depth[::4, ::4])
    np.testing.assert_array_equal(np.isnan(z), ~finite)
    np.testing.assert_array_equal(z[finite], depth[::4, ::4][finite])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 7), st.floats(0, 30), st.floats(31, 70))
def test_range_and_count(seed: int, stride: int, low: float, high: float) -> None:
    depth, _ = scene(seed)
    packed = cloud(depth, PINHOLE, options=CloudOptions("xyz", stride, False, low, high))
    z = depth[::stride, ::stride]
    low32, high32 = np.float32(low), np.float32(high)
    np.testing.assert_array_equal(read(packed)["z"], z[(z >= low32) & (z <= high32)])


def test_an_empty_cloud_is_a_cloud() -> None:
    packed = cloud(np.full((240, 320), np.inf, np.float32), PINHOLE, options=CloudOptions("xyz"))
    assert packed.width == 0 and len(packed.data) == 0


def test_pixels_without_a_ray_are_no_points() -> None:
    camera = Camera(640, 480, 200.0, 200.0, 320.0, 240.0, "plumb_bob", (-0.4, 0.0, 0.0, 0.0))
    packed = cloud(np.full((480, 640), 5.0, np.float32), camera, options=CloudOptions("xyz", 1))
    points = read(packed)
    assert np.isfinite(points["x"]).all() and np.isfinite(points["y"]).all()
    assert packed.width == np.isfinite(camera.rays()[0]).sum()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"fields": "xyzi"}, "'xyzi' are not known"),
        ({"stride": 0}, "stride is 0"),
        ({"min_range_m": 5.0, "max_range_m": 5.0}, "maximum must exceed"),
    ],
)
def test_impossible_options(options: dict, sentence: str) -> None:
    with pytest.raises(CloudyPointsError, match=sentence):
        CloudOptions(**options)
