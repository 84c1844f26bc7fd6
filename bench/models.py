"""Two models on the same drawn scenes of styles that neither was trained on: a table, and a picture to compare.

    .venv-training/bin/python bench/models.py BEFORE.onnx AFTER.onnx -o OUT [--count 24]

Prints AbsRel by style, raw and median-scaled, beside the best constant. Writes OUT/comparison.png, with the first
scene of each style, and OUT/failures.png, with the scene of each style on which AFTER errs most.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm

from cloudypoints_ros.files import replacing
from cloudypoints_ros.metrics import depth_metrics
from cloudypoints_training.evaluation.data import Drawn
from cloudypoints_training.evaluation.predictors import open_predictor
from cloudypoints_training.sample import Sample
from cloudypoints_training.scenes import HELD_OUT_STYLES

NEAR_M, FAR_M = 1.0, 80.0
MARKS_M = (1, 2, 5, 10, 20, 40, 80)


@dataclass(frozen=True)
class Seen:
    """A scene and what each model makes of it; errors are AbsRel (raw, median-scaled) per model, then the constant."""

    sample: Sample
    depths: list[Any]
    errors: list[tuple[float, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, nargs=2, metavar="MODEL")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=24, help="scenes of each style")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    predictors = [open_predictor(path, args.threads) for path in args.models]
    scenes = Drawn(args.count)
    samples = [sample for i in range(len(scenes)) if measured(sample := scenes[i])]
    constant = best_constant(samples)
    seen = [look(sample, [predict(sample).depth for predict in predictors], constant) for sample in samples]
    by_style = {style: [s for s in seen if s.sample.source == style] for style in HELD_OUT_STYLES}
    print(table(by_style, constant))
    first = [found[0] for found in by_style.values()]
    worst = [max(found, key=lambda s: s.errors[1][0]) for found in by_style.values()]
    for name, rows in {"comparison": first, "failures": worst}.items():
        with replacing(args.output / f"{name}.png") as temporary:
            sheet(rows).savefig(temporary, dpi=55, format="png")


def measured(sample: Sample) -> bool:
    return bool(((sample.depth >= NEAR_M) & (sample.depth <= FAR_M)).any())


def abs_rel(depth: Any, truth: Any) -> tuple[float, float]:
    raw, scaled = (depth_metrics(depth, truth, NEAR_M, FAR_M, median_scaled=s).abs_rel for s in (False, True))
    return raw, scaled


def look(sample: Sample, depths: list[Any], constant: float) -> Seen:
    answers = [*depths, np.full_like(sample.depth, constant)]
    return Seen(sample, depths, [abs_rel(depth, sample.depth) for depth in answers])


def best_constant(samples: Sequence[Sample]) -> float:
    """Metres; the one with the least mean raw AbsRel over these very scenes."""
    candidates = np.arange(2.0, 30.0, 0.5)
    errors = [[abs_rel(np.full_like(s.depth, c), s.depth)[0] for c in candidates] for s in samples]
    return float(candidates[np.argmin(np.mean(errors, 0))])


def table(by_style: dict[str, list[Seen]], constant: float) -> str:
    lines = [
        f"| style | N | before, raw | after, raw | {constant:g} m for all | before, scaled | after, scaled "
        "| any constant, scaled |",
        "|---|---|---|---|---|---|---|---|",
    ]
    everything = [s for found in by_style.values() for s in found]
    for style, found in {**by_style, "all": everything}.items():
        means = np.mean([s.errors for s in found], 0).T.ravel()
        lines.append(f"| {style} | {len(found)} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    return "\n".join(lines)


def sheet(rows: Sequence[Seen]) -> Any:
    heights = [4.0 * s.sample.camera.height / s.sample.camera.width + 0.3 for s in rows]
    figure, axes = plt.subplots(
        len(rows), 4, figsize=(16, sum(heights) + 0.8), layout="constrained", gridspec_kw={"height_ratios": heights}
    )
    norm = LogNorm(MARKS_M[0], MARKS_M[-1])
    colours = plt.get_cmap("turbo_r").with_extremes(over="black", bad="grey")
    for line, seen in zip(axes, rows, strict=True):
        (before, _), (after, _), _ = seen.errors
        titles = [seen.sample.name, "truth", f"before, raw AbsRel {before:.2f}", f"after, {after:.2f}"]
        line[0].imshow(seen.sample.image)
        for axis, depth in zip(line[1:], (seen.sample.depth, *seen.depths), strict=True):
            shown = axis.imshow(np.where(np.isposinf(depth), 1e9, depth), norm=norm, cmap=colours)
        for axis, title in zip(line, titles, strict=True):
            axis.set_title(title, fontsize=10)
            axis.set_axis_off()
    bar = figure.colorbar(shown, ax=axes, location="bottom", shrink=0.4, aspect=60, label="metres; black: sky")
    bar.set_ticks(list(MARKS_M), labels=[str(m) for m in MARKS_M])
    bar.ax.minorticks_off()
    return figure


if __name__ == "__main__":
    main()
