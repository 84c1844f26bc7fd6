"""How long `cloudypoints run` takes until the first depth has been received."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import Any

from cloudypoints_ros.benchmark.crew import Show, crew, node_arguments
from cloudypoints_ros.benchmark.figures import median_of
from cloudypoints_ros.benchmark.options import Load, Options
from cloudypoints_ros.benchmark.under_load import work_folder

# Milestone -> what the node's log says then.
_MILESTONES = {"node made": "profile", "model loaded": "warming up", "subscribed": "Subscribed to"}
# The camera has been running: DDS takes longer to bring together what starts at the same moment.
_RUNNING_S = 3.0
_LOG_LINE = re.compile(r"\[\w+\] \[(\d+)\.(\d+)\]")


def start_part(options: Options, show: Show) -> dict[str, Any]:
    """Seconds from the command to each milestone; the first of the runs fills caches and does not count."""
    load = options.loads[0]
    runs = []
    for number in range(options.runs + 1):
        show(f"start, run {number} of {options.runs}" if number else "start, filling caches", number / options.runs)
        runs.append(_once(options, load))
    return {"load": dataclasses.asdict(load), "runs": runs[1:], "first": runs[0], "median": median_of(runs[1:])}


def _once(options: Options, load: Load) -> dict[str, float]:
    with work_folder() as folder, crew(folder) as processes:
        processes.start_counter(load)
        cameras = processes.start_load(load, "--alone")
        processes.wait("subscribed")
        processes.wait("ready")
        cameras.order("go")
        processes.wait("sent")
        time.sleep(_RUNNING_S)
        began = time.time_ns()
        parameters = node_arguments(load, folder / "node.json", options.model, options.node_parameters)
        processes.start("node", "cloudypoints_ros.cli", "run", *parameters, talks=False)
        first = processes.wait("first")["at"]
        return {**milestones(processes.children["node"].log, began), "first depth": (first - began) * 1e-9}


def milestones(log: Path, began_ns: int) -> dict[str, float]:
    """Seconds from ``began_ns`` to what the log tells; what it does not tell is left out."""
    result: dict[str, float] = {}
    for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
        found = _LOG_LINE.match(line)
        for name, words in _MILESTONES.items():
            if found and words in line and name not in result:
                at = int(found[1]) * 10**9 + int(found[2].ljust(9, "0"))
                result[name] = (at - began_ns) * 1e-9
    return result
