"""What the network is fed: sizes, placement, averaging, normalisation."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.model_card import InputSize, ModelInput
from cloudypoints_ros.preprocess import Placement, network_camera, network_image, place, ray_angles

SIZE = InputSize((64, 64), (320, 640), (512, 1024), 32)
CARD = ModelInput("image", SIZE, "letterbox", "rgb", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [
        (2048, 1024, Placement(640, 320, 0, 0, 640, 320)),
        (1242, 375, Placement(640, 224, 0, 15, 640, 193)),
        (1600, 900, Placement(576, 320, 3, 0, 569, 320)),
        (320, 160, Placement(640, 320, 0, 0, 640, 320)),
        (480, 640, Placement(256, 320, 8, 0, 240, 320)),
    ],
)
def test_letterbox_sizes_of_real_cameras(width: int, height: int, expected: Placement) -> None:
    assert place(width, height, SIZE, "letterbox") == expected


@given(st.integers(8, 4000), st.integers(8, 4000), st.sampled_from(["letterbox", "stretch"]))
def test_every_placement_is_allowed_and_inside(width: int, height: int, resize: str) -> None:
    p = place(width, height, SIZE, resize)
    assert p.width % 32 == 0 and p.height % 32 == 0
    assert 64 <= p.width <= 1024 and 64 <= p.height <= 512
    assert p.left >= 0 and p.left + p.image_width <= p.width
    assert p.top >= 0 and p.top + p.image_height <= p.height


def test_fixed_sizes() -> None:
    fixed = InputSize((256, 256), (256, 256), (256, 256))
    assert place(1024, 512, fixed, "stretch") == Placement(256, 256, 0, 0, 256, 256)
    assert place(1024, 512, fixed, "letterbox") == Placement(256, 256, 0, 64, 256, 128)


@settings(max_examples=25, deadline=None)
@given(st.integers(640, 1500), st.integers(320, 700))
def test_shrinking_averages_as_opencv_does(width: int, height: int) -> None:
    image = np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8)
    p = place(width, height, SIZE, "stretch")
    if p.image_width > width or p.image_height > height:
        return
    reference = cv2.resize(image.astype(np.float32), (p.width, p.height), interpolation=cv2.INTER_AREA)
    expected = (reference / 255 - CARD.mean) / CARD.std
    got = network_image(image, p, CARD)
    assert got.shape == (1, 3, p.height, p.width) and got.dtype == np.float32
    np.testing.assert_allclose(got[0], expected.transpose(2, 0, 1), atol=2e-3)


def test_channel_order_and_letterbox() -> None:
    image = np.zeros((100, 400, 3), np.uint8)
    image[..., 0] = 255
    p = place(400, 100, SIZE, "letterbox")
    assert p == Placement(640, 160, 0, 0, 640, 160)
    card = ModelInput("i", InputSize((64, 64), (64, 64), (64, 64)), "letterbox", "rgb", 1.0, (127,) * 3, (128,) * 3)
    fixed = place(400, 100, card.size, "letterbox")
    red_first = network_image(image, fixed, card, "rgb")[0]
    blue_first = network_image(image, fixed, card, "bgr")[0]
    middle = fixed.top + fixed.image_height // 2
    assert red_first[:, middle, 10] == pytest.approx([1.0, -127 / 128, -127 / 128])
    assert blue_first[:, middle, 10] == pytest.approx([-127 / 128, -127 / 128, 1.0])
    assert (red_first[:, : fixed.top] == 0).all()


def test_growing_interpolates() -> None:
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 50, 0).repeat(3, 2)
    p = place(100, 50, SIZE, "letterbox")
    got = network_image(ramp, p, ModelInput("i", SIZE, "letterbox", "rgb", 1.0, (0.0,) * 3, (1.0,) * 3))[0, 0, 100]
    expected = np.clip(((np.arange(640) + 0.5) / 6.4 - 0.5) * 2, 0, 198)
    assert np.abs(got - expected).max() <= 1.0


def test_network_camera_has_the_focal_length_at_the_network() -> None:
    camera = Camera(2048, 1024, 2262.52, 2265.3, 1096.98, 513.137)
    assert network_camera(camera, place(2048, 1024, SIZE, "letterbox")).fx == pytest.approx(2262.52 * 640 / 2048)


def test_ray_angles() -> None:
    camera = Camera(1242, 375, 721.5377, 721.5377, 609.5593, 172.854)
    p = place(1242, 375, SIZE, "letterbox")
    angles = ray_angles(camera, p)
    assert angles.shape == (1, 2, 224, 640) and (angles[0, :, : p.top] == 0).all()
    u, v = 100, 50
    sx, sy = 640 / 1242, 193 / 375
    x = (u - ((609.5593 + 0.5) * sx - 0.5)) / (721.5377 * sx)
    y = (v - ((172.854 + 0.5) * sy - 0.5)) / (721.5377 * sy)
    assert angles[0, :, p.top + v, p.left + u] == pytest.approx([np.arctan(x), np.arctan(y)], abs=1e-5)
