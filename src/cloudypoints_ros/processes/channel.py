"""How a command and its children talk: one JSON object per line, to a child's stdin and from its stdout."""

from __future__ import annotations

import ctypes
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from cloudypoints_ros.errors import CloudyPointsError

_PR_SET_PDEATHSIG = 1
# Looked up here: nothing may be imported or allocated between fork and exec.
_LIBC = ctypes.CDLL(None)


class DiskError(Exception):
    """Files could not be written or read back. The message is the reason in a few words."""


@contextmanager
def disk() -> Iterator[None]:
    """What the system refuses in here is a :class:`DiskError`. Also a decorator: ``@disk()``."""
    try:
        yield
    except OSError as error:
        raise DiskError(error.strerror or str(error)) from error


def send(event: str, **fields: Any) -> None:
    """Tell the parent something; a parent that is gone is no error, its end is seen elsewhere."""
    try:
        sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
        sys.stdout.flush()
    except (BrokenPipeError, ValueError):
        pass


class Orders:
    """The parent's orders, read from stdin by a thread. The end of stdin means the parent is gone: ``abort``."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}
        self._change = threading.Condition()
        threading.Thread(target=self._read, name="orders", daemon=True).start()

    def get(self, *names: str) -> dict[str, Any] | None:
        """The first of these orders that has been given, or None."""
        with self._change:
            return next((self._known[name] for name in names if name in self._known), None)

    def wait(self, *names: str, timeout: float | None = None) -> dict[str, Any] | None:
        """Like :meth:`get`, waiting up to ``timeout`` seconds for it."""
        with self._change:
            self._change.wait_for(lambda: any(name in self._known for name in names), timeout)
            return next((self._known[name] for name in names if name in self._known), None)

    def _read(self) -> None:
        for line in sys.stdin:
            order = json.loads(line)
            self._give(order)
        self._give({"order": "abort"})

    def _give(self, order: dict[str, Any]) -> None:
        with self._change:
            self._known[order["order"]] = order
            self._change.notify_all()


def die_with_parent() -> None:
    """For ``Popen(preexec_fn=...)``: the kernel sends SIGTERM when the parent dies, however it dies.

    SIGTERM and not SIGKILL: rclpy handles it, and a process that ends properly takes its shared memory with it.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def run_child(work: Callable[[], int]) -> int:
    """Run a child's work; what the user can mend goes to the parent as one sentence, exit code 2."""
    try:
        return work()
    except CloudyPointsError as error:
        send("error", message=str(error))
        return 2
    except DiskError as error:
        send("disk", reason=str(error))  # the parent knows how the user called the folder
        return 2
    except KeyboardInterrupt:
        return 130
