"""What was measured, as Markdown tables that also read well in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cloudypoints_ros.benchmark.compare import IN_FRAME
from cloudypoints_ros.benchmark.options import Load
from cloudypoints_ros.benchmark.stages import STAGES
from cloudypoints_ros.benchmark.usage import MEMORY
from cloudypoints_ros.stats import STAGES as NODE_STAGES

# What we hold ourselves to.
ENGINE_RATIO = 1.03
LATENCY_MS = 59.0  # a frame at 17 Hz
START_S = 3.0
MEMORY_MB = 500.0
FLAT_MB_PER_MINUTE = 1.0


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table whose columns line up; all but the first to the right."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(headings))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in cells
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in (lines[0], rule, *lines[1:]))


def machine_text(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {machine[name]}" for name in machine if name in _VERSIONS)
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}; Python "
        f"{machine['python']}, ROS 2 {machine['ros']}, cloudypoints {machine['cloudypoints']}, {versions}; "
        f"{machine['date']}, load average at the start {machine['load_average']}."
    )


_MEMORY_HEADS = ("peak RSS", "RSS", "own", "files", "shared")  # as MEMORY
_VERSIONS = ("numpy", "numba", "opencv-python-headless", "onnxruntime")


def stages_text(part: dict[str, Any]) -> str:
    rows = [
        [size]
        + [f"{by_stage[stage]['p50']:.2f} / {by_stage[stage]['p95']:.2f}" for stage in STAGES]
        + [f"{by_stage['frame']['p50']:.1f} / {by_stage['frame']['p95']:.1f}"]
        + [f"{by_stage['outside the model']['p50']:.1f}"]
        for size, by_stage in part["sizes"].items()
    ]
    text = (
        f"## Stages in one process\n\nMilliseconds, p50 / p95 of {part['frames']} frames. The frame is that of a raw "
        f"image, without DDS; the cloud has stride {part['stride']}.\n\n"
        + table(["image", *STAGES, "frame", "outside the model"], rows)
    )
    engine = part["engine"]
    rows = [
        [f"{size} ({each['input']})"]
        + [f"{each[key]['p50']:.2f} / {each[key]['p95']:.2f}" for key in ("engine_ms", "session_ms")]
        + [f"{each['ratio']:.3f}"]
        for size, each in engine["sizes"].items()
    ]
    if rows:
        text += f"\n\n{engine['name']}, beside the bare session with the same options, by turns:\n\n" + table(
            ["image (input)", "our engine", "bare session", "ratio"], rows
        )
    return text


def compare_text(part: dict[str, Any]) -> str:
    steps = part["steps"]
    rows = [
        [name, each["otherwise"]]
        + [f"{each[key]['p50']:.2f} / {each[key]['p95']:.2f}" for key in ("ours_ms", "otherwise_ms")]
        + [f"{each['ratio']:.1f}"]
        for name, each in steps.items()
    ]
    ours, theirs = (sum(steps[name][key]["p50"] for name in IN_FRAME) for key in ("ours_ms", "otherwise_ms"))
    rows.insert(
        len(IN_FRAME), ["a frame around the network", "", f"{ours:.2f}", f"{theirs:.2f}", f"{theirs / ours:.1f}"]
    )
    return (
        f"## Beside what one would otherwise write\n\n{part['size']}, milliseconds, p50 / p95, by turns in one "
        "process.\n\n" + table(["step", "otherwise", "ours", "otherwise ", "ratio"], rows) + "\n\n"
        f"PyTorch in eager mode is what `python bench/torch_eager.py` measures (torch is {part['torch']})."
    )


def node_text(part: dict[str, Any]) -> str:
    medians = {name: each["median"] for name, each in part.items()}
    rows = []
    for name, each in medians.items():
        runs = part[name]["runs"]
        cells = [f"{name}: {_load(part[name]).words}", f"{each['rate_hz']:.1f}"]
        cells.append(f"{sum(r['answered'] for r in runs)} of {sum(r['sent'] for r in runs)}")
        cells += [_percentiles(each["delays_ms"][output]) for output in ("depth", "points")]
        rows.append(cells)
    heads = ["load", "Hz sent", "answered, all runs", "depth p50 / p95 / p99", "points p50 / p95 / p99"]
    seconds = max(run["sent"] / (run["rate_hz"] or 1) / len(_load(each).cameras)
                  for each in part.values() for run in each["runs"])  # fmt: skip
    text = (
        "## The node under load\n\nCameras, node and counter in three processes. Milliseconds from the image's stamp "
        f"to the message received; medians of {max(len(each['runs']) for each in part.values())} runs of "
        f"{seconds:.0f} s.\n\n" + table(heads, rows)
    )
    rows = [
        [name]
        + [f"{each['cpu_cores'][who]:.2f}" for who in ("node", "cameras", "counter", "others")]
        + [f"{each['node_memory_mb'][kind]:.0f}" for kind in MEMORY]
        + [f"{each['shared_memory_mb']:.0f}"]
        for name, each in medians.items()
    ]
    heads = ["load", "node", "cameras", "counter", "the rest", *_MEMORY_HEADS, "/dev/shm of all"]
    text += (
        "\n\nCores in use (the rest is every other process on the machine), and megabytes: the node's peak RSS, its "
        "RSS at the end and what that consists of, and the shared memory of all three.\n\n" + table(heads, rows)
    )
    text += "\n\nInside the node, milliseconds, p50 / p95, warm-up included:\n\n" + _inside(medians)
    peaks = {name: each["peak"] for name, each in part.items() if "peak" in each}
    if peaks:
        rows = [[name, f"{peak['rate_hz']:.1f}", peak["limited_by"], str(len(peak["tried"]))]
                for name, peak in peaks.items()]  # fmt: skip
        text += "\n\nHighest rate with less than 5 % loss:\n\n" + table(["load", "Hz", "limited by", "runs"], rows)
    return text


def _inside(medians: dict[str, Any]) -> str:
    """One row per camera: its counts and stages."""
    cameras = [(name, camera, record) for name, each in medians.items() for camera, record in each["node"].items()]
    stages = [stage for stage in NODE_STAGES if any(stage in record["stages_ms"] for _, _, record in cameras)]
    rows = [
        [f"{name} {camera}".rstrip()]
        + [f"{record['counts'][what]:.0f}" for what in ("received", "published", "dropped")]
        + [_percentiles(record["stages_ms"].get(stage, {}), ("p50", "p95")) for stage in stages]
        for name, camera, record in cameras
    ]
    return table(["load, camera", "received", "published", "dropped", *stages], rows)


def start_text(part: dict[str, Any]) -> str:
    heads = list(part["median"])
    rows = [
        ["median", *(f"{part['median'][name]:.2f}" for name in heads)],
        ["the first, caches cold or not", *(f"{part['first'].get(name, 0):.2f}" for name in heads)],
    ]
    return (
        f"## Start\n\nSeconds from `cloudypoints run`, with {_load(part).words} already there; "
        f"{len(part['runs'])} runs.\n\n" + table(["", *heads], rows)
    )


def memory_text(part: dict[str, Any]) -> str:
    rows = [
        [_load(part).words, f"{part['minutes']:g}"]
        + [f"{part[key]:.1f}" for key in ("settled_mb", "end_mb", "peak_mb", "growth_mb_per_minute")]
        + [f"{part['run']['answered']} of {part['run']['sent']}"]
    ]
    heads = ["load", "minutes", "after 30 s, MB", "at the end, MB", "peak, MB", "growth, MB per minute", "answered"]
    return "## Memory of the node\n\nResident, shared memory included.\n\n" + table(heads, rows)


TEXTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "stages": stages_text,
    "compare": compare_text,
    "node": node_text,
    "start": start_text,
    "memory": memory_text,
}


def targets(results: dict[str, Any]) -> list[tuple[str, str, str, bool]]:
    """(what, measured, wanted, whether it is met) of all that was measured."""
    found: list[tuple[str, str, str, bool]] = []

    def hold(what: str, measured: float, limit: float, form: str, unit: str = "") -> None:
        found.append((what, f"{measured:{form}}{unit}", f"under {limit:{form}}{unit}", measured < limit))

    for size, each in results.get("stages", {}).get("engine", {}).get("sizes", {}).items():
        hold(f"engine over bare session, {size}", each["ratio"], ENGINE_RATIO, ".3f")
    for name, each in results.get("node", {}).items():
        sent, answered = (sum(run[key] for run in each["runs"]) for key in ("sent", "answered"))
        found.append((f"{name}: answered", f"{answered} of {sent}", "every one", answered == sent))
        for output, delays in each["median"]["delays_ms"].items():
            hold(f"{name}: {output} p95", delays.get("p95", float("inf")), LATENCY_MS, ".1f", " ms")
    if "start" in results:
        hold("start to first depth", results["start"]["median"]["first depth"], START_S, ".2f", " s")
    for name, each in results.get("node", {}).items():
        hold(f"{name}: node's peak RSS", each["median"]["node_memory_mb"]["VmHWM"], MEMORY_MB, ".0f", " MB")
    if "memory" in results:
        hold("node's peak RSS over time", results["memory"]["peak_mb"], MEMORY_MB, ".0f", " MB")
        growth = results["memory"]["growth_mb_per_minute"]
        hold("node's growth per minute", growth, FLAT_MB_PER_MINUTE, ".2f", " MB")
    return found


def targets_text(found: Sequence[tuple[str, str, str, bool]]) -> str:
    rows = [[what, measured, wanted, "met" if met else "MISSED"] for what, measured, wanted, met in found]
    return "## Targets\n\n" + table(["", "measured", "wanted", ""], rows)


def _percentiles(values: dict[str, float], names: Sequence[str] = ("p50", "p95", "p99")) -> str:
    return " / ".join(f"{values[name]:.1f}" for name in names) if values.get("n") else "-"


def _load(part: dict[str, Any]) -> Load:
    words = part["load"]
    return Load(**{**words, "cameras": tuple(words["cameras"])})
