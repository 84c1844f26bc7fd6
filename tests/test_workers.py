"""The two threads: in turn, overlapping or not, and never ended by an error."""

from __future__ import annotations

import threading
import time

import pytest

from cloudypoints_ros.inbox import Inbox
from cloudypoints_ros.workers import Workers


def wait_for(done: object, seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not done():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize("overlap", [True, False])
def test_the_next_is_computed_while_one_is_published(overlap: bool) -> None:
    inbox, published, computed = Inbox(), threading.Event(), []

    def publish(camera: str, answer: int) -> None:
        published.wait(5)

    workers = Workers(inbox, lambda camera, item: computed.append(item) or item, publish, overlap)
    inbox.put("a", 1)
    wait_for(lambda: computed == [1])
    for item in (2, 3):
        inbox.put("a", item)
        time.sleep(0.1)
    # One in each at a time; the rest waits where newer ones replace it.
    assert computed == ([1, 2] if overlap else [1])
    published.set()
    wait_for(lambda: computed[-1] == 3)
    assert workers.close() and computed == ([1, 2, 3] if overlap else [1, 3])


def test_an_error_ends_neither_thread(capsys: pytest.CaptureFixture[str]) -> None:
    inbox, sent = Inbox(), []

    def compute(camera: str, item: int) -> int | None:
        if item == 1:
            raise ValueError("computing one")
        return item

    def publish(camera: str, answer: int) -> None:
        if answer == 2:
            raise ValueError("publishing two")
        sent.append(answer)

    workers = Workers(inbox, compute, publish, True)
    for item in (1, 2, 3):
        inbox.put(str(item), item)
    wait_for(lambda: sent == [3])
    assert workers.close()
    said = capsys.readouterr().err
    assert "computing one" in said and "publishing two" in said


def test_a_step_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloudypoints_ros.workers.PATIENCE_S", 0.1)
    inbox, free = Inbox(), threading.Event()
    workers = Workers(inbox, lambda camera, item: free.wait(10) and None, lambda camera, answer: None, True)
    inbox.put("a", 1)
    time.sleep(0.1)
    assert not workers.close()
    free.set()
    monkeypatch.setattr("cloudypoints_ros.workers.PATIENCE_S", 5.0)
    assert workers.close()
