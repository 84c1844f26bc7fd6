"""Things that are wrong now: said in the log, not too often, and shown in the diagnostics while they last."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

# A note that nobody repeats for this long is over; a note that is repeated is logged again after as long.
LASTS_S = 5.0


class Level(IntEnum):
    """The levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Note:
    level: Level
    text: str


class Notes:
    """The current notes of one thing, by key. Any thread may add; ``log`` gets what is to be said now."""

    def __init__(self, log: Callable[[Note], object]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._notes: dict[str, tuple[float, Note]] = {}
        self._logged: dict[str, float] = {}  # by the sentence without its numbers, which may differ every time

    def add(self, key: str, level: Level, text: str) -> None:
        now, note, sentence = time.monotonic(), Note(level, text), re.sub(r"[\d.]+", "#", text)
        with self._lock:
            self._notes[key] = (now, note)
            self._logged = {said: at for said, at in self._logged.items() if now - at < LASTS_S * 0.99}
            due = sentence not in self._logged
            if due:
                self._logged[sentence] = now
        if due:
            self._log(note)

    def clear(self, key: str) -> None:
        """It is over."""
        with self._lock:
            self._notes.pop(key, None)

    def current(self) -> list[Note]:
        """What was added in the last LASTS_S, worst first."""
        now = time.monotonic()
        with self._lock:
            fresh = [note for at, note in self._notes.values() if now - at < LASTS_S * 1.2]
        return sorted(fresh, key=lambda note: -note.level)
