"""The benchmark with ROS: what it compares gives the same, and its processes run, count and stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from std_msgs.msg import Header

from cloudypoints_ros import messages
from cloudypoints_ros.benchmark import compare, rivals
from cloudypoints_ros.benchmark.options import Load
from cloudypoints_ros.benchmark.pictures import street_camera, street_images
from cloudypoints_ros.benchmark.stages import IN_FRAME, by_turns, stages_part
from cloudypoints_ros.geometry import CloudOptions, cloud
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.postprocess import depth_map
from cloudypoints_ros.preprocess import network_image, place

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(240)]

LOAD = Load("test", 960, 540, 10.0)


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.open()


@pytest.fixture(scope="module")
def frame(pipeline: Pipeline) -> dict[str, Any]:
    """One street image of the clip on its way."""
    rgb, camera = street_images(LOAD.width, LOAD.height, 1)[0], street_camera(LOAD.width, LOAD.height)
    placement = place(camera.width, camera.height, pipeline.card.input.size, pipeline.card.input.resize)
    tensor = network_image(rgb, placement, pipeline.card.input)
    outputs = pipeline.engine.infer({pipeline.card.input.tensor: tensor})
    depth = depth_map(outputs, pipeline.card.output, camera, placement)
    return {"rgb": rgb, "camera": camera, "placement": placement, "tensor": tensor, "outputs": outputs, "depth": depth}


# ---- both ways give the same


def test_the_other_picture_and_input_are_ours(pipeline: Pipeline, frame: dict[str, Any]) -> None:
    msg = messages.image_message(frame["rgb"], Header(), "rgb8")
    bgr = rivals.picture(msg)
    assert np.array_equal(bgr[..., ::-1], messages.decode(msg).image)
    theirs = rivals.network_input(bgr, frame["placement"], pipeline.card.input)
    # OpenCV rounds to whole grey levels: half a level is 0.5 / 128.
    assert theirs.shape == frame["tensor"].shape and np.abs(theirs - frame["tensor"]).max() < 0.012


def test_the_other_depth_is_ours_but_for_the_edges(pipeline: Pipeline, frame: dict[str, Any]) -> None:
    theirs = rivals.depth(frame["outputs"], pipeline.card.output, frame["camera"], frame["placement"])
    ours = frame["depth"]
    assert (np.isinf(theirs) == np.isinf(ours)).mean() > 0.98 and np.isinf(ours).any()
    both = np.isfinite(theirs) & np.isfinite(ours)
    difference = np.abs(theirs[both] / ours[both] - 1)
    assert np.median(difference) < 0.01 and (difference < 0.05).mean() > 0.9


def test_the_other_messages_are_ours(frame: dict[str, Any]) -> None:
    ours, _ = messages.depth_message(frame["depth"], Header())
    for make in (rivals.depth_message, rivals.depth_message_by_assignment):
        theirs = make(frame["depth"], Header())
        assert theirs == ours
    for stride in (1, 3):
        packed = cloud(frame["depth"], frame["camera"], frame["rgb"], "rgb", CloudOptions("xyzrgb", stride))
        mine = messages.cloud_message(packed, Header())
        theirs = rivals.cloud_message(frame["depth"], frame["camera"], frame["rgb"], stride, Header())
        assert (theirs.width, theirs.row_step, theirs.fields) == (mine.width, mine.row_step, mine.fields)
        a, b = (np.frombuffer(msg.data, rivals.POINT) for msg in (mine, theirs))
        assert len(a) > 10000 and np.array_equal(a["rgb"], b["rgb"])
        assert all(np.allclose(a[axis], b[axis], rtol=1e-4, atol=1e-4) for axis in "xyz")


def test_every_step_that_is_summed_is_compared(pipeline: Pipeline) -> None:
    steps = compare.steps_of(pipeline, LOAD)
    assert set(compare.IN_FRAME) < set(steps)
    for what, ours, theirs in steps.values():
        assert what and type(ours()) is not type(None) and type(theirs()) is not type(None)


def test_calls_take_turns() -> None:
    calls: list[str] = []
    took = by_turns((lambda: calls.append("a"), lambda: time.sleep(0.002) or calls.append("b")), 3)
    assert "".join(calls) == "ab" + "ab" + "ba" + "ab"  # once unmeasured, then each first in its turn
    assert [len(each) for each in took] == [3, 3] and min(took[1]) >= 2.0 > np.median(took[0])
    slow = by_turns((lambda: time.sleep(0.02),), 1000, budget_s=0.1)
    assert 3 <= len(slow[0]) <= 6


def test_the_stages_of_a_frame_add_up(model: Path) -> None:
    from cloudypoints_ros.benchmark.options import Options

    options = Options(("stages",), (LOAD,), 8, 1.0, 1, 1.0, False, model, (), None)
    part = stages_part(options, lambda what, share: None)
    (size,) = part["sizes"]
    by_stage = part["sizes"][size]
    assert size == "960x540" and {each["n"] for each in by_stage.values()} == {8}
    assert by_stage["frame"]["p50"] >= max(by_stage[stage]["p50"] for stage in IN_FRAME)
    engine = part["engine"]["sizes"][size]
    assert engine["engine_ms"]["n"] == engine["session_ms"]["n"] == 8 and 0.2 < engine["ratio"] < 5


# ---- the whole


def bench(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cloudypoints_ros.cli", "bench", *words],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def test_the_node_under_load_of_two_cameras(model: Path, tmp_path: Path) -> None:
    written = tmp_path / "x.json"
    words = ("--size", "160x96", "--rate", "10", "--cameras", "2", "--seconds", "2", "--runs", "1")
    code, out, err = finish(bench("node", "start", *words, "--model", str(model), "--json", str(written)))
    assert code == 0, err
    found = json.loads(written.read_text())
    (run,) = found["node"]["own"]["runs"]
    assert run["sent"] == 2 * 20 and run["rate_hz"] == pytest.approx(10.0, rel=0.05)
    assert 30 <= run["answered"] <= 40  # all on a quiet machine
    assert run["share"] == run["answered"] / 40
    for output in ("depth", "points"):
        delays = run["delays_ms"][output]
        assert 0.5 < delays["p50"] <= delays["p95"] <= delays["p99"] < 2000
    assert set(run["node"]) == {"camera1", "camera2"}
    for record in run["node"].values():
        counts = record["counts"]
        assert counts["received"] == 40  # the warm-up's 20, too
        assert counts["published"] + counts["dropped"] == 40 and record["stages_ms"]["infer"]["p50"] > 0
    # Whoever was answered was published; the node may have published what came too late to count.
    assert run["answered"] <= sum(record["counts"]["published"] for record in run["node"].values())
    assert 0.01 < run["cpu_cores"]["node"] < os.cpu_count() and run["cpu_cores"]["cameras"] > 0
    memory = run["node_memory_mb"]
    assert 50 < memory["VmRSS"] <= memory["VmHWM"] < 2000 and run["shared_memory_mb"] > 1
    start = found["start"]["median"]
    assert 0 < start["node made"] < start["model loaded"] < start["subscribed"] < start["first depth"] < 60
    assert "own: 2 cameras, 160x96 rgb8, 10 Hz, reliable" in out and f"{run['answered']} of 40" in out
    assert found["machine"]["cores"] >= 1 and found["targets"][0]["what"] == "own: answered"


def test_jpeg_memory_and_peak_are_measured(model: Path, tmp_path: Path) -> None:
    written = tmp_path / "x.json"
    words = ("--size", "160x96", "--rate", "240", "--encoding", "jpeg", "--seconds", "1", "--runs", "1", "--peak")
    code, out, err = finish(bench("node", *words, "--minutes", "0.05", "--model", str(model), "--json", str(written)))
    assert code == 0, err
    found = json.loads(written.read_text())
    tried = found["node"]["own"]["peak"]["tried"]
    peak = found["node"]["own"]["peak"]["rate_hz"]
    assert tried[0]["rate_hz"] == 240 and all(each["sustained"] == (each["rate_hz"] <= peak) for each in tried)
    assert "Highest rate with less than 5 % loss" in out
    memory = found["memory"]
    assert memory["run"]["sent"] == 720 and len(memory["samples"]) >= 2
    assert memory["peak_mb"] >= memory["end_mb"] - 1 and memory["end_mb"] > 50


def test_what_the_node_refuses_is_its_own_sentence(model: Path) -> None:
    words = ("--size", "160x96", "-p", "points.stride:=0", "--model", str(model))
    code, _, err = finish(bench("node", *words))
    assert code == 2 and "points.stride" in err and "Traceback" not in err
    assert [line for line in err.splitlines() if line.strip()][-1].startswith("cloudypoints bench: ")


def test_ctrl_c_leaves_nothing_behind(model: Path) -> None:
    process = bench("node", "--size", "160x96", "--seconds", "60", "--model", str(model))
    deadline = time.monotonic() + 100
    while len(children := children_of(process.pid)) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(children) == 3
    folders = work_folders(process.pid)
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130 and "Traceback" not in err
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)
    assert len(folders) == 1 and not any(folder.exists() for folder in folders)


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text().split()]


def work_folders(pid: int) -> list[Path]:
    """Those that its children's logs are in."""
    found = {Path(f"/proc/{child}/fd/2").readlink().parent for child in children_of(pid)}
    return [folder for folder in found if folder.parent == Path(tempfile.gettempdir())]
