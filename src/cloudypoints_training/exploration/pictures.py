"""The report's pictures, each as the bytes of a PNG or JPEG file; None where there is nothing to see."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from cloudypoints_training.conversion import Settings
from cloudypoints_training.exploration.looks import Look
from cloudypoints_training.exploration.tallies import Maps
from cloudypoints_training.exploration.trees import Entry
from cloudypoints_training.masks import HOOD_SHARE

Array = npt.NDArray[Any]
Record = dict[str, Any]

MARKS_M = (2, 5, 10, 20, 40, 80)  # the ends and ticks of the depths' colours
_TICKS_M = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
MOST_BARS = 60  # sources of a split that a picture shows
SHEET_COLUMNS = 4
_WIDTH_IN, _BAR_IN, _DPI = 11.0, 0.23, 110
_LIGHT = "#dfe3e8"
_SPLIT_COLOURS = ("#1f5fa8", "#c9772b", "#4d8f4a", "#8a5fb0", "#a8465a")
# what became of the pixels, from the left of a bar to its right
_PARTS = (
    ("kept: metres for training", "#1f5fa8"),
    ("measured, but masked or infinitely far", "#9dbde0"),
    ("no measurement", _LIGHT),
)


def counts(record: Record) -> bytes:
    """A bar for each source, its length the number of frames; the part that has truth is dark."""
    truth = "disparity" if "disparity" in record["kinds"] else "depth"
    bars = _bars({split: _largest(sources) for split, sources in record["counts"].items()})
    figure, axes = _bar_figure(bars)
    for y, split, _, count in bars:
        colour = _colour(record, split)
        axes.barh(y, count["frames"], color=colour, alpha=0.3)
        axes.barh(y, count[truth], color=colour)
        axes.annotate(f"{count['frames']:,}", (count["frames"], y), (4, 0), textcoords="offset points", va="center")
    axes.margins(x=0.08)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(f"frames (dark: with {truth})")
    return _png(figure)


def validity(record: Record) -> bytes | None:
    """What became of each source's pixels, and between which shares its frames lie."""
    bars = _bars(_known(record["validity"]["splits"]))
    if not bars:
        return None
    figure, axes = _bar_figure(bars)
    for y, _, _, known in bars:
        edges = (0, known["kept"], known["measured"], 1)
        for (left, right), (_, colour) in zip(itertools.pairwise(edges), _PARTS, strict=True):
            axes.barh(y, 100 * (right - left), left=100 * left, color=colour)
        least, _, most = known["measured_by_frame"]
        axes.plot([100 * least, 100 * most], [y, y], "|-", color="black", linewidth=0.8, markersize=6)
    axes.set(
        xlim=(0, 100), xlabel="% of the pixels; black: how much is measured, from the least to the most measured frame"
    )
    handles = [plt.Rectangle((0, 0), 1, 1, color=colour) for _, colour in _PARTS]
    figure.legend(handles, [name for name, _ in _PARTS], loc="outside upper center", ncols=3, frameon=False)
    return _png(figure)


def depths(record: Record) -> bytes | None:
    """Depth histogram by split, and the middle half and nine tenths of each source."""
    known = _known(record["depth"]["splits"])
    bars = _bars(known)
    if not bars:
        return None
    height = 1.4 + _BAR_IN * (bars[-1][0] + 1)
    figure, axes = plt.subplots(1, 2, figsize=(_WIDTH_IN, max(height, 3.6)), layout="constrained")
    edges = np.array(record["depth"]["edges_m"])
    for split, sources in known.items():
        pixels = np.sum([depth["pixels"] for depth in sources.values()], 0)
        share = np.concatenate([pixels / pixels.sum(), [0]]) * 100
        axes[0].step(edges, share, where="post", color=_colour(record, split), label=split)
    axes[0].set(xscale="log", xlabel="depth [m]", ylabel="% of the pixels with depth", ylim=(0, None))
    axes[0].legend(frameon=False)
    for y, split, _, depth in bars:
        low, first, middle, third, high = depth["quantiles_m"].values()
        colour = _colour(record, split)
        axes[1].plot([low, high], [y, y], color=colour, linewidth=1)
        axes[1].plot([first, third], [y, y], color=colour, linewidth=5, alpha=0.6, solid_capstyle="butt")
        axes[1].plot(middle, y, "o", color="white", markeredgecolor=colour, markersize=5)
    _label_bars(axes[1], bars)
    axes[1].set(xscale="log", xlabel="depth [m]: median, middle half, nine tenths")
    seen = edges[np.flatnonzero(np.sum([np.array(d["pixels"]) for *_, d in bars], 0))]
    for each in axes:
        each.set_xticks(_TICKS_M, labels=[f"{tick:g}" for tick in _TICKS_M])
        each.minorticks_off()
        each.set_xlim(seen[0] / 1.1, seen[-1] * 1.1)
        each.grid(True, axis="x", color=_LIGHT, linewidth=0.6)
        each.set_axisbelow(True)
    return _png(figure)


def valid_map(maps: Maps, layout: str) -> bytes:
    """The mean share of measured and of kept pixels at each place of the image."""
    shares = {"measured": maps.measured / maps.frames, "kept: metres for training": maps.kept / maps.frames}
    height, width = maps.measured.shape
    figure, axes = plt.subplots(
        1, 2, figsize=(_WIDTH_IN, _WIDTH_IN / 2 * height / width + 1.0), layout="constrained", sharey=True
    )
    drawn, most = None, 100 * float(max(share.max() for share in shares.values()))
    for axis, (title, share) in zip(axes, shares.items(), strict=True):
        drawn = axis.imshow(100 * share, vmin=0, vmax=most, cmap="viridis", extent=(0, 100, 100, 0), aspect="auto")
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("% of the width")
    axes[0].set_ylabel("% of the height")
    if layout == "cityscapes":  # what the masks take of frames without labels
        axes[0].axhline(100 * (1 - HOOD_SHARE), color="white", linestyle="--", linewidth=1)
        axes[0].axvline(100 * Settings.strip, color="white", linestyle="--", linewidth=1)
    figure.colorbar(drawn, ax=list(axes), label="% of the frames", pad=0.01)
    return _png(figure)


def sheet(samples: Sequence[tuple[Entry, Look]]) -> bytes | None:
    """Images above their depth in colour, with one scale in metres; a JPEG."""
    if not samples:
        return None
    columns = min(SHEET_COLUMNS, len(samples))
    rows = -(-len(samples) // columns)
    with_depth = any(look.depth is not None for _, look in samples)
    shapes = [look.thumbnail.shape for _, look in samples if look.thumbnail is not None]
    shape = max(height / width for height, width, _ in shapes)
    cell = _WIDTH_IN * 1.4 / SHEET_COLUMNS
    size = (cell * columns, rows * (cell * shape * (1 + with_depth) + 0.3) + 0.7 * with_depth)
    figure, axes = plt.subplots(rows * (1 + with_depth), columns, figsize=size, squeeze=False, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    drawn = None
    for axis in axes.flat:
        axis.set_axis_off()
    for i, (entry, look) in enumerate(samples):
        row, column = divmod(i, columns)
        above = axes[row * (1 + with_depth), column]
        above.imshow(look.thumbnail)
        above.set_title(entry.name, fontsize=9)
        if look.depth is not None:
            drawn = _draw_depth(axes[row * 2 + 1, column], look.depth)
    if drawn is not None:
        bar = figure.colorbar(drawn, ax=axes, location="bottom", shrink=0.5, aspect=60, pad=0.01)
        bar.set_ticks(list(MARKS_M), labels=[f"{mark} m" for mark in MARKS_M])
        bar.ax.minorticks_off()
        bar.set_label("grey: unknown, black: infinitely far")
    return _saved(figure, "jpg")


def _draw_depth(axis: Any, depth: Array) -> Any:
    """Depths beyond the scale in its last colour, sky black, unknown grey."""
    shown = np.where(np.isposinf(depth), 1e9, np.minimum(depth, MARKS_M[-1]))
    colours = matplotlib.colormaps["turbo_r"].with_extremes(bad="#808080", over="black")
    return axis.imshow(shown, norm=LogNorm(MARKS_M[0], MARKS_M[-1]), cmap=colours, interpolation="nearest")


Bar = tuple[float, str, str, Any]  # where it lies, its split, its source, its figures


def _bars(figures: Record) -> list[Bar]:
    """The sources from the top, with room between the splits."""
    bars: list[Bar] = []
    y = 0.0
    for split, sources in figures.items():
        for source, figure in sources.items():
            bars.append((y, split, source, figure))
            y += 1
        y += 0.7
    return bars


def _known(figures: Record) -> Record:
    """Only sources that have a figure, of each split the first MOST_BARS."""
    kept = {split: {s: f for s, f in sources.items() if f is not None} for split, sources in figures.items()}
    return {split: dict(list(sources.items())[:MOST_BARS]) for split, sources in kept.items() if sources}


def _largest(sources: Record) -> Record:
    order = sorted(sources.items(), key=lambda item: (-item[1]["frames"], item[0]))
    return dict(order[:MOST_BARS])


def _bar_figure(bars: Sequence[Bar]) -> tuple[Figure, Any]:
    figure, axes = plt.subplots(figsize=(_WIDTH_IN, 1.0 + _BAR_IN * (bars[-1][0] + 1)), layout="constrained")
    _label_bars(axes, bars)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _label_bars(axes: Any, bars: Sequence[Bar]) -> None:
    split_of = [split for _, split, _, _ in bars]
    several = len(set(split_of)) > 1
    axes.set_yticks(
        [y for y, *_ in bars], [f"{split}  {source}" if several else source for _, split, source, _ in bars]
    )
    axes.set_ylim(bars[-1][0] + 0.7, -0.7)
    axes.tick_params(axis="y", length=0)


def _colour(record: Record, split: str) -> str:
    return _SPLIT_COLOURS[list(record["counts"]).index(split) % len(_SPLIT_COLOURS)]


def _png(figure: Figure) -> bytes:
    return _saved(figure, "png")


def _saved(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_DPI)
    plt.close(figure)
    return buffer.getvalue()
