"""Time as it comes: simulated, looping, jumping, early, late; and cameras that stall and return."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from driver import RELIABLE, Driver, image_message, level_of, running, values_of
from rosgraph_msgs.msg import Clock
from test_node import info_of, picture

pytestmark = pytest.mark.ros


@pytest.fixture
def driver() -> Iterator[Driver]:
    made = Driver(("depth",))
    yield made
    made.close()


def answer(driver: Driver, seconds: float) -> int:
    """Ask for the frame of this stamp; the stamp of the answer in nanoseconds."""
    nanoseconds = int(seconds * 1e9)
    stamp = divmod(nanoseconds, 1_000_000_000)
    (msg,) = driver.ask(image_message(picture(), stamp=stamp), None, "depth")
    return int(msg.header.stamp.sec) * 1_000_000_000 + int(msg.header.stamp.nanosec)


def test_a_bag_that_loops_under_sim_time(driver: Driver, model: Path) -> None:
    clock = driver.node.create_publisher(Clock, "/clock", RELIABLE)

    def tick(seconds: float) -> None:
        msg = Clock()
        msg.clock.sec, msg.clock.nanosec = divmod(int(seconds * 1e9), 1_000_000_000)
        clock.publish(msg)
        driver.spin_for(0.05)

    with running(model=model, use_sim_time=True, **{"diagnostics.period": 0.2}) as node:
        driver.connect()
        driver.ask(image_message(picture(), stamp=(5000, 0)), info_of(), "depth")
        status = driver.status("camera", lambda s: "/clock" in s.message)
        assert level_of(status) == 1 and "play the bag with --clock" in status.message
        for start in (5000, 5000, 3000, 9000):  # the bag loops, an older one is played, time leaps
            for i in range(12):
                tick(start + i * 0.1 + 0.05)
                assert answer(driver, start + i * 0.1) == int((start + i * 0.1) * 1e9)
        assert node.output.count("time went back") == 2
        values = values_of(driver.status("camera", lambda s: "stamp to published p50 [ms]" in values_of(s)))
        assert values["clock"] == "sim time"
        assert float(values["stamp to published p50 [ms]"]) == pytest.approx(50, abs=1)  # the simulated 0.05 s
        assert "Traceback" not in node.output


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (-3600.0 * 24 * 400, "Stamps are 400 days behind the node's clock; for a bag play it with --clock"),
        (5.0, "ahead of the node's clock; synchronise the clocks of camera and computer (PTP or NTP)"),
    ],
)
def test_stamps_that_do_not_fit_are_answered_and_named(driver: Driver, model: Path, offset: float, words: str) -> None:
    with running(model=model) as node:
        driver.connect()
        driver.info_pub.publish(info_of())
        driver.spin_for(0.3)
        stamp = time.time() + offset
        assert answer(driver, stamp) == int(stamp * 1e9)
        assert words in node.wait_for_line("the node's clock")
        status = driver.status("camera", lambda s: words in s.message)
        assert level_of(status) == 1
        assert "stamp to published p95 [ms]" not in values_of(status)  # it would mean nothing
        now = time.time()
        answer(driver, now)
        driver.status("camera", lambda s: level_of(s) == 0)


def test_a_camera_stalls_and_returns(driver: Driver, model: Path) -> None:
    options: dict[str, Any] = {"diagnostics.stale_after": 1.0, "diagnostics.period": 0.2}
    with running(model=model, **options) as node:
        driver.connect()
        driver.info_pub.publish(info_of())
        driver.spin_for(0.3)
        answer(driver, time.time())
        assert level_of(driver.status("camera")) == 0
        status = driver.status("camera", lambda s: level_of(s) == 3)
        assert status.message.startswith("No image for 1.") and "look at the camera driver" in status.message
        node.wait_for_line("No image on /image_raw, though 1 would publish it; look at the camera driver.")
        answer(driver, time.time())
        driver.status("camera", lambda s: level_of(s) == 0)
        driver.node.destroy_publisher(driver.image_pub)
        node.wait_for_line("No image: nobody publishes /image_raw; start the camera or remap.")
        driver.image_pub = driver.node.create_publisher(type(image_message(picture())), "image_raw", RELIABLE)
        driver.connect()
        answer(driver, time.time())
        driver.status("camera", lambda s: level_of(s) == 0)
