"""The parts in their order: progress on stderr, each part's tables on stdout as soon as it is measured."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import signal
from collections.abc import Callable
from typing import Any

from cloudypoints_ros.benchmark.crew import Show
from cloudypoints_ros.benchmark.options import Options, options_of
from cloudypoints_ros.errors import CloudyPointsError, missing_package
from cloudypoints_ros.files import replacing

_NEEDED = ("rclpy", "sensor_msgs", "onnxruntime")


def main(args: argparse.Namespace) -> int:
    """Measure and report; 0 whether or not targets are met, 130 after Ctrl-C. CloudyPointsError for what can be
    mended."""
    options = options_of(args)
    for module in _NEEDED:
        if importlib.util.find_spec(module) is None:
            raise CloudyPointsError(missing_package(ModuleNotFoundError(f"No module named '{module}'", name=module)))
    # `docker stop` and systemd say SIGTERM; it means the same as Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return _measure(options)


def _measure(options: Options) -> int:
    from cloudypoints_ros.benchmark.report import TEXTS, machine_text, targets, targets_text
    from cloudypoints_ros.benchmark.usage import machine

    results: dict[str, Any] = {"machine": machine(), "options": _plain(options)}
    print(machine_text(results["machine"]), flush=True)
    for part in options.parts:
        results[part] = _with_progress(_parts()[part], options)
        print(f"\n{TEXTS[part](results[part])}", flush=True)
    held = targets(results)
    print(f"\n{targets_text(held)}", flush=True)
    if options.json is not None:
        results["targets"] = [{"what": w, "measured": m, "wanted": t, "met": met} for w, m, t, met in held]
        with replacing(options.json) as partial:
            partial.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


def _parts() -> dict[str, Callable[[Options, Show], dict[str, Any]]]:
    from cloudypoints_ros.benchmark.compare import compare_part
    from cloudypoints_ros.benchmark.stages import stages_part
    from cloudypoints_ros.benchmark.startup import start_part
    from cloudypoints_ros.benchmark.under_load import memory_part, node_part

    return {
        "stages": stages_part,
        "compare": compare_part,
        "node": node_part,
        "start": start_part,
        "memory": memory_part,
    }


def _with_progress(part: Callable[[Options, Show], dict[str, Any]], options: Options) -> dict[str, Any]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:40}"), BarColumn(bar_width=20), TimeElapsedColumn())
    # stdout is not rich's: it may go to a file while stderr is a terminal.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=1.0)
        return part(options, lambda what, share: progress.update(task, description=what, completed=share))


def _plain(options: Options) -> dict[str, Any]:
    """For JSON."""
    words = dataclasses.asdict(options)
    return {name: str(value) if name in ("model", "json") and value else value for name, value in words.items()}
