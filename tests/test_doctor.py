"""What the doctor concludes, without ROS: from variables, texts, files and records of what a listener saw."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cloudypoints_ros.doctor import cameras, child, machine, ros
from cloudypoints_ros.doctor.cameras import Info, Publisher, Seen, judge
from cloudypoints_ros.doctor.finding import OK, PROBLEM, WARNING, Finding, exit_code, summary, to_json

SOURCE = Path(__file__).parents[1] / "src"


def test_the_doctor_itself_needs_only_the_standard_library() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import cloudypoints_ros.doctor; "
        "print([m for m in {n.split('.')[0] for n in sys.modules} - set(sys.stdlib_module_names) if m[0] != '_'])"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert "cloudypoints_ros" in done.stdout
    for library in ("numpy", "cv2", "numba", "onnxruntime", "rclpy", "rich", "yaml"):
        assert f"'{library}'" not in done.stdout


def test_lines_json_and_exit_code() -> None:
    fine = Finding("CPU", OK, "2 cores")
    odd = Finding("GPU", WARNING, "no driver", "install it", {"gpus": []})
    bad = Finding("ROS", PROBLEM, "no rclpy", "install that")
    assert fine.line() == "ok       CPU            2 cores."
    assert odd.line() == "warning  GPU            no driver; install it."
    assert [exit_code(f) for f in ([fine], [fine, odd], [fine, odd, bad], [])] == [0, 0, 1, 0]
    assert summary([fine]) == "nothing wrong in 1 checks"
    assert summary([fine, odd, odd, bad]) == "1 problem and 2 warnings in 4 checks"
    record = json.loads(to_json([fine, odd, bad]))
    assert (record["problems"], record["warnings"]) == (1, 1)
    assert record["findings"][1] == {
        "check": "GPU",
        "mark": "warning",
        "found": "no driver",
        "remedy": "install it",
        "data": {"gpus": []},
    }


def test_a_child_that_crashes_keeps_what_it_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "crasher.py").write_text(
        "import os, sys\nfrom cloudypoints_ros.doctor.child import tell\n"
        "def main(arguments):\n"
        "    print('noise'); tell(first=arguments[0])\n"
        "    if arguments[0] == 'hang':\n        import time; time.sleep(60)\n"
        "    if arguments[0] == 'exit':\n        sys.stderr.write('why\\n\\n'); os._exit(102)\n"
        "    os.abort()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    crashed = child.ask("crasher", "abort")
    assert crashed.told == {"first": "abort"} and crashed.failure.startswith("it was ended by SIGABRT")
    assert child.ask("crasher", "exit") == child.Answer({"first": "exit"}, "it ended with exit code 102: why")
    assert child.ask("crasher", "hang", timeout_s=2.0) == child.Answer({"first": "hang"}, "no answer within 2 s")


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000\n", 1.5), ("max 100000\n", None), ("", None), ("50000 100000", 0.5)]
)
def test_the_cpu_quota_of_a_container(text: str, cores: float | None) -> None:
    assert machine.cpu_quota(text) == cores


def test_a_quota_below_the_cores_names_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"/sys/fs/cgroup/cpu.max": "50000 100000", "/sys/fs/cgroup/memory.max": "1073741824"}
    monkeypatch.setattr(machine, "_read", files.__getitem__)
    (finding,) = machine.processor()
    assert finding.mark == WARNING and "parameter threads to 1" in finding.remedy
    assert "may use 1.0, but the container's quota is 0.5 cores" in finding.found


def test_rows_of_nvidia_smi() -> None:
    text = "NVIDIA H100 80GB HBM3, 550.90.07, 81559 MiB, 9.0\nNVIDIA RTX A2000, 535.1, 6138 MiB, 8.6\n"
    assert machine.gpus(text) == [
        machine.Gpu("NVIDIA H100 80GB HBM3", "550.90.07", "81559 MiB", "9.0"),
        machine.Gpu("NVIDIA RTX A2000", "535.1", "6138 MiB", "8.6"),
    ]
    assert machine.gpus("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.") == []


@pytest.mark.parametrize(
    ("output", "code", "found"),
    [
        ("NVIDIA-SMI has failed because it couldn't talk to the driver.", 9, "lists no GPU (NVIDIA-SMI has failed"),
        ("NVIDIA Thing, 550.1, 8192 MiB, 8.9", 0, "NVIDIA Thing, 8192 MiB, compute capability 8.9, driver 550.1"),
    ],
)
def test_a_gpu_without_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, code: int, found: str
) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text(f'#!/bin/sh\necho "{output}"\nexit {code}\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(machine, "_loads", lambda library: False)  # wherever this test runs
    (finding,) = machine.gpu()
    assert finding.mark == WARNING and found in finding.found and finding.remedy


def test_two_opencvs() -> None:
    assert machine.opencv(["opencv-python"]).mark == OK
    finding = machine.opencv(["opencv-python", "opencv-python-headless"])
    assert finding.mark == WARNING and finding.remedy.startswith("pip uninstall opencv-python opencv-python-headless")


@pytest.mark.parametrize(
    ("environ", "mark", "part"),
    [
        ({}, OK, "domain 0, discovery as ROS has it"),
        ({"ROS_DOMAIN_ID": "101", "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}, OK, "RANGE=LOCALHOST"),
        ({"ROS_DOMAIN_ID": "102"}, WARNING, "domain 102"),
        ({"ROS_DOMAIN_ID": "215"}, OK, "domain 215"),
        ({"ROS_DOMAIN_ID": "233"}, PROBLEM, "domain 233"),
        ({"ROS_DOMAIN_ID": "-1"}, PROBLEM, "domain -1"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF"}, WARNING, "RANGE=OFF"),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "NEAR"}, WARNING, "which ROS takes for LOCALHOST"),
        ({"ROS_LOCALHOST_ONLY": "1"}, OK, "ROS_LOCALHOST_ONLY=1"),
    ],
)
def test_domain_and_discovery(environ: dict[str, str], mark: str, part: str) -> None:
    finding = ros.reach(environ)
    assert finding.mark == mark and part in finding.found and bool(finding.remedy) == (mark != OK)


def test_leftovers_are_told_by_their_locks_and_the_command_spares_the_others(tmp_path: Path) -> None:
    for name in ("fastrtps_0123456789abcdef", "fastdds_00000000000000aa", "fastdds_00000000000000bb"):
        (tmp_path / name).write_bytes(bytes(1 << 20))
        (tmp_path / f"{name}_el").touch()
    for name in ("fastrtps_port7411", "fastrtps_port7411_el", "unrelated_el", "sem.fastrtps_port7411_mutex"):
        (tmp_path / name).touch()
    with (tmp_path / "fastdds_00000000000000aa_el").open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = ros.leftovers(tmp_path)
        assert found == ros.Leftovers(1, ("fastdds_00000000000000bb", "fastrtps_0123456789abcdef"), 2 << 20)
        subprocess.run(["sh", "-c", ros.CLEAN_UP.replace("/dev/shm", str(tmp_path))], check=False)
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "fastdds_00000000000000aa",
            "fastdds_00000000000000aa_el",
            "fastrtps_port7411",
            "fastrtps_port7411_el",
            "sem.fastrtps_port7411_mutex",
            "unrelated_el",
        ]
        assert ros.leftovers(tmp_path) == ros.Leftovers(1, (), 0)


DRIVER = Publisher("/webcam", reliable=True, latched=False)
INFO = Info("/a/camera_info", [DRIVER], 30, 640, 480)
SEEN = Seen("/a/image_raw", False, [DRIVER], INFO, "", 30, 10.0, 640, 480, "rgb8", 921600)


def test_one_good_camera_makes_the_others_warnings_unless_one_was_named() -> None:
    blind = replace(SEEN, topic="/b/image_raw", info=Info("/b/camera_info"))
    marks = [f.mark for f in judge([SEEN, blind], ["/a/camera_info"], 3.0, None)]
    assert marks == [OK, WARNING]
    assert [f.mark for f in judge([blind], ["/a/camera_info"], 3.0, None)] == [PROBLEM]
    (finding,) = judge([blind], ["/a/camera_info"], 3.0, "/b/image_raw")
    assert finding.mark == PROBLEM and "(seen: /a/camera_info)" in finding.remedy


def test_silence_is_a_problem_only_when_best_effort() -> None:
    silent = replace(SEEN, messages=0, rate_hz=None)
    (finding,) = judge([silent], [], 3.0, None)
    assert finding.mark == WARNING and "paused" in finding.remedy
    lossy = replace(silent, publishers=[replace(DRIVER, reliable=False)])
    (finding,) = judge([lossy], [], 3.0, None)
    assert finding.mark == PROBLEM and "publish reliable" in finding.remedy and "paused" not in finding.remedy
    (finding,) = judge([replace(lossy, info=replace(INFO, messages=0))], [], 3.0, None)
    assert finding.mark == PROBLEM and "paused" in finding.remedy


def test_large_best_effort_images_of_which_most_are_lost() -> None:
    lossy = replace(SEEN, publishers=[replace(DRIVER, reliable=False)], messages=14)
    (finding,) = judge([lossy], [], 3.0, None)
    assert finding.mark == WARNING and "only 14 images came for 30 camera_info" in finding.found
    assert "publish reliable" in finding.remedy
    for fine in (
        replace(lossy, messages=15),
        replace(lossy, bytes=512 << 10),
        replace(lossy, publishers=[DRIVER]),
        replace(lossy, messages=1, info=replace(INFO, messages=4)),
    ):
        assert [f.mark for f in judge([fine], [], 3.0, None)] == [OK]


def test_a_camera_info_that_stays_away() -> None:
    (finding,) = judge([replace(SEEN, info=replace(INFO, messages=0))], [], 3.0, None)
    assert finding.mark == PROBLEM and "no camera_info arrived in 3 s" in finding.found
    assert finding.remedy == "let it be published with every image, or latched"


def test_records_travel_as_json() -> None:
    from dataclasses import asdict

    assert Seen.of(json.loads(json.dumps(asdict(SEEN)))) == SEEN


def test_states_of_the_depth_node() -> None:
    states = ("active", "", "inactive", "unconfigured")
    findings = list(cameras.depth_nodes([{"name": "/eyes", "state": state} for state in states]))
    assert [f.mark for f in findings] == [OK, OK, WARNING, WARNING]
    assert findings[2].remedy.startswith("ros2 lifecycle set /eyes activate")
