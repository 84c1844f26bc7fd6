"""Every fault of the tables against a running node: its sentence, its level, and the next good frame answered.

They share one node, as faults meet a node that has seen others.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from driver import Driver, level_of, running
from faults import FAULTS, OK, REFUSALS, Fault, Refusal
from fuzz import REMEDY
from rig import DIAGNOSTICS, Rig, image, info
from sensor_msgs.msg import CompressedImage, Image
from test_node import HEIGHT, WIDTH, depth_of, grid_pixels, info_of, points_of
from tiny_models import write_model

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.notes import LASTS_S

pytestmark = pytest.mark.ros


def test_the_table_is_long_enough() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) >= 40


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def rig(ros: None, files: Path) -> Iterator[Rig]:
    with running(model=write_model(files), **DIAGNOSTICS) as node:
        driver = Driver(("depth", "points"))
        made = Rig(node, driver)
        made.connect()
        yield made
        driver.close()


@pytest.fixture
def used(rig: Rig, request: Any) -> Rig:
    """The node, listening to the kind of image that the fault is about."""
    compressed = request.node.callspec.params["fault"].compressed
    if compressed != rig.compressed:
        _listen_to(rig, compressed)
    return rig


def _listen_to(rig: Rig, compressed: bool) -> None:
    rig.set(image_transport="compressed" if compressed else "raw")
    kind, topic = (CompressedImage, "image_raw/compressed") if compressed else (Image, "image_raw")
    rig.image_publisher(kind, topic)
    rig.driver.connect()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault(used: Rig, files: Path, fault: Fault) -> None:
    rig = used
    rig.answers_a_good_frame()
    since = len(rig.node.lines)
    try:
        fault.inject(rig, files)
        rig.logs(fault.sentence, since, lambda: fault.send(rig))
        rig.diagnoses(fault.sentence, fault.level, fault.status, lambda: fault.send(rig))
    finally:
        fault.mend(rig, files)
    rig.answers_a_good_frame()
    assert rig.node.process.poll() is None and "Traceback" not in rig.node.output


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda each: f"{each.name}-{each.sentence[:30]}")
def test_a_refused_parameter(rig: Rig, files: Path, refusal: Refusal) -> None:
    """The answer says why, what was in force stays, and nothing is wrong with the node."""
    if rig.compressed:
        _listen_to(rig, False)
    before = rig.driver.get_parameter(refusal.name)
    value = refusal.value(files) if callable(refusal.value) else refusal.value
    result = rig.driver.set_parameter(refusal.name, value)
    assert not result.successful and refusal.sentence in result.reason
    assert REMEDY.search(result.reason) or "expected" in result.reason
    assert rig.driver.get_parameter(refusal.name) == before
    rig.answers_a_good_frame()


def test_a_node_out_of_file_descriptors_says_so_and_works_on(rig: Rig, files: Path) -> None:
    """What is open stays open; a model or a mask cannot be opened, and can be once there is room again."""
    rig.answers_a_good_frame()
    model = write_model(files, name="another")
    pid, soft, hard = rig.node.process.pid, *resource.prlimit(rig.node.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        refused = rig.driver.set_parameter("model", str(model))
        rig.answers_a_good_frame()
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    assert not refused.successful and "Too many open files" in refused.reason and REMEDY.search(refused.reason)
    rig.answers_a_good_frame()
    assert "Traceback" not in rig.node.output


def test_a_mask_that_is_gone_from_the_disk_works_on(rig: Rig, files: Path) -> None:
    """It has been read; other parameters can be set, and it can be done without."""
    path = files / "mask.png"
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[-8:] = 255
    path.write_bytes(cv2.imencode(".png", mask)[1].tobytes())
    rig.set(ego_mask=str(path))
    path.unlink()
    rig.set(points__stride=2)
    (answer,) = rig.driver.ask(image(), info(), "depth")
    np.testing.assert_array_equal(np.isnan(depth_of(answer)), mask > 0)
    rig.set(ego_mask="")
    rig.set(points__stride=4)
    rig.answers_a_good_frame()


def test_time_that_goes_back_is_no_fault(rig: Rig) -> None:
    """A bag that loops: said in the log, answered all the same."""
    rig.answers_a_good_frame()
    since = len(rig.node.lines)
    looped = image(header__stamp__sec=int(time.time()) - 5)
    (answer,) = rig.driver.ask(looped, None, "depth")
    assert answer.header == looped.header
    rig.logs("time went back, a bag that loops or a camera that restarted", since, remedy=False)
    rig.answers_a_good_frame()


def test_a_calibration_that_changes_is_followed(rig: Rig) -> None:
    """A lens that zooms: the points of each frame are those of its own camera_info."""
    for zoom in (1.0, 2.0, 0.5):
        camera = Camera(WIDTH, HEIGHT, 80.0 * zoom, 80.0 * zoom, 47.5, 31.5)
        (cloud,) = rig.driver.ask(image(), info_of(camera), "points")
        grid_pixels(camera, points_of(cloud).astype(np.float64), 4)
    rig.calibrated = False
    rig.answers_a_good_frame()


def test_all_is_well_in_the_end(rig: Rig) -> None:
    """Every note is over after its seconds."""
    rig.answers_a_good_frame()
    for name in ("camera", "engine"):
        rig.driver.status(name, lambda status: level_of(status) == OK, 2 * LASTS_S)
