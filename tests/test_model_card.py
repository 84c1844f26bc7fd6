"""Cards: golden files, round trips, and clear errors."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import write_model

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import METADATA_KEY, InputSize, Mask, ModelCard, card_path
from cloudypoints_ros.model_files import load_card, onnx_metadata

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.card.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda p: p.name)
def test_golden_cards_are_read_and_written_back_unchanged(path: Path) -> None:
    text = path.read_text()
    assert ModelCard.from_json(text).to_json() == text


def test_golden_street_card_says_what_it_says() -> None:
    card = ModelCard.from_json((Path(__file__).parent / "golden" / "street.card.json").read_text())
    assert card.input.size == InputSize((64, 64), (320, 640), (512, 1024), 32) and not card.input.size.fixed
    assert card.output.canonical_focal_px == 500.0
    assert card.output.sky == Mask("sky", "above", 0.0)


def test_golden_fixed_card_says_what_it_says() -> None:
    card = ModelCard.from_json((Path(__file__).parent / "golden" / "fixed_relative.card.json").read_text())
    assert card.input.size.fixed and card.input.size.opt == (256, 256)
    assert (card.output.quantity, card.output.unit) == ("inverse_depth", "relative")


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"version": 2}, "has version 2, this program reads version 1; upgrade"),
        ({"name": None, "input": 3}, "incomplete or wrong"),
    ],
)
def test_other_versions_and_wrong_cards(edit: dict, sentence: str) -> None:
    record = json.loads(GOLDEN[0].read_text()) | edit
    with pytest.raises(CloudyPointsError, match=sentence):
        ModelCard.from_json(json.dumps(record))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("input", "resize"), "crop", "resize is 'crop', expected one of letterbox, stretch"),
        (("input", "size"), {"min": [64, 64], "opt": [33, 64], "max": [64, 64], "multiple": 32}, "min <= opt <= max"),
        (("input", "size"), {"min": [32, 32], "opt": [48, 64], "max": [64, 64], "multiple": 32}, "multiples of 32"),
        (("output", "range_m"), [5, 1], "0 < near < far"),
        (("output", "unit"), "feet", "unit is 'feet'"),
        (("input", "mean"), [1, 2], "incomplete or wrong"),
        (("input", "std"), [1, 0, 1], "std is 0.0, expected a positive number"),
        (("output", "canonical_focal_px"), -5, "canonical_focal_px is -5.0, expected a positive number"),
        (("output", "canonical_focal_px"), 0, "canonical_focal_px is 0.0"),
    ],
)
def test_each_field_is_checked(path: tuple[str, str], value: object, sentence: str) -> None:
    record = json.loads((Path(__file__).parent / "golden" / "street.card.json").read_text())
    record[path[0]][path[1]] = value
    with pytest.raises(CloudyPointsError, match=sentence):
        ModelCard.from_json(json.dumps(record))


def test_not_json() -> None:
    with pytest.raises(CloudyPointsError, match="not JSON"):
        ModelCard.from_json("{")
    with pytest.raises(CloudyPointsError, match="no JSON object"):
        ModelCard.from_json("[]")


def test_the_card_needs_only_the_standard_library() -> None:
    code = (
        "import sys; import cloudypoints_ros.model_card; "
        "print(sorted(m for m in ('numpy', 'cv2', 'onnx', 'onnxruntime') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_embedded_card_wins_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = write_model(tmp_path)
    beside = card_path(model)
    embedded = ModelCard.from_json(onnx_metadata(model)[METADATA_KEY])
    assert load_card(model) == embedded and not caplog.records
    beside.write_text(beside.read_text().replace('"licence": "test"', '"licence": "other"'))
    assert load_card(model).licence == "test"
    assert "the one inside is used" in caplog.text


def test_card_beside_a_foreign_model(tmp_path: Path) -> None:
    import onnx

    model = write_model(tmp_path)
    proto = onnx.load(str(model))
    del proto.metadata_props[:]
    onnx.save(proto, str(model))
    assert load_card(model).name == "tiny"
    card_path(model).unlink()
    with pytest.raises(CloudyPointsError, match="has no card"):
        load_card(model)


def test_missing_truncated_and_foreign_files(tmp_path: Path) -> None:
    with pytest.raises(CloudyPointsError, match="There is no model file"):
        load_card(tmp_path / "absent.onnx")
    model = write_model(tmp_path)
    model.write_bytes(model.read_bytes()[:-40])
    with pytest.raises(CloudyPointsError, match="not a complete ONNX file"):
        load_card(model)
    write_model(tmp_path)
    card_path(model).write_bytes(b"\xff\xfe{")
    with pytest.raises(CloudyPointsError, match="or its card cannot be read"):
        load_card(model)
    model.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    with pytest.raises(CloudyPointsError, match="not a complete ONNX file"):
        load_card(model)
