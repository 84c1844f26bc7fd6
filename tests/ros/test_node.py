"""The node as users run it: a process of its own, driven over real DDS, judged by numbers and content."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from driver import BEST_EFFORT, NodeProcess, image_message, running
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from tiny_models import expected_depth, write_model

from cloudypoints_ros import dds, messages
from cloudypoints_ros.camera import Calibration, Camera

pytestmark = pytest.mark.ros

# The preferred size of the tiny model, so that the network sees the image as it is.
WIDTH, HEIGHT = 96, 64
CAMERA = Camera(WIDTH, HEIGHT, 80.0, 82.0, 47.0, 30.0, "plumb_bob", (-0.1, 0.02, 0.001, -0.002, 0.0))
SKY_ROWS = 16


def picture(offset: int = 0) -> np.ndarray:
    """RGB: red grows along x (so depth does), the upper rows are blue (sky), green tells rows apart."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = np.arange(WIDTH) * 2 + offset
    image[..., 1] = np.arange(HEIGHT)[:, None]
    image[:SKY_ROWS, :, 2] = 255
    return image


def info_of(camera: Camera = CAMERA) -> CameraInfo:
    return messages.camera_info(Calibration.of(camera), image_message(picture()).header)


def depth_of(msg: Image) -> np.ndarray:
    assert (msg.encoding, msg.is_bigendian, msg.step) == ("32FC1", 0, 4 * msg.width)
    return np.frombuffer(msg.data, "<f4").reshape(msg.height, msg.width)


def points_of(msg: PointCloud2) -> np.ndarray:
    """float32 (N, 3)"""
    return np.frombuffer(msg.data, "<f4").reshape(-1, msg.point_step // 4)[:, :3]


def grid_pixels(camera: Camera, points: np.ndarray, stride: int) -> np.ndarray:
    """The pixels (N, 2) that points come from; they must re-project within 0.05 px onto the grid."""
    uv = camera.project(points)
    pixels = np.round(uv).astype(int)
    assert np.abs(uv - pixels).max() < 0.05
    assert (pixels % stride == 0).all()
    return pixels


def test_a_frame(drive: Any, model: Path) -> None:
    """Headers, metres, calibration, cloud and preview of one frame."""
    with running(model=model):
        driver = drive()
        driver.connect()
        sent = image_message(picture(), stamp=(1234, 567890123))
        depth_msg, info, cloud_msg, color = driver.ask(sent, info_of(), "depth", "info", "points", "color")

        for msg in (depth_msg, info, cloud_msg, color):
            assert msg.header == sent.header
        assert (depth_msg.width, depth_msg.height) == (WIDTH, HEIGHT)
        assert messages.calibration(info).camera() == CAMERA

        depth = depth_of(depth_msg)
        np.testing.assert_allclose(depth[SKY_ROWS + 1 :], expected_depth(picture()[SKY_ROWS + 1 :, :, 0]), rtol=1e-4)
        assert np.isposinf(depth[: SKY_ROWS - 1]).all()
        assert not np.isnan(depth).any()

        assert cloud_msg.is_dense and cloud_msg.height == 1 and cloud_msg.point_step == 16
        assert [f.name for f in cloud_msg.fields] == ["x", "y", "z", "rgb"]
        points = points_of(cloud_msg)
        assert np.isfinite(points).all()  # the sky is never a point
        pixels = grid_pixels(CAMERA, points.astype(np.float64), 4)
        np.testing.assert_array_equal(points[:, 2], depth[pixels[:, 1], pixels[:, 0]])
        assert len(points) == np.isfinite(depth[::4, ::4]).sum()
        words = np.frombuffer(cloud_msg.data, "<u4").reshape(-1, 4)[:, 3]
        rgb = np.stack([words >> 16, words >> 8 & 255, words & 255], -1)
        np.testing.assert_array_equal(rgb, picture()[pixels[:, 1], pixels[:, 0]])

        assert (color.encoding, color.step, len(color.data)) == ("bgr8", 3 * WIDTH, 3 * WIDTH * HEIGHT)
        shown = np.frombuffer(color.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
        near, far = shown[40, 2].sum(dtype=int), shown[40, 90].sum(dtype=int)
        assert near > far  # near is bright


def test_what_the_model_declares_invalid_is_nan_and_no_point(drive: Any, tmp_path: Path) -> None:
    """Green above 127 is valid, below not; the sky stays sky."""
    image = picture()
    image[..., 1] = 255
    image[40:50, 20:60, 1] = 0
    with running(model=write_model(tmp_path, validity=True)):
        driver = drive(("depth", "points"))
        driver.connect()
        depth_msg, cloud_msg = driver.ask(image_message(image), info_of(), "depth", "points")
        depth = depth_of(depth_msg)
        np.testing.assert_array_equal(np.isnan(depth), image[..., 1] == 0)
        assert np.isposinf(depth[: SKY_ROWS - 1]).all()
        assert cloud_msg.width == np.isfinite(depth[::4, ::4]).sum()
        assert np.isfinite(points_of(cloud_msg)).all()


def test_a_smaller_depth_comes_with_its_camera_info_and_points(drive: Any, model: Path) -> None:
    with running(model=model, **{"depth.downscale": 2, "points.stride": 1}):
        driver = drive()
        driver.connect()
        depth_msg, info, cloud_msg, color = driver.ask(
            image_message(picture()), info_of(), "depth", "info", "points", "color"
        )
        half = CAMERA.resized(WIDTH // 2, HEIGHT // 2)
        for msg in (depth_msg, info, color):
            assert (msg.width, msg.height) == (WIDTH // 2, HEIGHT // 2)
        assert messages.calibration(info).camera() == half
        assert half.fx == CAMERA.fx / 2 and half.cx == (CAMERA.cx + 0.5) / 2 - 0.5
        depth = depth_of(depth_msg)
        points = points_of(cloud_msg)
        pixels = grid_pixels(half, points.astype(np.float64), 1)
        np.testing.assert_array_equal(points[:, 2], depth[pixels[:, 1], pixels[:, 0]])
        between = expected_depth(picture()[20:, ::2, 0] + np.float32(1))  # red between two neighbours
        np.testing.assert_allclose(depth[10:], between[::2], rtol=0.01)


def test_a_zooming_lens_uses_the_calibration_of_the_images_own_stamp(drive: Any, tmp_path: Path) -> None:
    with running(model=write_model(tmp_path, canonical_focal_px=80.0)):
        driver = drive(("depth",))
        driver.connect()
        for sec, zoom in ((1, 1.0), (2, 1.5), (3, 2.0)):
            info = info_of(Camera(WIDTH, HEIGHT, 80.0 * zoom, 80.0 * zoom, 47.5, 31.5))
            info.header.stamp.sec, info.header.stamp.nanosec = sec, 5
            driver.info_pub.publish(info)
        driver.spin_for(0.3)
        expected = expected_depth(picture()[40, :, 0])
        for sec, zoom in ((2, 1.5), (1, 1.0), (3, 2.0), (9, 2.0)):  # 9 has none of its own: the newest
            (msg,) = driver.ask(image_message(picture(), stamp=(sec, 5)), None, "depth")
            np.testing.assert_allclose(depth_of(msg)[40], np.minimum(zoom * expected, 100.0), rtol=1e-3)


def test_a_camera_info_published_once_before_the_node_started(drive: Any, model: Path) -> None:
    driver = drive(("depth",))
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    driver.node.destroy_publisher(driver.info_pub)
    driver.info_pub = driver.node.create_publisher(CameraInfo, "camera_info", latched)
    driver.info_pub.publish(info_of())
    with running(model=model) as node:
        driver.connect()
        node.wait_for_line("Subscribed to /camera_info, reliable, latched.")
        driver.spin_for(0.5)
        (msg,) = driver.ask(image_message(picture()), None, "depth")
        assert msg.width == WIDTH


@pytest.mark.parametrize(
    "arguments", [["-p", "points.stride=2"], ["--params-file", "absent.yaml"], ["-r", "foo"]], ids=lambda a: a[0]
)
def test_ros_arguments_that_cannot_be_used(arguments: list[str], model: Path) -> None:
    node = NodeProcess(*arguments, model=model)
    assert node.wait() == 2
    said = [line for line in node.lines if line.startswith("depth_node: ")]
    assert len(said) == 1 and "ROS does not accept the arguments" in said[0] and "NAME:=VALUE" in said[0]
    assert "Traceback" not in node.output


@pytest.mark.parametrize("order", ["rgb8", "bgr8"])
def test_colour_order_does_not_change_the_metres(drive: Any, model: Path, order: str) -> None:
    with running(model=model):
        driver = drive(("depth",))
        driver.connect()
        image = picture() if order == "rgb8" else np.ascontiguousarray(picture()[..., ::-1])
        (msg,) = driver.ask(image_message(image, order), info_of(), "depth")
        below = slice(SKY_ROWS + 1, None)
        np.testing.assert_allclose(depth_of(msg)[below], expected_depth(picture()[below, :, 0]), rtol=1e-4)


def test_roi_and_binning_are_folded(drive: Any, model: Path) -> None:
    """A sensor of 400x300, a window of 192x128 at (100, 50), binned by two: the image is 96x64."""
    info = CameraInfo(width=400, height=300, distortion_model="plumb_bob", binning_x=2, binning_y=2)
    info.k = [160.0, 0.0, 200.0, 0.0, 164.0, 120.0, 0.0, 0.0, 1.0]
    info.p = [150.0, 0.0, 198.0, 0.0, 0.0, 151.0, 118.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    info.d = [0.0] * 5
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 100, 50, 192, 128
    # by hand: f / 2, (c - offset + 0.5) / 2 - 0.5
    raw = Camera(WIDTH, HEIGHT, 80.0, 82.0, 49.75, 34.75)
    rectified = Camera(WIDTH, HEIGHT, 75.0, 75.5, 48.75, 33.75)
    with running(model=model):
        driver = drive(("info", "points"))
        driver.connect()
        out, cloud_msg = driver.ask(image_message(picture()), info, "info", "points")
        assert (out.width, out.height) == (WIDTH, HEIGHT)
        np.testing.assert_allclose(out.k, raw.matrix.ravel())
        np.testing.assert_allclose(out.p, [75, 0, 48.75, 0, 0, 75.5, 33.75, 0, 0, 0, 1, 0])
        roi = out.roi
        assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (0, 0, 0, 0)
        assert out.binning_x in (0, 1) and out.binning_y in (0, 1)
        grid_pixels(raw, points_of(cloud_msg).astype(np.float64), 4)

        assert driver.set_parameter("rectified", True).successful
        (cloud_msg,) = driver.ask(image_message(picture()), None, "points")
        grid_pixels(rectified, points_of(cloud_msg).astype(np.float64), 4)


def test_depth_beyond_sixteen_bits_is_zero_and_counted(drive: Any, tmp_path: Path) -> None:
    """A canonical focal length of half the camera's doubles the metres: up to 84 m, too far for 16UC1."""
    model = write_model(tmp_path, canonical_focal_px=40.0, sky=False)
    stats = tmp_path / "stats.json"
    with running(model=model, stats_file=stats, **{"depth.encoding": "16UC1"}) as node:
        driver = drive(("depth",))
        driver.connect()
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[:, WIDTH // 2 :, 0] = 255
        camera = Camera(WIDTH, HEIGHT, 80.0, 80.0, 47.5, 31.5)
        (msg,) = driver.ask(image_message(image), info_of(camera), "depth")
        values = np.frombuffer(msg.data, "<u2").reshape(HEIGHT, WIDTH)
        assert (values[:, :40] == 4000).all() and (values[:, 56:] == 0).all()
        assert node.stop() == 0
    record = json.loads(stats.read_text())["cameras"][""]
    assert record["counts"]["too_far_pixels"] == (values == 0).sum()


def test_compressed_input(drive: Any, model: Path) -> None:
    with running(model=model, image_transport="compressed") as node:
        assert "/image_raw/compressed" in node.wait_for_line("Subscribed to ")
        driver = drive(("depth",), compressed=True)
        driver.connect()
        ok, data = cv2.imencode(".png", picture()[..., ::-1])
        assert ok
        msg = CompressedImage(header=image_message(picture()).header, format="png", data=data.tobytes())
        (answer,) = driver.ask(msg, info_of(), "depth")
        assert answer.header == msg.header
        below = slice(SKY_ROWS + 1, None)
        np.testing.assert_allclose(depth_of(answer)[below], expected_depth(picture()[below, :, 0]), rtol=1e-4)
        driver.image_pub.publish(CompressedImage(header=msg.header, format="jpeg", data=b"\xff\xd8 broken"))
        node.wait_for_line("A frame failed: A compressed image of 9 bytes with format 'jpeg' could not be decoded")
        driver.ask(msg, None, "depth")


def test_without_camera_info_nothing_is_published_and_the_log_says_so(drive: Any, model: Path) -> None:
    with running("-r", "camera_info:=/front/calib", model=model) as node:
        driver = drive()
        driver.spin_until(lambda: driver.image_pub.get_subscription_count() > 0)
        driver.spin_for(1.0)
        driver.image_pub.publish(image_message(picture()))
        driver.spin_until(lambda: "no camera_info" in node.output)
        assert "no camera_info on /front/calib" in node.output
        driver.spin_for(0.5)
        assert not any(driver.received.values())


def test_a_camera_info_that_does_not_fit_is_refused_and_the_node_lives(drive: Any, model: Path) -> None:
    with running(model=model) as node:
        driver = drive(("depth",))
        driver.connect()
        driver.info_pub.publish(info_of(Camera(200, 100, 80.0, 80.0, 99.5, 49.5)))
        driver.spin_for(0.3)
        driver.image_pub.publish(image_message(picture()))
        driver.spin_until(lambda: "A frame failed" in node.output)
        assert "camera_info describes a 200x100 image" in node.output and "the image is 96x64" in node.output
        assert not driver.received["depth"]
        # the fitting one arrives; the other stays known but is not used for this size
        (msg,) = driver.ask(image_message(picture()), info_of(), "depth")
        assert msg.width == WIDTH
        driver.info_pub.publish(info_of(Camera(200, 100, 80.0, 80.0, 99.5, 49.5)))
        driver.spin_for(0.3)
        driver.ask(image_message(picture()), None, "depth")


def test_bad_frames_are_logged_once_and_counted(drive: Any, model: Path, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    with running(model=model, stats_file=stats) as node:
        driver = drive(("depth",))
        driver.connect()
        driver.ask(image_message(picture()), info_of(), "depth")
        bad = image_message(picture())
        bad.step = 10
        for _ in range(5):
            driver.image_pub.publish(bad)
            driver.spin_for(0.1)
        (msg,) = driver.ask(image_message(picture(), stamp=(99, 0)), None, "depth")
        assert msg.header.stamp.sec == 99
        assert node.stop() == 0
    assert node.output.count("A frame failed") == 1
    assert "step 10; expected at least 288 bytes per row" in node.output
    counts = json.loads(stats.read_text())["cameras"][""]["counts"]
    assert counts["published"] == 2 and counts["failed"] + counts["dropped"] == 5 and counts["failed"] >= 1


def test_nothing_is_computed_without_subscribers(drive: Any, model: Path, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    with running(model=model, stats_file=stats) as node:
        driver = drive(("info",))
        driver.connect()
        driver.ask(image_message(picture()), info_of(), "info")  # calibration alone needs no inference
        driver.node.destroy_subscription(driver.subscriptions.pop())
        driver.spin_for(1.0)
        for _ in range(3):
            driver.image_pub.publish(image_message(picture()))
            driver.spin_for(0.3)
        assert node.stop() == 0
    record = json.loads(stats.read_text())["cameras"][""]
    assert record["counts"]["idle"] == 3 and record["counts"]["published"] == 1
    assert "infer" not in record["stages_ms"] and record["stages_ms"]["total"]["n"] == 1


def test_the_newest_image_wins_and_drops_are_counted(drive: Any, tmp_path: Path) -> None:
    """Large images faster than the node can take them: what comes out is in order, the last one comes out."""
    model = write_model(tmp_path)
    stats = tmp_path / "stats.json"
    camera = Camera(1600, 1200, 800.0, 800.0, 799.5, 599.5)
    image = np.zeros((1200, 1600, 3), np.uint8)
    sent = 60
    with running(model=model, stats_file=stats, **{"points.stride": 1}) as node:
        driver = drive(("points",))
        driver.connect()
        driver.ask(image_message(image), info_of(camera), "points")
        msg = image_message(image)
        for i in range(1, sent):
            msg.header.stamp.sec = 1000 + i
            driver.image_pub.publish(msg)
            driver.executor.spin_once(timeout_sec=0.005)
        last = 1000 + sent - 1
        driver.spin_until(lambda: driver.received["points"][-1].header.stamp.sec == last, what="the newest image")
        assert node.stop() == 0
    stamps = [m.header.stamp.sec for m in driver.received["points"]]
    assert stamps == sorted(set(stamps)) and len(stamps) < sent
    record = json.loads(stats.read_text())["cameras"][""]
    counts = record["counts"]
    assert counts["dropped"] > 0 and counts["failed"] == 0
    assert counts["received"] == counts["published"] + counts["dropped"]
    assert counts["received"] <= sent and counts["published"] >= len(stamps)
    for stage in ("wait", "decode", "preprocess", "infer", "postprocess", "points", "total"):
        times = record["stages_ms"][stage]
        assert times["n"] == counts["published"] and 0 <= times["p50"] <= times["p95"] <= times["p99"]


def test_subscription_follows_what_publishers_offer(drive: Any, model: Path) -> None:
    with running(model=model) as node:
        assert "reliable" in node.wait_for_line("Subscribed to /image_raw")
        camera = drive(("depth",), image_qos=BEST_EFFORT)
        node.wait_for_line("Subscribed to /image_raw, best effort.")
        camera.connect()
        camera.ask(image_message(picture()), info_of(), "depth")
        camera.node.destroy_publisher(camera.image_pub)
        other = drive(("depth",))
        other.spin_until(lambda: node.output.count("Subscribed to /image_raw, reliable.") == 2)
        other.connect()
        other.ask(image_message(picture()), info_of(), "depth")


def test_remapped_in_a_namespace_with_a_clock_that_stands_still(drive: Any, model: Path) -> None:
    """As a bag is replayed: use_sim_time before the player runs must not keep the node from subscribing."""
    arguments = ("-r", "__ns:=/rig", "-r", "image_raw:=/image_raw", "-r", "camera_info:=/camera_info",
                 "-r", "/rig/cloudypoints/depth/image_raw:=/cloudypoints/depth/image_raw")  # fmt: skip
    with running(*arguments, model=model, use_sim_time=True) as node:
        node.wait_for_line("Subscribed to /image_raw")
        driver = drive(("depth",))
        driver.connect()
        sent = image_message(picture())
        (msg,) = driver.ask(sent, info_of(), "depth")
        assert msg.header == sent.header
        topics = {name for name, _ in driver.node.get_topic_names_and_types()}
        assert {"/rig/cloudypoints/points", "/rig/cloudypoints/depth/camera_info"} <= topics


def test_silence_is_explained(model: Path) -> None:
    with running("-r", "image_raw:=/front/image", model=model) as node:
        node.wait_for_line("No image: nobody publishes /front/image; start the camera or remap.", 30)


def test_threads_and_parameter_file(drive: Any, model: Path, tmp_path: Path) -> None:
    """config/depth.yaml as it is shipped, then a file of the user's; both reach the node."""
    shipped = Path(__file__).parents[2] / "config" / "depth.yaml"
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        f"/**:\n  ros__parameters:\n    model: {model}\n    engine: onnxruntime\n    threads: 1\n"
        "    points:\n      stride: 8\n"
    )
    with running("--params-file", str(shipped), "--params-file", str(mine)) as node:
        driver = drive(("points",))
        driver.connect()
        (msg,) = driver.ask(image_message(picture()), info_of(), "points")
        grid_pixels(CAMERA, points_of(msg).astype(np.float64), 8)
        # The engine's pool: with one thread it has no helpers, so the process runs fewer threads than with eight.
        one = len(list(Path(f"/proc/{node.process.pid}/task").iterdir()))
    with running(model=model, engine="onnxruntime", threads=8) as node:
        eight = len(list(Path(f"/proc/{node.process.pid}/task").iterdir()))
    assert eight >= one + 4, (one, eight)


# ---- start and end


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_cleanly(drive: Any, model: Path, tmp_path: Path, number: int) -> None:
    with running(model=model, stats_file=tmp_path / "stats.json") as node:
        driver = drive(("depth",))
        driver.connect()
        driver.ask(image_message(picture()), info_of(), "depth")
        driver.image_pub.publish(image_message(picture()))  # perhaps in the works when the signal comes
        assert node.stop(number) == 0
    assert "Traceback" not in node.output and "rror" not in node.output
    assert [p.name for p in tmp_path.iterdir()] == ["stats.json"]


def test_interrupted_while_starting(model: Path) -> None:
    node = NodeProcess(model=model)
    node.wait_for_line("warming up")
    assert node.stop() == 0
    assert "Traceback" not in node.output


def _truncated(folder: Path) -> Path:
    path = write_model(folder)
    path.write_bytes(path.read_bytes()[:200])
    return path


def _relative(folder: Path) -> Path:
    return write_model(folder, unit="relative")


def _not_onnx(folder: Path) -> Path:
    path = write_model(folder)
    path.write_text("this is no model")
    return path


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda folder: folder / "absent.onnx", "absent.onnx"),
        (_truncated, "tiny.onnx"),
        (_not_onnx, "tiny.onnx"),
        (_relative, "relative depth, which is not metres"),
    ],
)
def test_a_model_that_cannot_be_used(make: Any, part: str, tmp_path: Path) -> None:
    node = NodeProcess(model=make(tmp_path))
    assert node.wait() == 2
    said = [line for line in node.lines if line.startswith("depth_node: ")]
    assert len(said) == 1 and part in said[0]
    assert "Traceback" not in node.output


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({"points.stride": 100}, "points.stride was refused"),
        ({"color.max_range": 60}, "the type double such as 80.0, with its decimal point, 1 to 1000 metres"),
        ({"engine": "magic"}, "engine is 'magic'; expected one of auto, onnxruntime"),
        ({"image_transport": "theora"}, "image_transport is 'theora'; expected one of raw, compressed"),
        ({"points.min_range": 300.0}, "expected min_range below max_range"),
        ({"stats_file": "/nowhere/stats.json"}, "The statistics file /nowhere/stats.json cannot be written"),
    ],
)
def test_a_parameter_that_cannot_be_used(values: dict[str, Any], part: str, model: Path) -> None:
    node = NodeProcess(**{"model": model, **values})
    assert node.wait() == 2
    assert part in node.output and "Traceback" not in node.output


def test_a_home_that_cannot_be_written(model: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    node = NodeProcess(model=model, environ={"HOME": str(file), "ROS_LOG_DIR": ""})
    assert node.wait() == 2
    assert f"ROS cannot write its log to {file}/.ros/log; set ROS_LOG_DIR" in node.output
    assert "Traceback" not in node.output


def test_our_dds_profile_is_in_force_and_the_users_wins(model: Path, tmp_path: Path) -> None:
    with running(model=model) as node:
        node.wait_for_line(f"The Fast DDS profile {dds.PROFILE}")
        assert _shared_memory_of(node) >= 64 << 20
    mine = tmp_path / "mine.xml"
    mine.write_text(dds.PROFILE.read_text().replace("67108864", "1048576"))
    with running(model=model, environ={dds.PROFILE_VARIABLES[0]: str(mine)}) as node:
        node.wait_for_line(f"Your Fast DDS profile {mine}")
        assert _shared_memory_of(node) < 32 << 20


def _shared_memory_of(node: NodeProcess) -> int:
    """Bytes of the largest Fast DDS segment (fastrtps_* or fastdds_*) that the process has mapped."""
    segments = set()
    for line in Path(f"/proc/{node.process.pid}/maps").read_text().splitlines():
        path = Path(line.split()[-1])
        if str(path).startswith("/dev/shm/fast") and path.exists():
            segments.add(path)
    return max((path.stat().st_size for path in segments), default=0)
