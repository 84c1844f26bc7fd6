"""The parent's side: a child is started in an environment of its own, listened to, and stopped for certain."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from cloudypoints_ros.processes.channel import die_with_parent

# How long a stopped process gets before the next stronger signal.
_GRACE_S = 8.0

# (name of the child, its event)
Events = queue.Queue[tuple[str, dict[str, Any]]]


class Child:
    """One process: its events come from its stdout, its log (stderr) goes to a file."""

    def __init__(
        self, name: str, arguments: list[str], folder: Path, environment: dict[str, str], events: Events, talks: bool
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.expected_to_end = False
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                env=environment,
                text=True,
                # Ctrl-C in the terminal is the conductor's to hear; the kernel ends the child with the parent.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        if self._process.stdout is not None:
            threading.Thread(target=self._listen, args=(self._process.stdout, events), daemon=True).start()

    def order(self, order: str, **fields: Any) -> None:
        stdin = self._process.stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # a dead child is found by its exit code
            stdin.write(json.dumps({"order": order, **fields}) + "\n")
            stdin.flush()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.poll()

    def stop(self) -> int:
        """SIGINT, then SIGTERM, then SIGKILL; the exit code."""
        self.expected_to_end = True
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is not None:
                break
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_S)
        return self._process.wait()

    def last_words(self) -> str:
        """The last line of its log; empty if it said nothing."""
        lines = [line.strip() for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def _listen(self, stdout: IO[str], events: Events) -> None:
        for line in stdout:
            with contextlib.suppress(ValueError):  # a library's own print
                event = json.loads(line)
                if isinstance(event, dict) and "event" in event:
                    events.put((self.name, event))


def environment(folder: Path) -> dict[str, str]:
    """The children's environment: a ROS domain of their own on this machine only, unless the user chose one.

    So a demo neither meets a robot nearby nor another demo.
    """
    environment = dict(os.environ)
    environment.setdefault("ROS_DOMAIN_ID", str(free_domain()))
    environment.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    # rclpy writes a log file per process and fails where it cannot; what matters is in our own logs too.
    environment.setdefault("ROS_LOG_DIR", str(folder.absolute() / "ros"))
    environment["PYTHONUNBUFFERED"] = "1"
    return environment


def free_domain() -> int:
    """A ROS_DOMAIN_ID (1 to 101, safe on every Linux) whose discovery port nobody holds here."""
    candidates = random.sample(range(1, 102), 101)
    for domain in candidates:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7400 + 250 * domain))  # the RTPS port of discovery multicast
            except OSError:
                continue
        return domain
    return candidates[0]


@contextlib.contextmanager
def delayed() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait until the end of this block (where Python lets us say so: in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    earlier = [signal.signal(number, lambda number, _frame: came.append(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, earlier, strict=True):
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """No Ctrl-C gets through here (where Python lets us say so: in the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, earlier)
