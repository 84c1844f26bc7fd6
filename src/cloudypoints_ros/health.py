"""How the cameras and the engine are doing, as a level, a sentence and numbers. Knows no ROS."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from cloudypoints_ros.notes import Level, Note
from cloudypoints_ros.settings import Thresholds
from cloudypoints_ros.stats import OUTCOMES, PERCENTILES, Window

_MOST_NOTES = 3


@dataclass(frozen=True)
class Status:
    """One diagnostic_msgs/DiagnosticStatus."""

    name: str
    level: Level
    message: str
    values: Mapping[str, str] = field(default_factory=dict)


def camera_status(
    name: str, window: Window, notes: Sequence[Note], thresholds: Thresholds, facts: Mapping[str, str]
) -> Status:
    """The status of one active camera; ``facts`` are further values to show, "last failure" among them."""
    judged = _judged(window, thresholds, facts.get("last failure", ""))
    found = sorted([*notes, *judged], key=lambda note: -note.level)
    silent = window.age_s is None or window.age_s > thresholds.stale_after_s
    if silent:
        since = "No image yet" if window.age_s is None else f"No image for {window.age_s:.1f} s"
        # A known cause is worth more than its symptom.
        found = [note for note in found if note.level == Level.ERROR] or [Note(Level.STALE, f"{since}."), *found]
    level = max((note.level for note in found), default=Level.OK)
    message = " ".join(note.text for note in found[:_MOST_NOTES]) or _fine(window)
    return Status(name, level, message, {**_numbers(window), **facts})


def _judged(window: Window, thresholds: Thresholds, last_failure: str) -> Iterator[Note]:
    """What the numbers say, by the thresholds."""
    received, published = window.counts.get("received", 0), window.counts.get("published", 0)
    wanted = received > window.counts.get("idle", 0) + window.counts.get("limited", 0)
    failed, lost = window.counts.get("failed", 0), window.counts.get("lost", 0)
    if received and wanted:
        if failed and not published:
            yield Note(Level.ERROR, "No image could be answered.")
        elif failed:
            yield Note(Level.WARN, f"{failed} of {received} images failed, the last one so: {last_failure}")
        rate, drops = window.rate("published"), (window.counts.get("dropped", 0) + lost) / (received + lost)
        if level := _level(-rate, (-thresholds.rate_hz[0], -thresholds.rate_hz[1])):
            yield Note(level, f"Output is {rate:.1f} Hz; expected {thresholds.rate_hz[level - 1]:g} Hz or more.")
        if level := _level(drops, thresholds.drops):
            yield Note(
                level,
                f"{drops:.0%} of the images were dropped or lost; lower the camera's rate or the work per image "
                "(depth.downscale, points.stride, a smaller model, a faster engine).",
            )
    latency = window.stages_ms.get("stamp to published", {}).get(95)
    if latency is not None and (level := _level(latency / 1e3, thresholds.latency_s)):
        yield Note(
            level,
            f"Stamp to published takes {latency:.0f} ms (p95); expected at most "
            f"{thresholds.latency_s[level - 1] * 1e3:g} ms.",
        )


def _level(value: float, limits: tuple[float, float]) -> Level:
    """Above the second limit ERROR, above the first WARN."""
    warn, error = limits
    return Level.ERROR if value > error else Level.WARN if value > warn else Level.OK


def _fine(window: Window) -> str:
    if window.counts.get("received", 0) == window.counts.get("idle", 0):
        return f"{window.rate('received'):.1f} Hz in; nobody subscribes, so nothing is computed."
    return f"{window.rate('received'):.1f} Hz in, {window.rate('published'):.1f} Hz out."


def _numbers(window: Window) -> dict[str, str]:
    values = {
        "input rate [Hz]": f"{window.rate('received'):.2f}",
        "output rate [Hz]": f"{window.rate('published'):.2f}",
        "age of the last image [s]": "none yet" if window.age_s is None else f"{window.age_s:.2f}",
        "window [s]": f"{window.seconds:.1f}",
    }
    values |= {f"{outcome} [images]": str(window.counts.get(outcome, 0)) for outcome in (*OUTCOMES, "lost")}
    for stage, by_percentile in window.stages_ms.items():
        values |= {f"{stage} p{p} [ms]": f"{by_percentile[p]:.2f}" for p in PERCENTILES}
    return values
