"""Things that are wrong now: said in the log, not too often, and shown in the diagnostics while they last."""

from __future__ import annotations

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
    """The current notes of one thing, by key. Any thread may add."""

    def __init__(self, log: Callable[[str], object]) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._notes: dict[str, tuple[float, Note]] = {}
        self._logged: dict[str, float] = {}

    def add(self, key: str, level: Level, text: str) -> None:
        now = time.monotonic()
        with self._lock:
            self._notes[key] = (now, Note(level, text))
            due = now - self._logged.get(key, -LASTS_S) >= LASTS_S * 0.99
            if due:
                self._logged[key] = now
        if due:
            self._log(text)

    def clear(self, key: str) -> None:
        """It is over; when it comes again it is logged at once."""
        with self._lock:
            self._notes.pop(key, None)
            self._logged.pop(key, None)

    def current(self) -> list[Note]:
        """What was added in the last LASTS_S, worst first."""
        now = time.monotonic()
        with self._lock:
            fresh = [note for at, note in self._notes.values() if now - at < LASTS_S * 1.2]
        return sorted(fresh, key=lambda note: -note.level)
