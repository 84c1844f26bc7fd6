"""The commands refuse what cannot work, in a sentence."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from cloudypoints_training.cli import main
from cloudypoints_training.commands.export import provenance


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
    assert "cannot be read as a checkpoint" in fails("export", damaged, tmp_path / "m.onnx")
    assert "does not say which model it holds" in fails("export", strange, tmp_path / "m.onnx")
    small = ("--count", 1, "--size", 96, 64)
    assert "cannot be written" in fails("synth", tmp_path / "file/sheet.jpg", *small)
    assert "cannot be written" in fails("synth", tmp_path / "file/folder", *small)


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
