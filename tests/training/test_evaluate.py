from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tiny_models import expected_depth, write_model

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cli import main
from cloudypoints_training.commands.export import provenance
from cloudypoints_training.evaluate import evaluate, read_pairs, source_of, table
from cloudypoints_training.export import export
from cloudypoints_training.models.efficientnet_lite import new_model
from cloudypoints_training.scenes import draw


def write_pair(folder: Path, metres: np.ndarray, image: np.ndarray | None = None, fx: float = 300) -> None:
    folder.mkdir(parents=True)
    height, width = metres.shape
    if image is None:
        image = np.full((height, width, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "image.jpg"), image)
    cv2.imwrite(str(folder / "depth.png"), np.round(metres * 256).astype(np.uint16))
    camera = {"width": width, "height": height, "fx": fx, "fy": fx, "cx": 47.5, "cy": 31.5}
    (folder / "camera.json").write_text(json.dumps(camera))


def test_sources() -> None:
    names = {
        "town_berlin_000000_000019": "town_berlin",
        "my_drive_0003": "my_drive",
        "drive-7": "drive",
        "rig_LEFT": "rig_LEFT",
        "007": "",
    }
    assert {name: source_of(name) for name in names} == names
    prefixes = ("rig", "set3d")
    assert [source_of(n, prefixes) for n in ("rig_LEFT", "set3d_a_01", "drive_7")] == ["rig", "set3d", "drive"]


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
    result = evaluate(write_model(tmp_path / "model"), tmp_path)
    # 10 m: 0 for one source, one half for the other; the three images of one weigh no more.
    assert result["mean_over_sources"]["floor"] == pytest.approx({"best_constant_m": 10, "raw": 0.25, "scaled": 0})
    assert result["sources"]["many"]["floor"] == pytest.approx({"best_constant_m": 10, "raw": 0, "scaled": 0})
    assert result["sources"]["one"]["floor"] == pytest.approx({"best_constant_m": 20, "raw": 0, "scaled": 0})
    assert table(result).splitlines()[4].endswith("0.0% |   0.250   0.000")


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


def test_the_focal_length_sets_the_metres(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", canonical_focal_px=100)
    metres = float(expected_depth(np.array(90.0)))  # of a grey image, for 100 px
    write_pair(tmp_path / "data/one_0", np.full((64, 96), 20.0), fx=100)
    write_pair(tmp_path / "data/two_0", np.full((64, 96), 20.0), fx=200)
    sources = evaluate(model, tmp_path / "data")["sources"]
    assert sources["one"]["raw"]["abs_rel"] == pytest.approx(abs(metres - 20) / 20, rel=1e-4)
    assert sources["two"]["raw"]["abs_rel"] == pytest.approx(abs(2 * metres - 20) / 20, rel=1e-4)
    assert sources["two"]["scaled"]["abs_rel"] == pytest.approx(0, abs=1e-5)


def test_pairs_without_truth_are_left_out_once(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    write_pair(tmp_path / "data/b_0", np.full((64, 96), 90.0))
    with pytest.raises(CloudyPointsError, match=r"No depth\.png under .* from 1 to 80 m"):
        evaluate(model, tmp_path / "data")
    write_pair(tmp_path / "data/a_0", np.full((64, 96), 10.0))
    write_pair(tmp_path / "data/a_1", np.zeros((64, 96)))
    result = evaluate(model, tmp_path / "data")
    assert {name: row["images"] for name, row in result["sources"].items()} == {"a": 1}
    assert result["mean_over_sources"]["floor"]["raw"] == pytest.approx(0)
    assert result["without_truth"] == ["a_1", "b_0"]
    assert "left out, without truth from 1 to 80 m: a_1, b_0" in table(result)


def test_a_pair_without_prediction_does_not_vanish(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", validity=True)  # valid where green
    write_pair(tmp_path / "data/a_0", np.full((64, 96), 10.0), np.full((64, 96, 3), 200, np.uint8))
    assert evaluate(model, tmp_path / "data")["sources"]["a"]["images"] == 1
    write_pair(tmp_path / "data/a_1", np.full((64, 96), 10.0))
    with pytest.raises(CloudyPointsError, match="no depth for any measured pixel of a_1"):
        evaluate(model, tmp_path / "data")


def test_pairs_that_do_not_fit_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "a_0"
    write_pair(folder, np.full((64, 96), 10.0))
    good = json.loads((folder / "camera.json").read_text())
    (folder / "camera.json").write_text(json.dumps({**good, "d": [-0.1, 0, 0, 0]}))
    assert read_pairs(tmp_path)[0].camera.d == (-0.1, 0, 0, 0)
    (folder / "camera.json").write_text(json.dumps({**good, "width": 48}))
    with pytest.raises(CloudyPointsError, match=r"48x64 image but image\.jpg is 96x64; give"):
        read_pairs(tmp_path)
    (folder / "camera.json").write_text("{")
    with pytest.raises(CloudyPointsError, match="cannot be understood"):
        read_pairs(tmp_path)
    cv2.imwrite(str(folder / "depth.png"), np.ones((64, 90), np.uint16))
    with pytest.raises(CloudyPointsError, match=r"is 90x64 but image\.jpg is 96x64"):
        read_pairs(tmp_path)
    (folder / "image.jpg").unlink()
    with pytest.raises(CloudyPointsError, match="cannot be read"):
        read_pairs(tmp_path)


def test_commands_fail_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def fails(*arguments: object) -> str:
        assert main([str(a) for a in arguments]) == 2
        error = capsys.readouterr().err
        assert "Traceback" not in error
        return error.splitlines()[-1].removeprefix("cloudypoints-train: ")

    (tmp_path / "file").write_text("")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"not a checkpoint at all")
    strange = tmp_path / "strange.safetensors"
    save_file({"x": torch.zeros(1)}, strange)
    assert "ends in .onnx" in fails("export", damaged, tmp_path / "model")
    assert "undamaged" in fails("export", damaged, tmp_path / "m.onnx")
    assert "is no checkpoint of" in fails("export", strange, tmp_path / "m.onnx")
    small = ("--count", 1, "--size", 96, 64)
    assert "cannot be written" in fails("synth", tmp_path / "file/sheet.jpg", *small)
    assert "cannot be written" in fails("synth", tmp_path / "file/folder", *small)
    write_pair(tmp_path / "data/a_0", np.full((64, 96), 10.0))
    model = write_model(tmp_path / "model")
    nowhere = tmp_path / "none/result.json"
    assert "permissions" in fails("evaluate", model, tmp_path / "data", "--json", nowhere)


@pytest.mark.parametrize(
    "arguments",
    [
        ["synth", "x", "--count", "0"],
        ["synth", "x", "--truth-every", "0"],
        ["fit", "x", "--steps", "-1"],
        ["fit", "x", "--workers", "-1"],
        ["fit", "x", "--validate-every", "0"],
        ["fit", "x", "--validation-scenes", "two"],
    ],
)
def test_counts_are_checked(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
    assert "expected a whole number" in capsys.readouterr().err


def test_a_torn_log_still_gives_the_scores(tmp_path: Path) -> None:
    log = '{"step": 5, "validation": {"seen_raw": 0.25}}\n{"step": 10, "validation": {"se'
    (tmp_path / "log.jsonl").write_text(log)
    arguments = argparse.Namespace(checkpoint=tmp_path / "checkpoint.safetensors")
    said = provenance({"step": 7, "images": 9, "settings": {}}, arguments)
    assert said["synthetic_abs_rel"] == {"step": 5, "seen_raw": 0.25}
