"""``cloudypoints doctor`` as a command, beside real cameras, nodes and killed processes on a real DDS."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import PATIENCE_S, SOURCE, running

from cloudypoints_ros.dds import PROFILE, PROFILE_VARIABLES
from cloudypoints_ros.doctor.ros import CLEAN_UP, leftovers

pytestmark = [pytest.mark.ros, pytest.mark.slow]

# A camera driver in a process of its own: topics from JSON, each with its encoding, size, rate and QoS.
CAMERA = """
import json, sys, time
import cv2, numpy as np, rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

BYTES = {"rgb8": 3, "32FC1": 4, "nv21": 2}
rclpy.init()
node = rclpy.create_node(sys.argv[2], namespace="robot")
jobs = []
for topic in json.loads(sys.argv[1]):
    width, height = topic["size"]
    policy = ReliabilityPolicy.RELIABLE if topic.get("reliable") else ReliabilityPolicy.BEST_EFFORT
    qos = QoSProfile(depth=2, reliability=policy)
    if topic["encoding"] == "jpeg":
        msg = CompressedImage(format="jpeg")
        msg.data.frombytes(cv2.imencode(".jpg", np.full((height, width, 3), 90, np.uint8))[1].tobytes())
    else:
        msg = Image(width=width, height=height, encoding=topic["encoding"], step=width * BYTES[topic["encoding"]])
        msg.data.frombytes(bytes(msg.step * height))
    jobs.append((node.create_publisher(type(msg), topic["name"], qos), msg, topic.get("rate", 10)))
    if "f" in topic:
        info_width, info_height = topic.get("info_size", topic["size"])
        f = float(topic["f"])
        k = [f, 0.0, info_width / 2, 0.0, f, info_height / 2, 0.0, 0.0, 1.0 if f else 0.0]
        info = CameraInfo(width=info_width, height=info_height, distortion_model="plumb_bob", d=[0.0] * 5, k=k)
        jobs.append((node.create_publisher(CameraInfo, topic["info"], 5), info, 10))
print("publishing", flush=True)
start, sent = time.monotonic(), [0] * len(jobs)
while rclpy.ok():
    for i, (publisher, msg, rate) in enumerate(jobs):
        if rate and time.monotonic() - start >= sent[i] / rate:
            publisher.publish(msg)
            sent[i] += 1
    time.sleep(0.005)
"""


@contextlib.contextmanager
def camera(*topics: dict[str, Any], name: str = "webcam", **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", CAMERA, json.dumps(topics), name],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environ},
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "publishing\n"
        yield process
    finally:
        process.terminate()  # not killed: what that leaves in shared memory slows the next test down
        process.wait(PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()


def run_doctor(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cloudypoints_ros.cli", "doctor", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(SOURCE), **environ},
    )


def examine(*arguments: str, **environ: str) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and the findings."""
    done = run_doctor("--json", *arguments, **environ)
    assert done.returncode in (0, 1), done.stderr
    record = json.loads(done.stdout)
    marks = [finding["mark"] for finding in record["findings"]]
    assert (record["problems"], record["warnings"]) == (marks.count("problem"), marks.count("warning"))
    assert done.returncode == (record["problems"] > 0)
    assert all(finding["remedy"] for finding in record["findings"] if finding["mark"] != "ok")
    return done.returncode, record["findings"]


def the(findings: list[dict[str, Any]], check: str, part: str = "") -> dict[str, Any]:
    """The one finding of a check that says ``part``."""
    matching = [f for f in findings if f["check"] == check and part in f["found"]]
    assert len(matching) == 1, briefly(findings)
    return matching[0]


def briefly(findings: list[dict[str, Any]]) -> str:
    """For failed tests: what is not ok, and the topics."""
    return "\n".join(f"{f['mark']} {f['check']}: {f['found']}" for f in findings if f["mark"] != "ok" or f["data"])


GOOD: dict[str, Any] = {
    "name": "/front/image_raw",
    "encoding": "rgb8",
    "size": [320, 240],
    "reliable": True,
    "f": 300,
    "info": "/front/camera_info",
}


def test_a_good_camera_is_described_and_everything_else_is_ok() -> None:
    with camera(GOOD):
        code, findings = examine()
    assert code == 0, briefly(findings)
    found = the(findings, "camera")
    assert found["mark"] == "ok" and "/front/image_raw: from /robot/webcam reliable" in found["found"]
    assert "320x240 rgb8 (0.2 MB), camera_info on /front/camera_info fits" in found["found"]
    data = found["data"]
    assert data["rate_hz"] == pytest.approx(10, abs=1.5) and 20 <= data["messages"] <= 45
    assert (data["width"], data["height"], data["bytes"]) == (320, 240, 320 * 240 * 3)
    assert the(findings, "RMW")["found"] == "rmw_fastrtps_cpp"
    assert the(findings, "ROS")["data"]["distro"] in ("jazzy", "kilted")
    inference = the(findings, "inference")["data"]
    assert 1 < inference["infer_ms"] < inference["frame_ms"] < 5000 and inference["pool"] in ("tbb", "omp")
    assert os.environ["ROS_DOMAIN_ID"] in the(findings, "network")["found"]
    assert the(findings, "depth node")["found"] == "none runs here"


def test_lines_for_people_are_one_per_check() -> None:
    done = run_doctor("--watch", "0.5")
    lines = done.stdout.splitlines()
    assert all(re.match(r"(ok|warning|problem) +\S", line) for line in lines[:-1]), lines
    assert re.fullmatch(r"(nothing wrong|\d warnings?) in \d+ checks", lines[-1]), lines
    no_camera = next(line for line in lines if "nobody publishes images" in line)
    assert no_camera.startswith("warning") and "start a camera driver" in no_camera
    assert done.returncode == 0


def test_an_unknown_encoding_is_named_with_what_would_do() -> None:
    with camera({**GOOD, "encoding": "nv21"}):
        code, findings = examine("cameras")
    found = the(findings, "camera")
    assert code == 1, briefly(findings)
    assert found["mark"] == "problem"
    assert "The image encoding 'nv21' is not one of rgb8, bgr8" in found["found"]
    assert "cv-bridge" in found["remedy"] and "publish one of these" in found["remedy"]


def test_a_missing_camera_info_and_where_another_is() -> None:
    topic = {**GOOD, "info": "/elsewhere/camera_info"}
    with camera(topic):
        code, findings = examine("cameras")
    found = the(findings, "camera")
    assert code == 1, briefly(findings)
    assert found["mark"] == "problem"
    assert "nobody publishes its camera_info on /front/camera_info" in found["found"]
    assert "--image /front/image_raw --camera-info TOPIC (seen: /elsewhere/camera_info)" in found["remedy"]


@pytest.mark.parametrize(
    ("change", "cause", "remedy"),
    [
        ({"f": 0}, "intrinsics are fx=0.0 fy=0.0", "calibrate it"),
        ({"info_size": [640, 480]}, "describes a 640x480 image", "publish the camera_info that belongs to this image"),
    ],
)
def test_a_camera_info_that_cannot_be_used(change: dict[str, Any], cause: str, remedy: str) -> None:
    with camera({**GOOD, **change}):
        code, findings = examine("cameras")
    found = the(findings, "camera")
    assert code == 1, briefly(findings)
    assert found["mark"] == "problem"
    assert cause in found["found"] and remedy in found["remedy"]


def test_large_best_effort_images_that_do_not_arrive_and_the_remedy_that_helps() -> None:
    large = {**GOOD, "size": [2048, 1024], "reliable": False}
    with camera(large):
        _, findings = examine("cameras")
    found = the(findings, "camera")
    data = found["data"]
    assert "/robot/webcam best effort" in found["found"]
    assert str(PROFILE) in found["remedy"] and PROFILE_VARIABLES[0] in found["remedy"]
    # On an idle machine nothing arrives; on a busy one, whose publisher is slow, a few do.
    assert data["info"]["messages"] >= 5 and data["messages"] < data["info"]["messages"] / 2
    if data["messages"] == 0:
        assert found["mark"] == "problem"
        assert "(2048x1024 by its camera_info), but no image arrived in 3 s" in found["found"]
    else:
        assert found["mark"] == "warning"
        assert f"only {data['messages']} images came for {data['info']['messages']} camera_info" in found["found"]

    with camera(large, **dict.fromkeys(PROFILE_VARIABLES, str(PROFILE))):
        code, findings = examine("cameras")
    assert code == 0 and the(findings, "camera")["mark"] == "ok", briefly(findings)


def test_a_reliable_camera_that_is_paused_is_no_transport_problem() -> None:
    with camera({**GOOD, "rate": 0}):
        code, findings = examine("cameras")
    found = the(findings, "camera")
    assert code == 0, briefly(findings)
    assert found["mark"] == "warning" and "start its stream" in found["remedy"]


def test_depth_images_and_copies_are_no_cameras_and_one_good_camera_is_enough() -> None:
    depth = {"name": "/tof/depth/image", "encoding": "32FC1", "size": [64, 48], "reliable": True}
    copy = {"name": "/front/image_raw/compressed", "encoding": "jpeg", "size": [320, 240]}
    bare = {"name": "/rear/image_raw", "encoding": "rgb8", "size": [64, 48]}
    with camera(GOOD, depth, copy, bare):
        code, findings = examine("cameras")
        assert code == 0, briefly(findings)
        assert "64x48 32FC1" in the(findings, "not a camera")["found"]
        assert the(findings, "compressed")["found"].endswith("the same images as /front/image_raw")
        assert the(findings, "compressed")["data"]["messages"] == 0
        assert the(findings, "camera", "/front/image_raw")["mark"] == "ok"
        assert the(findings, "camera", "/rear/image_raw")["mark"] == "warning"

        code, findings = examine("cameras", "--camera", "rear/image_raw")
        assert code == 1, briefly(findings)
        assert the(findings, "camera")["mark"] == "problem"
        assert "no metres" in the(findings, "camera")["found"]


def test_a_compressed_camera_is_decoded() -> None:
    name = "/front/image_raw/compressed"
    with camera({**GOOD, "name": name, "encoding": "jpeg"}):
        code, findings = examine("cameras")
    found = the(findings, "compressed")
    assert code == 0, briefly(findings)
    assert found["mark"] == "ok", found
    assert "320x240 jpeg" in found["found"] and found["data"]["info"]["topic"] == "/front/camera_info"


def test_a_camera_that_is_asked_for_must_be_there() -> None:
    with camera(GOOD):
        code, findings = examine("cameras", "--camera", "/front/image", "--watch", "0.5")
    found = the(findings, "camera")
    assert code == 1, briefly(findings)
    assert found["found"] == "nobody publishes images on /front/image"


def test_the_depth_node_is_named_and_not_made_to_work(model: Path) -> None:
    with camera(GOOD), running("-r", "image_raw:=/front/image_raw", model=model) as node:
        code, findings = examine("cameras")
        node.stop()
    assert code == 0, briefly(findings)
    assert the(findings, "depth node")["found"] == "/cloudypoints runs, active"
    answers = [f for f in findings if f["check"] == "not a camera"]
    assert sorted(f["data"]["topic"] for f in answers) == ["/cloudypoints/depth/color", "/cloudypoints/depth/image_raw"]
    assert all(f["data"]["messages"] == 0 and "own answer (/cloudypoints)" in f["found"] for f in answers)
    assert the(findings, "camera")["data"]["topic"] == "/front/image_raw"


def test_a_depth_node_that_waits_to_be_configured(model: Path) -> None:
    from driver import NodeProcess

    node = NodeProcess("-r", "__node:=eyes", model=model, autostart=False)
    other = NodeProcess(model=model, autostart=False)
    try:
        node.wait_for_line("Fast DDS")
        other.wait_for_line("Fast DDS")
        code, findings = examine("cameras", "--watch", "0.5")
    finally:
        node.stop()
        other.stop()
    found = the(findings, "depth node")  # the renamed one offers nothing yet to be known by
    assert code == 0, briefly(findings)
    assert found["mark"] == "warning" and found["found"] == "/cloudypoints runs, unconfigured"
    assert "ros2 lifecycle set /cloudypoints configure" in found["remedy"]


BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name == "{name}" or name.startswith("{name}."):
            raise ImportError("No module named '{name}'", name="{name}")
sys.meta_path.insert(0, Block())
"""


@pytest.mark.parametrize(
    ("missing", "check", "also"),
    [
        ("numpy", "numpy", "inference"),
        ("cv2", "cv2", "inference"),
        ("numba", "numba", "inference"),
        ("onnxruntime", "onnxruntime", "inference"),
        ("rclpy", "ROS", "cameras"),
    ],
)
def test_a_missing_library_is_a_finding(tmp_path: Path, missing: str, check: str, also: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(BLOCK.format(name=missing))
    path = os.pathsep.join([str(tmp_path), str(SOURCE)])
    code, findings = examine("--watch", "0.5", PYTHONPATH=path)
    assert code == 1, briefly(findings)
    found = the(findings, check)
    assert found["mark"] == "problem" and f"{missing} cannot be imported (No module named '{missing}'" in found["found"]
    assert "pip install" in found["remedy"]
    assert the(findings, also)["mark"] == "problem"
    assert the(findings, "Python")["mark"] == "ok" and the(findings, "shared memory")


@pytest.mark.parametrize(
    ("environ", "check", "cause", "remedy"),
    [
        ({"ROS_LOG_DIR": "/proc/nowhere"}, "ROS log", "cannot write its log to /proc/nowhere", "set ROS_LOG_DIR"),
        (
            {"RMW_IMPLEMENTATION": "rmw_gurumdds_cpp"},
            "RMW",
            "rmw_gurumdds_cpp cannot be used",
            "unset RMW_IMPLEMENTATION, or apt install ros-",
        ),
        ({"ROS_DOMAIN_ID": "300"}, "network", "domain 300", "0 to 101"),
        ({"ROS_DOMAIN_ID": "left"}, "network", "domain left", "0 to 101"),
    ],
)
def test_what_keeps_ros_from_starting(environ: dict[str, str], check: str, cause: str, remedy: str) -> None:
    code, findings = examine("--watch", "0.5", **environ)
    found = the(findings, check)
    assert code == 1, briefly(findings)
    assert found["mark"] == "problem"
    assert cause in found["found"] and remedy in found["remedy"]
    assert "listen" in the(findings, "cameras")["found"]


def test_a_profile_that_is_no_file(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.xml")
    code, findings = examine("dds", **{PROFILE_VARIABLES[0]: gone})
    found = the(findings, "DDS profile")
    assert code == 0, briefly(findings)
    assert found["mark"] == "warning" and f"{PROFILE_VARIABLES[0]} names {gone}, which is no file" in found["found"]


def test_broken_models(tmp_path: Path) -> None:
    code, findings = examine("model", "--model", str(tmp_path / "none.onnx"))
    found = the(findings, "model")
    assert code == 1, briefly(findings)
    assert found["found"] == f"There is no model file {tmp_path / 'none.onnx'}"
    assert found["remedy"] == "give the path of an .onnx file, or none for the default"


def test_a_model_of_ones_own(model: Path) -> None:
    code, findings = examine("model", "--model", str(model))
    assert code == 0, briefly(findings)
    assert str(model) in the(findings, "model")["found"]
    assert the(findings, "inference")["data"]["infer_ms"] < 200


def locks_of(process: subprocess.Popen[str]) -> list[Path]:
    """The lock files of the shared memory segments that a process holds."""
    opened = [link.readlink() for link in Path(f"/proc/{process.pid}/fd").iterdir()]
    return [path for path in opened if re.fullmatch(r"/dev/shm/fast(rtps|dds)_[0-9a-f]{16}_el", str(path))]


def test_segments_of_a_killed_process_and_their_removal(tmp_path: Path) -> None:
    before = leftovers().abandoned
    with camera(GOOD, **dict.fromkeys(PROFILE_VARIABLES, str(PROFILE))) as process:
        mine = {lock.name.removesuffix("_el") for lock in locks_of(process)}
        assert mine and not mine & set(leftovers().abandoned)  # alive: no leftovers
        process.send_signal(signal.SIGKILL)
        process.wait()
    after = leftovers()
    assert mine <= set(after.abandoned) and not mine & set(before)

    code, findings = examine("memory")
    found = the(findings, "shared memory")
    assert code == 0, briefly(findings)
    assert found["mark"] == "warning" and CLEAN_UP in found["remedy"]
    assert mine <= set(found["data"]["abandoned_segments"])
    assert found["data"]["abandoned_bytes"] >= 64 << 20

    # The command removes what was left and nothing that runs; here on the one segment only.
    with camera(GOOD) as alive:
        held = locks_of(alive)
        for name in [*mine, *(lock.name.removesuffix("_el") for lock in held)]:
            only = CLEAN_UP.replace("/dev/shm/fast[rd]*_????????????????_el", f"/dev/shm/{name}_el")
            assert only != CLEAN_UP
            subprocess.run(["sh", "-c", only], check=False)
        assert held and all(lock.exists() for lock in held)
        time.sleep(0.1)
        assert alive.poll() is None
    assert not mine & set(leftovers().abandoned) and not any(Path("/dev/shm", name).exists() for name in mine)
