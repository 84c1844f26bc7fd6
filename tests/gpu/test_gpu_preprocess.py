"""The network input on tensors: the CPU's within a thousandth of a grey level."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cloudypoints_ros.gpu.preprocess import image_taps, network_image
from cloudypoints_ros.model_card import InputSize, ModelInput
from cloudypoints_ros.preprocess import network_image as on_cpu
from cloudypoints_ros.preprocess import place

SIZE = InputSize((64, 64), (320, 640), (512, 1024), 32)
CPU = torch.device("cpu")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def both(width: int, height: int, resize: str, colour: str, order: str) -> tuple[np.ndarray, np.ndarray]:
    """The network inputs of two images, ours and the CPU's, in grey levels."""
    card = ModelInput("image", SIZE, resize, colour, 1 / 255, MEAN, STD)
    images = np.random.default_rng(width).integers(0, 256, (2, height, width, 3), np.uint8)
    p = place(width, height, SIZE, resize)
    whole = torch.zeros(2, 3, p.height, p.width)
    part = whole[:, :, p.top : p.top + p.image_height, p.left : p.left + p.image_width]
    network_image(torch.from_numpy(images), order, image_taps(width, height, p, CPU), card, part)
    expected = np.concatenate([on_cpu(image, p, card, order) for image in images])
    levels = 255 * np.array(STD, np.float32).reshape(3, 1, 1)
    return whole.numpy() * levels, expected * levels


@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize(
    ("width", "height"), [(2048, 1024), (1242, 375), (1600, 900), (641, 322), (640, 320), (700, 1900)]
)
def test_shrinking_is_the_cpus(width: int, height: int, resize: str) -> None:
    got, expected = both(width, height, resize, "rgb", "rgb")
    assert np.ptp(expected) > 50
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("width", "height"), [(320, 160), (500, 333), (640, 200), (48, 37)])
def test_growing_is_the_cpus(width: int, height: int) -> None:
    got, expected = both(width, height, "letterbox", "rgb", "rgb")
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("colour", ["rgb", "bgr"])
@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_channel_order(colour: str, order: str) -> None:
    got, expected = both(800, 500, "letterbox", colour, order)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
