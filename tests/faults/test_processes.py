"""Faults of whole processes and machines: peers that are killed, shared memory and disks that are full."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from driver import Driver, running
from faults import ERROR, STALE
from rig import DIAGNOSTICS, Rig
from tiny_models import write_model

pytestmark = pytest.mark.ros

HERE = Path(__file__).parent


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts Python processes that are killed at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, *arguments]))
        return started[-1]

    yield run
    for process in started:
        kill(process)


@pytest.fixture
def driver(ros: None) -> Iterator[Driver]:
    made = Driver(("depth",))
    yield made
    made.close()


def kill(process: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """kill -9, and its segments of shared memory go, too: on a machine of many tests they add up."""
    mapped = segments_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for path in mapped:
        remove_if_dead(path)


def segments_of(pid: int) -> set[Path]:
    """Fast DDS's segments of shared memory that a process has mapped, its own and its peers'."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
        return {Path(line.split()[-1]) for line in lines if re.search(r"/dev/shm/fast(dds|rtps)_[0-9a-f]{16}$", line)}
    return set()


def owner_is_dead(segment: Path) -> bool:
    """Its owner keeps a lock on the file beside it for as long as it lives."""
    try:
        with Path(f"{segment}_el").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return not segment.exists()
    return True


def remove_if_dead(segment: Path) -> None:
    if owner_is_dead(segment):
        for path in (segment, Path(f"{segment}_el")):
            path.unlink(missing_ok=True)


def test_cameras_and_listeners_that_are_killed(
    driver: Driver, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """A camera whose large images are lost, one that dies while it publishes, a listener that dies: one node."""
    camera = str(HERE / "camera_process.py")
    options = {**DIAGNOSTICS, "diagnostics.stale_after": 1.0}
    with running(model=write_model(tmp_path), **options) as node:
        rig = Rig(node, driver)
        rig.stop_camera()
        lossy = start(camera, "1600", "1200", "best_effort")
        # None of them arrives, or few.
        lost = (
            "Large best-effort images need shared memory: let the camera publish reliable or give its process the Fast "
            "DDS profile "
        )
        rig.logs(lost, 0)
        rig.diagnoses(lost, ERROR)
        kill(lossy)

        dying = start(camera, "96", "64", "reliable")
        driver.spin_until(lambda: _seen(driver, "camera_process"), what="images of the camera process")
        since = len(node.lines)
        kill(dying)
        silent = "would publish it; look at the camera driver."
        rig.logs(silent, since)
        rig.diagnoses(silent, STALE)
        driver.received["depth"].clear()
        start(camera, "96", "64", "reliable")
        driver.spin_until(lambda: _seen(driver, "camera_process"), what="images of the camera that was started again")

        listener = start("-c", LISTENER)
        driver.spin_until(
            lambda: driver.node.count_subscribers("/cloudypoints/points") > 0, what="the listener"
        )  # fmt: skip
        driver.spin_for(0.5)
        kill(listener)
        driver.received["depth"].clear()
        driver.spin_until(lambda: len(driver.received["depth"]) > 10, what="images after the listener's death")
        assert node.process.poll() is None and "Traceback" not in node.output


def _seen(driver: Driver, frame: str) -> bool:
    return any(msg.header.frame_id == frame for msg in driver.received["depth"])


LISTENER = """
import rclpy
from sensor_msgs.msg import PointCloud2
rclpy.init()
node = rclpy.create_node("listener")
node.create_subscription(PointCloud2, "/cloudypoints/points", lambda _msg: None, 10)
rclpy.spin(node)
"""


def test_a_node_that_can_start_no_thread_says_so_and_works_on(driver: Driver, tmp_path: Path) -> None:
    """Without memory for a stack there is no thread to load a model in; the one at work goes on."""
    with running(model=write_model(tmp_path), **DIAGNOSTICS) as node:
        rig = Rig(node, driver)
        rig.connect()
        rig.answers_a_good_frame()
        status = Path(f"/proc/{node.process.pid}/status").read_text(encoding="utf-8")
        used = int(re.search(r"VmSize:\s+(\d+) kB", status).group(1)) << 10  # type: ignore[union-attr]
        limits = resource.prlimit(node.process.pid, resource.RLIMIT_AS)
        resource.prlimit(node.process.pid, resource.RLIMIT_AS, (used + (3 << 20), limits[1]))
        try:
            rig.set(model=str(write_model(tmp_path, name="another")))
            rig.logs("can't start new thread", 0)
            rig.diagnoses("can't start new thread", ERROR, "engine")
        finally:
            resource.prlimit(node.process.pid, resource.RLIMIT_AS, limits)
        rig.answers_a_good_frame()
        assert "Traceback" not in node.output


def test_a_node_that_is_killed_leaves_nothing_in_the_way_of_the_next(driver: Driver, tmp_path: Path) -> None:
    model = write_model(tmp_path)
    with running(model=model, **DIAGNOSTICS) as node:
        first = Rig(node, driver)
        first.connect()
        first.answers_a_good_frame()
        mapped = segments_of(node.process.pid)
        node.process.send_signal(signal.SIGKILL)
        node.wait()
    left = {path for path in mapped if path.exists() and owner_is_dead(path)}
    try:
        assert left  # or this test shows nothing
        with running(model=model, **DIAGNOSTICS) as node:
            again = Rig(node, driver)
            again.connect()
            again.answers_a_good_frame()
            assert node.stop() == 0 and "Traceback" not in node.output
    finally:
        for path in left:
            remove_if_dead(path)


_CONFINED = (
    'mount -t tmpfs -o size=400m tmpfs /dev/shm && mount -t tmpfs -o size=1m tmpfs "$1/disk" && '
    'exec "$0" "$2" "$3" "$1"'
)


def _namespaces() -> bool:
    """Whether this user may mount a disk that only its own processes see."""
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/dev/shm"]
    return subprocess.run(trial, capture_output=True).returncode == 0


@pytest.mark.skipif(not _namespaces(), reason="user namespaces are not allowed here, so no disk can be filled")
@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (
            "shared memory full before",
            "/dev/shm has 0 MiB free and our Fast DDS profile wants 192, so Fast DDS's own settings stay and large "
            "messages are slow; start the container with --shm-size=512m.",
        ),
        ("shared memory full while running", "is in force"),
        (
            "disk full",
            "/disk/stats.json cannot be written (No space left on device); check that the folder is writable and the "
            "disk has space, or choose another place.",
        ),
    ],
)
def test_a_full_disk(what: str, sentence: str, tmp_path: Path) -> None:
    """The node answers on, with its logs and its statistics on the full disk, and ends as it should."""
    (tmp_path / "disk").mkdir()
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", _CONFINED, sys.executable]
    done = subprocess.run(
        [*command, str(tmp_path), str(HERE / "confined.py"), what], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert sentence in done.stdout and "exit code 0" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_folder_that_is_gone_when_the_statistics_are_due(driver: Driver, tmp_path: Path) -> None:
    """It is made again; where that cannot be, the sentence says so."""
    folder = tmp_path / "gone"
    folder.mkdir()
    for blocked in (False, True):
        with running(model=write_model(tmp_path), stats_file=folder / "stats.json", **DIAGNOSTICS) as node:
            rig = Rig(node, driver)
            rig.connect()
            rig.answers_a_good_frame()
            shutil.rmtree(folder)
            if blocked:
                folder.write_text("a file where the folder was", encoding="utf-8")
            rig.answers_a_good_frame()
            assert node.stop() == 0 and "Traceback" not in node.output
        if not blocked:
            assert json.loads((folder / "stats.json").read_text())["cameras"][""]["counts"]["published"] >= 3
    rig.logs("stats.json cannot be written (", 0)
