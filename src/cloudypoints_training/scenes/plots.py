"""Terraces, filling stations and building sites; frame as buildings.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.buildings import facade
from cloudypoints_training.scenes.fronts import BARS, STEEL, tiles, wall_and_paint
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.utility import any_colour


def terrace(rng: np.random.Generator, length: float) -> np.ndarray:
    """Small row houses, each with its door, bay window and a strip of garden behind a low wall."""
    parts = Parts()
    wide = rng.uniform(4.2, 6.5)
    wall, paint = wall_and_paint(rng)
    storey = rng.uniform(2.6, 3.1)
    for k in range(max(1, int(length // wide))):
        if rng.random() < 0.4:
            wall, paint = wall_and_paint(rng)
        x, high = -length / 2 + (k + 0.5) * wide, 2 * storey
        parts.box((x, 7.0, high / 2), (wide, 8.0, high), paint)
        if rng.random() < 0.5:
            parts.box((x, 7.0, high + 1.2), (wide, 8.6, 2.4), tiles(rng), slopes=(0, 0, 1.7, 1.7))
        else:
            lean = wide / 2 / 2.2
            parts.box((x, 7.0, high + 1.1), (wide + 0.3, 8.6, 2.2), tiles(rng), slopes=(lean, lean, 0, 0))
        parts.box(
            (x - 0.28 * wide, 2.6, 0.5 * storey * 0.9),
            (1.9, 0.9, storey * 0.9),
            facade(rng, wall, False, True),
            slopes=(0.1, 0.1, 0, 0.05),
        )
        parts.box((x + 0.28 * wide, 2.95, 1.05), (1.0, 0.12, 2.1), Paint(p.PLAIN, any_colour(rng, 0.5), params=(0.2,)))
        parts.box(
            (x - 0.15 * wide, 0.1, 0.4),
            (wide * 0.65, 0.22, rng.uniform(0.5, 1.2)),
            Paint(p.BRICK, wall, (0.4, 0.38, 0.35), (0.24, 0.08, 0.15)),
        )
        if rng.random() < 0.6:
            size = rng.uniform(0.4, 0.9)
            parts.ball(
                (x - 0.2 * wide, 1.3, size * 0.8),
                (size * 1.3, size, size),
                Paint(p.FOLIAGE, (0.02, 0.04, 0.01), (0.1, 0.16, 0.04), holes=p.LEAVES),
            )
    return parts.rows()


def station(rng: np.random.Generator, length: float) -> np.ndarray:
    """A filling station: a canopy on posts, pumps, a glazed shop, a tall price sign."""
    parts = Parts()
    brand = Paint(p.PANELS, any_colour(rng), any_colour(rng), (2.0, 0.3), gloss=0.4)
    high = rng.uniform(4.5, 5.5)
    parts.box((0, 7, high), (length * 0.85, 8, 0.8), brand)
    for x in (-0.3 * length, 0.3 * length):
        for y in (5, 9):
            parts.box((x, y, high / 2), (0.4, 0.4, high), STEEL)
        parts.box((x, 7, 0.9), (0.8, 0.5, 1.8), brand)
        parts.box((x, 7, 0.1), (1.6, 3.5, 0.2), STEEL)
    parts.box(
        (0, 16, 1.8),
        (length * 0.7, 6, 3.6),
        Paint(p.WINDOWS, (0.5, 0.5, 0.5), (0.03, 0.035, 0.04), (2.5, 3.4, 0.9, 0.8, 3.4, 0.0)),
    )
    parts.box((length * 0.45, 0.8, 3), (0.3, 1.8, 6), Paint(p.TEXT, any_colour(rng), (0.6, 0.6, 0.6), (0.5,)))
    return parts.rows()


def site(rng: np.random.Generator, length: float) -> np.ndarray:
    """A building under construction behind a hoarding: floors on columns, heaps, cabins, props."""
    parts = Parts()
    grey = Paint(p.NOISE, (0.38, 0.37, 0.35), (0.24, 0.23, 0.22), (0.02, 1.0, 0.3))
    board = (
        BARS,
        Paint(p.TEXT, (0.55, 0.55, 0.55), any_colour(rng), (0.5,)),
        Paint(p.STRIPES, any_colour(rng), (0.1, 0.08, 0.06), (0.3, 0.1, 0.0)),
    )
    parts.box((0, 0.1, 1.0), (length, 0.06, 2.0), board[int(rng.integers(3))])
    for level in range(int(rng.integers(0, 6))):
        z = 3.1 * (level + 1)
        parts.box((0, 9, z), (length * 0.9, 9, 0.3), grey)
        for k in range(int(length // 4) + 1):
            for y in (5.0, 12.5):
                parts.box((-length * 0.42 + 4 * k, y, z - 1.5), (0.4, 0.4, 3.0), grey)
    for _ in range(int(rng.integers(1, 4))):
        x, size = rng.uniform(-0.4, 0.4) * length, rng.uniform(0.8, 3)
        parts.ball(
            (x, rng.uniform(2, 5), 0),
            (size * 1.5, size, size * 0.8),
            Paint(p.NOISE, any_colour(rng, 0.3), (0.12, 0.1, 0.07), (0.03, 1.0, 2.0)),
        )
    parts.box(
        (rng.uniform(-0.3, 0.3) * length, 3.5, 1.3),
        (6, 2.4, 2.6),
        Paint(p.PANELS, any_colour(rng), (0.6, 0.6, 0.6), (0.28, 0.12, 1.0)),
    )
    return parts.rows()
