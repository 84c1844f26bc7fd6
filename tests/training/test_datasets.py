"""Every layout comes as samples whose metres, cameras and sources are those that were written."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
from cityscapes_tree import Written, write_tree

from cloudypoints_ros.camera import Camera, save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.conversion import Settings
from cloudypoints_training.datasets import KINDS, open_dataset, source_of
from cloudypoints_training.prepare import prepare
from cloudypoints_training.sample import Sample

CAMERA = Camera(96, 64, 70.0, 71.0, 47.0, 30.5)
DRIVE, OTHER = "2011_09_26_drive_0001_sync", "2011_09_28_drive_0002_sync"


def picture(seed: int = 0, size: tuple[int, int] = (96, 64)) -> tuple[np.ndarray, np.ndarray]:
    """BGR with more red than blue, and uint16 metres x 256 of 2 to 80 m with 0 at the top."""
    rng = np.random.default_rng(seed)
    bgr = np.full((size[1], size[0], 3), (20, 90, 220), np.uint8)
    raw = rng.integers(2 * 256, 80 * 256, (size[1], size[0]), np.uint16)
    raw[:20] = 0
    return bgr, raw


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_pair(folder: Path, seed: int = 0, suffix: str = "png") -> np.ndarray:
    bgr, raw = picture(seed)
    write(folder / f"image.{suffix}", bgr)
    write(folder / "depth.png", raw)
    save_camera(CAMERA, folder / "camera.json")
    return raw


def has(sample: Sample, raw: np.ndarray, camera: Camera = CAMERA, near: int = 0) -> None:
    """The sample's depth, camera and colours are these; colours to within `near` steps."""
    np.testing.assert_array_equal(np.isnan(sample.depth), raw == 0)
    np.testing.assert_array_equal(sample.depth[raw > 0], (raw[raw > 0] / 256).astype(np.float32))
    assert sample.depth.dtype == np.float32 and sample.image.dtype == np.uint8 and sample.image.flags.c_contiguous
    assert np.abs(sample.image.astype(int) - (220, 90, 20)).max() <= near  # RGB
    assert sample.camera == camera
    np.testing.assert_array_equal(sample.valid, raw > 0)


def test_pairs(tmp_path: Path) -> None:
    raws = [write_pair(tmp_path / name, i, suffix) for i, (name, suffix) in enumerate(NAMES.items())]
    data = open_dataset(tmp_path)
    assert len(data) == 4
    for sample, raw, name in zip(data, raws, NAMES, strict=True):
        has(sample, raw, near=4)
        assert sample.name == name
    assert [s.source for s in data] == ["drive", "drive", "side_left", "side_right"]
    chosen = open_dataset(tmp_path, "pairs", sources=["side", "dr"])
    assert [s.source for s in chosen] == ["dr", "dr", "side", "side"]
    (few,) = open_dataset(tmp_path, split="deep")
    assert few.name == "deep/side_right_01" and few.depth.shape == (64, 96)


NAMES = {"a/drive_000": "jpg", "a/drive_001": "png", "b/side_left_00": "png", "deep/side_right_01": "png"}


def test_float_depth_and_a_sky_mask(tmp_path: Path) -> None:
    raw = write_pair(tmp_path / "a_0")
    (tmp_path / "a_0/depth.png").unlink()
    depth = np.where(raw > 0, raw / 256, np.nan).astype(np.float32)
    depth[30, :4] = 123.456, -1, 0, np.inf
    np.save(tmp_path / "a_0/depth.npy", depth)
    sky = np.zeros(raw.shape, np.uint8)
    sky[5:9] = 255
    write(tmp_path / "a_0/sky.png", sky)
    (sample,) = open_dataset(tmp_path)
    assert sample.depth[30, 0] == np.float32(123.456) and np.isnan(sample.depth[30, 1:3]).all()
    expected = sky > 0
    expected[30, 3] = True
    np.testing.assert_array_equal(np.isposinf(sample.depth), expected)
    assert np.isnan(sample.depth[:5]).all()


def test_sources_are_names_up_to_their_number() -> None:
    names = {"a_12": "a", "nusc_CAM_BACK": "nusc_CAM_BACK", "kitti-07_3": "kitti", "x/y_1": "y"}
    assert {name: source_of(name) for name in names} == names
    assert source_of("mmdet3d_kitti_08", ["kitti", "mmdet3d"]) == "mmdet3d"


def test_cityscapes_is_metres_within_the_quantisation_of_its_disparity(tmp_path: Path) -> None:
    written = write_tree(tmp_path, {"train": {"aachen": 1, "bremen": 1}, "val": {"frankfurt": 1}})
    data = open_dataset(tmp_path)
    assert [(s.name, s.source) for s in data] == [(w.frame.name, w.frame.city) for w in written]
    for sample, truth in zip(data, written, strict=True):
        assert sample.camera == truth.rig.camera  # each its own
        np.testing.assert_array_equal(sample.image, truth.image)
        bf = truth.rig.baseline_m * truth.rig.camera.fx
        known = sample.valid
        assert np.abs(bf / sample.depth[known] - bf / truth.depth[known]).max() <= 0.5 / 256 + 1e-4
        assert known.mean() > 0.3
        np.testing.assert_array_equal(np.isposinf(sample.depth), _clear_sky(truth))
        assert not known[:, :16].any() and np.isnan(sample.depth[-16:]).all()  # strip, ego vehicle
    assert [s.name for s in open_dataset(tmp_path, "cityscapes", "val")] == [written[2].frame.name]


def _clear_sky(truth: Written) -> np.ndarray:
    """Sky but where a border is labelled instead."""
    sky = np.isinf(truth.depth)
    sky[:2] = False
    return sky


def test_a_prepared_tree_is_what_the_raw_one_is(tmp_path: Path) -> None:
    write_tree(tmp_path / "raw", {"train": {"aachen": 1, "bochum": 1, "bremen": 1}, "val": {"frankfurt": 1}})
    prepare(tmp_path / "raw", tmp_path / "npy", Settings(depth="npy"), folds=2)
    prepare(tmp_path / "raw", tmp_path / "png", Settings(image="jpg"), folds=2)
    for exact, rounded, raw in zip(*(open_dataset(tmp_path / name) for name in ("npy", "png", "raw")), strict=True):
        assert exact.camera == raw.camera == rounded.camera and exact.source == raw.source == rounded.source
        assert exact.name == rounded.name and exact.name.endswith(f"/{raw.source}/{raw.name}")
        np.testing.assert_array_equal(exact.image, raw.image)
        np.testing.assert_array_equal(exact.depth, raw.depth)
        np.testing.assert_array_equal(np.isposinf(rounded.depth), np.isposinf(raw.depth))
        near = raw.depth < 255
        np.testing.assert_allclose(rounded.depth[near], raw.depth[near], atol=0.5 / 256 + 1e-5)
        assert np.abs(rounded.image.astype(float) - raw.image).mean() < 12


def test_folds_divide_the_training_cities(tmp_path: Path) -> None:
    write_tree(
        tmp_path / "raw", {"train": {"aachen": 1, "bochum": 1, "bremen": 1, "cologne": 1}, "val": {"munster": 1}}
    )
    prepare(tmp_path / "raw", tmp_path / "out", Settings(), folds=2)
    cities = {name: {s.source for s in open_dataset(tmp_path / "out", **which)} for name, which in FOLDS.items()}
    assert cities["all"] == {"aachen", "bochum", "bremen", "cologne", "munster"}
    assert cities["in 0"] | cities["in 1"] == {"aachen", "bochum", "bremen", "cologne"} == cities["train"]
    assert not cities["in 0"] & cities["in 1"] and cities["in 0"] and cities["in 1"]
    assert cities["not 0"] == cities["in 1"]
    with pytest.raises(CloudyPointsError, match=r"Fold 7 was asked for but .* has folds 0, 1; make them with"):
        open_dataset(tmp_path / "out", fold=7)
    with pytest.raises(CloudyPointsError, match=r"no image with depth of split test under"):
        open_dataset(tmp_path / "out", split="test")


FOLDS: dict[str, dict] = {
    "all": {},
    "train": {"split": "train"},
    "in 0": {"fold": 0},
    "in 1": {"fold": 1},
    "not 0": {"without_fold": 0},
}


def write_kitti(depths: Path, raw: Path, drive: str = DRIVE, split: str = "train") -> dict[str, np.ndarray]:
    """Two annotated frames and one that is not, of both cameras, in the official layout."""
    written = {}
    calibration = "calib_time: 09-Jan-2012 13:57:47\n"
    for number in ("02", "03"):
        for i in (5, 6, 7):
            name = f"{drive}/image_{number}/data/{i:010}"
            bgr, depth = picture(i * int(number))
            bgr[..., 1] = 90 + int(number)
            write(raw / drive[:10] / f"{name}.png", bgr)
            if i < 7:
                write(depths / split / drive / f"proj_depth/groundtruth/image_{number}/{i:010}.png", depth)
                written[name] = depth
        calibration += (
            f"S_{number}: 1.392000e+03 5.120000e+02\nS_rect_{number}: 9.600000e+01 6.400000e+01\n"
            f"P_rect_{number}: 7.{number}e+01 0.0e+00 4.7e+01 4.4e+01 0 7.1e+01 3.05e+01 2.1e-01 0 0 1.0 2.7e-03\n"
        )
    (raw / drive[:10] / "calib_cam_to_cam.txt").write_text(calibration)
    return written


@pytest.mark.parametrize("places", [("", ""), ("data_depth_annotated", "raw")])
def test_official_kitti_depth(tmp_path: Path, places: tuple[str, str]) -> None:
    depths, raw = (tmp_path / place for place in places)
    written = write_kitti(depths, raw) | write_kitti(depths, raw, OTHER, "val")
    data = open_dataset(tmp_path)
    assert [s.name for s in data] == list(written)
    assert [s.source for s in data] == [DRIVE] * 4 + [OTHER] * 4
    for sample in data:
        fx = 70.2 if "image_02" in sample.name else 70.3
        has(sample, written[sample.name], dataclasses.replace(CAMERA, fx=fx), near=3)
        assert (sample.image[..., 1] == (92 if "image_02" in sample.name else 93)).all()
    assert {s.source for s in open_dataset(tmp_path, "kitti", "val")} == {OTHER}
    # Part of the raw data is enough; none is a sentence.
    images = raw / DRIVE[:10] / DRIVE
    images.rename(tmp_path / "gone")
    assert {s.source for s in open_dataset(tmp_path)} == {OTHER}
    with pytest.raises(CloudyPointsError, match=rf"not the images; unpack .* 2011_09_26/{DRIVE}/image_02/data"):
        open_dataset(tmp_path, split="train")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("S_rect_02: 9.6", "S_rect_02: 9.7", r"cam.txt is of 97x64 images \(S_rect_02\) but the image is 96x64; put"),
        ("P_rect_02: 7.", "P_rect_02: x7.", r"cam.txt has 'x7.*' for P_rect_02; expected 12 numbers: replace"),
        ("P_rect_02", "P_02", r"cam.txt has nothing for P_rect_02; expected 12 numbers"),
    ],
)
def test_a_kitti_calibration_that_does_not_fit_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    write_kitti(tmp_path, tmp_path)
    path = tmp_path / DRIVE[:10] / "calib_cam_to_cam.txt"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(CloudyPointsError, match=words):
        open_dataset(tmp_path)[0]


@pytest.mark.parametrize("place", ["", "depth_selection/val_selection_cropped"])
def test_kitti_selection(tmp_path: Path, place: str) -> None:
    folder = tmp_path / place
    bgr, raw = picture(3)
    write(folder / f"image/{DRIVE}_image_0000000005_image_02.png", bgr)
    write(folder / f"groundtruth_depth/{DRIVE}_groundtruth_depth_0000000005_image_02.png", raw)
    (folder / "intrinsics").mkdir()
    (folder / f"intrinsics/{DRIVE}_image_0000000005_image_02.txt").write_text(
        "70.0 0.0 47.0 0.0 71.0 30.5 0.0 0.0 1.0\n"
    )
    (sample,) = open_dataset(tmp_path)
    has(sample, raw)
    assert sample.source == DRIVE and sample.name == f"{DRIVE}_image_0000000005_image_02"


def test_a_clip_gives_its_measured_frames(tmp_path: Path) -> None:
    raws = {}
    for i in range(4):
        bgr, raws[i] = picture(i)
        write(tmp_path / f"clip/image/{i:03}.png", bgr)
        if i % 2 == 0:
            write(tmp_path / f"clip/depth/{i:03}.png", raws[i])
    save_camera(CAMERA, tmp_path / "clip/camera.json", 17.0)
    data = open_dataset(tmp_path / "clip")
    assert [(s.name, s.source) for s in data] == [("image/000", "clip"), ("image/002", "clip")]
    has(data[1], raws[2])
    with pytest.raises(CloudyPointsError, match=r"no split 'val' .* \(clip\); expected none: leave it away"):
        open_dataset(tmp_path / "clip", split="val")


def test_a_data_set_can_be_sent_to_other_processes(tmp_path: Path) -> None:
    write_pair(tmp_path / "pairs/a_0")
    write_tree(tmp_path / "cityscapes", {"train": {"aachen": 1}})
    write_kitti(tmp_path / "kitti", tmp_path / "kitti")
    for kind in ("pairs", "cityscapes", "kitti"):
        data = open_dataset(tmp_path / kind)
        sent = pickle.loads(pickle.dumps(data))
        assert len(sent) == len(data) and sent[0].camera == data[0].camera
        np.testing.assert_array_equal(sent[0].depth, data[0].depth)


def test_what_was_looked_for_is_said(tmp_path: Path) -> None:
    with pytest.raises(CloudyPointsError, match="has no layout that is known; looked for ") as error:
        open_dataset(tmp_path)
    assert all(f"{kind}: " in str(error.value) for kind in KINDS[1:]) and "\n" not in str(error.value)
    with pytest.raises(CloudyPointsError, match=r"no folder .*none; give the root"):
        open_dataset(tmp_path / "none")
    with pytest.raises(CloudyPointsError, match=r"called 'nyu'; expected one of auto, cityscapes, prepared, kitti"):
        open_dataset(tmp_path, "nyu")
    with pytest.raises(CloudyPointsError, match=r"There is no image with depth under .*; expected NAME/"):
        open_dataset(tmp_path, "pairs")
    write_pair(tmp_path / "train/a_0")
    with pytest.raises(CloudyPointsError, match=r"no split 'val' in .* \(pairs\); expected one of train\."):
        open_dataset(tmp_path, split="val")
    with pytest.raises(CloudyPointsError, match=r"Fold 0 was asked for but .* has no folds; make them"):
        open_dataset(tmp_path, fold=0)
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(CloudyPointsError, match=r"manifest\.json cannot be read \(KeyError"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("image.png", b"no image", r"a_0/image\.png cannot be read"),
        ("image.png", None, r"a_0 has no image\.jpg or image\.png; put it there"),
        ("depth.png", b"no image", r"a_0/depth\.png is unreadable; expected a 16-bit"),
        ("depth.png", np.zeros((64, 96), np.uint8), r"a_0/depth\.png is uint8 with shape \(64, 96\); expected"),
        ("depth.png", np.zeros((64, 90), np.uint16), r"depth\.png is 90x64 but image\.png is 96x64; give a depth for"),
        ("sky.png", np.zeros((64, 96, 3), np.uint8), r"sky\.png is uint8 with shape \(64, 96, 3\); expected an 8-bit"),
        ("sky.png", np.zeros((60, 96), np.uint8), r"sky\.png is 96x60 but image\.png is 96x64; give a mask"),
        ("camera.json", b"{", r"camera file .*a_0/camera\.json cannot be understood"),
        ("camera.json", None, r"camera file .*a_0/camera\.json cannot be read"),
        ("camera.json", b'{"width": 48}', r"camera\.json is of a 48x64 image but .* 96x64; give the intrinsics"),
        ("camera.json", b'{"d": [-0.1, 0, 0, 0]}', r"camera\.json has lens distortion \(plumb_bob\); rectify"),
    ],
)  # fmt: skip
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes | np.ndarray | None, words: str) -> None:
    write_pair(tmp_path / "a_0")
    write_pair(tmp_path / "a_1")
    path = tmp_path / "a_0" / name
    if content is None:
        path.unlink()
    elif isinstance(content, np.ndarray):
        write(path, content)
    elif content.endswith(b"}"):
        path.write_text(json.dumps(json.loads(path.read_text()) | json.loads(content)))
    else:
        path.write_bytes(content)
    data = open_dataset(tmp_path)
    with pytest.raises(CloudyPointsError, match=words):
        data[0]
    assert data[1].name == "a_1"  # the others are as they were


def test_a_broken_float_depth_is_named(tmp_path: Path) -> None:
    write_pair(tmp_path / "a_0")
    (tmp_path / "a_0/depth.png").unlink()
    path = tmp_path / "a_0/depth.npy"
    path.write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(CloudyPointsError, match=r"depth\.npy cannot be read"):
        open_dataset(tmp_path)[0]
    np.save(path, np.zeros((64, 96), np.uint16))
    with pytest.raises(CloudyPointsError, match=r"depth\.npy is uint16 with shape \(64, 96\); expected float32 metres"):
        open_dataset(tmp_path)[0]


def test_a_broken_cityscapes_frame_is_named(tmp_path: Path) -> None:
    first, second = write_tree(tmp_path, {"train": {"aachen": 2}})
    path = first.frame.require("disparity")
    path.write_bytes(path.read_bytes()[:90])
    second.frame.require("camera").write_text("{}")
    data = open_dataset(tmp_path)
    with pytest.raises(CloudyPointsError, match=r"aachen_000000_000019_disparity\.png is unreadable"):
        data[0]
    with pytest.raises(CloudyPointsError, match=r"aachen_000001_000019_camera\.json cannot be read"):
        data[1]
