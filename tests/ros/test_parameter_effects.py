"""Every parameter has an effect on what is published, and those that cannot be set say why."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from driver import BEST_EFFORT, Driver, image_message, level_of, running, values_of
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CompressedImage
from test_node import CAMERA, HEIGHT, SKY_ROWS, WIDTH, depth_of, grid_pixels, info_of, picture, points_of
from test_scale import CAMERA as STREET_CAMERA
from test_scale import drawn
from tiny_models import NEAR_M, SLOPE_M, expected_depth, write_model

from cloudypoints_ros import parameters
from cloudypoints_ros.camera import Camera
from cloudypoints_ros.mount import Mount
from cloudypoints_ros.parameter_table import AT_START, PARAMETERS, UNCONFIGURED

pytestmark = pytest.mark.ros

_proved: set[str] = set()


def proves(*names: str) -> Callable[[Any], Any]:
    """Marks a test that shows the effect of these parameters."""
    _proved.update(names)
    return lambda test: test


def test_every_parameter_has_a_test_of_its_effect() -> None:
    assert _proved == {row.name for row in PARAMETERS}


class Asker:
    """Asks a running node for one frame at a time and changes its parameters."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.stamps = iter(range(10_000, 20_000))
        driver.connect()
        driver.info_pub.publish(info_of())
        driver.spin_for(0.3)

    def __call__(self, name: str, image: np.ndarray | None = None) -> Any:
        message = image_message(picture() if image is None else image, stamp=(next(self.stamps), 0))
        return self.driver.ask(message, None, name)[0]

    def change(self, name: str, value: Any) -> None:
        result = self.driver.set_parameter(name, value)
        assert result.successful, result.reason

    def refused(self, name: str, value: Any) -> str:
        result = self.driver.set_parameter(name, value)
        assert not result.successful
        return str(result.reason)


@proves(
    "points.stride", "points.fields", "points.min_range", "points.max_range", "points.organised", "points.voxel_size",
    "points.min_height", "points.max_height", "points.min_incidence", "mount.height", "mount.pitch", "mount.roll",
)  # fmt: skip
def test_points(drive: Any, model: Path) -> None:
    with running(model=model):
        ask = Asker(drive())
        depth = depth_of(ask("depth"))
        coarse = ask("points")
        ask.change("points.stride", 2)
        finer = ask("points")
        grid = depth[::2, ::2]
        assert finer.width == np.isfinite(grid).sum() > 3 * coarse.width
        pixels = grid_pixels(CAMERA, points_of(finer).astype(np.float64), 2)
        assert (pixels % 4 != 0).any()

        ask.change("points.voxel_size", 2.0)
        z = points_of(ask("points"))
        cells = {tuple(cell) for cell in np.floor(z / 2.0).astype(int)}
        assert len(cells) == len(z) < finer.width
        assert "cubes have no image grid" in ask.refused("points.organised", True)
        ask.change("points.voxel_size", 0.0)

        assert "mount.height is 0" in ask.refused("points.max_height", 2.0)
        everything = points_of(finer).astype(np.float64)
        ask.change("mount.height", 1.5)
        ask.change("points.max_height", 1.0)
        ask.change("points.min_height", -4.0)
        for pitch, roll in ((0.0, 0.0), (10.0, 0.0), (10.0, -20.0)):
            ask.change("mount.pitch", pitch)
            ask.change("mount.roll", roll)
            heights = 1.5 - everything @ Mount(1.5, pitch, roll).down
            expected = everything[(heights >= -4.0) & (heights <= 1.0)]
            got = points_of(ask("points"))
            assert 0 < len(got) < len(everything)
            assert abs(len(got) - len(expected)) <= 2  # a point on the border may fall on either side in float32
        for name, value in (("points.max_height", 1000.0), ("points.min_height", -1000.0), ("mount.roll", 0.0)):
            ask.change(name, value)

        # Depth grows by 0.3 m per column, which is all the more grazing the nearer it is.
        ask.change("points.min_incidence", 20.0)
        seen = points_of(ask("points"))
        assert 0 < len(seen) < finer.width and seen[:, 2].min() > everything[:, 2].min() + 5
        ask.change("points.min_incidence", 0.0)

        ask.change("points.min_range", 10.0)
        ask.change("points.max_range", 20.0)
        z = points_of(ask("points"))[:, 2]
        assert len(z) == ((grid >= 10) & (grid <= 20)).sum() > 0 and z.min() >= 10 and z.max() <= 20
        ask.change("points.organised", True)
        organised = ask("points")
        assert (organised.width, organised.height) == (WIDTH // 2, HEIGHT // 2) and not organised.is_dense
        z = points_of(organised)[:, 2].reshape(HEIGHT // 2, WIDTH // 2)
        np.testing.assert_array_equal(np.isnan(z), ~((grid >= 10) & (grid <= 20)))

        ask.change("points.fields", "xyz")
        plain = ask("points")
        assert plain.point_step == 12 and [f.name for f in plain.fields] == ["x", "y", "z"]
        ask.change("points.fields", "xyzirc")
        autoware = ask("points")
        assert autoware.point_step == 16
        assert [f.name for f in autoware.fields][3:] == ["intensity", "return_type", "channel"]


@proves("depth.encoding", "depth.downscale", "color.max_range", "roi", "ego_mask", "rectified")
def test_depth_and_preview(drive: Any, model: Path, tmp_path: Path) -> None:
    with running(model=model):
        ask = Asker(drive())
        depth, color = depth_of(ask("depth")), ask("color")
        ask.change("color.max_range", 10.0)
        assert ask("color").data != color.data

        ask.change("depth.downscale", 2)
        assert ask("depth").width == WIDTH // 2
        ask.change("depth.downscale", 1)

        mask = np.zeros((HEIGHT * 2, WIDTH * 2), np.uint8)
        mask[80:, :100] = 255
        path = tmp_path / "mask.png"
        cv2.imwrite(str(path), mask)
        ask.change("ego_mask", str(path))
        masked = depth_of(ask("depth"))
        np.testing.assert_array_equal(np.isnan(masked), mask[::2, ::2] > 0)
        points = points_of(ask("points")).astype(np.float64)
        pixels = np.round(CAMERA.project(points)).astype(int)
        assert len(points) > 0 and not (mask[::2, ::2][pixels[:, 1], pixels[:, 0]] > 0).any()
        assert "cannot be read" in ask.refused("ego_mask", str(tmp_path / "none.png"))

        ask.change("roi", [16, 24, 64, 32])
        part, info = depth_of(ask("depth")), ask("info")
        assert part.shape == (32, 64) and (info.width, info.height) == (64, 32)
        assert (info.k[2], info.k[5]) == (CAMERA.cx - 16, CAMERA.cy - 24)
        np.testing.assert_array_equal(np.isnan(part), mask[::2, ::2][24:56, 16:80] > 0)
        known = ~np.isnan(part)
        np.testing.assert_allclose(part[known], depth[24:56, 16:80][known], rtol=0.02)  # another resize, same scene
        points = points_of(ask("points")).astype(np.float64)
        pixels = np.round(CAMERA.project(points)).astype(int)
        assert (pixels.min(0) >= (16, 24)).all() and (pixels.max(0) < (80, 56)).all()
        assert "expected x, y, width, height" in ask.refused("roi", [1, 2, 3])
        ask.change("roi", [0, 0, 0, 0])
        ask.change("ego_mask", "")

        ask.change("depth.encoding", "16UC1")
        millimetres = ask("depth")
        assert millimetres.encoding == "16UC1" and millimetres.step == 2 * WIDTH
        values = np.frombuffer(millimetres.data, "<u2").reshape(HEIGHT, WIDTH)
        np.testing.assert_array_equal(values[: SKY_ROWS - 1], 0)
        np.testing.assert_array_equal(values[SKY_ROWS + 1 :], np.rint(depth[SKY_ROWS + 1 :] * np.float32(1000)))

        before = points_of(ask("points"))
        ask.change("rectified", True)  # the same pinhole in P, but without the lens
        assert np.abs(points_of(ask("points")) - before).max() > 0.01


@proves("depth.max_rate", "points.max_rate", "color.max_rate")
def test_rates(drive: Any, model: Path) -> None:
    rates = {"depth": 5.0, "points": 2.0, "color": 1.0}
    with running(model=model, **{f"{name}.max_rate": rate for name, rate in rates.items()}):
        driver = drive()
        Asker(driver)
        seconds = 6.0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            driver.image_pub.publish(image_message(picture()))
            driver.spin_for(0.04)
        for name, rate in rates.items():
            assert abs(len(driver.received[name]) - rate * seconds) <= 0.25 * rate * seconds + 1, name
        # A frame that nobody is due to get is not computed.
        values = values_of(driver.status("camera", lambda s: int(values_of(s)["limited [images]"]) > 30))
        assert float(values["output rate [Hz]"]) < 9  # at most their sum


@proves("model", "engine", "threads")
def test_another_model_works_on_without_losing_a_frame(drive: Any, model: Path, tmp_path: Path) -> None:
    """The new one answers twice the metres (a canonical focal length of half the camera's)."""
    other = write_model(tmp_path, canonical_focal_px=CAMERA.fx / 2, sky=False)
    with running(model=model) as node:
        driver = drive(("depth",))
        ask = Asker(driver)
        assert "expected one of auto, onnxruntime" in ask.refused("engine", "magic")
        assert "There is no model file" in ask.refused("model", str(tmp_path / "none.onnx"))
        before = len(driver.received["depth"])
        sent = 0

        def stream(done: Callable[[], bool]) -> None:
            nonlocal sent
            while not done():
                sent += 1
                driver.image_pub.publish(image_message(picture(), stamp=(1000 + sent, 0)))
                driver.spin_for(0.1)

        stream(lambda: sent >= 5)
        ask.change("model", str(other))
        stream(lambda: "works now" in node.output)
        stream(lambda: depth_of(driver.received["depth"][-1]).max() > 50)
        driver.spin_until(lambda: len(driver.received["depth"]) - before == sent, what="every frame")
        stamps = [msg.header.stamp.sec for msg in driver.received["depth"][before:]]
        assert stamps == list(range(1001, 1001 + sent))
        below = slice(SKY_ROWS + 1, None)
        np.testing.assert_allclose(depth_of(ask("depth"))[below], 2 * expected_depth(picture()[below, :, 0]), rtol=1e-3)

        threads = values_of(driver.status("engine"))["engine"]
        ask.change("threads", 1 if "2 threads" in threads else 2)
        driver.status("engine", lambda s: values_of(s)["engine"] != threads)


def test_a_model_that_turns_out_broken_changes_nothing_and_is_named(drive: Any, model: Path, tmp_path: Path) -> None:
    """The card is fine, the network is not: found only while loading."""
    broken = write_model(tmp_path, name="broken")
    data = broken.read_bytes()
    broken.write_bytes(data.replace(b"Slice", b"Slyce"))
    with running(model=model) as node:
        driver = drive(("depth",))
        ask = Asker(driver)
        ask.change("model", str(broken))
        node.wait_for_line(f"The model {broken} cannot be loaded by ONNX Runtime")
        status = driver.status("engine", lambda s: level_of(s) == 2)
        assert str(broken) in status.message and "The model tiny works on" in status.message
        assert values_of(status)["file"] == str(model)
        ask("depth")
        status = driver.status("engine", lambda s: level_of(s) == 0)
        assert str(broken) in values_of(status)["last failure to load"] and values_of(status)["loading"] == "nothing"
        assert driver.get_parameter("model") == str(model)


def test_metres_stay_those_of_the_model_at_work(drive: Any, tmp_path: Path) -> None:
    """A relative model and its factor work until the metric one that was asked for with scale.source card is there."""
    relative = write_model(tmp_path, unit="relative", name="relative")
    broken = write_model(tmp_path, name="broken")
    broken.write_bytes(broken.read_bytes().replace(b"Slice", b"Slyce"))
    metric = write_model(tmp_path, name="metric", sky=False)
    options = {"scale.source": "constant", "scale.constant": 2.0}
    with running(model=relative, **options) as node:
        driver = drive(("depth",))
        ask = Asker(driver)
        below = slice(SKY_ROWS + 1, None)
        expected = expected_depth(picture()[below, :, 0])
        np.testing.assert_allclose(depth_of(ask("depth"))[below], 2 * expected, rtol=1e-3)

        assert "relative depth, which is not metres" in ask.refused("scale.source", "card")
        result = driver.set_parameters({"model": str(broken), "scale.source": "card"})
        assert result.successful, result.reason
        node.wait_for_line("model, engine, threads and scale are as they were")
        np.testing.assert_allclose(depth_of(ask("depth"))[below], 2 * expected, rtol=1e-3)
        assert driver.get_parameter("scale.source") == "constant" and driver.get_parameter("model") == str(relative)
        driver.spin_for(1.0)
        assert node.output.count("Loading the model") == 1

        relative.rename(tmp_path / "moved.onnx")  # no longer needed: other parameters can still be set
        ask.change("points.stride", 2)
        assert driver.set_parameters({"model": str(metric), "scale.source": "card"}).successful
        end = time.monotonic() + 30
        while "works now" not in node.output:
            assert time.monotonic() < end
            factors = depth_of(ask("depth"))[below] / expected
            assert np.allclose(factors, 2, rtol=1e-3) or np.allclose(factors, 1, rtol=1e-3)
        np.testing.assert_allclose(depth_of(ask("depth"))[below], expected, rtol=1e-3)


@proves("cameras", "autostart")
def test_cameras_are_set_while_unconfigured(drive: Any, model: Path) -> None:
    from driver import NodeProcess

    node = NodeProcess(model=model, autostart=False)
    try:
        node.wait_for_line("is in force")
        driver = drive((), camera="rear")
        change = driver.node.create_client(ChangeState, "/cloudypoints/change_state")
        assert change.wait_for_service(60)

        def transition(number: int) -> None:
            future = change.call_async(ChangeState.Request(transition=Transition(id=number)))
            driver.spin_until(future.done)
            assert future.result().success

        assert driver.set_parameter("cameras", ["front", "rear"]).successful
        transition(Transition.TRANSITION_CONFIGURE)
        refused = driver.set_parameter("cameras", ["front"])
        assert not refused.successful and "only while the node is unconfigured" in refused.reason
        assert driver.set_parameter("rear.image_transport", "compressed").successful
        transition(Transition.TRANSITION_ACTIVATE)
        node.wait_for_line("Subscribed to /rear/image_raw/compressed")
        node.wait_for_line("Subscribed to /front/image_raw, ")
    finally:
        node.stop()


@proves("image_transport")
def test_transport_changes_while_running(drive: Any, model: Path) -> None:
    with running(model=model) as node:
        raw = drive(("depth",))
        ask = Asker(raw)
        ask("depth")
        ask.change("image_transport", "compressed")
        node.wait_for_line("Subscribed to /image_raw/compressed")
        packed = drive(("depth",), compressed=True)
        packed.connect()
        data = cv2.imencode(".png", picture()[..., ::-1])[1].tobytes()
        msg = CompressedImage(header=image_message(picture(), stamp=(77, 0)).header, format="png", data=data)
        (answer,) = packed.ask(msg, info_of(), "depth")
        assert answer.header.stamp.sec == 77


@proves("qos.input")
def test_a_reliability_that_nobody_offers_is_named(drive: Any, model: Path) -> None:
    with running(model=model, **{"qos.input": "reliable"}) as node:
        driver = drive(("depth",), image_qos=BEST_EFFORT)
        node.wait_for_line("driver publishes /image_raw with a QoS that does not match qos.input reliable")
        status = driver.status("camera", lambda s: level_of(s) == 2)
        assert "set qos.input to auto" in status.message
        assert driver.set_parameter("qos.input", "auto").successful
        node.wait_for_line("Subscribed to /image_raw, best effort.")
        driver.connect()
        driver.ask(image_message(picture()), info_of(), "depth")
        driver.status("camera", lambda s: level_of(s) < 2)


@proves("qos.output", "qos.output_depth")
def test_what_is_offered(drive: Any, model: Path) -> None:
    with running(model=model, **{"qos.output": "best_effort", "qos.output_depth": 7}) as node:
        driver = drive(("depth",))  # asks for reliable
        driver.connect()
        (offer,) = driver.node.get_publishers_info_by_topic("/cloudypoints/points")
        assert offer.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT
        line = node.wait_for_line("Nothing reaches driver (/cloudypoints/depth/image_raw:")
        assert "or qos.output to reliable" in line
        assert level_of(driver.status("camera", lambda s: "Nothing reaches" in s.message)) in (1, 3)
        refused = driver.set_parameter("qos.output_depth", 3)
        assert not refused.successful and "unconfigured" in refused.reason


def street_picture(unit: float) -> tuple[np.ndarray, np.ndarray]:
    """A drawn street as the tiny model sees it in units of ``unit`` metres: RGB, and the depth in metres."""
    street = drawn()
    red = (street / unit - NEAR_M) / SLOPE_M * 255
    image = np.zeros((*street.shape, 3), np.uint8)
    image[..., 0] = np.clip(np.nan_to_num(np.rint(red), posinf=0), 0, 255)
    image[red > 255, 2] = 255  # too far for the tiny model: sky
    return image, street


@proves("scale.source", "scale.constant", "scale.smoothing", "scale.hold")
def test_scale(drive: Any, tmp_path: Path) -> None:
    """A drawn street through a relative model whose unit is two metres; then one of one and a half."""
    model = write_model(tmp_path, unit="relative")
    image, street = street_picture(2.0)
    options = {"scale.source": "camera_height", "mount.height": 1.5, "scale.hold": 5.0, "scale.smoothing": 600.0}
    with running(model=model, **options) as node:
        driver = drive(("depth",))
        ask = Asker(driver)
        driver.info_pub.publish(info_of(STREET_CAMERA))
        driver.spin_for(0.3)
        stamps = iter(range(100, 10000))

        def send(image: np.ndarray) -> None:
            driver.image_pub.publish(image_message(image, stamp=(next(stamps), 0)))
            driver.spin_for(0.15)

        def ratio() -> float:
            """How the newest depth stands to the true one, on the road."""
            depth = depth_of(driver.received["depth"][-1])
            return float(np.median(depth[280:, 200:440] / street[280:, 200:440]))

        for _ in range(15):
            send(image)
        driver.spin_until(lambda: len(driver.received["depth"]) == 15)
        assert ratio() == pytest.approx(1, abs=0.03)
        values = values_of(driver.status("camera", lambda s: "scale factor" in values_of(s)))
        assert float(values["scale factor"]) == pytest.approx(2, rel=0.03)
        assert 0 < float(values["scale uncertainty (1 sigma, relative)"]) < 0.05
        assert "road in" in values["scale, from the road"] and values["scale"] == "camera_height"

        # Another unit: with a long time constant the factor stays, with none it follows at once.
        other, _ = street_picture(1.5)
        for _ in range(3):
            send(other)
        assert ratio() == pytest.approx(4 / 3, abs=0.08)
        ask.change("scale.smoothing", 0.0)
        for _ in range(3):
            send(other)
        driver.spin_until(lambda: abs(ratio() - 1) < 0.03, what="the new scale")

        # Nothing below the horizon: held for scale.hold, then refused with the remedy.
        sky = np.zeros_like(image)
        sky[..., 2] = 255
        count = len(driver.received["depth"])
        for _ in range(9):
            send(sky)
        assert 4 <= len(driver.received["depth"]) - count <= 6
        node.wait_for_line("scale.source is camera_height but no road has been found for")
        assert "check mount.height" in driver.status("camera", lambda s: level_of(s) == 2).message
        count = len(driver.received["depth"])
        ask.change("scale.hold", 600.0)
        for _ in range(3):
            send(other)
        for _ in range(9):
            send(sky)
        driver.spin_until(lambda: len(driver.received["depth"]) == count + 12)

        ask.change("scale.constant", 6.0)
        ask.change("scale.source", "constant")
        send(image)
        driver.spin_until(lambda: abs(ratio() - 3) < 0.1, what="three times the true depth")
        assert "relative depth, which is not metres" in ask.refused("scale.source", "card")


@proves("stats_file")
def test_statistics_file(drive: Any, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "stats.json"
    with running(model=model, stats_file=path) as node:
        Asker(drive(("depth",)))("depth")
        assert node.stop() == 0
    assert json.loads(path.read_text())["cameras"][""]["counts"]["published"] == 1


@proves(
    "diagnostics.period", "diagnostics.stale_after", "diagnostics.rate_warn", "diagnostics.rate_error",
    "diagnostics.drops_warn", "diagnostics.drops_error", "diagnostics.latency_warn", "diagnostics.latency_error",
)  # fmt: skip
def test_thresholds(drive: Any, model: Path) -> None:
    with running(model=model, **{"diagnostics.latency_warn": 3600.0, "diagnostics.latency_error": 3600.0}):
        driver = drive(("depth",))
        ask = Asker(driver)

        def publish() -> None:
            now = driver.node.get_clock().now().to_msg()
            driver.image_pub.publish(image_message(picture(), stamp=(now.sec, now.nanosec)))

        camera = driver.node.create_timer(0.05, publish)

        def level(expected: int, part: str = "") -> None:
            driver.status("camera", lambda status: level_of(status) == expected and part in status.message, 30)

        ask.change("diagnostics.period", 0.2)
        level(0)
        for name, part in (("rate", "Output is"), ("latency", "Stamp to published takes")):
            high = 1000.0 if name == "rate" else 0.001
            off = 0.0 if name == "rate" else 3600.0
            ask.change(f"diagnostics.{name}_warn", high)
            level(1, part)
            ask.change(f"diagnostics.{name}_error", high)
            level(2, part)
            ask.change(f"diagnostics.{name}_error", off)
            ask.change(f"diagnostics.{name}_warn", off)
            level(0)
        driver.statuses.clear()
        driver.spin_for(2.0)
        assert 7 <= sum(s.name == "cloudypoints: engine" for s in driver.statuses) <= 12
        camera.cancel()
        ask.change("diagnostics.stale_after", 0.5)
        started = time.monotonic()
        status = driver.status("camera", lambda s: level_of(s) == 3)
        assert "No image for" in status.message and time.monotonic() - started < 3
        # Large images at once, of which most are dropped for newer ones.
        ask.change("diagnostics.stale_after", 60.0)
        ask.change("diagnostics.drops_warn", 0.0)
        large = image_message(np.zeros((1200, 1600, 3), np.uint8))
        driver.info_pub.publish(info_of(Camera(1600, 1200, 800.0, 800.0, 799.5, 599.5)))
        driver.node.create_timer(0.01, lambda: driver.image_pub.publish(large))
        level(1, "dropped")
        ask.change("diagnostics.drops_error", 0.0)
        level(2, "dropped")


def test_refusals_and_descriptions(drive: Any, model: Path) -> None:
    with running(model=model):
        driver = drive(("points",))
        ask = Asker(driver)
        for name, value, reason in [
            ("points.stride", 0, "out of range"),
            ("points.fields", "xyzi", "points.fields is 'xyzi'; expected one of xyz, xyzrgb, xyzirc."),
            ("depth.encoding", "mono8", "expected one of 32FC1, 16UC1"),
            ("points.min_range", 200.0, "expected min_range below max_range"),
            ("color.max_range", 60, "type"),
            ("scale.source", "camera_height", "mount.height is 0"),
        ]:
            assert reason in ask.refused(name, value), name
        for row in PARAMETERS:
            other = (not row.default) if isinstance(row.default, bool) else row.default
            if row.when == AT_START:
                assert "read-only" in ask.refused(row.name, other)
            elif row.when == UNCONFIGURED:
                changed = {"cameras": ["x"], "qos.output": "best_effort", "qos.output_depth": 9, "stats_file": "/tmp/x"}
                assert "unconfigured" in ask.refused(row.name, changed[row.name])
        assert ask("points").width > 0  # still alive, nothing half changed
        described = driver.describe([row.name for row in PARAMETERS])
        for row, descriptor in zip(PARAMETERS, described, strict=True):
            assert descriptor.description.startswith(row.description)
            assert descriptor.read_only == (row.when == AT_START)
    assert parameters.problem(parameters.defaults()) is None
