"""The benchmark's own arithmetic and options; what needs ROS is in tests/ros/test_bench.py."""

from __future__ import annotations

import argparse
import json
import mmap
import os
import struct
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from cloudypoints_ros.benchmark import add_arguments
from cloudypoints_ros.benchmark.crew import node_arguments
from cloudypoints_ros.benchmark.figures import RATE_STEP, answers, growth_per_minute, highest, median_of
from cloudypoints_ros.benchmark.load import schedule, stamped
from cloudypoints_ros.benchmark.options import SCENARIOS, Load, Options, options_of
from cloudypoints_ros.benchmark.pictures import jpeg, street_camera, street_images
from cloudypoints_ros.benchmark.startup import milestones
from cloudypoints_ros.benchmark.usage import MEMORY, busy_s, shared_memory_mb, usage
from cloudypoints_ros.cli import main
from cloudypoints_ros.sources import CLIP

MS = 1_000_000


def options(*words: str) -> Options:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return options_of(parser.parse_args(list(words)))


# ---- figures


def test_an_image_is_answered_by_depth_and_points_of_its_own_camera() -> None:
    sent = [("front", 1000 * MS), ("rear", 1000 * MS), ("front", 1100 * MS), ("front", 1200 * MS)]
    received = {
        "front": {
            "depth": [(900 * MS, 950 * MS), (1000 * MS, 1030 * MS), (1100 * MS, 1150 * MS), (1200 * MS, 1240 * MS)],
            "points": [(900 * MS, 960 * MS), (1000 * MS, 1035 * MS), (1000 * MS, 1099 * MS), (1200 * MS, 1290 * MS)],
        },
        "rear": {"depth": [(1000 * MS, 1010 * MS)], "points": []},
    }
    found = answers(sent, received)
    assert (found["sent"], found["answered"], found["share"]) == (4, 2, 0.5)
    depth, points = found["delays_ms"]["depth"], found["delays_ms"]["points"]
    assert depth["n"] == 4 and depth["p50"] == pytest.approx(np.median([30, 10, 50, 40]))
    # The second message with the stamp 1000 does not count, nor the warm-up at 900.
    assert points["n"] == 2 and points["p50"] == pytest.approx(np.median([35, 90]))
    assert points["p99"] == pytest.approx(np.percentile([35, 90], 99))


def test_nothing_sent_is_nothing_answered() -> None:
    found = answers([], {"": {"depth": [(1, 2)], "points": []}})
    assert found["share"] == 0 and found["delays_ms"]["depth"] == {"n": 0}


def test_the_median_is_taken_figure_by_figure() -> None:
    runs = [
        {"sent": 10, "delay": {"p50": 3.0, "p99": 50.0}, "name": "a"},
        {"sent": 12, "delay": {"p50": 9.0, "p95": 20.0}, "name": "a"},
        {"sent": 11, "delay": {"p50": 4.0}, "name": "a"},
    ]
    assert median_of(runs) == {"sent": 11, "delay": {"p50": 4.0}, "name": "a"}


def test_growth_is_the_slope_per_minute() -> None:
    noise = [0.5, -0.5] * 60
    assert growth_per_minute([(t, 300 + 2 * t / 60) for t in range(120)]) == pytest.approx(2.0)
    assert growth_per_minute([(t, 300 + n) for t, n in enumerate(noise)]) == pytest.approx(0.0, abs=0.05)
    assert growth_per_minute([(0.0, 5.0)]) == 0.0


@pytest.mark.parametrize(
    ("first", "capacity"), [(17.0, 3.3), (17.0, 17.0), (17.0, 23.4), (17.0, 71.0), (240.0, 70.0), (240.0, 230.0)]
)
def test_the_highest_rate_is_found_to_its_step(first: float, capacity: float) -> None:
    tried: list[float] = []

    def sustained(rate: float) -> bool:
        tried.append(rate)
        return rate <= capacity

    assert capacity / (1 + RATE_STEP) <= highest(first, sustained) <= capacity
    assert len(tried) <= 12 and len(set(tried)) == len(tried)


def test_no_rate_and_every_rate() -> None:
    assert highest(17.0, lambda rate: False) == 0.0
    assert highest(17.0, lambda rate: True) == 240.0


# ---- the cameras


def test_cameras_take_turns_or_trigger_together() -> None:
    load = Load("x", 64, 32, 10.0, cameras=("a", "b"))
    assert [(round(t, 3), c, n) for t, c, n in schedule(load, 2)] == [
        (0.0, 0, 0), (0.05, 1, 0), (0.1, 0, 1), (0.15, 1, 1),
    ]  # fmt: skip
    together = Load("x", 64, 32, 10.0, cameras=("a", "b"), together=True)
    assert [round(t, 3) for t, _, _ in schedule(together, 2)] == [0.0, 0.0, 0.1, 0.1]
    assert list(islice(schedule(load, 0), 100, 101)) == [(pytest.approx(5.0), 0, 50)]  # endless


def test_only_the_stamp_is_written() -> None:
    data = bytearray(b"\x00\x01\x00\x00" + bytes(8) + b"the rest")
    made = stamped(data, 1_700_000_000 * 10**9 + 123)
    assert struct.unpack_from("<iI", made, 4) == (1_700_000_000, 123)
    assert made[:4] == b"\x00\x01\x00\x00" and made[12:] == b"the rest"


def test_pictures_are_the_clips_middle_in_the_size_asked_for() -> None:
    whole = street_images(1024, 512, 4)
    own = cv2.cvtColor(cv2.imread(str(sorted((CLIP / "image").iterdir())[17])), cv2.COLOR_BGR2RGB)
    assert np.array_equal(whole[1], own)  # of 68 images the 0th, 17th, 34th and 51st
    square = street_images(512, 512, 4)
    assert np.array_equal(square[1], own[:, 256:768])
    assert street_images(320, 180, 1)[0].shape == (180, 320, 3)


def test_the_camera_fits_the_pictures() -> None:
    """A point seen at a pixel of the clip is seen at the same place of the picture."""
    clip, cut = street_camera(1024, 512), street_camera(960, 540)
    point = np.array([[2.0, 1.0, 20.0]])
    (u, v), scale = clip.project(point)[0], 540 / 512
    left = (1024 - round(512 * 960 / 540)) // 2
    assert cut.project(point)[0] == pytest.approx(((u + 0.5 - left) * scale - 0.5, (v + 0.5) * scale - 0.5), abs=0.3)


def test_a_jpeg_has_the_colours_of_its_picture() -> None:
    picture = np.zeros((64, 64, 3), np.uint8) + np.array([200, 100, 30], np.uint8)
    back = cv2.imdecode(np.frombuffer(jpeg(picture), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back.astype(int) - [30, 100, 200]).max() <= 3  # BGR


# ---- the machine


def test_cpu_time_and_memory_of_a_process() -> None:
    before, machine_before = usage(os.getpid()), busy_s()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    # Not from the allocator, which may have room from before.
    block = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    np.frombuffer(block, np.uint8)[:] = 1
    after = usage(os.getpid())
    assert after.cpu_s - before.cpu_s == pytest.approx(0.3, abs=0.25)
    assert busy_s() - machine_before >= 0.25
    assert after.memory_mb["RssAnon"] - before.memory_mb["RssAnon"] == pytest.approx(len(block) / 1e6, abs=5)
    assert set(after.memory_mb) == set(MEMORY)
    parts = sum(after.memory_mb[name] for name in ("RssAnon", "RssFile", "RssShmem"))
    assert after.memory_mb["VmRSS"] == pytest.approx(parts, abs=1)
    assert after.memory_mb["VmHWM"] >= after.memory_mb["VmRSS"] - 1


def test_a_process_that_is_gone_uses_nothing() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert usage(gone.pid).cpu_s == 0 and usage(gone.pid).memory_mb == {}
    assert shared_memory_mb([gone.pid]) == 0


def test_shared_memory_is_counted_once_per_file() -> None:
    size = 8 << 20
    before = shared_memory_mb([os.getpid()])
    path = Path(f"/dev/shm/cloudypoints_test_{os.getpid()}")
    try:
        path.write_bytes(bytes(size))
        with path.open("r+b") as file, mmap.mmap(file.fileno(), 0), mmap.mmap(file.fileno(), 0):
            assert shared_memory_mb([os.getpid(), os.getpid()]) - before == pytest.approx(size / 1e6, abs=0.01)
    finally:
        path.unlink(missing_ok=True)


def test_milestones_come_from_the_nodes_log(tmp_path: Path) -> None:
    log = tmp_path / "node.log"
    log.write_text(
        "a library says profile\n"
        "[INFO] [1700000001.500000000] [cloudypoints]: The Fast DDS profile x is in force.\n"
        "[INFO] [1700000002.250000000] [cloudypoints]: Model m on e; warming up.\n"
        "[INFO] [1700000003.000000000] [cloudypoints]: Subscribed to /image_raw, reliable.\n"
        "[INFO] [1700000009.000000000] [cloudypoints]: Subscribed to /camera_info, reliable.\n"
    )
    assert milestones(log, 1_700_000_000 * 10**9) == {
        "node made": pytest.approx(1.5), "model loaded": pytest.approx(2.25), "subscribed": pytest.approx(3.0),
    }  # fmt: skip


# ---- options


def test_without_options_all_scenarios_and_the_short_parts() -> None:
    found = options()
    assert found.parts == ("stages", "compare", "node", "start") and found.loads == tuple(SCENARIOS.values())
    assert (found.frames, found.runs, found.seconds, found.minutes) == (100, 3, 10.0, 5.0)


def test_a_load_of_ones_own_begins_from_raw_or_from_a_scenario() -> None:
    (own,) = options("--size", "640x480", "--rate", "30", "--cameras", "2", "--together").loads
    assert own == Load("own", 640, 480, 30.0, cameras=("camera1", "camera2"), together=True)
    (jpeg_slow,) = options("--scenario", "jpeg", "--rate", "5").loads
    assert jpeg_slow == Load("jpeg", 2048, 1024, 5.0, "jpeg")


def test_minutes_add_the_memory_part_in_its_order() -> None:
    assert options("start", "stages", "--minutes", "2").parts == ("stages", "start", "memory")
    assert options("memory").minutes == 5.0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("stage",), "no part 'stage'; expected some of stages, compare, node, start, memory"),
        (("--scenario", "four"), "no scenario 'four'; expected one of raw, jpeg, three, three-at-once"),
        (("--size", "640"), "The size is '640'; expected WIDTHxHEIGHT, such as 1920x1080"),
        (("--size", "8x4"), "32 to 8192 each"),
        (("--rate", "0"), "--rate is 0.0; expected more than 0"),
        (("--seconds", "nan"), "--seconds is nan"),
        (("--runs", "-1"), "--runs is -1"),
        (("--model", "absent.onnx"), "The model absent.onnx does not exist"),
        (("-p", "threads"), "'threads' has no value; give it as NAME:=VALUE"),
        (("--json", "/absent/x.json"), "/absent/x.json cannot be written"),
    ],
)
def test_what_cannot_be_measured_is_a_sentence(
    words: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words]) == 2
    shown = capsys.readouterr().err
    assert expected in shown and shown.startswith("cloudypoints bench: ") and shown.count("\n") == 1


def test_a_missing_rclpy_is_a_sentence() -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'rclpy' else find(name, *a);"
        "from cloudypoints_ros import cli; sys.exit(cli.main(['bench']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "'rclpy'" in done.stderr and "install" in done.stderr


def test_the_node_is_told_what_the_load_is() -> None:
    load = Load("x", 64, 32, 5.0, "jpeg", ("front", "rear"), stride=3)
    words = node_arguments(load, Path("/x/node.json"), None, ["points.stride:=9"])
    assert words[::2] == ["-p"] * (len(words) // 2)
    assert words[1::2] == [
        "image_transport:=compressed", "depth.encoding:=32FC1", "points.fields:=xyzrgb", "points.stride:=3",
        "stats_file:=/x/node.json", "cameras:=[front,rear]", "points.stride:=9",
    ]  # fmt: skip


# ---- the report


def run(answered: int, p95: float, peak_mb: float) -> dict[str, Any]:
    delays = {output: {"n": answered, "p50": p95 / 2, "p95": p95, "p99": p95 * 2} for output in ("depth", "points")}
    return {
        "sent": 20, "answered": answered, "share": answered / 20, "delays_ms": delays, "rate_hz": 10.0,
        "cpu_cores": {"node": 0.5, "cameras": 0.1, "counter": 0.2, "others": 0.05}, "shared_memory_mb": 213.0,
        "node_memory_mb": dict.fromkeys(MEMORY, 200.0) | {"VmHWM": peak_mb},
        "node": {"": {"counts": {"received": 24, "published": answered, "dropped": 20 - answered},
                      "stages_ms": {"infer": {"n": 20, "p50": 7.0, "p95": 8.0, "p99": 9.0}}}},
    }  # fmt: skip


def results(*runs: dict[str, Any]) -> dict[str, Any]:
    load = json.loads(json.dumps(SCENARIOS["raw"].__dict__))
    return {
        "node": {"raw": {"load": load, "runs": list(runs), "median": median_of(list(runs))}},
        "stages": {"engine": {"sizes": {"64x32": {"ratio": 1.04}}}},
        "start": {"median": {"first depth": 2.5}},
    }


def test_targets_are_held_against_all_runs_and_their_median() -> None:
    pytest.importorskip("sensor_msgs")
    from cloudypoints_ros.benchmark.report import targets

    found = {what: (measured, met) for what, measured, _, met in targets(results(run(20, 50, 450), run(19, 57, 600)))}
    assert found["raw: answered"] == ("39 of 40", False)
    assert found["raw: depth p95"] == ("53.5 ms", True) and found["raw: points p95"] == ("53.5 ms", True)
    assert found["raw: node's peak RSS"] == ("525 MB", False)
    assert found["engine over bare session, 64x32"] == ("1.040", False)
    assert found["start to first depth"] == ("2.50 s", True)
    late = {what: met for what, _, _, met in targets(results(run(20, 59.5, 450)))}
    assert late["raw: answered"] and not late["raw: depth p95"]


def test_the_node_table_says_what_was_measured() -> None:
    pytest.importorskip("sensor_msgs")
    from cloudypoints_ros.benchmark.report import node_text

    text = node_text(results(run(20, 50, 450), run(19, 57, 600), run(20, 40, 400))["node"])
    rows = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]] for line in text.splitlines()
            if line.startswith("| raw")}  # fmt: skip
    assert rows["raw: 2048x1024 rgb8, 17 Hz, reliable"] == [
        "10.0", "59 of 60", "25.0 / 50.0 / 100.0", "25.0 / 50.0 / 100.0",
    ]  # fmt: skip
    assert "medians of 3 runs of 2 s" in text
    tables = text.split("\n\n")
    assert all(len({len(line) for line in t.splitlines()}) == 1 for t in tables if t.startswith("|"))
    # The last table has the same first cell as the second: counts, then the stages.
    assert rows["raw"] == ["24", "20", "0", "7.0 / 8.0"]
