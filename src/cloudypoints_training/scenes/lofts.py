"""Bodies drawn as boatbuilders do: cross sections, with straight planks between them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from cloudypoints_training.scenes.primitives import BOX, Paint, Parts

_FORWARD = (0, 0, 1, 1, 0, 0, 0, 1, 0)  # local z along x, local x along y, local y up
Level = tuple[float, float, float, float]
"""z, rearmost x, foremost x, half width."""
Station = tuple[float, float, float, float]
"""x, lowest z, highest z, half width."""


def stack(parts: Parts, levels: Sequence[Level], paint: Paint, y: float = 0.0) -> None:
    """Boxes between horizontal sections, lowest first; their sides lean as the sections demand."""
    for (z0, rear0, front0, wide0), (z1, rear1, front1, wide1) in pairwise(levels):
        tall = z1 - z0
        lean = (wide0 - wide1) / tall
        parts.span(
            (rear0, front0), (y - wide0, y + wide0), (z0, z1), paint,
            ((front0 - front1) / tall, (rear1 - rear0) / tall, lean, lean),
        )  # fmt: skip


def plank(parts: Parts, stations: Sequence[Station], paint: Paint, y: float = 0.0) -> None:
    """Boxes between upright sections, rearmost first; seen from above and from the side they taper."""
    for (x0, low0, high0, wide0), (x1, low1, high1, wide1) in pairwise(stations):
        run = x1 - x0
        narrow = (wide0 - wide1) / run
        parts.add(
            BOX, ((x0 + x1) / 2, y, (low0 + high0) / 2), (wide0, (high0 - low0) / 2, run / 2), paint, _FORWARD,
            (narrow, narrow, (high0 - high1) / run, (low1 - low0) / run),
        )  # fmt: skip
