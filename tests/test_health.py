"""Counts, levels and sentences: what the diagnostics say about given numbers."""

from __future__ import annotations

import time

import pytest

from cloudypoints_ros.health import camera_status
from cloudypoints_ros.notes import Level, Note, Notes
from cloudypoints_ros.settings import Thresholds
from cloudypoints_ros.stats import Laps, Stats, Window

LIMITS = Thresholds(stale_after_s=2.0, rate_hz=(8.0, 2.0), drops=(0.25, 0.9), latency_s=(0.2, 1.0))


def window(age: float | None = 0.1, p95: float = 50.0, **counts: int) -> Window:
    stages = {"stamp to published": {50: p95 / 2, 95: p95, 99: p95}}
    return Window(5.0, counts, stages if counts.get("published") else {}, age)


@pytest.mark.parametrize(
    ("seen", "notes", "level", "words"),
    [
        (window(received=50, published=50), [], Level.OK, "10.0 Hz in, 10.0 Hz out."),
        (window(received=50, idle=50), [], Level.OK, "10.0 Hz in; nobody subscribes, so nothing is computed."),
        (window(received=50, published=30, dropped=20), [], Level.WARN, "Output is 6.0 Hz; expected 8 Hz or more. 40%"),
        (window(received=500, published=40, dropped=460), [], Level.ERROR, "92% of the images were dropped"),
        (window(received=50, published=5, limited=45), [], Level.ERROR, "Output is 1.0 Hz; expected 2 Hz or more."),
        (window(received=50, published=50, p95=300.0), [], Level.WARN, "Stamp to published takes 300 ms (p95); "
         "expected at most 200 ms."),
        (window(received=50, published=50, p95=3000.0), [], Level.ERROR, "Stamp to published takes 3000 ms"),
        (window(received=50, failed=50), [Note(Level.ERROR, "A frame failed: x")], Level.ERROR, "A frame failed: x No "
         "image could be answered."),
        (window(received=50, published=47, failed=3), [], Level.WARN, "3 of 50 images failed, the last one so: broken"),
        (window(received=40, published=40, lost=60), [], Level.WARN, "60% of the images were dropped or lost"),
        (window(received=50, published=50), [Note(Level.WARN, "Careful.")], Level.WARN, "Careful."),
        (window(None), [], Level.STALE, "No image yet."),
        (window(3.0, received=20, published=20), [], Level.STALE, "No image for 3.0 s."),
        (window(None), [Note(Level.WARN, "Nobody publishes.")], Level.STALE, "No image yet. Nobody publishes."),
        (window(None), [Note(Level.ERROR, "The QoS does not match.")], Level.ERROR, "The QoS does not match."),
    ],
)  # fmt: skip
def test_levels_and_sentences(seen: Window, notes: list[Note], level: Level, words: str) -> None:
    status = camera_status("c", seen, notes, LIMITS, {"scale": "card", "last failure": "broken."})
    assert (status.level, status.message[: len(words)]) == (level, words)
    assert status.values["scale"] == "card"


def test_numbers() -> None:
    values = camera_status("c", window(received=50, published=30, dropped=20, lost=3), [], LIMITS, {}).values
    assert values["input rate [Hz]"] == "10.00" and values["output rate [Hz]"] == "6.00"
    assert values["dropped [images]"] == "20" and values["lost [images]"] == "3" and values["failed [images]"] == "0"
    assert values["stamp to published p95 [ms]"] == "50.00" and values["age of the last image [s]"] == "0.10"


def test_the_window_forgets_and_the_record_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stats = Stats()
    for _ in range(100):
        now[0] += 0.1
        stats.count("received")
        stats.count("published")
        stats.add_times({"infer": 10.0, "total": 20.0})
    seen = stats.window()
    assert seen.rate("received") == pytest.approx(10, abs=0.3) and seen.stages_ms["infer"][95] == 10.0
    assert seen.line == f"in {seen.rate('received'):.1f} Hz, out {seen.rate('published'):.1f} Hz, " + (
        "arrival to published p50 20.0 ms p95 20.0 ms"
    )
    now[0] += 6.0
    later = stats.window()
    assert later.counts.get("received", 0) == 0 and later.age_s == pytest.approx(6.0) and later.line is None
    record = stats.record()
    assert record["counts"]["published"] == 100 and record["stages_ms"]["infer"]["n"] == 100


def test_laps_tell_waiting_from_decoding() -> None:
    laps = Laps(time.perf_counter() - 0.05, decode_ms=30.0)
    times = laps.finish()
    assert times["decode"] == 30.0 and 19.0 < times["wait"] < 40.0 and times["total"] > 49.0


def test_notes_are_logged_now_and_then_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    log: list[Note] = []
    notes = Notes(log.append)
    for i in range(100):
        now[0] += 0.1
        notes.add("a", Level.WARN, f"a is {i}")
        notes.clear("b")
        notes.add("b", Level.ERROR, "b is wrong")  # over and back each time
    assert [note.text for note in log] == ["a is 0", "b is wrong", "a is 50", "b is wrong"]
    assert [note.text for note in notes.current()] == ["b is wrong", "a is 99"]
    notes.add("a", Level.WARN, "a is another matter")
    assert log[-1] == Note(Level.WARN, "a is another matter")
    notes.clear("b")
    assert [note.text for note in notes.current()] == ["a is another matter"]
    now[0] += 7.0
    assert notes.current() == []
