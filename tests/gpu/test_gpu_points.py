"""Packing on tensors: the CPU's cloud, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.files import millimetres as on_cpu
from cloudypoints_ros.geometry import LAYOUTS, CloudOptions, cloud
from cloudypoints_ros.gpu.points import extra_words, millimetres, pack, packs, point_words, rays

CAMERAS = {
    "pinhole": Camera(163, 121, 110.0, 112.0, 81.0, 59.0),
    "distorted": Camera(163, 121, 110.0, 112.0, 81.0, 59.0, "plumb_bob", (-0.28, 0.09, 0.0012, -0.0007, -0.01)),
    # Its corners have no ray.
    "blind": Camera(163, 121, 60.0, 60.0, 81.0, 59.0, "plumb_bob", (-0.35, 0.0, 0.0, 0.0)),
}


def scene() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 60, (121, 163)).astype(np.float32)
    depth[:20] = np.inf
    depth[50:60, 40:60] = np.nan
    return depth, rng.integers(0, 256, (121, 163, 3), np.uint8)


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
@pytest.mark.parametrize("organised", [False, True])
@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("fields", LAYOUTS)
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_points_are_the_cpus(camera: Camera, organised: bool, stride: int, fields: str, order: str) -> None:
    depth, image = scene()
    options = CloudOptions(fields, stride, organised, 2.5, 40.0)
    expected = cloud(depth, camera, image, order, options)
    small = torch.from_numpy(np.stack([np.full_like(depth, np.nan), depth]))[:, ::stride, ::stride]
    colours = torch.from_numpy(np.stack([image, image]))[:, ::stride, ::stride]
    extra = None if fields == "xyz" else extra_words(colours, order, fields)
    places = small.shape[1] * small.shape[2]
    out = torch.zeros(2, places + 1, point_words(fields), dtype=torch.int32)
    none, count = pack(small, *rays(camera, stride), extra, options, out).tolist()
    assert none == (places if organised else 0)
    assert count == expected.width * expected.height > 200
    got = out[1, :count].numpy().view(np.float32)
    wanted = expected.data.view(np.float32).reshape(got.shape)
    # A NaN may have any sign; the word beside it is bytes.
    np.testing.assert_array_equal(got[:, :3], wanted[:, :3])
    np.testing.assert_array_equal(got[:, 3:].view(np.int32), wanted[:, 3:].view(np.int32))


def test_rays_of_a_pinhole_are_a_row_and_a_column() -> None:
    x, y = rays(CAMERAS["pinhole"], 4)
    assert x.shape == (1, 41) and y.shape == (31, 1)
    assert rays(CAMERAS["distorted"], 4)[0].shape == (31, 41)


def test_millimetres_are_the_cpus() -> None:
    edges = [0, 4e-4, 6e-4, 1.0005, 32.767, 32.768, 65.535, 65.5354, 65.536, 200, np.inf, -np.inf, np.nan, -1]
    depth = np.concatenate([edges, np.random.default_rng(0).uniform(0, 70, 5000)]).astype(np.float32)
    whole, too_far = millimetres(torch.from_numpy(depth))
    np.testing.assert_array_equal(whole.numpy().view(np.uint16), on_cpu(depth))
    np.testing.assert_array_equal(too_far.numpy(), np.isfinite(depth) & (on_cpu(depth) == 0) & (depth > 1))
    assert too_far.sum() > 100


def test_filters_stay_on_the_cpu() -> None:
    assert packs(CloudOptions("xyz", 2, True, 1.0, 9.0))
    for options in (CloudOptions(voxel_m=0.1), CloudOptions(min_incidence_deg=2), CloudOptions(max_height_m=3)):
        assert not packs(options)
