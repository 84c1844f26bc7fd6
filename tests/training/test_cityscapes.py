from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from cityscapes_tree import write_tree

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import find_frames, fold_of, read_rig


def test_frames_are_found_in_order_with_all_their_files(tmp_path: Path) -> None:
    written = write_tree(tmp_path, {"train": {"aachen": 2, "bad-honnef": 1}, "val": {"frankfurt": 1}})
    frames = find_frames(tmp_path)
    assert [f.name for f in frames] == [
        "aachen_000000_000019", "aachen_000001_000019", "bad-honnef_000000_000019", "frankfurt_000000_000019"
    ]  # fmt: skip
    assert frames == sorted(w.frame for w in written)
    camera = frames[0].path("camera")
    assert camera == tmp_path / "camera/train/aachen/aachen_000000_000019_camera.json"
    other = tmp_path / "leftImg8bit/train/bad-honnef/ulm_000000_000019_leftImg8bit.png"  # of another city
    shutil.copy(frames[0].require("leftImg8bit"), other)
    assert find_frames(tmp_path) == frames
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
        (
            json.dumps({"intrinsic": dict.fromkeys(("fx", "fy", "u0", "v0"), 0.0), "extrinsic": {"baseline": 0.2}}),
            "fx=0.0 .* must be positive",
        ),
        (
            json.dumps({"intrinsic": {"fx": 2262, "fy": 2265, "u0": 1096, "v0": 513}, "extrinsic": {"baseline": 0.2}}),
            r"\(1096, 513\), not near the middle of 1024x512 images; give the images at their original size",
        ),
    ):
        path.write_text(text)
        with pytest.raises(CloudyPointsError, match=said) as caught:
            read_rig(path, (1024, 512))
        assert str(path) in str(caught.value)


def test_a_city_is_in_the_same_fold_whatever_else_there_is() -> None:
    cities = (
        "aachen",
        "bochum",
        "bremen",
        "cologne",
        "darmstadt",
        "dusseldorf",
        "erfurt",
        "hamburg",
        "hanover",
        "jena",
    )
    cities += ("krefeld", "monchengladbach", "strasbourg", "stuttgart", "tubingen", "ulm", "weimar", "zurich")
    counts = [sum(fold_of(city, 5) == fold for city in cities) for fold in range(5)]
    assert sum(counts) == 18 and min(counts) >= 2
    assert [fold_of(city, 5) for city in cities[:4]] == [3, 2, 2, 0]
