"""Every engine that runs here, held against ONNX Runtime on the CPU and timed."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path
from statistics import median
from time import perf_counter

from rich.console import Console

from cloudypoints_ros.engines import ENGINES, Engine, open_engine
from cloudypoints_ros.engines.parity import LARGEST, MASKED_SHARE, MEAN, differences, fixed_inputs
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard
from cloudypoints_ros.model_files import load_card, resolve
from cloudypoints_ros.model_library.showing import show

REFERENCE = "onnxruntime"


def verify(args: argparse.Namespace) -> int:
    """Print a table of parity and speed; CloudyPointsError when an engine's depth is not the reference's."""
    if args.frames < 1:
        raise CloudyPointsError(f"--frames is {args.frames}; give a number of at least 1.")
    path = resolve(args.model)
    card = load_card(path)
    engines, missing = _open(path, card, args.threads)
    inputs = fixed_inputs(card)
    outputs = {name: engine.infer(inputs) for name, engine in engines.items()}
    times: dict[str, list[float]] = {name: [] for name in engines}
    with Console(stderr=True).status("Timing"):
        for _ in range(args.frames):  # by turns, so that a busy moment of the machine strikes all alike
            for name, engine in engines.items():
                start = perf_counter()
                engine.infer(inputs)
                times[name].append((perf_counter() - start) * 1e3)
    found = {name: differences(outputs[REFERENCE], output, card) for name, output in outputs.items()}
    show(
        [
            {
                "engine": engines[name].name,
                "precision": engines[name].precision,
                "largest": f"{each.largest:.2e}",
                "mean": f"{each.mean:.2e}",
                "masks": f"{max(each.masks.values(), default=0):.2%}",
                "ms": f"{median(times[name]):.2f}",
                "parity": "yes" if each.small else "no",
            }
            for name, each in found.items()
        ]
    )
    height, width = card.input.size.opt
    print(
        f"{card.name} on {machine()}: the network alone at {width}x{height}, median of {args.frames}; largest and mean "
        "difference from ONNX Runtime in log depth, and pixels on which a mask differs."
    )
    for name, reason in missing.items():
        print(f"not here: {name}: {reason}")
    wrong = [f"{name} ({each})" for name, each in found.items() if not each.small]
    if wrong:
        raise CloudyPointsError(
            f"The depth of {', '.join(wrong)} is not that of ONNX Runtime, allowed are {LARGEST:g} and {MEAN:g} in log "
            f"depth and {MASKED_SHARE:.1%} of the pixels; use another engine for this model."
        )
    return 0


def machine() -> str:
    """The processor and the cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {len(os.sched_getaffinity(0))} cores"


def _open(path: Path, card: ModelCard, threads: int) -> tuple[dict[str, Engine], dict[str, str]]:
    """The engines that open, the reference first, and why the others do not."""
    engines, missing = {REFERENCE: open_engine(REFERENCE, path, card, threads)}, {}
    for name in ENGINES:
        if name == REFERENCE:
            continue
        try:
            engines[name] = open_engine(name, path, card, threads)
        except (CloudyPointsError, ImportError) as error:
            missing[name] = str(error)
    return engines, missing
