from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cli import main
from cloudypoints_training.evaluate import evaluate, floors, read_pairs, source_of, table
from cloudypoints_training.export import export
from cloudypoints_training.model import new_model
from cloudypoints_training.scenes import draw


def write_pair(folder: Path, metres: np.ndarray, image: np.ndarray | None = None) -> None:
    folder.mkdir(parents=True)
    height, width = metres.shape
    if image is None:
        image = np.full((height, width, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "image.jpg"), image)
    cv2.imwrite(str(folder / "depth.png"), np.round(metres * 256).astype(np.uint16))
    camera = {"width": width, "height": height, "fx": 300, "fy": 300, "cx": 47.5, "cy": 31.5}
    (folder / "camera.json").write_text(json.dumps(camera))


def test_sources() -> None:
    names = {
        "cityscapes_berlin_000000": "cityscapes",
        "kitti_obj_000001": "kitti_obj",
        "mmdet3d_kitti_000008": "mmdet3d",
        "nusc_CAM_BACK_LEFT": "nusc",
        "sfnd_0077": "sfnd",
        "my_drive_0003": "my_drive",
        "007": "",
    }
    assert {name: source_of(name) for name in names} == names


def test_truth_is_read_in_metres_with_unknown_as_nan(tmp_path: Path) -> None:
    metres = np.full((64, 96), 12.5)
    metres[0] = 0
    image = np.zeros((64, 96, 3), np.uint8)
    image[..., 0] = 255
    write_pair(tmp_path / "a_0", metres, image)
    (pair,) = read_pairs(tmp_path)
    assert np.isnan(pair.truth[0]).all() and (pair.truth[1:] == 12.5).all()
    assert pair.image[32, 48, 0] > 240 and pair.image[32, 48, 2] < 20  # BGR, as the pipeline is told
    assert pair.camera.fx == 300 and pair.camera.cy == 31.5


def test_floors_are_the_mean_over_sources(tmp_path: Path) -> None:
    for i in range(3):
        write_pair(tmp_path / f"many_{i}", np.full((64, 96), 10.0))
    write_pair(tmp_path / "one_0", np.full((64, 96), 20.0))
    low = floors(read_pairs(tmp_path))
    # 10 m: 0 for one source, one half for the other; the three images of one weigh no more.
    assert low["best_constant_m"] == 10
    assert low["best_constant_raw_abs_rel"] == pytest.approx(0.25)
    assert low["constant_scaled_abs_rel"] == pytest.approx(0)


def test_evaluate_scores_through_the_runtime(tmp_path: Path) -> None:
    model = tmp_path / "m.onnx"
    export(new_model(imagenet=False), model, "m", {})
    write_pair(tmp_path / "data/a_0", np.full((64, 96), 10.0))
    write_pair(tmp_path / "data/a_1", np.full((64, 96), 10.0))
    write_pair(tmp_path / "data/b_0", np.full((64, 96), 30.0))
    result = evaluate(model, tmp_path / "data")
    assert {name: row["images"] for name, row in result["sources"].items()} == {"a": 2, "b": 1}
    a, b = (result["sources"][k]["raw"]["abs_rel"] for k in "ab")
    assert result["mean_over_sources"]["raw"]["abs_rel"] == pytest.approx((a + b) / 2)
    assert result["mean_over_sources"]["images"] == 3
    assert a != b and 0 <= result["sources"]["a"]["scaled"]["abs_rel"] < 0.5
    text = table(result)
    assert "mean over sources" in text and "sky counts as 80 m" in text


def test_errors_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CloudyPointsError, match=r"no depth\.png under"):
        read_pairs(tmp_path)
    assert main(["export", str(tmp_path / "none.safetensors"), str(tmp_path / "m.onnx")]) == 2
    assert "There is no checkpoint" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "none.onnx"), str(tmp_path)]) == 2


def test_synth_writes_what_evaluate_reads(tmp_path: Path) -> None:
    size = ["--size", "96", "64"]
    assert main(["synth", str(tmp_path / "drawn"), "--count", "2", "--seed", "5", *size]) == 0
    first, second = read_pairs(tmp_path / "drawn")
    assert (first.source, second.source) == ("street", "street")
    expected = draw(5, 96, 64)
    assert first.camera == expected.camera
    known = np.isfinite(expected.depth) & (expected.depth < 255)
    np.testing.assert_allclose(first.truth[known], expected.depth[known], atol=0.5 / 256 + 1e-4)
    assert np.isnan(first.truth[np.isposinf(expected.depth)]).all()
    assert np.abs(first.image[..., ::-1].astype(int) - expected.image).mean() < 10  # JPEG, RGB kept


def test_synth_clip_is_one_camera_and_numbered_frames(tmp_path: Path) -> None:
    assert main(["synth", str(tmp_path / "c"), "--clip", "--count", "2", "--size", "96", "64"]) == 0
    files = sorted(str(p.relative_to(tmp_path / "c")) for p in (tmp_path / "c").rglob("*.*"))
    assert files == ["camera.json", "depth/000.png", "depth/001.png", "image/000.jpg", "image/001.jpg"]
    assert json.loads((tmp_path / "c/camera.json").read_text())["width"] == 96


def test_synth_refuses_an_unknown_style(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", str(tmp_path / "x"), "--style", "moon"]) == 2
    assert "no style 'moon'; choose one of city" in capsys.readouterr().err
