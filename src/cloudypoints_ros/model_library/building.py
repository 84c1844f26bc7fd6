"""TensorRT plans, also for a GPU that is not here. They go where the engine looks for them."""

from __future__ import annotations

import argparse

from rich.progress import Progress

from cloudypoints_ros.engines.engine_cache import engines_folder
from cloudypoints_ros.engines.plans import sm_of
from cloudypoints_ros.engines.ready import plan_ahead
from cloudypoints_ros.engines.tensorrt import TensorRtEngine
from cloudypoints_ros.model_files import load_card, resolve


def build(args: argparse.Namespace) -> int:
    """Build the plan for the GPU at hand, run and checked, or, unchecked, for the compute capability named."""
    path, sm = resolve(args.model), sm_of(args.sm) if args.sm else None
    card = load_card(path)
    with Progress(transient=True) as bar:
        task = bar.add_task(f"Building {card.name}", total=1.0)

        def show(phase: str, done: float) -> None:
            bar.update(task, description=phase, completed=done)

        if sm:
            made = plan_ahead(args.backend, path, card, sm, show)
            what = f"SM {sm} by {args.backend}: {made.plan.precision}, {len(made.plan.data) / 1e6:.1f} MB, {made.why}"
        else:
            engine = TensorRtEngine(path, card, args.backend, show)
            what = f"{engine.name}: {engine.precision}, {engine.built}"
    print(f"{card.name} for {what.removesuffix(', ')}")
    print(f"Engines: {engines_folder()}")
    return 0
