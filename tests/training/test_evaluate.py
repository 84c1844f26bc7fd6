"""`cloudypoints-train evaluate` from end to end, on files, with models whose answer is known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cityscapes_tree import write_tree
from tiny_models import expected_depth, write_model

from cloudypoints_ros.cli import main as runtime
from cloudypoints_training.cli import main, parser
from cloudypoints_training.commands.evaluate import evaluated
from cloudypoints_training.evaluation.data import Drawn
from cloudypoints_training.evaluation.pictures import chosen
from cloudypoints_training.scenes import HELD_OUT_STYLES, draw
from cloudypoints_training.stream import VALIDATION_SEED

SIZE = (96, 64)
GREY = float(expected_depth(np.array(90.0)))  # what the tiny model says of a grey image


def write_pair(folder: Path, metres: np.ndarray, image: np.ndarray | None = None, fx: float = 300) -> None:
    folder.mkdir(parents=True)
    height, width = metres.shape
    if image is None:
        image = np.full((height, width, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "image.jpg"), image)
    cv2.imwrite(str(folder / "depth.png"), np.round(metres * 256).astype(np.uint16))
    camera = {"width": width, "height": height, "fx": fx, "fy": fx, "cx": 47.5, "cy": 31.5}
    (folder / "camera.json").write_text(json.dumps(camera))


def depth(metres: float) -> np.ndarray:
    return np.full((64, 96), float(metres))


def evaluate(*arguments: object) -> dict[str, Any]:
    """The record that the command makes of these arguments, without its pictures, which take longest."""
    parsed = parser().parse_args(["evaluate", *map(str, arguments)])
    record: dict[str, Any] = json.loads(json.dumps(evaluated(parsed).record, allow_nan=False))
    return record


def write(out: Path, *arguments: object) -> dict[str, Any]:
    """The record that the command writes."""
    assert main(["evaluate", *map(str, arguments), "-o", str(out)]) == 0
    record: dict[str, Any] = json.loads((out / "evaluation.json").read_text())
    return record


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["evaluate", *map(str, arguments)]) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error.splitlines()[-1].removeprefix("cloudypoints-train: ")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model"))


def test_totals_are_means_over_sources_and_floors_stand_beside(tmp_path: Path, model: Path) -> None:
    for i in range(3):
        write_pair(tmp_path / f"data/many_{i}", depth(10))
    write_pair(tmp_path / "data/one_0", depth(20))
    record = evaluate(model, tmp_path / "data")
    assert {name: row["images"] for name, row in record["sources"].items()} == {"many": 3, "one": 1}
    many, one = abs(GREY / 10 - 1), abs(GREY / 20 - 1)
    total = record["mean_over_sources"]
    assert record["sources"]["many"]["raw"]["abs_rel"] == pytest.approx(many, rel=1e-4)
    assert total["raw"]["abs_rel"] == pytest.approx((many + one) / 2, rel=1e-4)
    assert record["mean_over_images"]["raw"]["abs_rel"] == pytest.approx((3 * many + one) / 4, rel=1e-4)
    assert total["images"] == 4 and total["counted"]["raw"]["abs_rel"] == 4
    # 10 m: 0 for one source, one half for the other; the three images of one weigh no more.
    assert total["best_constant"] == pytest.approx({"metres": 10, "raw": 0.25, "scaled": 0})
    assert record["sources"]["one"]["best_constant"] == pytest.approx({"metres": 20, "raw": 0, "scaled": 0})
    # Of the others: (10 + 10 + 20) / 3 for each of the many, 10 for the one.
    rows = total["floors"]["row_mean"]["raw"]["abs_rel"]
    assert rows == pytest.approx(((40 / 3 / 10 - 1) + 0.5) / 2)
    assert total["floors"]["constant"]["raw"]["delta1"] == pytest.approx(0.5)
    assert [i["name"] for i in record["images"]] == ["many_0", "many_1", "many_2", "one_0"]


def test_what_is_printed_is_what_is_written(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path / "data/a_0", depth(10))
    write_pair(tmp_path / "data/b_0", depth(20))
    record = write(tmp_path / "out", model, tmp_path / "data")
    printed = capsys.readouterr().out
    written = (tmp_path / "out/evaluation.md").read_text()
    assert printed == written + f"written to {tmp_path / 'out'}\n"
    rows = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in written.splitlines() if line.startswith("| ")}
    total = record["mean_over_sources"]
    assert [c.strip() for c in rows["mean over images"][:2]] == ["2", f"{total['raw']['abs_rel']:.3f}"]
    figure = [c.strip() for c in rows["raw AbsRel"]]
    low, high = total["intervals"]["raw"]["abs_rel"]
    floors = [f"{total['floors'][name]['raw']['abs_rel']:.3f}" for name in ("constant", "row_mean", "flat_road")]
    value = f"{total['raw']['abs_rel']:.3f}"
    assert figure == ["lower", "2", value, f"{low:.3f} to {high:.3f}", *floors]
    for name in ("sheet", "by_distance", "by_row"):
        picture = cv2.imread(str(tmp_path / f"out/{name}.png"))
        assert picture is not None and picture.std() > 10
    assert not (tmp_path / "out/calibration.png").exists()  # this model says nothing of its variance
    assert not list((tmp_path / "out").glob(".*"))


def test_the_focal_length_sets_the_metres(tmp_path: Path) -> None:
    canonical = write_model(tmp_path / "model", canonical_focal_px=100)
    write_pair(tmp_path / "data/one_0", depth(20), fx=100)
    write_pair(tmp_path / "data/two_0", depth(20), fx=200)
    sources = evaluate(canonical, tmp_path / "data")["sources"]
    assert sources["one"]["raw"]["abs_rel"] == pytest.approx(abs(GREY - 20) / 20, rel=1e-4)
    assert sources["two"]["raw"]["abs_rel"] == pytest.approx(abs(2 * GREY - 20) / 20, rel=1e-4)
    assert sources["two"]["scaled"]["abs_rel"] == pytest.approx(0, abs=1e-5)


def test_colours_are_not_swapped(tmp_path: Path, model: Path) -> None:
    red = np.zeros((64, 96, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR; blue would be sky
    write_pair(tmp_path / "data/a_0", depth(float(expected_depth(np.array(200.0)))), red)
    assert evaluate(model, tmp_path / "data")["mean_over_sources"]["raw"]["abs_rel"] < 0.02


def test_protocols_count_other_pixels(tmp_path: Path, model: Path) -> None:
    metres = depth(40)
    metres[:16] = 5  # above the Cityscapes crop
    metres[48:] = 5  # the car itself
    metres[16:48, 9:87] = 0.5  # nearer than the plain protocol counts
    metres[16:48, 9:48] = 20
    write_pair(tmp_path / "data/a_0", metres)
    plain = evaluate(model, tmp_path / "data")["images"][0]
    city = evaluate(model, tmp_path / "data", "--protocol", "cityscapes")["images"][0]
    assert plain["pixels"] == 64 * 96 - 32 * 39
    assert city["pixels"] == 32 * 78 and city["floors"]["constant"]["raw"] > 1  # 0.5 m counts
    assert city["raw"]["abs_rel"] == pytest.approx((abs(GREY / 20 - 1) + GREY / 0.5 - 1) / 2, rel=1e-3)


def test_errors_by_distance_row_and_near_objects(tmp_path: Path, model: Path) -> None:
    metres = depth(30)
    metres[32:] = 8
    metres[32:, 48:] = 4
    write_pair(tmp_path / "data/a_0", metres)
    record = evaluate(model, tmp_path / "data")
    by = record["by_distance"]
    assert by["edges_m"] == [1, 5, 10, 20, 40, 80] and by["pixels"] == [1536, 1536, 0, 3072, 0]
    assert by["images"] == [1, 1, 0, 1, 0]
    assert by["ratio"][0] == pytest.approx(GREY / 4, rel=1e-4) and by["abs_rel"][2] is None
    assert by["floors"]["constant"][3] == pytest.approx(1 - record["mean_over_sources"]["best_constant"]["metres"] / 30)
    rows = record["by_row"]
    assert rows["pixels"] == [7 * 96, 6 * 96, 7 * 96, 6 * 96, 6 * 96, 7 * 96, 6 * 96, 7 * 96, 6 * 96, 6 * 96]
    assert rows["abs_rel"][0] == pytest.approx(abs(GREY / 30 - 1), rel=1e-4)
    # No road fits these walls: a level one 1.65 m under the camera, 0.3 m under what counts, is below row 31.5 + 101
    # at 4 m and below row 31.5 + 50 at 8 m, outside the picture.
    near = record["mean_over_sources"]["near"]
    assert record["images"][0]["near_pixels"] == 3072 and record["images"][0]["road_fitted"] is False
    assert near["abs_rel"] == pytest.approx((GREY / 4 - 1 + GREY / 8 - 1) / 2, rel=1e-4)
    assert near["ratio"] == pytest.approx(math.sqrt(GREY / 4 * GREY / 8), rel=1e-4)


def test_a_folder_of_predictions_scores_as_its_model(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for name in ("a_0", "a_1", "b_0"):
        image = np.zeros((64, 96, 3), np.uint8)
        image[..., 2] = rng.integers(20, 200)
        write_pair(tmp_path / "data" / name, rng.uniform(2, 60, (64, 96)), image)
    predict = ["predict", str(tmp_path / "data"), "--model", str(model)]
    assert runtime([*predict, "-o", str(tmp_path / "npy"), "--format", "npy", "--format", "color"]) == 0
    assert runtime([*predict, "-o", str(tmp_path / "png"), "--format", "png"]) == 0
    live, npy, png = (evaluate(what, tmp_path / "data") for what in (model, tmp_path / "npy", tmp_path / "png"))
    assert npy["images"] == live["images"]
    assert png["mean_over_sources"]["raw"]["abs_rel"] == pytest.approx(
        live["mean_over_sources"]["raw"]["abs_rel"], abs=5e-4
    )
    assert "knows no corrupted images" in fails(capsys, tmp_path / "npy", tmp_path / "data", "--corruptions")

    np.save(tmp_path / "npy/a_1/image.npy", np.ones((64, 90), np.float32))
    assert "is 90x64 but the truth of a_1 is 96x64" in fails(capsys, tmp_path / "npy", tmp_path / "data")
    np.save(tmp_path / "npy/a_1/image.npy", np.ones((64, 96), np.int32))
    assert "int32 of shape (64, 96); expected a float array" in fails(capsys, tmp_path / "npy", tmp_path / "data")
    (tmp_path / "npy/a_1/image.npy").write_bytes(b"broken")
    assert "cannot be read" in fails(capsys, tmp_path / "npy", tmp_path / "data")
    (tmp_path / "npy/a_1/image.npy").unlink()
    assert "holds no depth for a_1; expected one a_1.npy" in fails(capsys, tmp_path / "npy", tmp_path / "data")
    for name in ("a_1", "x/a_1"):
        (tmp_path / f"npy/{name}.npy").parent.mkdir(exist_ok=True)
        np.save(tmp_path / f"npy/{name}.npy", np.ones((64, 96), np.float32))
    assert "holds 2 depths" in fails(capsys, tmp_path / "npy", tmp_path / "data")


def test_cityscapes_as_it_is_unpacked(tmp_path: Path) -> None:
    """Answers 10 % too far, in the tree that `cloudypoints predict` makes, against stereo of known depth."""
    for each in write_tree(tmp_path / "data", {"val": {"aachen": 2, "ulm": 1}}):
        answer = tmp_path / f"answers/val/{each.frame.city}/{each.frame.name}_leftImg8bit.npy"
        answer.parent.mkdir(parents=True, exist_ok=True)
        np.save(answer, (1.1 * each.depth).astype(np.float32))
    record = evaluate(tmp_path / "answers", tmp_path / "data", "--split", "val", "--protocol", "cityscapes")
    assert {name: row["images"] for name, row in record["sources"].items()} == {"aachen": 2, "ulm": 1}
    total = record["mean_over_sources"]
    assert total["raw"]["abs_rel"] == pytest.approx(0.1, abs=0.01) and total["scaled"]["abs_rel"] < 0.01
    assert total["missing"] == 0 and 0 < min(i["pixels"] for i in record["images"]) <= 208 * 64
    assert total["floors"]["constant"]["raw"]["abs_rel"] > 0.2


def test_corruptions(tmp_path: Path, model: Path) -> None:
    image = np.full((64, 96, 3), 90, np.uint8)
    write_pair(tmp_path / "data/a_0", depth(GREY), image)
    record = write(tmp_path / "out", model, tmp_path / "data", "--corruptions", "--bootstrap", 0)
    spoilt = record["corruptions"]
    assert spoilt["clean_abs_rel"] < 0.01 and "intervals" not in record["mean_over_sources"]
    dark = [float(expected_depth(np.array(90.0 * light))) for light in (0.6, 0.3, 0.1)]
    expected = {s: abs(d / GREY - 1) for s, d in zip("135", dark, strict=True)}
    assert spoilt["abs_rel"]["dark"] == pytest.approx(expected, abs=0.03)
    assert spoilt["abs_rel"]["contrast"]["5"] < 0.01  # nothing to see in one grey
    every = [e for errors in spoilt["abs_rel"].values() for e in errors.values()]
    assert len(every) == 18 and spoilt["mean_corruption_error"] == pytest.approx(np.mean(every))
    assert (tmp_path / "out/corruptions.png").is_file()
    assert "Mean corruption error" in (tmp_path / "out/evaluation.md").read_text()


def test_images_without_truth_are_left_out_and_named(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pair(tmp_path / "data/b_0", depth(90))
    assert "None of the 1 images has a depth from 1 to 80 m" in fails(capsys, model, tmp_path / "data")
    write_pair(tmp_path / "data/a_0", depth(10))
    write_pair(tmp_path / "data/a_1", depth(0))
    assert main(["evaluate", str(model), str(tmp_path / "data")]) == 0
    record = evaluate(model, tmp_path / "data")
    assert {name: row["images"] for name, row in record["sources"].items()} == {"a": 1}
    assert record["without_truth"] == ["a_1", "b_0"]
    assert "Left out, without truth that counts: a_1, b_0." in capsys.readouterr().out


def test_an_image_without_prediction_does_not_vanish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picky = write_model(tmp_path / "model", validity=True)  # valid where green
    write_pair(tmp_path / "data/a_0", depth(10), np.full((64, 96, 3), 200, np.uint8))
    assert evaluate(picky, tmp_path / "data")["sources"]["a"]["images"] == 1
    write_pair(tmp_path / "data/a_1", depth(10))
    assert "no depth for any measured pixel of a_1" in fails(capsys, picky, tmp_path / "data")


def test_errors_are_sentences(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(tmp_path / "data/a_0", depth(10))
    data = tmp_path / "data"
    assert "Give either ROOT" in fails(capsys, model)
    assert "Give either ROOT" in fails(capsys, model, data, "--synthetic", 2)
    assert "--flicker needs ROOT" in fails(capsys, model, "--synthetic", 2, "--flicker")
    assert "none.onnx" in fails(capsys, tmp_path / "none.onnx", data)
    assert "There is no checkpoint" in fails(capsys, tmp_path / "none.safetensors", data)
    assert "x.pt does not exist; expected a .onnx model, a" in fails(capsys, tmp_path / "x.pt", data)
    (tmp_path / "x.pt").write_text("")
    assert "x.pt cannot be scored; expected a .onnx model, a" in fails(capsys, tmp_path / "x.pt", data)
    assert "holds no .npy or .png" in fails(capsys, _folder(tmp_path / "empty"), data)
    assert str(tmp_path / "empty") in fails(capsys, model, tmp_path / "empty")
    (tmp_path / "file").write_text("")
    assert "cannot be written" in fails(capsys, model, data, "-o", tmp_path / "file/out")
    camera = json.loads((data / "a_0/camera.json").read_text())
    (data / "a_0/camera.json").write_text(json.dumps({**camera, "width": 48}))
    assert "48x64" in fails(capsys, model, data)
    (data / "a_0/camera.json").unlink()
    assert "camera" in fails(capsys, model, data)


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_flicker_of_a_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that sees one depth everywhere sees no road plane, but the command says what it found."""
    clip = _folder(tmp_path / "clip")
    for i in range(4):
        cv2.imwrite(str(clip / f"{i}.png"), np.full((64, 96, 3), 90 + 20 * (i % 2), np.uint8))
    camera = {"width": 96, "height": 64, "fx": 60, "fy": 60, "cx": 47.5, "cy": 20.5}
    (clip / "camera.json").write_text(json.dumps(camera))
    out = tmp_path / "out"
    assert main(["evaluate", str(write_model(tmp_path / "m")), str(clip), "--flicker", "-o", str(out)]) == 0
    record = json.loads((out / "flicker.json").read_text())
    step = math.log(float(expected_depth(np.array(110.0))) / GREY)
    assert record["scale_step"] == pytest.approx(step, rel=1e-3)
    assert record["frames"] == record["frames_with_road"] == 4
    printed = capsys.readouterr().out
    assert printed == (out / "flicker.md").read_text() and f"{step:.2%} from frame to frame" in printed
    assert cv2.imread(str(out / "flicker.png")).std() > 5


def test_drawn_scenes_are_of_held_out_styles_and_unseen_seeds() -> None:
    scenes = Drawn(2, sizes=(SIZE,))
    assert len(scenes) == 2 * len(HELD_OUT_STYLES)
    last = scenes[len(scenes) - 1]
    expected = draw(VALIDATION_SEED + 1, *SIZE, HELD_OUT_STYLES[-1])
    np.testing.assert_array_equal(last.image, expected.image)
    np.testing.assert_array_equal(last.depth, expected.depth)
    assert (last.source, last.camera) == (HELD_OUT_STYLES[-1], expected.camera)
    assert len({scenes[i].name for i in range(len(scenes))}) == len(scenes)


def test_synthetic_scores(model: Path) -> None:
    record = evaluate(model, "--synthetic", 1, "--bootstrap", 0)
    assert list(record["sources"]) == sorted(HELD_OUT_STYLES)
    assert record["mean_over_sources"]["images"] == len(HELD_OUT_STYLES)
    assert record["mean_over_sources"]["boundary"]["f1"] is not None


def test_the_sheet_shows_each_image_once() -> None:
    assert chosen([0.3, 0.1, 0.5, 0.2, 0.9, 0.4, 0.8]) == [
        ("best", 1), ("best", 3), ("median", 0), ("median", 5), ("worst", 6), ("worst", 4),
    ]  # fmt: skip
    assert chosen([0.3]) == [("best", 0)]
    assert sorted(i for _, i in chosen([0.3, 0.1, 0.2])) == [0, 1, 2]
