from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from cityscapes_tree import write_tree

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import Rig, find_frames, read_rig
from cloudypoints_training.disparity import depth_from_disparity, disparity_from_depth, read_disparity


def test_frames_are_found_in_order_with_all_their_files(tmp_path: Path) -> None:
    written = write_tree(tmp_path, {"train": {"aachen": 2, "bad-honnef": 1}, "val": {"frankfurt": 1}})
    frames = find_frames(tmp_path)
    assert [f.name for f in frames] == [
        "aachen_000000_000019", "aachen_000001_000019", "bad-honnef_000000_000019", "frankfurt_000000_000019"
    ]  # fmt: skip
    assert frames == sorted(w.frame for w in written)
    camera = frames[0].path("camera")
    assert camera == tmp_path / "camera/train/aachen/aachen_000000_000019_camera.json"
    assert [f.name for f in find_frames(tmp_path, "val")] == ["frankfurt_000000_000019"]


def test_unzipped_archives_and_sequences_are_found_too(tmp_path: Path) -> None:
    write_tree(tmp_path / "loose", {"train": {"aachen": 1}}, frames_per_sequence=3, suffix="_sequence")
    root = tmp_path / "archives"
    for kind in ("leftImg8bit_sequence", "disparity_sequence"):
        shutil.move(tmp_path / "loose" / kind, root / f"{kind}_trainvaltest" / kind)
    frames = find_frames(root)
    assert [f.frame for f in frames] == [0, 1, 2]
    assert all(f.path("disparity") and f.path("camera") is None for f in frames)
    with pytest.raises(CloudyPointsError, match=r"aachen_000000_000001 has no camera file; unpack .* camera"):
        frames[1].require("camera")


def test_a_tree_without_frames_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit/train/aachen").mkdir(parents=True)
    (tmp_path / "leftImg8bit/train/aachen/notes.png").touch()
    with pytest.raises(CloudyPointsError, match=r"no Cityscapes image under .*expected leftImg8bit/SPLIT/CITY"):
        find_frames(tmp_path)
    with pytest.raises(CloudyPointsError, match="no split 'trian'; expected one of train"):
        find_frames(tmp_path, "trian")


def test_every_city_keeps_its_own_rig(tmp_path: Path) -> None:
    written = write_tree(tmp_path, {"train": {"aachen": 1, "bremen": 1}})
    rigs = [read_rig(f.require("camera"), (256, 128)) for f in find_frames(tmp_path)]
    assert rigs == [w.rig for w in written]
    assert rigs[0].camera.fx != rigs[1].camera.fx and rigs[0].baseline_m != rigs[1].baseline_m


def test_a_broken_camera_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x_camera.json"
    for text, said in (
        ("{", "JSONDecodeError"),
        ('{"intrinsic": {}, "extrinsic": {"baseline": 0.2}}', "KeyError: 'fx'"),
        (
            json.dumps({"intrinsic": dict.fromkeys(("fx", "fy", "u0", "v0"), 100.0), "extrinsic": {"baseline": 0}}),
            "0.0 m",
        ),
    ):
        path.write_text(text)
        with pytest.raises(CloudyPointsError, match=said) as caught:
            read_rig(path)
        assert str(path) in str(caught.value)


def test_a_disparity_of_known_depth_comes_back_within_its_quantisation(tmp_path: Path) -> None:
    (written,) = write_tree(tmp_path, {"train": {"aachen": 1}})
    depth = depth_from_disparity(read_disparity(written.frame.require("disparity")), written.rig)
    known = ~written.unseen
    assert 0.3 < known.mean() < 0.9
    assert np.isnan(depth[~known]).all()
    bf = written.rig.baseline_m * written.rig.camera.fx
    off = np.abs(bf / depth[known] - bf / written.depth[known])  # in pixels of disparity
    assert off.max() <= 0.5 / 256 + 1e-4


def test_the_three_kinds_of_disparity() -> None:
    rig = Rig(Camera(5, 1, 1000.0, 1000.0, 2.0, 0.0), 0.25)
    raw = np.array([[0, 1, 2, 257, 65535]], np.uint16)
    depth = depth_from_disparity(raw, rig)
    assert np.isnan(depth[0, 0]) and np.isposinf(depth[0, 1])
    np.testing.assert_allclose(depth[0, 2:], [0.25 * 1000 * 256, 0.25 * 1000, 0.25 * 1000 * 256 / 65534], rtol=1e-6)
    np.testing.assert_array_equal(disparity_from_depth(depth, rig), raw)
    assert disparity_from_depth(np.array([[0.5]]), rig)[0, 0] == 0  # 500 px do not fit


def test_a_damaged_disparity_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a_disparity.png"
    path.write_bytes(b"no picture")
    with pytest.raises(CloudyPointsError, match=r"a_disparity.png is unreadable; expected a 16-bit"):
        read_disparity(path)
