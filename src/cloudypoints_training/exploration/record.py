"""A survey as one record: every figure of the report. JSON in all its parts."""

from __future__ import annotations

import math
from dataclasses import astuple
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_training.exploration.looks import BINS_PER_DECADE, NEAREST_M, bin_edges
from cloudypoints_training.exploration.tallies import Maps, Optics, Survey, Tally
from cloudypoints_training.exploration.trees import Tree

Array = npt.NDArray[Any]
Record = dict[str, Any]

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
GRID = (32, 16)  # columns and rows of the maps in the record
LEAST_VALID = 5  # how many frames with the fewest measurements are named


def summary(tree: Tree, survey: Survey, root: str, limit: int | None, seed: int) -> Record:
    """Lengths in metres, shares 0 to 1, None where a figure is undefined. By split, then by source."""
    counts = _counts(tree)
    tallies = {key: survey.tallies.get(key, Tally()) for key in counts}
    total = sum(tallies.values(), Tally())
    rigs = [_rig(camera, baseline, seen) for (camera, baseline), seen in survey.optics.items()]
    return {
        "root": root,
        "layout": tree.layout,
        "frames": {"found": len(tree.entries), "read": survey.read, "limit": limit, "seed": seed},
        "kinds": list(tree.kinds),
        "counts": _by_split(counts),
        "strays": tree.strays,
        "sizes": [{"width": w, "height": h, "frames": n} for (w, h), n in survey.sizes.most_common()],
        "colour": _colour(total),
        "rigs": sorted(rigs, key=lambda rig: (-rig["frames"], rig["sources"])),
        "bf_spread_percent": _spread_percent([rig["bf"] for rig in rigs if rig["bf"] is not None]),
        "validity": {"all": _validity(total), "splits": _by_split({k: _validity(t) for k, t in tallies.items()})},
        "least_measured": [{"name": name, "measured": share} for share, name in sorted(total.shares)[:LEAST_VALID]],
        "depth": {
            "edges_m": bin_edges().tolist(),
            "all": _depth(total),
            "splits": _by_split({k: _depth(t) for k, t in tallies.items()}),
        },
        "maps": [_map(maps) for maps in sorted(survey.maps.values(), key=lambda m: -m.frames)],
        "samples": [f"{entry.split}/{entry.source}/{entry.name}" for entry, _ in survey.samples],
        "broken": [{"frame": frame, "why": why} for frame, why in survey.broken],
    }


def quantile(histogram: Array, share: float) -> float | None:
    """The depth (metres) below which this share of the counted pixels lies, within a bin by its logarithm."""
    if not histogram.sum():
        return None
    below = np.concatenate([[0], np.cumsum(histogram)]) / histogram.sum()
    first = int(np.searchsorted(below, share, side="left"))
    place = first if first == 0 else first - 1 + (share - below[first - 1]) / (below[first] - below[first - 1])
    return float(NEAREST_M * 10 ** (place / BINS_PER_DECADE))


def _by_split(figures: dict[tuple[str, str], Any]) -> Record:
    nested: Record = {}
    for (split, source), figure in figures.items():
        nested.setdefault(split, {})[source] = figure
    return nested


def _counts(tree: Tree) -> dict[tuple[str, str], Record]:
    """Frames of each source, and how many of them have a file of each kind."""
    counts: dict[tuple[str, str], Record] = {}
    for entry in tree.entries:
        count = counts.setdefault((entry.split, entry.source), {"frames": 0, **dict.fromkeys(tree.kinds, 0)})
        for kind in ("frames", *entry.kinds):
            count[kind] += 1
    return counts


def _colour(tally: Tally) -> Record | None:
    """Mean and standard deviation of red, green and blue over the images' pixels, 0 to 1."""
    if not tally.colours:
        return None
    mean, square = np.mean(tally.colours, 0)
    return {"mean": mean.tolist(), "std": np.sqrt(np.maximum(square - mean**2, 0)).tolist()}


def _rig(camera: Camera, baseline: float | None, seen: Optics) -> Record:
    return {
        "width": camera.width,
        "height": camera.height,
        "fx": camera.fx,
        "fy": camera.fy,
        "cx": camera.cx,
        "cy": camera.cy,
        "hfov_deg": math.degrees(2 * math.atan(camera.width / 2 / camera.fx)),
        "baseline_m": baseline,
        "bf": None if baseline is None else baseline * camera.fx,
        "height_m": _range(seen.heights_m),
        "pitch_deg": _range(seen.pitches_deg),
        "frames": seen.frames,
        "sources": sorted(seen.sources),
    }


def _range(values: set[float]) -> list[float] | None:
    return [min(values), max(values)] if values else None


def _spread_percent(values: list[float]) -> float | None:
    """How much larger the largest is than the least."""
    return (max(values) / min(values) - 1) * 100 if values else None


def _validity(tally: Tally) -> Record | None:
    """Shares of all pixels; `frames` their number, and the least, median and greatest share measured of a frame."""
    if not tally.shares:
        return None
    pixels, *counts = astuple(tally.counts)
    shares = [share for share, _ in tally.shares]
    return {
        "frames": len(shares),
        **dict(zip(("measured", "infinite", "unseen", "kept"), (count / pixels for count in counts), strict=True)),
        "measured_by_frame": [min(shares), float(np.median(shares)), max(shares)],
    }


def _depth(tally: Tally) -> Record | None:
    """Pixels in each bin, and the depths below which QUANTILES of them lie."""
    if not tally.histogram.sum():
        return None
    quantiles = {f"{share:g}": quantile(tally.histogram, share) for share in QUANTILES}
    return {"pixels": tally.histogram.tolist(), "quantiles_m": quantiles}


def _map(maps: Maps) -> Record:
    """The mean shares of GRID's cells, row by row."""
    height, width = maps.measured.shape
    size = (min(GRID[0], width), min(GRID[1], height))
    grids = {
        name: cv2.resize(sums / maps.frames, size, interpolation=cv2.INTER_AREA).round(5).tolist()
        for name, sums in (("measured", maps.measured), ("kept", maps.kept))
    }
    return {"width": width, "height": height, "frames": maps.frames, **grids}
