"""What figures cannot show: the best, median and worst images, and curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import cv2
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm, TwoSlopeNorm
from matplotlib.figure import Figure

from cloudypoints_ros.files import replacing
from cloudypoints_training.datasets import DepthDataset
from cloudypoints_training.evaluation.boundary import dense
from cloudypoints_training.evaluation.evaluate import Evaluation
from cloudypoints_training.evaluation.flicker import Flicker
from cloudypoints_training.evaluation.floors import FLOORS
from cloudypoints_training.evaluation.predictors import Predictor

Array = npt.NDArray[Any]
Record = dict[str, Any]

OF_EACH = 2  # best, median and worst images
_COLUMN_IN = 4.5
MARKS_M = (1, 2, 5, 10, 20, 40, 80)
_COLOURS = {"model": "#1f5fa8", "constant": "#999999", "row_mean": "#c98a2b", "flat_road": "#6a9a58"}


def write_pictures(
    record: Record, evaluation: Evaluation, samples: DepthDataset, predictor: Predictor, out: Path
) -> None:
    """sheet.png, by_distance.png, by_row.png and, where there is something to see, calibration.png, corruptions.png."""
    _save(_sheet(record, evaluation, samples, predictor), out / "sheet.png")
    for name, picture in _PICTURES.items():
        figure = picture(record)
        if figure is not None:
            _save(figure, out / f"{name}.png")


def chosen(errors: Sequence[float]) -> list[tuple[str, int]]:
    """Which images stand for all: best, median and worst by error, OF_EACH of each, no image twice."""
    order = [int(i) for i in np.argsort(errors)]
    middle = max(0, (len(order) - OF_EACH) // 2)
    places = [("best", order[:OF_EACH]), ("median", order[middle : middle + OF_EACH]), ("worst", order[-OF_EACH:])]
    seen: dict[int, str] = {}
    for word, indices in places:
        for index in indices:
            seen.setdefault(index, word)
    return [(word, index) for index, word in seen.items()]


def flicker_picture(found: Flicker, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 3), layout="constrained")
    axes.plot(found.scales, color=_COLOURS["model"])
    axes.axhline(1, color=_COLOURS["constant"], linewidth=0.8)
    axes.set(xlabel="frame", ylabel="predicted / assumed distance", title="Scale of the road ahead")
    _save(figure, path)


def _sheet(record: Record, evaluation: Evaluation, samples: DepthDataset, predictor: Predictor) -> Figure:
    kind = evaluation.protocol.headline
    rows = chosen([image.model.figures[f"{kind}/abs_rel"] for image in evaluation.images])
    cameras = [samples[evaluation.survey.indices[at]].camera for _, at in rows]
    heights = [_COLUMN_IN * camera.height / camera.width + 0.35 for camera in cameras]
    size = (4 * _COLUMN_IN, sum(heights) + 1.3)
    ratios = {"height_ratios": heights}
    figure, axes = plt.subplots(len(rows), 4, figsize=size, squeeze=False, layout="constrained", gridspec_kw=ratios)
    depth_norm, error_norm = LogNorm(MARKS_M[0], MARKS_M[-1]), TwoSlopeNorm(0, -1, 1)
    depths = errors = None
    for line, (word, at) in zip(axes, rows, strict=True):
        sample = samples[evaluation.survey.indices[at]]
        score = evaluation.images[at].model.figures
        prediction = predictor(sample).depth
        truth = evaluation.protocol.region(sample.depth)
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.where(np.isfinite(truth), np.log2(prediction / truth), np.nan)
        if not dense(truth):
            truth, error = _thick(truth), _thick(error)
        line[0].imshow(sample.image)
        line[0].set_title(
            f"{word}: {sample.name}, AbsRel raw {score['raw/abs_rel']:.3f}, scaled {score['scaled/abs_rel']:.3f}",
            fontsize=9,
        )
        for axis, depth, title in ((line[1], prediction, "prediction"), (line[2], truth, "truth")):
            depths = axis.imshow(_sky_black(depth), norm=depth_norm, cmap=_cmap("turbo_r"), interpolation="nearest")
            axis.set_title(title, fontsize=9)
        errors = line[3].imshow(np.clip(error, -1, 1), norm=error_norm, cmap=_cmap("RdBu"), interpolation="nearest")
        line[3].set_title("red: too near, blue: too far", fontsize=9)
        for axis in line:
            axis.set_axis_off()
    bar = figure.colorbar(depths, ax=axes[:, 1:3], location="bottom", shrink=0.5, aspect=50, label="metres")
    bar.set_ticks(list(MARKS_M), labels=[str(m) for m in MARKS_M])
    bar.ax.minorticks_off()
    bar = figure.colorbar(errors, ax=axes[:, 3], location="bottom", shrink=0.8, aspect=40, label="predicted / true")
    bar.set_ticks([-1, 0, 1], labels=["half or less", "1", "twice or more"])
    figure.suptitle(f"{record['model']} on {record['data']}, {len(evaluation.images)} images")
    return figure


def _by_distance(record: Record) -> Figure:
    group = record["by_distance"]
    edges = group["edges_m"]
    names = [f"{a:g}-{b:g} m\nN {n}" for a, b, n in zip(edges[:-1], edges[1:], group["images"], strict=True)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
    for name, values in {"model": group["abs_rel"], **group["floors"]}.items():
        left.plot(names, _numbers(values), "o-", color=_COLOURS[name], label=FLOORS.get(name, "model"))
    left.set(title="raw AbsRel by true distance", ylim=(0, _top(group)))
    left.legend(fontsize=8)
    right.plot(names, _numbers(group["ratio"]), "o-", color=_COLOURS["model"])
    right.axhline(1, color=_COLOURS["constant"], linewidth=0.8)
    right.set(title="predicted / true")
    return figure


def _by_row(record: Record) -> Figure:
    group = record["by_row"]
    middle = (np.arange(group["bands"]) + 0.5) * 100 / group["bands"]
    figure, axes = plt.subplots(figsize=(5, 4.5), layout="constrained")
    for name, values in {"model": group["abs_rel"], **group["floors"]}.items():
        axes.plot(_numbers(values), middle, "o-", color=_COLOURS[name], label=FLOORS.get(name, "model"))
    axes.set(title="raw AbsRel by image row", ylabel="% of the image's height from the top", xlim=(0, _top(group)))
    axes.invert_yaxis()
    axes.legend(fontsize=8)
    return figure


def _calibration(record: Record) -> Figure | None:
    known = record["calibration"]
    if known is None:
        return None
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot([0, 1], [0, 1], color=_COLOURS["constant"], linewidth=0.8, label="as it should be")
    left.plot(known["levels"], known["coverage"], "o-", color=_COLOURS["model"], label="model")
    left.set(title=f"coverage (N {known['images']})", xlabel="interval", ylabel="true depths inside")
    left.legend(fontsize=8)
    right.plot(known["removed"], known["curve"], color=_COLOURS["model"], label="by predicted variance")
    right.plot(known["removed"], known["oracle"], color=_COLOURS["flat_road"], label="by true error")
    right.axhline(known["curve"][0], color=_COLOURS["constant"], linewidth=0.8, label="no order")
    right.set(title="sparsification", xlabel="share of pixels taken away", ylabel="raw AbsRel of the rest")
    right.set_ylim(bottom=0)
    right.legend(fontsize=8)
    return figure


def _corruptions(record: Record) -> Figure | None:
    spoilt = record["corruptions"]
    if spoilt is None:
        return None
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    for name, errors in spoilt["abs_rel"].items():
        axes.plot([0, *map(int, errors)], [spoilt["clean_abs_rel"], *errors.values()], "o-", label=name)
    floor = record["mean_over_sources"]["best_constant"]["raw"]
    axes.axhline(floor, color=_COLOURS["constant"], linestyle="--", label=FLOORS["constant"])
    axes.set(title="corruptions", xlabel="severity, 0 clean", ylabel="raw AbsRel")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    return figure


_PICTURES: dict[str, Callable[[Record], Figure | None]] = {
    "by_distance": _by_distance,
    "by_row": _by_row,
    "calibration": _calibration,
    "corruptions": _corruptions,
}


def _cmap(name: str) -> Any:
    """Grey where unknown, black where sky."""
    return matplotlib.colormaps[name].with_extremes(bad="#808080", over="black")


def _sky_black(depth: Array) -> Array:
    """Depths beyond the scale in its last colour, +inf beyond it."""
    return np.where(np.isposinf(depth), 1e9, np.minimum(depth, MARKS_M[-1]))


def _thick(sparse: Array) -> Array:
    """A scan whose points can be seen: each known value over its unknown neighbours, the least where they meet."""
    known = np.where(np.isnan(sparse), np.inf, sparse).astype(np.float32)
    side = max(3, sparse.shape[1] // 250)
    thick = cv2.erode(known, np.ones((side, side)))
    return np.where(np.isfinite(thick), thick, np.nan)


def _numbers(values: Sequence[float | None]) -> list[float]:
    return [np.nan if v is None else v for v in values]


def _top(group: Record) -> float:
    """A scale that a floor far off does not spoil."""
    return float(1.5 * max(np.nanmax(_numbers(group["abs_rel"])), np.nanmax(_numbers(group["floors"]["constant"]))))


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=90)
    plt.close(figure)
