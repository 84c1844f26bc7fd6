"""How far TensorRT is with a build, as one fraction, and a way to stop it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Progress = Callable[[str, float], None]  # the phase in TensorRT's words, and the part of the whole that is done

_log = logging.getLogger(__name__)


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0


class PhaseTree:
    """TensorRT's nested phases as a fraction that never falls. Its builder calls from several threads."""

    def __init__(self) -> None:
        self._phases: dict[str, _Phase] = {}
        self._reached = 0.0
        self._lock = threading.Lock()

    def start(self, name: str, parent: str | None, steps: int) -> float:
        with self._lock:
            self._phases[name] = _Phase(parent, max(1, steps))
            return self._fraction()

    def step(self, name: str, step: int) -> float:
        with self._lock:
            if name in self._phases:
                self._phases[name].done = step + 1
            return self._fraction()

    def finish(self, name: str) -> float:
        with self._lock:
            phase = self._phases.pop(name, None)
            if phase is not None and phase.parent is None:
                self._reached = 1.0
            return self._fraction()

    def _fraction(self) -> float:
        roots = [name for name, phase in self._phases.items() if phase.parent is None]
        self._reached = max([self._reached, *(min(1.0, self._of(name)) for name in roots)])
        return self._reached

    def _of(self, name: str) -> float:
        phase = self._phases[name]
        children = [self._of(n) for n, each in self._phases.items() if each.parent == name and n != name]
        return (phase.done + min(1.0, max(children, default=0.0))) / phase.steps


def monitor(trt: Any, progress: Progress, stopped: threading.Event) -> Any:
    """An IProgressMonitor that reports to ``progress`` and cancels the build once ``stopped`` is set.

    An exception must not travel through TensorRT: one that ``progress`` raises is logged, and the build goes on.
    """
    tree = PhaseTree()

    def tell(phase: str, fraction: float) -> None:
        try:
            progress(phase, fraction)
        except Exception:
            _log.exception("Reporting the progress of a build failed")

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            tell(phase_name, tree.start(phase_name, parent_phase, num_steps))

        def phase_finish(self, phase_name: str) -> None:
            tell(phase_name, tree.finish(phase_name))

        def step_complete(self, phase_name: str, step: int) -> bool:
            tell(phase_name, tree.step(phase_name, step))
            return not stopped.is_set()

    return Monitor()


def logged(every_s: float = 5.0) -> Progress:
    """A progress that goes to the log, at most once in ``every_s`` seconds."""
    last = time.monotonic()

    def tell(phase: str, fraction: float) -> None:
        nonlocal last
        if time.monotonic() - last >= every_s:
            last = time.monotonic()
            _log.info("Building the engine: %.0f %% (%s)", 100 * fraction, phase)

    return tell
