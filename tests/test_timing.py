"""Stamps that loop, lag and lead, and rates that are held."""

from __future__ import annotations

import pytest

from cloudypoints_ros.timing import RateLimit, Seen, StampWatch

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


@pytest.mark.parametrize("behind_s", [0.0, 0.1, 9.9, -0.4])
@pytest.mark.parametrize("sim_time", [False, True])
def test_a_stamp_that_fits_the_clock_is_no_problem(behind_s: float, sim_time: bool) -> None:
    assert StampWatch().see(NOW - int(behind_s * SECOND), NOW, sim_time) == Seen()


@pytest.mark.parametrize(
    ("stamp", "now", "sim_time", "words"),
    [
        (0, NOW, False, "Images carry no stamp (0)"),
        (NOW - 3 * 365 * 86400 * SECOND, NOW, False, "Stamps are 3 years behind the node's clock; for a bag play it "
         "with --clock and set use_sim_time to true"),
        (NOW - 20 * SECOND, NOW, True, "Stamps are 20.0 s behind the node's clock; the bag and /clock do not belong"),
        (NOW + 2 * SECOND, NOW, False, "Stamps are 2.0 s ahead of the node's clock; synchronise"),
        (NOW, 0, True, "use_sim_time is true but nobody publishes /clock"),
    ],
)  # fmt: skip
def test_a_stamp_that_does_not_fit_says_so(stamp: int, now: int, sim_time: bool, words: str) -> None:
    assert StampWatch().see(stamp, now, sim_time).problem.startswith(words)


def test_a_loop_is_a_step_back_and_images_that_overtake_are_not() -> None:
    watch = StampWatch()
    offsets = [0.0, 0.1, 0.05, 0.2, -10.0, -9.9]
    assert [watch.see(NOW + int(s * SECOND), NOW, False).looped for s in offsets] == [False] * 4 + [True, False]


@pytest.mark.parametrize(("camera_hz", "max_hz"), [(17.0, 10.0), (10.0, 10.0), (30.0, 1.0), (10.0, 25.0)])
def test_the_rate_is_held_on_the_long_run(camera_hz: float, max_hz: float) -> None:
    limit = RateLimit()
    jitter = [0.004, -0.003, 0.001, -0.004, 0.002]
    taken = sum(limit.take(1000 + i / camera_hz + jitter[i % 5], max_hz) for i in range(round(60 * camera_hz)))
    assert taken == pytest.approx(60 * min(camera_hz, max_hz), rel=0.02)


def test_no_limit_and_no_burst_after_a_pause() -> None:
    assert all(RateLimit().take(t, 0.0) for t in (1.0, 1.0, 1.0))
    limit = RateLimit()
    assert limit.take(1000.0, 1.0) and not limit.due(1000.5, 1.0) and not limit.take(1000.5, 1.0)
    assert sum(limit.take(2000 + i * 0.01, 1.0) for i in range(89)) == 2  # one late, one on time


def test_a_rate_that_is_raised_counts_at_once() -> None:
    limit = RateLimit()
    assert limit.take(1000.0, 0.01) and not limit.due(1000.2, 0.01)
    assert limit.due(1000.2, 10.0)
    assert sum(limit.take(1000.2 + i * 0.05, 10.0) for i in range(40)) in (20, 21)
