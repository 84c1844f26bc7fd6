"""Several cameras in one node: own topics, sizes, lenses, parameters, counters; trouble of one stays its own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from driver import Driver, image_message, level_of, running, values_of
from sensor_msgs.msg import CompressedImage
from test_node import depth_of, info_of, points_of
from tiny_models import expected_depth

from cloudypoints_ros.camera import Camera

pytestmark = pytest.mark.ros

# All have the tiny model's preferred shape of 3:2, so that its answer is known everywhere.
CAMERAS = {
    "front": Camera(96, 64, 80.0, 80.0, 47.0, 31.0),
    "rig/left": Camera(192, 128, 120.0, 121.0, 96.0, 60.0, "plumb_bob", (-0.1, 0.02, 0.0, 0.0, 0.0)),
    "rear": Camera(384, 256, 150.0, 150.0, 191.0, 127.0, "equidistant", (0.01, 0.0, 0.0, 0.0)),
}


def view(camera: Camera, red: int) -> np.ndarray:
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    image[..., 0] = red
    return image


def framed(msg: Any, name: str) -> Any:
    msg.header.frame_id = f"{name}_optical"
    return msg


@pytest.fixture
def drivers() -> Iterator[dict[str, Driver]]:
    made = {name: Driver(camera=name, compressed=name == "rear") for name in CAMERAS}
    yield made
    for driver in made.values():
        driver.close()


def send(driver: Driver, name: str, red: int, stamp: int) -> Any:
    """One picture whose depth is expected_depth(red); the camera called rear sends JPEG."""
    msg = framed(image_message(view(CAMERAS[name], red), stamp=(stamp, 0)), name)
    if name == "rear":
        data = cv2.imencode(".jpg", view(CAMERAS[name], red)[..., ::-1])[1].tobytes()
        msg = CompressedImage(header=msg.header, format="jpeg", data=data)
    return msg


def test_three_cameras(drivers: dict[str, Driver], model: Path, tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    options = {"cameras": "[front, rig/left, rear]", "rear.image_transport": "compressed", "points.stride": 8}
    with running(model=model, stats_file=stats, **options, **{"rig.left.roi": "[0, 64, 192, 64]"}) as node:
        for driver in drivers.values():
            driver.connect()
        for i, (name, driver) in enumerate(drivers.items()):
            red, camera = 40 + 80 * i, CAMERAS[name]
            sent = send(driver, name, red, 100 + i)
            depth_msg, info, cloud = driver.ask(sent, info_of(camera), "depth", "info", "points")
            for msg in (depth_msg, info, cloud):
                assert msg.header == sent.header
            height = 64 if name == "rig/left" else camera.height  # its region of interest
            assert depth_of(depth_msg).shape == (height, camera.width) == (info.height, info.width)
            np.testing.assert_allclose(depth_of(depth_msg), expected_depth(np.array(red)), rtol=0.01)
            pixels = camera.project(points_of(cloud).astype(np.float64))
            assert np.abs(pixels / 8 - np.round(pixels / 8)).max() < 0.05 / 8
            assert (pixels[:, 1].min() > 63) == (name == "rig/left")

        # The first goes bad, the second falls silent; the third does not notice.
        bad = image_message(view(CAMERAS["front"], 1))
        bad.encoding = "odd"
        end = time.monotonic() + 3.0
        sent_rear = 0
        while time.monotonic() < end:
            drivers["front"].image_pub.publish(bad)
            drivers["rear"].ask(send(drivers["rear"], "rear", 99, 200 + sent_rear), None, "depth")
            sent_rear += 1
        node.wait_for_line("front: A frame failed: The image encoding 'odd' is not one of")
        watcher = drivers["rear"]
        status = watcher.status("camera front", lambda s: level_of(s) == 2)
        assert "The image encoding 'odd'" in status.message
        assert level_of(watcher.status("camera rig/left", lambda s: level_of(s) == 3)) == 3
        (answer,) = watcher.ask(send(watcher, "rear", 99, 500), None, "depth")
        assert answer.header.frame_id == "rear_optical"
        values = values_of(watcher.status("camera rear"))
        assert values["image"] == "384x256 compressed" and values["depth"] == "384x256 32FC1"
        assert node.stop() == 0
    counts = {name: record["counts"] for name, record in json.loads(stats.read_text())["cameras"].items()}
    assert counts["rear"]["published"] == counts["rear"]["received"] == sent_rear + 2
    assert counts["rig/left"]["published"] == counts["front"]["published"] == 1
    assert counts["front"]["failed"] > 0


def test_a_camera_that_floods_does_not_starve_another(drivers: dict[str, Driver], model: Path) -> None:
    with running(model=model, cameras="[front, rig/left]"):
        for name in ("front", "rig/left"):
            drivers[name].connect()
            drivers[name].info_pub.publish(info_of(CAMERAS[name]))
        big = Camera(1920, 1280, 900.0, 900.0, 959.5, 639.5)
        drivers["front"].info_pub.publish(info_of(big))
        drivers["front"].spin_for(0.5)
        flood = framed(image_message(view(big, 10)), "front")
        drivers["front"].node.create_timer(0.01, lambda: drivers["front"].image_pub.publish(flood))
        for i in range(10):
            slow = drivers["rig/left"]
            before = len(slow.received["depth"])
            slow.image_pub.publish(send(slow, "rig/left", 50, 1000 + i))
            deadline = time.monotonic() + 10
            while len(slow.received["depth"]) == before:
                assert time.monotonic() < deadline, "the slow camera got no answer"
                drivers["front"].executor.spin_once(timeout_sec=0.01)
                slow.executor.spin_once(timeout_sec=0.001)
        assert [m.header.stamp.sec for m in slow.received["depth"]] == list(range(1000, 1010))  # not one was dropped
        assert len(drivers["front"].received["depth"]) > 3
