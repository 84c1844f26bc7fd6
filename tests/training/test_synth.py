"""`cloudypoints-train synth`: what it writes is what was drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cloudypoints_training.cli import main
from cloudypoints_training.datasets import open_dataset
from cloudypoints_training.scenes import draw


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    size = ["--size", "96", "64"]
    assert main(["synth", str(tmp_path / "drawn"), "--count", "2", "--seed", "5", *size]) == 0
    first, second = open_dataset(tmp_path / "drawn")
    assert (first.source, second.source) == ("street", "street")
    expected = draw(5, 96, 64)
    assert first.camera == expected.camera
    known = np.isfinite(expected.depth) & (expected.depth < 255)
    np.testing.assert_allclose(first.depth[known], expected.depth[known], atol=0.5 / 256 + 1e-4)
    assert (np.isposinf(first.depth) == np.isposinf(expected.depth)).all() and np.isposinf(first.depth).any()
    assert np.abs(first.image.astype(int) - expected.image).mean() < 10  # JPEG, RGB kept


def test_synth_clip_is_one_camera_and_numbered_frames(tmp_path: Path) -> None:
    assert main(["synth", str(tmp_path / "c"), "--clip", "--count", "2", "--size", "96", "64"]) == 0
    files = sorted(str(p.relative_to(tmp_path / "c")) for p in (tmp_path / "c").rglob("*.*"))
    assert files == ["camera.json", "depth/000.png", "depth/001.png", "image/000.jpg", "image/001.jpg", "poses.txt"]
    assert json.loads((tmp_path / "c/camera.json").read_text())["width"] == 96


def test_synth_refuses_an_unknown_style(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["synth", str(tmp_path / "x"), "--style", "moon"]) == 2
    assert "no style 'moon'; choose one of city" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_commands_that_draw_say_that_there_is_no_gpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["synth", str(tmp_path / "sheet.png")], ["fit", str(tmp_path / "run")]):
        assert main([*command, "--draw-on", "gpu"]) == 2
        assert "needs an NVIDIA GPU and numba-cuda: pip install" in capsys.readouterr().err
    assert main(["synth", str(tmp_path / "clip"), "--clip", "--draw-on", "gpu"]) == 2
    assert "A clip is drawn on the CPU only; leave --draw-on gpu away." in capsys.readouterr().err
    assert not any(path.is_file() for path in tmp_path.rglob("*"))
