"""A slice of bench/fuzz.py, every seed that ever found something, and what those seeds have become."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from fuzz import ANSWERED, FOUND, findings, pipelines
from sensor_msgs.msg import CompressedImage
from test_node import CAMERA, HEIGHT, WIDTH

from cloudypoints_ros import messages
from cloudypoints_ros.camera import Calibration, Camera
from cloudypoints_ros.errors import CloudyPointsError

pytestmark = pytest.mark.ros

SLICE = range(300)


def test_a_slice(tmp_path: Path) -> None:
    """Nothing but answers and sentences with a remedy, and enough of both."""
    outcomes = list(findings([*SLICE, *FOUND], pipelines(tmp_path)))
    assert [(seed, trace) for seed, _, trace in outcomes if trace] == []
    answered = sum(outcome == ANSWERED for _, outcome, _ in outcomes)
    assert 0.25 < answered / len(outcomes) < 0.75
    assert len({outcome for _, outcome, _ in outcomes}) > 100


def test_a_matrix_without_its_last_one_is_scaled_all_the_same() -> None:
    """K[8] and P[10] are 1 by definition; drivers that leave them 0 have set the matrix nevertheless."""
    good = Calibration.of(dataclasses.replace(CAMERA, d=()))
    careless = dataclasses.replace(good, k=(*good.k[:8], 0.0), p=(*good.p[:10], 0.0, 0.0))
    half = careless.resized(WIDTH // 2, HEIGHT // 2)
    assert half.camera() == good.resized(WIDTH // 2, HEIGHT // 2).camera()
    assert half.camera(True) == good.resized(WIDTH // 2, HEIGHT // 2).camera(True)
    unset = dataclasses.replace(good, p=(0.0,) * 12)
    assert unset.resized(WIDTH // 2, HEIGHT // 2).p == (0.0,) * 12


@pytest.mark.parametrize("wrong", [{"fx": 1e9}, {"fy": 1e-9}, {"cx": -1e6}, {"cy": 1e300}])
def test_intrinsics_beyond_any_lens_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(CloudyPointsError, match=r"focal lengths of 0\.01 to 1e\+06 and a centre within"):
        dataclasses.replace(CAMERA, **wrong)


def test_a_hole_amid_the_image_is_seen() -> None:
    """The lens of seed 8570: its model fails between pixels where it does not."""
    lens = (
        -0.025246991094647783,
        -0.0688168351201603,
        -0.016731750244272297,
        -0.03380026266522275,
        0.010999328735751476,
    )
    camera = Camera(32, 17, 12.584611954578829, 23.403015431555755, -0.34729275358263373, 3.183943117972161, d=lens)
    assert np.isnan(camera.rays(4)[0]).any() and camera.blind(4)


def test_rays_that_float32_cannot_hold_are_none() -> None:
    """The lens of seed 98739 magnifies the rounding of a ray to half a pixel."""
    lens = (73958981.09465165, -1e-300, 146569196.34818223, -1.0, -366.2547558713268)
    camera = Camera(17, 48, 1.0, 88.57542313052807, 5.644719453029808, 32.47439740392553, "plumb_bob", lens)
    with pytest.raises(CloudyPointsError, match="cannot be inverted at any pixel, so there are no rays; calibrate"):
        camera.rays()


def test_a_large_jpeg_is_a_claim_until_it_is_decoded() -> None:
    """100 megapixels are a camera's, 1000 are a broken header's: neither costs memory here."""
    head = b"\xff\xd8\xff\xc0\x00\x11\x08%b%b\x03" + bytes(9) + b"\xff\xda" + bytes(20) + b"\xff\xd9"
    for width, height, part in ((10000, 10000, "could not be decoded"), (40000, 25000, "claims 40000x25000 pixels")):
        data = head % (height.to_bytes(2, "big"), width.to_bytes(2, "big"))
        assert messages.claimed_size(data) == (width, height)
        with pytest.raises(CloudyPointsError, match=part):
            messages.decode_compressed(CompressedImage(format="jpeg", data=data))
