"""Files on disk: formats that others read, and nothing half-written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import millimetres, replacing, write_npy, write_ply, write_png
from cloudypoints_ros.geometry import CloudOptions, cloud

DEPTH = np.array([[1.2344, 1.2346, 65.535, 65.6, np.nan, np.inf, 0.0]], np.float32)


def test_npy_keeps_nan_and_sky(tmp_path: Path) -> None:
    write_npy(DEPTH, tmp_path / "deep" / "d.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "deep" / "d.npy"), DEPTH)


def test_png_is_millimetres(tmp_path: Path) -> None:
    write_png(millimetres(DEPTH), tmp_path / "d.png")
    assert cv2.imread(str(tmp_path / "d.png"), cv2.IMREAD_UNCHANGED).tolist() == [[1234, 1235, 65535, 0, 0, 0, 0]]


def test_ply_holds_the_points_and_their_colours(tmp_path: Path) -> None:
    camera = Camera(4, 2, 2.0, 2.0, 1.5, 0.5)
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    depth = np.full((2, 4), 3.0, np.float32)
    depth[0, 0] = np.inf
    write_ply(cloud(depth, camera, image, "rgb", CloudOptions(stride=1)), tmp_path / "c.ply")
    header, body = (tmp_path / "c.ply").read_bytes().split(b"end_header\n")
    assert b"element vertex 7\n" in header and header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    kinds = [("xyz", "<f4", 3), ("rgb", "u1", 3)]
    points = np.frombuffer(body, kinds)
    assert points["xyz"][0] == pytest.approx([(1 - 1.5) / 2 * 3, (0 - 0.5) / 2 * 3, 3])
    assert points["rgb"].tolist() == image.reshape(-1, 3)[1:].tolist()


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CloudyPointsError, match=r"cannot be written .* choose another place"):
        write_npy(DEPTH, tmp_path / "file" / "d.npy")
