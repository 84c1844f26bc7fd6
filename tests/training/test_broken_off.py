"""Runs that are killed, stopped or out of space, as real processes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import tiny_run
from tiny_run import IMAGES, Tiny, fresh, same

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.checkpoint import CHECKPOINT, load_averaged, read_record, save
from cloudypoints_training.fit import fit
from cloudypoints_training.journal import parse
from cloudypoints_training.state import start

WHOLE = "is whole: go on from there with the same command and --resume."


def process(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, tiny_run.__file__, *arguments],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, to be told as a terminal tells it
    )


def wait_until(done: Callable[[], bool], run: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert run.poll() is None, run.communicate()[1][-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps_logged(out: Path) -> list[tuple[int, float]]:
    log = out / "log.jsonl"
    entries = [parse(line) for line in log.read_text().splitlines()] if log.exists() else []
    return [(entry["step"], entry["loss"]) for entry in entries if entry]


def step_saved(out: Path) -> int:
    path = out / CHECKPOINT
    return int(read_record(path)["step"]) if path.exists() else 0


def test_a_run_killed_at_once_resumes_to_the_same_weights(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run = process(str(cut), "--steps", "12", "--pause", "0.3")
    one = fit(fresh(), Tiny(), tiny_run.settings(steps=12), whole)
    wait_until(lambda: step_saved(cut) >= 3, run)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    assert 3 <= step_saved(cut) < 12
    (cut / ".checkpoint.safetensors.7.part.safetensors").write_bytes(b"what a kill leaves of a file")
    other = fit(fresh(seed=99), Tiny(), tiny_run.settings(steps=12), cut, resume=True)
    assert same(one, other) == []
    (a, record), (b, resumed) = load_averaged(whole / CHECKPOINT), load_averaged(cut / CHECKPOINT)
    assert record["step"] == resumed["step"] == 12 and record["images"] == resumed["images"] == 12 * IMAGES
    assert same(a, b) == same(a, one) == []
    assert steps_logged(whole) == steps_logged(cut) and len(steps_logged(cut)) == 12
    assert not list(cut.glob(".*.part*"))


def test_a_signal_ends_a_run_after_its_step_with_a_sentence(tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM)
    outs = [tmp_path / number.name for number in numbers]
    runs = [
        process(str(out), "--steps", "900", "--workers", "1", "--pause", "0.05", "--checkpoint-seconds", "1000")
        for out in outs
    ]
    for number, out, run in zip(numbers, outs, runs, strict=True):
        wait_until(lambda out=out: len(steps_logged(out)) >= 3, run)  # type: ignore[misc]
        for _ in range(2):  # a terminal and a launcher both tell it, and both tell the processes that draw, too
            os.killpg(run.pid, number)
            time.sleep(0.1)
        told, errors = run.communicate(timeout=60)
        assert "KeyboardInterrupt" in errors.splitlines()[-1], errors[-2000:]
        step = step_saved(out)
        assert step >= 3 and steps_logged(out)[-1][0] == step
        assert f"Stopped after step {step} of 900; go on with the same command and --resume." in told
        assert (out / "curves.png").exists()


def test_a_lost_drawing_process_is_a_sentence(tmp_path: Path) -> None:
    run = process(str(tmp_path), "--steps", "900", "--workers", "1", "--pause", "0.05")
    wait_until(lambda: step_saved(tmp_path) >= 2, run)
    drawing = [pid for pid in children(run.pid) if b"resource_tracker" not in Path(f"/proc/{pid}/cmdline").read_bytes()]
    assert len(drawing) == 1
    os.kill(drawing[0], signal.SIGKILL)
    _, errors = run.communicate(timeout=60)
    step = step_saved(tmp_path)
    last = errors.strip().splitlines()[-1]
    assert "A drawing process is gone (DataLoader worker" in last and "try fewer --workers." in last, errors[-2000:]
    assert last.endswith(
        f"The checkpoint of step {step} is whole: go on from there with the same command and --resume."
    )


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def file_limit(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_a_sentence_and_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    begun, fuller, new = (tmp_path / name for name in ("begun", "fuller", "new"))
    state = start(fresh(), tiny_run.settings())
    state.step = 2
    for out in (begun, fuller):
        out.mkdir()
        save(state, tiny_run.settings(), None, out / CHECKPOINT)
    before = (begun / CHECKPOINT).read_bytes()
    run = process(str(fuller), "--write-limit", "300", "--resume")  # a few lines of the log
    whole = f"The checkpoint of step 2 {WHOLE}"
    for out, remains in ((begun, whole), (new, "No checkpoint was written yet.")):
        with pytest.raises(CloudyPointsError) as caught, file_limit(1_000_000):
            fit(fresh(), Tiny(), tiny_run.settings(), out, resume=True)
        assert str(caught.value).startswith(f"{out / CHECKPOINT} cannot be written (")
        assert str(caught.value).endswith(f". {remains}")
    _, errors = run.communicate(timeout=60)
    last = errors.strip().splitlines()[-1]
    assert f"{fuller} cannot be written ([Errno 27] File too large)" in last and last.endswith(whole), errors[-2000:]
    assert "Exception in thread" not in errors
    assert (begun / CHECKPOINT).read_bytes() == (fuller / CHECKPOINT).read_bytes() == before
    assert not (new / CHECKPOINT).exists()
    assert not [file for out in (begun, fuller, new) for file in out.glob(".*")]
