"""Image sources: what is an image, whose camera is whose, and what a broken source says."""

from __future__ import annotations

import argparse
import json
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.camera import Camera, save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import (
    CameraChoice,
    add_camera_arguments,
    find_camera,
    find_images,
    open_source,
    read_image,
    read_truth,
    truth_for,
)

CAMERA = Camera(32, 16, 30.0, 31.0, 15.0, 7.0)


def write_image(path: Path, value: int = 0, width: int = 32, height: int = 16) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))
    return path


def exif_turned(jpeg: bytes) -> bytes:
    """The JPEG with an EXIF segment that says: turn by 90 degrees (orientation 6)."""
    tiff = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
    segment = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + jpeg[2:]


def png_header(width: int, height: int) -> bytes:
    """A 16-bit grey PNG that promises this size and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def drive(folder: Path, frames: int = 3) -> Path:
    """A KITTI-like layout with truth for every second frame."""
    for n in range(frames):
        write_image(folder / "image" / f"{n:03}.png", n)
        if n % 2 == 0:
            (folder / "depth").mkdir(exist_ok=True)
            raw = np.full((16, 32), 256 * (n + 1), np.uint16)
            raw[0] = 0
            assert cv2.imwrite(str(folder / "depth" / f"{n:03}.png"), raw)
    save_camera(CAMERA, folder / "camera.json")
    return folder


def test_images_come_in_natural_order_without_depth_and_hidden_files(tmp_path: Path) -> None:
    for name in ("b/10.png", "b/2.png", "b/1.jpg", "a9.png", "a10.png"):
        write_image(tmp_path / name)
    others = ("depth.png", "x_disparity.png", "x_depth.png", "x_depth_image.png", "depth/000.png", ".hidden/a.png")
    for name in others:
        write_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = [str(p.relative_to(tmp_path)) for p in find_images(tmp_path)]
    assert found == ["a9.png", "a10.png", "b/1.jpg", "b/2.png", "b/10.png"]


def test_a_folder_called_depth_can_be_asked_for(tmp_path: Path) -> None:
    image = write_image(tmp_path / "depth" / "a.png")
    assert find_images(tmp_path / "depth") == [image]


def test_no_images_is_said(tmp_path: Path) -> None:
    with pytest.raises(CloudyPointsError, match=r"holds no images; give one with .*\.png"):
        find_images(tmp_path)
    with pytest.raises(CloudyPointsError, match="does not exist; give an existing image or folder"):
        find_images(tmp_path / "nowhere")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(CloudyPointsError, match="is not an image file"):
        find_images(tmp_path / "a.txt")


def test_camera_beside_wins_over_the_one_above(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a" / "b" / "0.png")
    save_camera(CAMERA, tmp_path / "camera.json")
    assert find_camera(image, tmp_path) == tmp_path / "camera.json"
    (tmp_path / "a" / "b" / "camera_info.yaml").write_text("")
    assert find_camera(image, tmp_path) == tmp_path / "a" / "b" / "camera_info.yaml"
    save_camera(CAMERA, tmp_path / "a" / "b" / "camera.json")
    assert find_camera(image, tmp_path) == tmp_path / "a" / "b" / "camera.json"


def test_the_search_stops_at_the_root_and_names_what_it_looked_for(tmp_path: Path) -> None:
    image = write_image(tmp_path / "a" / "b" / "c" / "0.png")
    save_camera(CAMERA, tmp_path / "camera.json")
    with pytest.raises(CloudyPointsError) as caught:
        find_camera(image, tmp_path / "a" / "b")
    text = str(caught.value)
    for word in ("0_camera.json", "camera.json", "camera_info.yaml", str(tmp_path / "a" / "b"), "--camera", "--hfov"):
        assert word in text
    assert f"in {tmp_path}," not in text


def test_the_folder_of_the_images_itself_may_be_the_source(tmp_path: Path) -> None:
    drive(tmp_path)
    source = open_source(str(tmp_path / "image"), CameraChoice())
    assert source.count == 3


@pytest.mark.parametrize("parallel", [False, True])
def test_cityscapes_camera(tmp_path: Path, parallel: bool) -> None:
    name = "frankfurt_000001_058914"
    image = write_image(tmp_path / "leftImg8bit" / "val" / f"{name}_leftImg8bit.png", 0, 2048, 1024)
    where = (tmp_path / "camera" / "val" if parallel else image.parent) / f"{name}_camera.json"
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_text(json.dumps({"intrinsic": {"fx": 2262.52, "fy": 2265.3, "u0": 1096.98, "v0": 513.137}}))
    assert find_camera(image) == where
    frame = next(open_source(str(image), CameraChoice()).frames())
    assert frame.calibration.k[0] == 2262.52


def test_truth_of_both_layouts(tmp_path: Path) -> None:
    drive(tmp_path / "drive")
    first, second = tmp_path / "drive" / "image" / "000.png", tmp_path / "drive" / "image" / "001.png"
    truth = truth_for(first)
    assert truth == tmp_path / "drive" / "depth" / "000.png"
    assert truth_for(second) is None
    depth = read_truth(truth)
    assert depth.dtype == np.float32
    assert np.isnan(depth[0]).all()
    np.testing.assert_array_equal(depth[1:], 1.0)
    pair = write_image(tmp_path / "pair" / "image.jpg")
    assert truth_for(pair) is None
    cv2.imwrite(str(pair.with_name("depth.png")), np.ones((16, 32), np.uint16))
    assert truth_for(pair) == pair.with_name("depth.png")


def test_an_8_bit_truth_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "depth.png")
    with pytest.raises(CloudyPointsError, match="expected a 16-bit one-channel PNG of metres x 256"):
        read_truth(path)


def test_folder_frames(tmp_path: Path) -> None:
    drive(tmp_path)
    source = open_source(str(tmp_path), CameraChoice())
    frames = list(source.frames())
    assert source.count == len(frames) == 3 and not source.live
    assert [int(f.image[0, 0, 0]) for f in frames] == [0, 1, 2]
    assert [f.truth is not None for f in frames] == [True, False, True]
    assert all(f.calibration.camera() == CAMERA for f in frames)
    assert source.rate_hz == 10.0


def test_the_rate_is_the_users_then_the_camera_files(tmp_path: Path) -> None:
    drive(tmp_path)
    record = json.loads((tmp_path / "camera.json").read_text()) | {"rate_hz": 17.0}
    (tmp_path / "camera.json").write_text(json.dumps(record))
    assert open_source(str(tmp_path), CameraChoice()).rate_hz == 17.0
    assert open_source(str(tmp_path), CameraChoice(), 5.0).rate_hz == 5.0
    with pytest.raises(CloudyPointsError, match="The rate is 0 Hz"):
        open_source(str(tmp_path), CameraChoice(), 0)


def test_video(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12.0, (32, 16))
    for n in range(5):
        writer.write(np.full((16, 32, 3), 20 * n, np.uint8))
    writer.release()
    with pytest.raises(CloudyPointsError, match="No camera file was found for"):
        open_source(str(path), CameraChoice())
    save_camera(CAMERA, tmp_path / "camera.json")
    source = open_source(str(path), CameraChoice())
    assert source.rate_hz == 12.0
    for _ in range(2):  # every pass starts over
        assert [round(float(f.image.mean()), -1) for f in source.frames()] == [0, 20, 40, 60, 80]


def test_broken_sources_are_named(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    with pytest.raises(CloudyPointsError, match=r"bad\.mp4 cannot be read; give a video that OpenCV plays"):
        open_source(str(bad), CameraChoice())
    with pytest.raises(CloudyPointsError, match="nowhere does not exist; give a folder of images"):
        open_source(str(tmp_path / "nowhere"), CameraChoice())
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a png")
    with pytest.raises(CloudyPointsError, match=r"broken\.png cannot be read"):
        read_image(broken)
    with pytest.raises(CloudyPointsError, match=r"/dev/video97 cannot be opened"):
        open_source("97", CameraChoice(hfov_deg=60.0))


def test_exif_does_not_turn_the_image(tmp_path: Path) -> None:
    path = write_image(tmp_path / "0.jpg")
    path.write_bytes(exif_turned(path.read_bytes()))
    turned = cv2.imread(str(path))
    assert turned is not None and turned.shape == (32, 16, 3)  # OpenCV understands the segment
    assert read_image(path).shape == (16, 32, 3)
    save_camera(CAMERA, tmp_path / "camera.json")
    assert next(open_source(str(path), CameraChoice()).frames()).image.shape == (16, 32, 3)


def test_an_absurd_size_is_a_damaged_file(tmp_path: Path) -> None:
    path = tmp_path / "depth.png"
    path.write_bytes(png_header(60000, 60000))
    with pytest.raises(CloudyPointsError, match=r"depth\.png cannot be read; it is damaged"):
        read_image(path)
    with pytest.raises(CloudyPointsError, match=r"depth\.png is unreadable; expected a 16-bit"):
        read_truth(path)


def test_a_camera_of_another_size_is_refused(tmp_path: Path) -> None:
    image = write_image(tmp_path / "0.png", width=40)
    save_camera(CAMERA, tmp_path / "camera.json")
    with pytest.raises(CloudyPointsError, match=r"camera\.json does not fit .*0\.png.*32x16.*40x16"):
        open_source(str(image), CameraChoice())


def parse(*words: str) -> CameraChoice:
    parser = argparse.ArgumentParser()
    add_camera_arguments(parser)
    return CameraChoice.from_arguments(parser.parse_args(words))


def test_camera_from_the_command_line(tmp_path: Path) -> None:
    save_camera(CAMERA, tmp_path / "c.json")
    assert parse("--camera", str(tmp_path / "c.json")).calibration(None, None, 32, 16).camera() == CAMERA
    pinhole = parse("--fx", "40").calibration(None, None, 32, 16).camera()
    assert (pinhole.fx, pinhole.fy, pinhole.cx, pinhole.cy) == (40, 40, 15.5, 7.5)
    wide = parse("--hfov", "90").calibration(None, None, 32, 16).camera()
    assert wide.fx == pytest.approx(16.0)
    with pytest.raises(CloudyPointsError, match="given as --camera and as --hfov"):
        parse("--camera", "c.json", "--hfov", "90")
    with pytest.raises(CloudyPointsError, match="without --fx"):
        parse("--cx", "3").calibration(None, None, 32, 16)
    with pytest.raises(CloudyPointsError, match="carries no calibration"):
        parse().calibration(None, None, 32, 16)
