"""`bench/gpu/run.py --dry`: the whole bench on a CPU at tiny sizes, whose figures nobody can take for results."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

RUN = Path(__file__).parents[2] / "bench" / "gpu" / "run.py"
LABEL = "dry run on a CPU, not a result"
PARTS = ["ceilings", "before and after the network", "engines", "whole frame"]


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUN), *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, **environment},
    )


def result(folder: Path) -> tuple[dict[str, Any], str]:
    (path,) = folder.glob("*.json")
    return json.loads(path.read_text()), path.with_suffix(".md").read_text()


@pytest.mark.slow
def test_dry_run_goes_through_the_parts_and_labels_every_figure(tmp_path: Path) -> None:
    done = bench("--dry", "-o", str(tmp_path), "--only", "ceilings", "conversions", "engines", "frames")
    assert done.returncode == 0, done.stderr
    record, page = result(tmp_path)
    assert record["label"] == LABEL and f"**{LABEL}**" in page
    assert record["packages"]["torch"] == torch.__version__
    rows = record["rows"]
    assert list(dict.fromkeys(row["part"] for row in rows)) == PARTS
    figures, without = ([row for row in rows if bool(row.get("figures")) == has] for has in (True, False))
    assert all(row["label"] == LABEL for row in figures) and all(row["not_measured"] for row in without)
    assert done.stdout.count(LABEL) == page.count(LABEL) == len(figures) + 1
    assert done.stdout.count("not measured: ") == len(without)
    named = {row["what"]: row.get("figures", {}) for row in rows}
    assert named["matrix product 64x64x64, float16, random numbers"]["TFLOP/s"] > 0
    before = {what: f for what, f in named.items() if what.startswith("preprocess 700x352 ")}
    assert len(before) == 14 and all(f["largest difference grey levels"] < 1e-3 for f in before.values())
    after = [f for what, f in named.items() if what.startswith("postprocess ")]
    assert len(after) == 5 and all(0 <= f["largest relative difference of depth"] < 1e-4 for f in after)
    # The embedded model in PyTorch has the weights of the file that ships.
    assert named["embedded 128x64: torch eager, float32"]["log depth largest difference"] < 1e-4
    assert 0 < named["embedded 128x64: torch eager, float16"]["log depth largest difference"] < 0.1
    for network in ("embedded 128x64", "ViT-S 140x70"):
        times = named[f"{network}: torch.compile with a CUDA graph, float16"]
        assert 0 < times["p50 ms"] <= times["p95 ms"] <= times["p99 ms"]
    frames = {what: f for what, f in named.items() if ", camera " in what}
    assert len(frames) == 6
    for what, each in frames.items():
        assert each["network p50 ms" if "stages" in what else "p99 ms"] > 0


def test_what_is_not_installed_is_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    hidden, out = tmp_path / "hidden", tmp_path / "out"
    hidden.mkdir()
    (hidden / "transformers.py").write_text("raise ImportError('no transformers here')\n")
    done = bench("--dry", "-o", str(out), "--only", "ceilings", "engines", PYTHONPATH=str(hidden))
    assert done.returncode == 0, done.stderr
    record, page = result(out)
    rows = {row["what"]: row for row in record["rows"]}
    assert rows["ViT-S 140x70: the reference"]["not_measured"] == "ImportError: no transformers here"
    assert "not measured: ImportError: no transformers here" in page
    assert rows["embedded 128x64: torch eager, float32"]["figures"]["p50 ms"] > 0
    assert {row["part"] for row in record["rows"]} == {"ceilings", "engines"}


def test_a_part_whose_process_dies_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise SystemExit('no numba here')\n")
    code = (
        f"import sys; sys.path.insert(0, {str(RUN.parent)!r}); import run; from measuring import Bench; "
        "print([row.record() for row in run.measured('conversions', Bench(True))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout == "[{'part': 'conversions', 'what': 'all of it', 'not_measured': 'no numba here'}]\n", (
        done.stderr
    )


@pytest.mark.parametrize("arguments", [["--dry"], ["--dry", "-o", str(RUN.parents[1] / "results")]])
def test_a_dry_run_leaves_the_results_alone(arguments: list[str]) -> None:
    before = sorted((RUN.parents[1] / "results").iterdir())
    done = bench(*arguments, "--only", "ceilings")
    assert done.returncode == 2 and "name a folder with -o, not bench/results" in done.stderr
    assert sorted((RUN.parents[1] / "results").iterdir()) == before


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_so(tmp_path: Path) -> None:
    done = bench("-o", str(tmp_path))
    assert done.returncode == 2 and "sees no NVIDIA GPU; run this on one, or --dry" in done.stderr
    assert not list(tmp_path.iterdir())
