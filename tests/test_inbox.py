"""What waits for the worker: the newest image of each camera, in turn."""

from __future__ import annotations

import threading

from cloudypoints_ros.inbox import Inbox


def test_the_newest_of_each_camera_and_who_waited_longest() -> None:
    inbox = Inbox()
    assert not inbox.put("a", 1) and inbox.put("a", 2) and not inbox.put("b", 3)
    assert inbox.take() == ("a", 2)
    inbox.put("a", 4)
    assert inbox.take() == ("b", 3)  # a is faster, but it was b's turn
    assert inbox.take() == ("a", 4)


def test_a_fast_camera_does_not_starve_slow_ones() -> None:
    inbox = Inbox()
    for name in ("slow", "fast", "other"):
        inbox.put(name, 0)
    served = []
    for i in range(9):
        camera, _ = inbox.take() or ("", None)
        served.append(camera)
        inbox.put(camera, i)
        inbox.put("fast", i)
    assert served == ["slow", "fast", "other"] * 3


def test_closing_ends_the_wait() -> None:
    inbox = Inbox()
    found: list[object] = ["not yet"]
    waiting = threading.Thread(target=lambda: found.append(inbox.take()))
    waiting.start()
    inbox.close()
    waiting.join(5)
    assert found == ["not yet", None]
