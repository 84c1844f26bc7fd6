"""The picture: its size, and that image, depth and cloud are really in it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.picture import WIDTH_PX, save_picture, unpack_xyzrgb
from cloudypoints_ros.preview import colorize

CAMERA = Camera(320, 160, 250.0, 250.0, 159.5, 79.5)


def scene() -> tuple[np.ndarray, np.ndarray]:
    """A green image and a wall at 12 m, its upper part sky and a corner unknown."""
    image = np.zeros((160, 320, 3), np.uint8)
    image[:] = (20, 200, 40)
    depth = np.full((160, 320), 12.0, np.float32)
    depth[:40] = np.inf
    depth[100:, :40] = np.nan
    return image, depth


def points_of(depth: np.ndarray, image: np.ndarray, stride: int = 2) -> tuple[np.ndarray, np.ndarray]:
    return unpack_xyzrgb(cloud(depth, CAMERA, image, "rgb", CloudOptions("xyzrgb", stride)).data)


def near(picture: np.ndarray, bgr: np.ndarray, tolerance: int = 6) -> int:
    """How many pixels have this colour."""
    return int((np.abs(picture.astype(int) - bgr.astype(int)).max(-1) <= tolerance).sum())


def test_unpacked_points_lie_on_the_cameras_pixels_in_the_images_colour() -> None:
    image, depth = scene()
    points, colours = points_of(depth, image, 4)
    pixels = CAMERA.project(points)
    np.testing.assert_allclose(pixels, 4 * np.rint(pixels / 4), atol=0.01)
    np.testing.assert_array_equal(np.unique(colours, axis=0), [[20, 200, 40]])
    np.testing.assert_array_equal(points[:, 2], np.float32(12.0))


def test_picture_holds_image_depth_and_cloud(tmp_path: Path) -> None:
    image, depth = scene()
    points, colours = points_of(depth, image)
    path = tmp_path / "new" / "demo.png"
    save_picture(path, image, depth, points, colours, order="rgb", title="Title", subtitle="below")
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape[1] == WIDTH_PX and 800 < picture.shape[0] < 1600
    width, height = 990, 495  # the left column
    assert near(picture, np.array([40, 200, 20])) > 0.95 * width * height
    colour = colorize(depth)
    for row, share in ((20, 0.25), (90, 0.6)):  # sky and wall
        assert near(picture, colour[row, 200]) > 0.95 * share * width * height
    # Right of the left column the wall is a row of lifted green points, ahead of the camera's blue mark.
    right = picture[:, 1130:].astype(int)
    green = (right[..., 1] > 150) & (right[..., 2] < 90) & (right[..., 0] < 120)
    mark = near(picture[:, 1130:], np.array([255, 209, 90]))
    assert green.sum() > 300 and mark > 100
    assert list(path.parent.iterdir()) == [path]  # nothing partial stays


def test_order_is_respected(tmp_path: Path) -> None:
    image, depth = scene()
    points, colours = points_of(depth, image)
    save_picture(tmp_path / "a.png", image, depth, points, colours, order="rgb")
    save_picture(tmp_path / "b.png", image[..., ::-1], depth, points, colours, order="bgr")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "a.png")), cv2.imread(str(tmp_path / "b.png")))


def test_a_picture_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    image, depth = scene()
    with pytest.raises(CloudyPointsError, match=r"demo\.png cannot be written"):
        save_picture(tmp_path / "file" / "demo.png", image, depth, *points_of(depth, image))


@pytest.mark.parametrize("size", [(375, 1242), (480, 640), (640, 480)])
def test_any_shape_and_an_empty_cloud(tmp_path: Path, size: tuple[int, int]) -> None:
    image = np.zeros((*size, 3), np.uint8)
    depth = np.full(size, np.nan, np.float32)
    nothing = np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8)
    save_picture(tmp_path / "a.png", image, depth, *nothing)
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture is not None and picture.shape[1] == WIDTH_PX
