"""The whole node under load: cameras, node and counter in three processes over real DDS."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cloudypoints_ros.benchmark.crew import Crew, Show, crew, node_arguments
from cloudypoints_ros.benchmark.figures import OUTPUTS, answers, growth_per_minute, highest, median_of
from cloudypoints_ros.benchmark.options import Load, Options
from cloudypoints_ros.benchmark.usage import busy_s, shared_memory_mb, usage
from cloudypoints_ros.errors import CloudyPointsError

WARM_S = 2.0
# A rate is sustained with less loss than this: the criterion of ros2_benchmark.
LOSS = 0.05
# The cameras themselves must keep up with the rate they are asked for.
_ATTAINED = 0.97
_SAMPLE_S = 1.0
# Buffers, caches and thread pools have their size by then.
SETTLED_S = 30.0


def node_part(options: Options, show: Show) -> dict[str, Any]:
    """By scenario: the load, all runs, their median, and the peak if asked for."""
    result: dict[str, Any] = {}
    for load in options.loads:
        runs = []
        for number in range(options.runs):
            said = f"{load.name}, run {number + 1} of {options.runs}"
            runs.append(run_once(options, load, options.seconds, partial(show, said)))
        result[load.name] = {"load": dataclasses.asdict(load), "runs": runs, "median": median_of(runs)}
        if options.peak:
            result[load.name]["peak"] = find_peak(options, load, show)
    return result


def memory_part(options: Options, show: Show) -> dict[str, Any]:
    """The node's resident memory while the first load runs for --minutes."""
    load, seconds = options.loads[0], options.minutes * 60
    samples: list[tuple[float, float]] = []
    start = time.monotonic()

    def sample(node: int) -> None:
        nonlocal start
        now = time.monotonic()
        if not samples:
            start = now
        if not samples or now - start >= samples[-1][0] + _SAMPLE_S:
            samples.append((now - start, usage(node).memory_mb.get("VmRSS", 0.0)))

    run = run_once(options, load, seconds, partial(show, f"memory, {options.minutes:g} minutes"), sample)
    settled = [each for each in samples if each[0] >= min(SETTLED_S, seconds / 2)] or samples
    return {
        "load": dataclasses.asdict(load),
        "minutes": options.minutes,
        "settled_mb": settled[0][1],
        "end_mb": settled[-1][1],
        "peak_mb": run["node_memory_mb"]["VmHWM"],
        "growth_mb_per_minute": growth_per_minute(settled),
        "samples": [(round(t, 1), round(mb, 2)) for t, mb in samples],
        "run": run,
    }


def run_once(
    options: Options,
    load: Load,
    seconds: float,
    show: Callable[[float], None],
    sample: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """One run of this length after a warm-up; ``sample`` is called with the node's process id while it lasts."""
    frames = max(1, round(seconds * load.rate_hz))
    warm = max(1, round(WARM_S * load.rate_hz))
    with work_folder() as folder, crew(folder) as processes:
        counter = processes.start_counter(load)
        node = processes.start(
            "node",
            "cloudypoints_ros.node",
            "--ros-args",
            *node_arguments(load, folder / "node.json", options.model, options.node_parameters),
            talks=False,
        )
        cameras = processes.start_load(load, "--warm", str(warm), "--frames", str(frames))
        for event in ("subscribed", "matched", "ready"):
            processes.wait(event)
        cameras.order("go")
        processes.wait("measuring")
        before = _Snapshot.of(processes)
        total = frames * len(load.cameras)

        def watch(seen: dict[str, dict[str, Any]]) -> None:
            show(min(1.0, seen.get("sent", {}).get("count", 0) / total))
            if sample is not None:
                sample(node.pid)

        processes.wait("done", timeout_s=2 * seconds + 60, watch=watch)
        after = _Snapshot.of(processes)
        shared = shared_memory_mb(child.pid for child in processes.children.values())
        counter.order("drain", messages=(warm + frames) * len(load.cameras) * len(OUTPUTS))
        processes.wait("drained")
        counter.expected_to_end = True
        memory = usage(node.pid).memory_mb
        cameras.order("stop")
        cameras.expected_to_end = True
        code = node.stop()
        if code != 0 or not (folder / "node.json").is_file():
            raise CloudyPointsError(
                f"The node ended with code {code} and said '{node.last_words()}'; run the benchmark again."
            )
        sent = [(camera, stamp) for camera, stamp in _read(folder / "sent.json")]
        record = _read(folder / "node.json")["cameras"]
        return {
            **answers(sent, _read(folder / "received.json")),
            "rate_hz": _rate([stamp for camera, stamp in sent if camera == load.cameras[0]]),
            "cpu_cores": before.cores_until(after),
            "node_memory_mb": memory,
            "shared_memory_mb": shared,
            "node": record,
        }


def find_peak(options: Options, load: Load, show: Show) -> dict[str, Any]:
    """The highest rate per camera with less than 5 % loss; ``tried`` has what every rate came to.

    ``limited_by`` says "cameras" when the load generator was what could not go faster.
    """
    tried: list[dict[str, Any]] = []

    def sustained(rate_hz: float) -> bool:
        seconds = max(options.seconds / 2, 10 / rate_hz)
        said = f"{load.name}, peak: {rate_hz:.1f} Hz"
        run = run_once(options, dataclasses.replace(load, rate_hz=rate_hz), seconds, partial(show, said))
        kept_up = bool(run["rate_hz"] >= _ATTAINED * rate_hz)
        held = bool(run["share"] > 1 - LOSS)
        tried.append(
            {"rate_hz": rate_hz, "attained_hz": run["rate_hz"], "share": run["share"], "sustained": held and kept_up}
            | ({} if kept_up else {"limited_by": "cameras"})
        )
        return held and kept_up

    peak = highest(load.rate_hz, sustained)
    beyond = [each for each in tried if not each["sustained"]]
    first = min(beyond, key=lambda each: float(each["rate_hz"]), default={"limited_by": "the search"})
    return {"rate_hz": peak, "limited_by": first.get("limited_by", "node"), "tried": tried}


@contextmanager
def work_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cloudypoints-bench-") as folder:
        yield Path(folder)


@dataclasses.dataclass(frozen=True)
class _Snapshot:
    """CPU seconds so far, of each process and of the machine, at a moment."""

    at: float
    busy_s: float
    cpu_s: dict[str, float]

    @staticmethod
    def of(processes: Crew) -> _Snapshot:
        cpu = {name: usage(child.pid).cpu_s for name, child in processes.children.items()}
        return _Snapshot(time.monotonic(), busy_s(), cpu)

    def cores_until(self, after: _Snapshot) -> dict[str, float]:
        """Cores that each was using on average; "others" is everything else on the machine."""
        seconds = after.at - self.at
        own = {name: after.cpu_s[name] - self.cpu_s[name] for name in self.cpu_s}
        others = after.busy_s - self.busy_s - sum(own.values())
        return {name: value / seconds for name, value in {**own, "others": max(0.0, others)}.items()}


def _rate(stamps: list[int]) -> float:
    """Hz"""
    return (len(stamps) - 1) / ((stamps[-1] - stamps[0]) * 1e-9) if len(stamps) > 1 else 0.0


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
