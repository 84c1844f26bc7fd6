"""The result as JSON and as Markdown, and the machine and versions it came from."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from measuring import DRY, Bench, Row

from cloudypoints_ros.files import replacing

PACKAGES = (
    "torch",
    "triton",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "numba-cuda",
    "transformers",
    "numpy",
    "lightning-fabric",
)


def machine(bench: Bench) -> dict[str, Any]:
    """What a figure needs beside it."""
    import torch

    found: dict[str, Any] = {
        "date": date.today().isoformat(),
        "device": processor() if bench.dry else torch.cuda.get_device_name(),
        "cpu": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "packages": {name: v for name in PACKAGES if (v := _version(name))},
        "commit": _said("git", "rev-parse", "--short", "HEAD"),
    }
    if not bench.dry:
        found["cuda"] = torch.version.cuda
        found["driver"] = _said("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        found["compute capability"] = ".".join(map(str, torch.cuda.get_device_capability()))
        found["memory MiB"] = torch.cuda.get_device_properties(0).total_memory // 2**20
    else:
        found["label"] = DRY
    return found


def write(about: dict[str, Any], rows: list[Row], folder: Path) -> Path:
    """<device>-<date>.json and .md; returns the former."""
    name = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
    path = folder / f"{'dry-run-' if 'label' in about else ''}{name}-{about['date']}.json"
    record = {**about, "rows": [row.record() for row in rows]}
    for target, text in ((path, json.dumps(record, indent=1) + "\n"), (path.with_suffix(".md"), markdown(about, rows))):
        with replacing(target) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return path


def markdown(about: dict[str, Any], rows: list[Row]) -> str:
    plain = [f"{key} {value}" for key, value in about.items() if key not in ("device", "packages", "label")]
    packages = ", ".join(f"{name} {number}" for name, number in about["packages"].items())
    lines = [f"# {about['device']}", ""]
    if "label" in about:
        lines += [f"**{about['label']}**", ""]
    lines += [f"{'; '.join(plain)}.", f"{packages}.", ""]
    for part in dict.fromkeys(row.part for row in rows):
        lines += [f"## {part[0].upper()}{part[1:]}", "", "| what | figures | |", "|---|---|---|"]
        for row in rows:
            if row.part == part:
                lines.append(f"| {_cell(row.what)} | {_cell(_figures(row))} | {_cell(_remark(row))} |")
        lines.append("")
    return "\n".join(lines)


def _figures(row: Row) -> str:
    return "; ".join(f"{name} {value:.4g}" for name, value in row.figures.items()) or "-"


def _remark(row: Row) -> str:
    if row.not_measured:
        return f"not measured: {row.not_measured}"
    return "; ".join(filter(None, [row.label, row.note]))


def _cell(text: str) -> str:
    return text.replace("|", "/")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, cwd=Path(__file__).parent)
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
