"""The parameter files for other stacks, as shipped, on the running node: what comes out over real DDS."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driver import Driver, NodeProcess, image_message, running
from sensor_msgs.msg import PointCloud2, PointField
from tiny_models import expected_depth, write_model

from cloudypoints_ros import messages
from cloudypoints_ros.camera import Calibration, Camera

pytestmark = pytest.mark.ros

CONFIG = Path(__file__).parents[2] / "config"
WIDTH, HEIGHT = 96, 64  # the preferred size of the tiny model, so that the network sees the image as it is
CAMERA = Camera(WIDTH, HEIGHT, 80.0, 80.0, 47.5, 30.0)
STRIDE = 4
MOUNT_M = 0.4  # of the robot for nav2.yaml


def picture() -> np.ndarray:
    """RGB, red from 0 to 255 along x, so that depth grows to the right; neither sky nor anything else."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, WIDTH).astype(np.uint8)
    return image


def depth_of(factor: float) -> np.ndarray:
    """The tiny model's answer to :func:`picture` times what its focal length makes of it, metres (HEIGHT, WIDTH)."""
    return factor * expected_depth(picture()[..., 0])


def info() -> Any:
    return messages.camera_info(Calibration.of(CAMERA), image_message(picture()).header)


def points_of(msg: PointCloud2) -> np.ndarray:
    """float64 (N, 3)"""
    raw = np.frombuffer(msg.data, np.uint8).reshape(-1, msg.point_step)
    return np.ascontiguousarray(raw[:, :12]).view("<f4").astype(np.float64)


def grid_points(depth: np.ndarray) -> np.ndarray:
    """The points of every STRIDE-th pixel of a depth image by the pinhole's formula, float64 (N, 3)."""
    v, u = np.mgrid[0:HEIGHT:STRIDE, 0:WIDTH:STRIDE]
    z = depth[v, u].astype(np.float64)
    points = np.stack([(u - CAMERA.cx) / CAMERA.fx * z, (v - CAMERA.cy) / CAMERA.fy * z, z], -1)
    return points.reshape(-1, 3)


def rate_of(driver: Driver, topic: str, seconds: float) -> float:
    """Messages per second on a topic while images come at about 40 Hz, stamped with the time as cameras do."""
    before, start = len(driver.received[topic]), time.monotonic()
    while time.monotonic() < start + seconds:
        now = time.time_ns()
        driver.image_pub.publish(image_message(picture(), stamp=(now // 10**9, now % 10**9)))
        driver.spin_for(0.025)
    return (len(driver.received[topic]) - before) / (time.monotonic() - start)


@pytest.mark.parametrize("factor", [0.25, 2.5], ids=["near", "far"])
def test_autoware(drive: Any, tmp_path: Path, factor: float) -> None:
    """PointXYZIRC between 1 and 80 m, at most ten per second."""
    model = write_model(tmp_path, canonical_focal_px=CAMERA.fx / factor)
    with running("--params-file", str(CONFIG / "autoware.yaml"), model=model):
        driver = drive(("points",))
        driver.connect()
        (cloud,) = driver.ask(image_message(picture()), info(), "points")

        fields = [(field.name, field.offset, field.datatype, field.count) for field in cloud.fields]
        assert fields == [
            ("x", 0, PointField.FLOAT32, 1),
            ("y", 4, PointField.FLOAT32, 1),
            ("z", 8, PointField.FLOAT32, 1),
            ("intensity", 12, PointField.UINT8, 1),
            ("return_type", 13, PointField.UINT8, 1),
            ("channel", 14, PointField.UINT16, 1),
        ]
        assert (cloud.point_step, cloud.height, cloud.is_dense) == (16, 1, True)
        wanted = grid_points(depth_of(factor))
        in_range = (wanted[:, 2] >= 1.0) & (wanted[:, 2] <= 80.0)
        assert 0 < in_range.sum() < len(wanted)
        np.testing.assert_allclose(points_of(cloud), wanted[in_range], rtol=1e-4, atol=1e-4)
        rows = np.frombuffer(cloud.data, "<u2").reshape(-1, 8)[:, 7]
        np.testing.assert_array_equal(rows, np.arange(len(wanted))[in_range] // (WIDTH // STRIDE))

        assert 4 < rate_of(driver, "points", 3.0) < 11


def test_nav2(drive: Any, tmp_path: Path) -> None:
    """XYZ up to 8 m, from 0.1 to 2 m over the floor, one point per cube of 5 cm, at most five per second."""
    model = write_model(tmp_path, canonical_focal_px=4 * CAMERA.fx)
    with running("--params-file", str(CONFIG / "nav2.yaml"), model=model, **{"mount.height": MOUNT_M}):
        driver = drive(("points",))
        driver.connect()
        (cloud,) = driver.ask(image_message(picture()), info(), "points")

        assert [(field.name, field.offset, field.datatype) for field in cloud.fields] == [
            ("x", 0, PointField.FLOAT32),
            ("y", 4, PointField.FLOAT32),
            ("z", 8, PointField.FLOAT32),
        ]
        assert (cloud.point_step, cloud.height, cloud.is_dense) == (12, 1, True)
        points = points_of(cloud)
        height = MOUNT_M - points[:, 1]
        assert 0.1 <= height.min() < 0.2 and 1.8 < height.max() <= 2.0
        assert 0.3 <= points[:, 2].min() < 1.0 and 7.0 < points[:, 2].max() <= 8.0

        wanted = grid_points(depth_of(0.25))
        over_floor = MOUNT_M - wanted[:, 1]
        wanted = wanted[(wanted[:, 2] <= 8.0) & (over_floor >= 0.1) & (over_floor <= 2.0)]
        cubes = {tuple(cube) for cube in np.floor(wanted / 0.05).astype(int)}
        assert len(points) == len(cubes) < len(wanted)
        distance = np.linalg.norm(points[:, None] - wanted[None], axis=-1).min(1)
        assert distance.max() < 1e-3

        assert 2 < rate_of(driver, "points", 3.0) < 6


def test_nav2_without_the_cameras_height(model: Path) -> None:
    node = NodeProcess("--params-file", str(CONFIG / "nav2.yaml"), model=model)
    assert node.wait() == 2
    (said,) = [line for line in node.lines if line.startswith("depth_node: ")]
    assert "mount.height is 0" in said and "set mount.height" in said
    assert "Traceback" not in node.output
