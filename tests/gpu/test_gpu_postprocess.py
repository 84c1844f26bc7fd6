"""Depth on tensors: the CPU's, NaN and sky included."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.gpu.postprocess import depth_map, neighbours
from cloudypoints_ros.model_card import InputSize, Mask, ModelOutput
from cloudypoints_ros.postprocess import depth_map as on_cpu
from cloudypoints_ros.preprocess import network_camera, place

SIZE = InputSize((64, 64), (320, 640), (512, 1024), 32)
CPU = torch.device("cpu")
# A pixel whose neighbours are half sky may fall either way by the last bit of a weight.
UNDECIDED = 1e-4


def outputs_of(quantity: str, shape: tuple[int, int], dims: int) -> dict[str, np.ndarray]:
    """Smooth depth with steps, patches of sky and of nothing, and numbers that are none."""
    rng = np.random.default_rng(3)
    metres = np.geomspace(0.2, 300, shape[0])[:, None] * rng.uniform(0.9, 1.1, shape)
    metres[:, shape[1] // 3 : shape[1] // 2] *= 3
    raw = {"depth": metres, "log_depth": np.log(metres), "inverse_depth": 1 / metres}[quantity].astype(np.float32)
    raw[45, 7:9] = np.nan
    if quantity != "log_depth":
        raw[49, 1:4] = -1
        raw[49, 20:24] = 0
    sky, valid = (rng.random((shape[0] // 8, shape[1] // 8)).repeat(8, 0).repeat(8, 1) for _ in "ab")
    pad = ((0, shape[0] % 8), (0, shape[1] % 8))
    values = {"d": raw, "sky": np.pad(sky, pad), "valid": np.pad(valid, pad)}
    lead = (1,) * (dims - 2)
    return {name: value.astype(np.float32).reshape(*lead, *shape) for name, value in values.items()}


@pytest.mark.parametrize("dims", [3, 4])
@pytest.mark.parametrize("masks", ["none", "sky", "validity", "both"])
@pytest.mark.parametrize("quantity", ["depth", "log_depth", "inverse_depth"])
def test_depth_is_the_cpus(quantity: str, masks: str, dims: int) -> None:
    sky = Mask("sky", "above", 0.7) if masks in ("sky", "both") else None
    valid = Mask("valid", "below", 0.8) if masks in ("validity", "both") else None
    card = ModelOutput("d", quantity, "metre", (0.5, 100.0), 500.0, valid, sky)
    cameras = [Camera(1242, 375, fx, fx, 609.5, 172.8) for fx in (721.5, 400.0)]
    p = place(1242, 375, SIZE, "letterbox")
    for size, shape in (((1242, 375), (p.height, p.width)), ((621, 187), (p.height // 2, p.width // 2))):
        outputs = outputs_of(quantity, shape, dims)
        factor = torch.tensor([network_camera(c, p).fx / 500.0 for c in cameras]).view(2, 1, 1)
        twice = {name: torch.from_numpy(np.concatenate([value] * 2)) for name, value in outputs.items()}
        got = depth_map(twice, card, factor, *neighbours(size, p, shape, CPU)).numpy()
        for depth, camera in zip(got, cameras, strict=True):
            expected = on_cpu(outputs, card, camera, p, size)
            assert_same(depth, expected)
            assert np.isnan(expected).any() and np.isfinite(expected).mean() > 0.4
            assert np.isposinf(expected).any() == (sky is not None)
        assert np.nanmedian(got[0][np.isfinite(got[0])]) > 1.5 * np.nanmedian(got[1][np.isfinite(got[1])])


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    assert got.shape == expected.shape and got.dtype == expected.dtype == np.float32
    same_kind = (np.isnan(got) == np.isnan(expected)) & (np.isposinf(got) == np.isposinf(expected))
    assert (~same_kind).mean() < UNDECIDED
    both = np.isfinite(got) & np.isfinite(expected)
    np.testing.assert_allclose(got[both], expected[both], rtol=2e-5)
