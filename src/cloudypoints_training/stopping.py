"""Ctrl-C and SIGTERM ask a long run to stop where nothing is lost."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)
AGAIN_S = 1.0  # a terminal and a launcher may both send what was meant once


@dataclass
class Stop:
    requested: bool = False


@contextmanager
def heeding_signals() -> Iterator[Stop]:
    """The first signal is noted in `Stop`; a later one ends the process as it would have without this."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # where Python allows no handlers
        yield stop
        return
    previous = {number: signal.getsignal(number) for number in SIGNALS}

    noted = math.inf

    def note(number: int, _frame: object) -> None:
        nonlocal noted
        if time.monotonic() - noted > AGAIN_S:
            signal.signal(number, previous[signal.Signals(number)])
            signal.raise_signal(number)
        noted = min(noted, time.monotonic())
        stop.requested = True

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes started in this block ignore these signals, which may reach a whole group: their parent ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = ignore_signals()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def ignore_signals() -> dict[signal.Signals, Any]:
    """What was set before."""
    return {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
