"""What spans a road: bridges, gantries, wires, tunnels; the road runs along x through the origin. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import furniture
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.utility import any_colour

_STEEL = Paint(p.PLAIN, (0.3, 0.31, 0.32), params=(0.3,), gloss=0.2)
_CONCRETE = Paint(p.NOISE, (0.36, 0.35, 0.33), (0.22, 0.21, 0.2), (0.02, 1.0, 0.3))


def gantry(rng: np.random.Generator, half: float) -> np.ndarray:
    """Signs on a beam across the carriageway, `half` metres to either side."""
    parts = Parts()
    high = rng.uniform(5.2, 7)
    for y in (-half - 0.6, half + 0.6):
        parts.post(0, y, (0, high + 0.6), 0.18, _STEEL)
    for z in (high, high + 0.6):
        parts.box((0, 0, z), (0.2, 2 * half + 1.2, 0.14), _STEEL)
    for _ in range(int(rng.integers(1, 4))):
        wide, tall, y = rng.uniform(2, 4.5), rng.uniform(1.2, 3.2), rng.uniform(-0.8, 0.8) * half
        board = ((0.02, 0.09, 0.35), (0.02, 0.2, 0.08), (0.6, 0.6, 0.6), (0.02, 0.02, 0.02))[rng.integers(4)]
        parts.box(
            (-0.2, y, high + 0.3), (0.12, wide, tall), Paint(p.TEXT, board, (0.6, 0.6, 0.6), (rng.uniform(0.25, 0.5),))
        )
    return parts.rows()


def footbridge(rng: np.random.Generator, half: float) -> np.ndarray:
    """A narrow bridge with railings or glass, on legs with stairs."""
    parts = Parts()
    high, deep = rng.uniform(4.8, 6.2), rng.uniform(2, 4)
    deck = _CONCRETE if rng.random() < 0.5 else Paint(p.PLAIN, any_colour(rng), params=(0.3,))
    parts.box((0, 0, high), (deep, 2 * half + 8, 0.5), deck)
    side = (
        Paint(p.PLAIN, (0.05, 0.05, 0.05), params=(0.1, 0, 0, 0, 0.13, 0.2), holes=p.BARS)
        if rng.random() < 0.6
        else Paint(p.GLASS, (0.03, 0.04, 0.04), gloss=0.8)
    )
    for x in (-deep / 2, deep / 2):
        parts.box((x, 0, high + 0.9), (0.08, 2 * half + 8, 1.3), side)
    for s in (1, -1):
        parts.box((0, s * (half + 3), high / 2), (0.7, 0.7, high), _CONCRETE)
        parts.rod((deep / 2 + 0.8, s * (half + 3.5), high), (deep / 2 + 9, s * (half + 3.5), 0), 0.5, deck, p.BOX)
    return parts.rows()


def wires(rng: np.random.Generator, half: float, length: float) -> np.ndarray:
    """Tram or trolley wires along and across the road from x = 0 to `length`, on poles."""
    parts = Parts()
    high, y0 = rng.uniform(5.5, 6.5), rng.uniform(-0.5, 0.5) * half
    wire = Paint(p.PLAIN, (0.03, 0.03, 0.03))
    for y in (y0, y0 + rng.uniform(0.5, 3.5)):
        parts.rod((0, y, high), (length, y, high), 0.015, wire)
    for k in range(int(length // 28) + 1):
        x = 28.0 * k + 4
        for y in (-half - 0.7, half + 0.7):
            parts.post(x, y, (0, high + 1.2), 0.11, _STEEL)
        parts.rod((x, -half - 0.7, high + 0.9), (x, half + 0.7, high + 0.9), 0.015, wire)
    return parts.rows()


def tunnel(rng: np.random.Generator, half: float, start: float, end: float) -> np.ndarray:
    """Walls, a ceiling with rows of lamps, kerbs, niches, from x = start to end."""
    parts = Parts()
    high, middle, length = rng.uniform(4.6, 6.0), 0.5 * (start + end), end - start
    tiles = (
        Paint(p.BRICK, (0.5, 0.5, 0.48), (0.3, 0.3, 0.3), (0.6, 0.6, 0.03)),
        Paint(p.PANELS, (0.4, 0.41, 0.4), (0.3, 0.3, 0.3), (2.5, 0.0)),
        _CONCRETE,
    )[rng.integers(3)]
    for s in (1, -1):
        y = s * (half + 1.2)
        parts.box((middle, y + s * 4, high / 2 + 1), (length, 8, high + 6), _CONCRETE)
        parts.box((middle, y - s * 0.02, 0.3 * high), (length, 0.1, 0.6 * high), tiles)
        for x in np.arange(start + 12, end, 24.0):
            parts.box((float(x), y - s * 0.06, 1.1), (1.2, 0.1, 2.2), Paint(p.PLAIN, (0.02, 0.2, 0.08)))
    parts.box((middle, 0, high + 1), (length, 2 * half + 3, 2), _CONCRETE)
    glow = Paint(p.LIGHT, (1.0, 0.85, 0.6), params=(3.0,))
    for x in np.arange(start + 3, end, 7.0):
        for y in (-0.45 * half, 0.45 * half):
            parts.box((float(x), float(y), high - 0.05), (1.4, 0.25, 0.12), glow)
    return parts.rows()


def any_bridge(rng: np.random.Generator, half: float, highway: bool) -> np.ndarray:
    """Something that spans the road."""
    kind = rng.random()
    if highway and kind < 0.45:
        return gantry(rng, half)
    return furniture.overpass(rng, half) if kind < 0.75 else footbridge(rng, half)
