"""Every encoding on tensors, byte for byte as OpenCV converts it for the CPU's way."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.gpu.pixels import ENCODINGS, RawImage, check, colours, order, pixel_bytes

# As messages.decode, which needs ROS, has them.
CODES = {
    "rgb8": None,
    "bgr8": None,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2BGR,
    "mono8": cv2.COLOR_GRAY2RGB,
    "mono16": cv2.COLOR_GRAY2RGB,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}


def test_every_encoding_is_tested() -> None:
    assert set(CODES) == set(ENCODINGS)


@pytest.mark.parametrize("size", [(31, 46), (3, 4), (120, 162)])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_as_opencv(encoding: str, big_endian: bool, size: tuple[int, int]) -> None:
    height, width = size
    bytes_each = pixel_bytes(encoding)
    padded = np.random.default_rng(1).integers(0, 256, (2, height, width * bytes_each + 5), np.uint8)
    raws = [RawImage(rows, width, encoding, big_endian) for rows in padded]
    stack = torch.from_numpy(np.stack([raw.packed for raw in raws]))
    got = colours(stack, encoding, big_endian)
    assert got.dtype == torch.uint8 and got.shape == (2, height, width, 3)
    for raw, image in zip(raws, got.numpy(), strict=True):
        pixels = raw.packed.reshape(height, width, bytes_each)
        if encoding == "mono16":
            pixels = pixels[:, :, :1] if big_endian else pixels[:, :, 1:]
        code = CODES[encoding]
        expected = pixels if code is None else cv2.cvtColor(np.ascontiguousarray(pixels), code)
        np.testing.assert_array_equal(image, expected)
    assert order(encoding) == ("bgr" if encoding.startswith("bgr") else "rgb")


def test_colours_of_a_plain_image_are_no_copy() -> None:
    rows = torch.zeros(1, 4, 15, dtype=torch.uint8)
    assert colours(rows, "rgb8").data_ptr() == rows.data_ptr()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RawImage(np.zeros((4, 12), np.uint8), 4, "nv12"), "'nv12' is not one of rgb8, .*decode it to rgb8 on the CPU"),
        (RawImage(np.zeros((4, 11), np.uint8), 4, "rgb8"), "expected uint8 and at least 12 bytes per row"),
        (RawImage(np.zeros((4, 10), np.uint8), 5, "yuyv"), "is 5x4; expected .* a multiple of 2"),
        (RawImage(np.zeros((2, 10), np.uint8), 10, "bayer_rggb8"), "is 10x2; expected at least 3x3 pixels"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(image: RawImage, message: str) -> None:
    with pytest.raises(CloudyPointsError, match=message):
        check(image)
