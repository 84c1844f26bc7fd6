"""The same run in one process and in two."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_run import __file__ as TINY_RUN

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.devices import equal_share, open_fabric, processes
from cloudypoints_training.fit import CHECKPOINT, load_averaged

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone")
TERMS = ("loss", "silog", "l1", "gradient", "sky", "sky_far", "laplace", "norm")


def run(program: tuple[str, ...], *arguments: str) -> None:
    done = subprocess.run([*program, TINY_RUN, *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]


def curve(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def test_two_processes_follow_the_loss_curve_of_one(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    run((sys.executable,), str(one), "--frozen-norm")
    run((*TORCHRUN, "--nproc_per_node=2"), str(two), "--frozen-norm")
    curves = curve(one), curve(two)
    assert [entry["step"] for entry in curves[0]] == [entry["step"] for entry in curves[1]] == list(range(1, 9))
    assert curves[0][-1]["loss"] != pytest.approx(curves[0][0]["loss"], rel=1e-2)  # it is a curve
    for entry, other in zip(*curves, strict=True):
        assert entry["images"] == other["images"] == 4 * entry["step"]
        for term in TERMS:
            assert entry[term] == pytest.approx(other[term], rel=1e-5, abs=1e-5), (entry["step"], term)
    (a, record), (b, _) = load_averaged(one / CHECKPOINT), load_averaged(two / CHECKPOINT)
    assert record["step"] == 8
    for name, tensor in a.state_dict().items():
        torch.testing.assert_close(tensor, b.state_dict()[name], rtol=1e-4, atol=1e-5, msg=name)


def test_torchrun_decides_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    assert processes() == (1, 1) and processes(2) == (2, 2)
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    assert processes() == processes(4) == (8, 4)
    with pytest.raises(CloudyPointsError, match=r"--devices 2 was given but torchrun started 4 processes here; leave"):
        processes(2)


def test_shares_are_equal_or_refused() -> None:
    equal_share(8, 4)
    with pytest.raises(CloudyPointsError, match=r"--batch-multiple 3 cannot be divided among 2 .* a multiple of 2"):
        equal_share(3, 2)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_missing_gpus_are_a_sentence() -> None:
    with pytest.raises(CloudyPointsError, match=r"1 GPU per machine asked for, PyTorch sees 0; .* --accelerator cpu"):
        open_fabric("gpu")
