"""The processes of one run: started, heard, and stopped for certain when the block is left."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import queue
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from cloudypoints_ros.benchmark.options import Load
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.processes.child import Child, Events, delayed, environment, free_domain, undisturbed

Show = Callable[[str, float], None]
"""What is being done, and the share of it that is done, 0 to 1."""

# A model may have to load, numba to compile, and a small board is slow.
PATIENCE_S = 300.0


class Crew:
    """Processes on a ROS domain of their own, whatever domain the user works in: no robot must see these images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.children: dict[str, Child] = {}
        self._events: Events = queue.Queue()
        self._seen: dict[str, dict[str, Any]] = {}
        self._environment = environment(folder) | {
            "ROS_DOMAIN_ID": str(free_domain()),
            "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        }

    def start(self, name: str, *arguments: str, talks: bool = True) -> Child:
        """``python -m ARGUMENTS``; a child that ``talks`` sends events and takes orders."""
        with delayed():  # a child that is not in the list yet would not be stopped
            self.children[name] = Child(name, list(arguments), self.folder, self._environment, self._events, talks)
        return self.children[name]

    def start_load(self, load: Load, *arguments: str) -> Child:
        words = json.dumps(dataclasses.asdict(load))
        journal = ["--journal", str(self.folder / "sent.json")]
        return self.start("cameras", "cloudypoints_ros.benchmark.load", "--load", words, *journal, *arguments)

    def start_counter(self, load: Load) -> Child:
        journal = ["--journal", str(self.folder / "received.json")]
        cameras = json.dumps(load.cameras)
        return self.start("counter", "cloudypoints_ros.benchmark.counter", "--cameras", cameras, *journal)

    def wait(
        self,
        event: str,
        timeout_s: float = PATIENCE_S,
        watch: Callable[[dict[str, dict[str, Any]]], None] | None = None,
    ) -> dict[str, Any]:
        """The event, once it has come; ``watch`` is called with the newest of each event meanwhile.

        CloudyPointsError when a process ends first, says what it could not do, or time is over.
        """
        deadline = time.monotonic() + timeout_s
        while event not in self._seen:
            with contextlib.suppress(queue.Empty):
                _, came = self._events.get(timeout=0.1)
                self._heed(came)
                self._seen[came["event"]] = came
                continue
            for child in self.children.values():
                if (code := child.poll()) is not None and not child.expected_to_end:
                    raise _death(child, code)
            if time.monotonic() > deadline:
                words = self.children["node"].last_words() if "node" in self.children else ""
                raise CloudyPointsError(
                    f"Cameras, node and counter did not get as far as '{event}' within {timeout_s:.0f} s (the node's "
                    f"last words: {words or 'none'}); close what keeps this machine busy and run it again."
                )
            if watch is not None:
                watch(self._seen)
        return self._seen[event]

    def stop(self) -> None:
        with undisturbed():
            for child in reversed(self.children.values()):
                child.stop()

    @staticmethod
    def _heed(event: dict[str, Any]) -> None:
        if event["event"] == "error":
            raise CloudyPointsError(event["message"])
        if event["event"] == "disk":
            raise CloudyPointsError(f"Temporary files cannot be written ({event['reason']}); free disk space.")


@contextlib.contextmanager
def crew(folder: Path) -> Iterator[Crew]:
    result = Crew(folder)
    try:
        yield result
    finally:
        result.stop()


def node_arguments(load: Load, stats: Path, model: Path | None, parameters: Sequence[str]) -> list[str]:
    """-p NAME:=VALUE for a node that answers this load; the user's own come last and win."""
    values = {
        "image_transport": "compressed" if load.encoding == "jpeg" else "raw",
        "depth.encoding": "32FC1",
        "points.fields": "xyzrgb",
        "points.stride": str(load.stride),
        "stats_file": str(stats),
    }
    if load.cameras != ("",):
        values["cameras"] = f"[{','.join(load.cameras)}]"
    if model is not None:
        values["model"] = str(model.absolute())
    return [word for pair in (*(f"{k}:={v}" for k, v in values.items()), *parameters) for word in ("-p", pair)]


def _death(child: Child, code: int) -> CloudyPointsError:
    words = child.last_words()
    prefix, _, sentence = words.partition(": ")
    if code == 2 and prefix == "depth_node":
        return CloudyPointsError(sentence)  # the node's own sentence has its remedy
    how = f"was killed by signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"ended with code {code}"
    said = f"and said '{words}'" if words else "without a word"
    return CloudyPointsError(f"The benchmark's {child.name} process {how} {said}; run it again.")
