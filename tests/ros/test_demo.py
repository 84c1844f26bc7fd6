"""The demo from outside: three real processes over DDS, the bag read back by an independent reader."""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from tiny_models import expected_depth, write_model

from cloudypoints_ros.camera import Camera, save_camera
from cloudypoints_ros.demo import options, recorder
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.processes.channel import DiskError
from cloudypoints_ros.sources import CLIP

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.timeout(120)]

CAMERA = Camera(320, 160, 250.0, 251.0, 158.5, 80.5)
FRAMES = 12
TRUTH_EVERY = 4
TOPICS = {
    "/camera/image_raw/compressed": "sensor_msgs/msg/CompressedImage",
    "/camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "/cloudypoints/depth/image_raw": "sensor_msgs/msg/Image",
    "/cloudypoints/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "/cloudypoints/points": "sensor_msgs/msg/PointCloud2",
    "/camera/depth_truth": "sensor_msgs/msg/Image",
}


def picture(n: int) -> np.ndarray:
    """uint8 BGR: a red ramp that moves with n, so that the tiny model's answer is known; green tells frames apart."""
    red = (np.linspace(0, 120, CAMERA.width)[None] + 4 * n + np.zeros((CAMERA.height, 1))).astype(np.uint8)
    return np.dstack([np.zeros_like(red), np.full_like(red, 15 * n), red])


def make_drive(folder: Path) -> Path:
    (folder / "image").mkdir(parents=True)
    (folder / "depth").mkdir()
    for n in range(FRAMES):
        image = picture(n)
        assert cv2.imwrite(str(folder / "image" / f"{n:03}.png"), image)
        if n % TRUTH_EVERY == 0:
            raw = np.rint(expected_depth(image[..., 2]) * 256).astype(np.uint16)
            raw[:20] = 0
            assert cv2.imwrite(str(folder / "depth" / f"{n:03}.png"), raw)
    save_camera(CAMERA, folder / "camera.json")
    return folder


def start(*words: str, domain: str | None = None, largest_file: int | None = None) -> subprocess.Popen[str]:
    """``cloudypoints demo`` in a process group of its own and, unless told, a ROS domain it chooses itself.

    ``largest_file``, bytes: writing more into one file fails in all its processes, as on a full disk.
    """

    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    environment = {k: v for k, v in os.environ.items() if k != "ROS_DOMAIN_ID"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
    if domain is not None:
        environment["ROS_DOMAIN_ID"] = domain
    return subprocess.Popen(
        [sys.executable, "-m", "cloudypoints_ros.cli", "demo", *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=limit,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=100)
    return process.returncode, out, err


def demo(*words: str) -> tuple[int, str, str]:
    return finish(start(*words))


def children_of(pid: int) -> dict[str, int]:
    """The demo's processes by module name."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes().decode().split("\0")
        except (OSError, ValueError):
            continue
        module = next((word for word in command if word.startswith("cloudypoints_ros.")), None)
        if parent == pid and module is not None:
            found[module.rpartition(".")[2]] = int(entry.name)
    return found


def gone(pid: int) -> bool:
    try:
        return (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]) == "Z"
    except OSError:
        return True


def wait_for(condition: Any, what: str, seconds: float = 90.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


def streaming(process: subprocess.Popen[str], out: Path) -> dict[str, int]:
    """Wait until the three run and messages are being spooled."""

    def spooled() -> dict[str, int] | None:
        assert process.poll() is None, process.communicate()
        children = children_of(process.pid)
        if set(children) != {"node", "recorder", "camera_publisher"}:
            return None
        for fd in Path(f"/proc/{children['recorder']}/fd").iterdir():
            try:
                # The spool is a nameless file in the demo's work folder.
                name = str(fd.readlink())
                if str(out) in name and "deleted" in name and fd.stat().st_size > 1_000_000:
                    return children
            except OSError:
                continue
        return None

    return wait_for(spooled, "three processes that stream")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_drive(tmp_path_factory.mktemp("drive"))


@pytest.fixture(scope="module")
def result(tiny: Path, drive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """One complete run: its output folder and what it printed."""
    out = tmp_path_factory.mktemp("result") / "out"
    code, said, err = demo("--source", str(drive), "--rate", "8", "--model", str(tiny), "-o", str(out))
    assert code == 0, err
    return out, said


@pytest.fixture(scope="module")
def messages(result: tuple[Path, str]) -> dict[str, dict[int, Any]]:
    """Topic -> stamp in nanoseconds -> message, by mcap-ros2-support from the definitions inside the bag alone."""
    found: dict[str, dict[int, Any]] = defaultdict(dict)
    with (result[0] / "demo" / "demo_0.mcap").open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        for schema, channel, _, message in reader.iter_decoded_messages():
            assert schema is not None and schema.name == TOPICS[channel.topic]
            stamp = message.header.stamp
            found[channel.topic][stamp.sec * 10**9 + stamp.nanosec] = message
    return found


def row(said: str, name: str) -> list[str]:
    """The cells of the table row that starts with ``name``."""
    line = next(line for line in said.splitlines() if re.match(rf"[│|]\s*{re.escape(name)}\s*[│|]", line))
    return [cell.strip() for cell in re.split("[│|]", line)[1:-1]]


def test_only_the_results_are_left(result: tuple[Path, str]) -> None:
    assert sorted(p.name for p in result[0].iterdir()) == ["demo", "demo.png"]
    assert sorted(p.name for p in (result[0] / "demo").iterdir()) == ["demo_0.mcap", "metadata.yaml"]


def test_every_frame_is_in_the_bag_with_one_stamp(
    result: tuple[Path, str], messages: dict[str, dict[int, Any]]
) -> None:
    assert set(messages) == set(TOPICS)
    stamps = sorted(messages["/camera/image_raw/compressed"])
    assert len(stamps) == FRAMES
    np.testing.assert_allclose(np.diff(stamps) / 1e9, 1 / 8, atol=0.06)
    assert abs(stamps[-1] / 1e9 - (result[0] / "demo").stat().st_mtime) < 120  # real time
    assert set(messages["/camera/camera_info"]) == set(stamps)
    depths = set(messages["/cloudypoints/depth/image_raw"])
    assert depths == set(messages["/cloudypoints/points"]) == set(messages["/cloudypoints/depth/camera_info"])
    assert depths <= set(stamps) and len(depths) >= FRAMES - 3
    assert sorted(messages["/camera/depth_truth"]) == stamps[::TRUTH_EVERY]
    assert {m.header.frame_id for topic in messages.values() for m in topic.values()} == {"camera_optical_frame"}


def test_images_and_calibration(messages: dict[str, dict[int, Any]]) -> None:
    for n, (_, message) in enumerate(sorted(messages["/camera/image_raw/compressed"].items())):
        image = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)
        assert image.shape == (CAMERA.height, CAMERA.width, 3)
        assert np.abs(image.astype(int) - picture(n)).mean() < 3
    for topic in ("/camera/camera_info", "/cloudypoints/depth/camera_info"):
        for message in messages[topic].values():
            assert (message.width, message.height) == (CAMERA.width, CAMERA.height)
            np.testing.assert_allclose(message.k, CAMERA.matrix.ravel())


def test_depth_in_the_bag_is_what_the_pipeline_answers(tiny: Path, messages: dict[str, dict[int, Any]]) -> None:
    pipeline = Pipeline.open(tiny, "auto")
    stamps = sorted(messages["/camera/image_raw/compressed"])
    for stamp, message in messages["/cloudypoints/depth/image_raw"].items():
        assert message.encoding == "32FC1"
        depth = np.frombuffer(message.data, "<f4").reshape(message.height, message.width)
        expected = pipeline.depth(picture(stamps.index(stamp)), CAMERA, "bgr").depth
        np.testing.assert_array_equal(depth, expected)


def test_points_lie_on_the_depth_at_stride_4(messages: dict[str, dict[int, Any]]) -> None:
    stamp, message = sorted(messages["/cloudypoints/points"].items())[1]
    assert [f.name for f in message.fields] == ["x", "y", "z", "rgb"]
    points = np.frombuffer(message.data, np.float32).reshape(-1, 4)[:, :3]
    assert len(points) == message.width * message.height == (CAMERA.width // 4) * (CAMERA.height // 4)
    depth = np.frombuffer(messages["/cloudypoints/depth/image_raw"][stamp].data, "<f4").reshape(160, 320)
    uv = CAMERA.project(points)
    np.testing.assert_allclose(uv, 4 * np.rint(uv / 4), atol=0.05)
    u, v = np.rint(uv).astype(int).T
    np.testing.assert_array_equal(points[:, 2], depth[v, u])


def test_truth_in_the_bag_is_the_file(drive: Path, messages: dict[str, dict[int, Any]]) -> None:
    for n, (_, message) in enumerate(sorted(messages["/camera/depth_truth"].items())):
        raw = cv2.imread(str(drive / "depth" / f"{TRUTH_EVERY * n:03}.png"), cv2.IMREAD_UNCHANGED)
        assert raw is not None and message.encoding == "32FC1"
        depth = np.frombuffer(message.data, "<f4").reshape(message.height, message.width)
        np.testing.assert_array_equal(depth, np.where(raw == 0, np.nan, raw.astype(np.float32) / 256))


def test_rosbags_reads_it_as_a_folder(result: tuple[Path, str]) -> None:
    with Reader(result[0] / "demo") as reader:
        assert {c.topic: c.msgtype for c in reader.connections} == TOPICS
        counts = {c.topic: c.msgcount for c in reader.connections}
        assert counts["/camera/image_raw/compressed"] == FRAMES
        assert reader.message_count == sum(counts.values())
        times = [time for _, time, _ in reader.messages()]
    assert times == sorted(times)


def test_the_chunks_are_zstd(result: tuple[Path, str]) -> None:
    with (result[0] / "demo" / "demo_0.mcap").open("rb") as file:
        summary = make_reader(file).get_summary()
    assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}


def test_table(result: tuple[Path, str], messages: dict[str, dict[int, Any]]) -> None:
    out, said = result
    counts = {name: int(row(said, name)[1]) for name in ("in", "published", "dropped")}
    assert counts["in"] == FRAMES
    assert counts["published"] == len(messages["/cloudypoints/depth/image_raw"])
    assert counts["published"] + counts["dropped"] == counts["in"]
    for name in ("image", "depth", "points"):
        *times, n = (float(cell) for cell in row(said, f"stamp to received: {name}")[1:])
        assert 0 < times[0] <= times[1] <= times[2] < 5000
        assert n == (FRAMES if name == "image" else counts["published"])
    for name in ("infer", "preprocess", "arrival to last publish"):
        assert float(row(said, f"node: {name}")[4]) == counts["published"]
    # Truth is the model's own answer, up to 1/512 m and the smoothing of the resize.
    _, raw, scaled, frames, pixels = row(said, "AbsRel")
    compared = len(set(messages["/camera/depth_truth"]) & set(messages["/cloudypoints/depth/image_raw"]))
    assert float(raw) < 0.03 and float(scaled) < 0.03
    name = next(line for line in said.splitlines() if "the best constant" in line)
    floor = [cell.strip() for cell in name.split("│") if cell.strip()]
    assert float(floor[1]) > 0.1 and float(floor[2]) > 0.1 and floor[3:] == [frames, pixels]
    assert int(frames) == compared and int(pixels.replace(",", "")) == compared * 140 * 320
    size = sum(p.stat().st_size for p in (out / "demo").iterdir())
    assert f"({size / 1e6:.1f} MB)" in said
    for hint in ("ros2 bag play", "rviz2", "rerun-sdk", "Foxglove"):
        assert hint in said


def test_picture(result: tuple[Path, str]) -> None:
    image = cv2.imread(str(result[0] / "demo.png"))
    assert image is not None and image.shape[1] == 1600 and image.shape[0] > 800
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 1000


def test_a_still_is_repeated_and_an_earlier_result_replaced(tiny: Path, drive: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "metadata.yaml").write_text("an earlier bag")
    (tmp_path / "demo" / "old").write_text("")
    still = drive / "image" / "001.png"
    code, said, err = demo("--source", str(still), "--duration", "0.5", "--model", str(tiny), "-o", str(tmp_path))
    assert code == 0, err
    assert row(said, "in")[1] == "5"
    assert "nothing is compared" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["demo", "demo.png"]
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["demo_0.mcap", "metadata.yaml"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--source", "{tmp}/empty"), "holds no images"),
        (("--source", "{tmp}/nocamera"), "No camera file was found for"),
        (("--source", "{tmp}/bad.mp4"), "cannot be read; give a video"),
        (("--source", "{drive}", "--rate", "-1"), "The rate is -1.0 Hz"),
        (("--source", "{drive}", "--duration", "0"), "--duration is 0.0"),
        (("--source", "{drive}", "--model", "{tmp}/no.onnx"), "no.onnx does not exist"),
        (("--source", "{drive}", "--model", "{tiny}", "-p", "threads:=900"), "threads"),
        (("--source", "{drive}", "-p", "points.stride:=8"), "The demo sets points.stride itself; leave it out, or"),
        (("--source", "{drive}", "-p", "points.stride"), "has no value; give it as NAME:=VALUE"),
        (("--source", "{tmp}/broken", "--model", "{tiny}"), "1.png cannot be read; it is damaged"),
    ],
)
def test_what_the_user_can_mend(words: tuple[str, ...], sentence: str, tiny: Path, drive: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.mp4").write_bytes(b"no video")
    for folder in ("nocamera", "broken"):
        (tmp_path / folder).mkdir()
        assert cv2.imwrite(str(tmp_path / folder / "0.png"), picture(0))
    (tmp_path / "broken" / "1.png").write_bytes(b"no image")
    save_camera(CAMERA, tmp_path / "broken" / "camera.json")
    filled = [word.format(tmp=tmp_path, drive=drive, tiny=tiny) for word in words]
    code, _, err = demo(*filled, "-o", str(tmp_path / "out"))
    assert code == 2, err
    assert sentence in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "out" / "demo").exists()
    assert not list((tmp_path / "out").glob(".demo*")) if (tmp_path / "out").exists() else True


@pytest.mark.parametrize(
    "name",
    [
        *("points.fields", "points.stride", "points.organised", "stats_file", "depth.encoding", "image_transport"),
        "cloudypoints:points.stride",
        "model",
    ],
)
def test_parameters_that_the_demo_sets_are_refused(name: str) -> None:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    with pytest.raises(CloudyPointsError) as caught:
        options.options_of(parser.parse_args(["-p", f"{name}:=1"]))
    way = "use --model" if name == "model" else "leave it out"
    bare = name.rpartition(":")[2]
    expected = f"The demo sets {bare} itself; {way}, or start the node with `cloudypoints run -p {name}:=1`."
    assert str(caught.value) == expected


def test_the_clip_streams_at_its_own_rate_by_name_too() -> None:
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    for words in ([], ["--source", str(CLIP)]):
        assert options.options_of(parser.parse_args(words)).rate_hz == 17.0
    assert options.options_of(parser.parse_args(["--rate", "3"])).rate_hz == 3.0


def test_a_folder_that_is_no_bag_is_not_replaced(tiny: Path, drive: Path, tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "thesis.tex").write_text("precious")
    code, _, err = demo("--source", str(drive), "--model", str(tiny), "-o", str(tmp_path))
    assert code == 2 and "is not a bag, so it is not replaced" in err
    assert (tmp_path / "demo" / "thesis.tex").read_text() == "precious"


def test_ctrl_c_ends_a_loop_and_keeps_what_came(tiny: Path, drive: Path, tmp_path: Path) -> None:
    process = start("--source", str(drive), "--loop", "--model", str(tiny), "-o", str(tmp_path))
    children = streaming(process, tmp_path)
    time.sleep(2.0)
    process.send_signal(signal.SIGINT)
    code, said, err = finish(process)
    assert code == 0, err
    assert int(row(said, "in")[1]) > FRAMES  # more than one pass
    assert (tmp_path / "demo" / "metadata.yaml").is_file()
    wait_for(lambda: all(gone(pid) for pid in children.values()), "the children's end", 20)


@pytest.mark.parametrize("victim", ["node", "recorder", "camera_publisher"])
def test_a_dead_child_is_named(victim: str, tiny: Path, drive: Path, tmp_path: Path) -> None:
    process = start("--source", str(drive), "--loop", "--model", str(tiny), "-o", str(tmp_path))
    children = streaming(process, tmp_path)
    os.kill(children[victim], signal.SIGKILL)
    code, _, err = finish(process)
    assert code == 2
    name = "camera" if victim == "camera_publisher" else victim
    assert f"The demo's {name} process was killed by signal 9 (SIGKILL)" in err
    assert "Traceback" not in err
    wait_for(lambda: all(gone(pid) for pid in children.values()), "the children's end", 20)
    # A log is kept and named when it says something.
    logs = list(tmp_path.iterdir())
    assert [log.name for log in logs] == ([f"demo_{name}.log"] if "its log is" in err else [])
    assert all(log.read_text().strip() for log in logs)
    assert victim != "node" or logs  # the node always says something


def test_no_orphans_when_the_conductor_is_killed(tiny: Path, drive: Path, tmp_path: Path) -> None:
    process = start("--source", str(drive), "--loop", "--model", str(tiny), "-o", str(tmp_path))
    children = streaming(process, tmp_path)
    process.kill()
    process.communicate()
    wait_for(lambda: all(gone(pid) for pid in children.values()), "children that ended", 20)
    assert not (tmp_path / "demo").exists()
    # The next demo sweeps the work folder of the dead one away.
    still = drive / "image" / "000.png"
    code, _, err = demo("--source", str(still), "--duration", "0.3", "--model", str(tiny), "-o", str(tmp_path))
    assert code == 0, err
    assert not list(tmp_path.glob(".demo-*"))


def test_the_users_ros_domain_is_kept(tiny: Path, drive: Path, tmp_path: Path) -> None:
    process = start("--source", str(drive), "--loop", "--model", str(tiny), "-o", str(tmp_path), domain="87")
    children = streaming(process, tmp_path)
    for pid in children.values():
        environment = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        assert "ROS_DOMAIN_ID=87" in environment
        assert "ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST" in environment
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 0


def test_a_disk_that_fills_up_is_one_sentence(tiny: Path, tmp_path: Path) -> None:
    still = tmp_path / "still.png"
    assert cv2.imwrite(str(still), np.zeros((1080, 1920, 3), np.uint8))
    out = tmp_path / "out"
    words = ("--source", str(still), "--hfov", "60", "--loop", "--model", str(tiny), "-o", str(out))
    # More than the shared memory of Fast DDS, which counts as files too.
    code, _, err = finish(start(*words, largest_file=100 << 20))
    assert code == 2, err
    said = " ".join(err.split())
    assert f"{out} cannot be written (File too large); free disk space or give another -o." in said
    assert "Traceback" not in err and "its log is" not in said
    assert list(out.iterdir()) == []


def test_a_journal_that_does_not_fit_is_one_event(drive: Path) -> None:
    events, err, code = camera_alone(drive, Path("/dev/full"))
    assert code == 2
    assert events[-1] == {"event": "disk", "reason": "No space left on device"}
    assert "Traceback" not in err


@contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Within: a file of this process that grows beyond ``size`` bytes is an OSError, as on a full disk."""
    earlier = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, earlier[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, earlier)


def image_message(side: int) -> bytes:
    """A serialised bgr8 image of noise, stamped 7 ns."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    header = types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](0, 7), "camera")
    data = np.random.default_rng(0).integers(0, 255, side * side * 3, dtype=np.uint8)
    image = types["sensor_msgs/msg/Image"](header, side, side, "bgr8", 0, 3 * side, data)
    return bytes(store.serialize_cdr(image, "sensor_msgs/msg/Image"))


def test_a_full_disk_while_spooling(tmp_path: Path) -> None:
    spool = recorder.Spool(tmp_path)
    with files_up_to(10_000):
        spool.put("/t", 0, bytes(9_999))
        wait_for(lambda: spool._taken == 9_999, "the first message on disk")
        spool.put("/t", 1, b"\0\1" + bytes(98))  # fits any buffer; the flush is what fails
        wait_for(lambda: spool._taken == 10_099, "the second message refused")
        with pytest.raises(DiskError, match="File too large"):
            spool.put("/t", 2, bytes(100))
        with pytest.raises(DiskError, match="File too large"):
            spool.finish()


def test_a_full_disk_while_the_bag_is_written(tmp_path: Path) -> None:
    spool = recorder.Spool(tmp_path)
    spool.put("/camera/image_raw", 8, image_message(512))
    spool.finish()
    frames = [{"stamp": 7, "image": None, "truth": None}]
    with files_up_to(100_000), pytest.raises(DiskError, match="File too large"):
        recorder.write_results(tmp_path, spool, frames)


def test_a_disk_that_is_too_slow_ends_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is a pipe that nobody empties: a disk that stands still."""
    reading, writing = os.pipe()
    monkeypatch.setattr(recorder.tempfile, "TemporaryFile", lambda dir: os.fdopen(writing, "wb"))
    spool = recorder.Spool(tmp_path, limit=1_000_000)
    message = bytes(300_000)
    for n in range(4):
        spool.put("/t", n, message)
    with pytest.raises(CloudyPointsError, match="The disk cannot keep up: 1 MB of recorded messages wait"):
        spool.put("/t", 4, message)
    assert len(spool.records) == 4
    # The disk wakes up: somebody empties the pipe until it is closed.
    threading.Thread(target=lambda: list(iter(lambda: os.read(reading, 1 << 20), b"")), daemon=True).start()
    wait_for(lambda: spool._taken == 4 * len(message), "the pipe to be emptied", 20)
    spool.put("/t", 5, b"\0\1" + bytes(98))
    spool.finish()


def test_spool_keeps_every_byte(tmp_path: Path) -> None:
    spool = recorder.Spool(tmp_path)
    messages = [bytes([0, 1, 0, 0]) + np.array([n, 5], "<u4").tobytes() + bytes(n * 1000) for n in range(1, 9)]
    records = [spool.put("/t", n, data) for n, data in enumerate(messages)]
    spool.finish()
    assert [spool.read(record) for record in records] == messages
    assert [record.stamp for record in records] == [n * 10**9 + 5 for n in range(1, 9)]
    assert list(tmp_path.iterdir()) == []  # the file has no name: nothing stays when the process dies


def camera_alone(drive: Path, journal: Path) -> tuple[list[dict[str, Any]], str, int]:
    """Twenty frames of the camera process at 20 Hz without subscribers: its events, stderr and exit code."""
    environment = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[2] / "src"))
    words = ["--source", str(drive), "--rate", "20", "--frames", "20", "--subscribers", "0"]
    camera = subprocess.Popen(
        [sys.executable, "-m", "cloudypoints_ros.demo.camera_publisher", *words, "--journal", str(journal)],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert camera.stdout is not None and camera.stdin is not None and camera.stderr is not None
    events = []
    for line in camera.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == "done":
            break
    camera.stdin.close()
    return events, camera.stderr.read(), camera.wait(20)


def test_journal_and_rate_of_the_camera_alone(drive: Path, tmp_path: Path) -> None:
    """Without subscribers the camera just runs; its journal says which file had which stamp."""
    events, err, code = camera_alone(drive, tmp_path / "j.json")
    assert code == 0, err
    frames = json.loads((tmp_path / "j.json").read_text())["frames"]
    assert [Path(f["image"]).stem for f in frames] == [f"{n % FRAMES:03}" for n in range(20)]
    assert [f["truth"] is not None for f in frames[:5]] == [True, False, False, False, True]
    assert np.median(np.diff([f["stamp"] for f in frames])) / 1e9 == pytest.approx(0.05, abs=0.005)
    assert events[-1]["count"] == 20 and events[-1]["last_stamp"] == frames[-1]["stamp"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_before_the_first_frame_leaves_nothing(
    number: signal.Signals, tiny: Path, drive: Path, tmp_path: Path
) -> None:
    process = start("--source", str(drive), "--model", str(tiny), "-o", str(tmp_path))
    children = wait_for(lambda: len(children_of(process.pid)) == 3 and children_of(process.pid), "three children")
    process.send_signal(number)
    code, said, err = finish(process)
    assert code == 130, err
    assert "nothing was written" in said
    assert "Traceback" not in err
    # A process ends a moment after it was told to: the kernel still has to take it away.
    wait_for(lambda: all(gone(pid) for pid in children.values()), "the children's end")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_home_is_no_obstacle(
    tiny: Path, drive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc")
    monkeypatch.delenv("ROS_LOG_DIR", raising=False)
    still = drive / "image" / "000.png"
    code, _, err = demo("--source", str(still), "--duration", "0.3", "--model", str(tiny), "-o", str(tmp_path))
    assert code == 0, err
