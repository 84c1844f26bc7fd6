"""Lorry cabs; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.lofts import plank, stack
from cloudypoints_training.scenes.motorcars import glass, lamp
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.vehicles import BLACK, CHROME, TRIM, WHITE_PLATE

MESH = Paint(p.STRIPES, (0.015, 0.015, 0.015), (0.1, 0.1, 0.1), (0.12, 0.4, 1.0), gloss=0.2)


def flat_cab(
    parts: Parts, rng: np.random.Generator, front: float, side: float, height: float, paint: Paint, lights: float
) -> float:
    """A cab over the engine, its nose curved a little; returns where it ends at the rear."""
    long = rng.uniform(1.55, 2.35)
    back = front - long
    sill = rng.uniform(1.35, 1.6) if height < 2.8 else rng.uniform(1.75, 2.1)
    lean = rng.uniform(0.06, 0.22)
    top = min(height - 0.25, sill + rng.uniform(0.75, 1.0))
    stack(
        parts,
        [
            (0.42, back, front - 0.12, side - 0.03), (0.8, back, front, side), (sill, back, front - 0.03, side),
            (top, back, front - 0.03 - lean * (top - sill), side - 0.04),
            (height - 0.12, back + 0.03, front - 0.1 - 1.2 * lean * (height - sill), side - 0.1),
            (height, back + 0.15, front - 0.4 - 1.2 * lean * (height - sill), side - 0.3),
        ],
        paint,
    )  # fmt: skip
    panes = glass(rng)
    bend = 0.04 / (top - sill)
    parts.span((front - 0.5, front - 0.012), (-side + 0.1, side - 0.1), (sill, top), panes, (lean, 0, bend, bend))
    doors = front - 0.95 * min(1.0, long / 1.6)
    parts.span(
        (doors, front - 0.2), (-side - 0.005, side + 0.005), (sill - 0.1, top - 0.06), panes, (lean, 0, bend, bend)
    )
    low = rng.uniform(0.72, 0.9)
    wide = side * rng.uniform(0.6, 0.9)
    parts.span(
        (front - 0.1, front + 0.02),
        (-wide, wide),
        (low, sill - rng.uniform(0.15, 0.35)),
        MESH if rng.random() < 0.7 else paint,
    )
    if rng.random() < 0.5:
        parts.span((front - 0.1, front + 0.03), (-0.3, 0.3), (sill - 0.22, sill - 0.1), CHROME)
    bumper = TRIM if rng.random() < 0.5 else paint
    stack(parts, [(0.28, front - 0.3, front + 0.02, side - 0.06), (0.72, front - 0.3, front + 0.07, side)], bumper)
    for s in (1, -1):
        y = s * (side - rng.uniform(0.22, 0.3))
        parts.span(
            (front - 0.1, front + 0.08), (y - 0.17, y + 0.17), (0.5, 0.68), lamp((0.5, 0.52, 0.55), 0.2 + 9 * lights)
        )
        x = front - 0.12
        arm = s * (side + 0.16)
        parts.span((x - 0.06, x + 0.06), (arm - 0.11, arm + 0.11), (sill + 0.05, sill + rng.uniform(0.55, 0.85)), BLACK)
        parts.span((doors, doors + 0.03), (s * side - 0.012, s * side + 0.012), (0.5, sill), BLACK)
        for z in (0.42, 0.72):  # steps
            parts.span((front - 0.85, front - 0.3), (s * side - 0.012, s * side + 0.012), (z, z + 0.1), BLACK)
    if height > 2.9 and rng.random() < 0.6:
        parts.span(
            (front - 0.3, front + 0.1), (-side + 0.05, side - 0.05), (top + 0.02, top + 0.16), BLACK, (0.3, 0, 0, 0)
        )
    if rng.random() < 0.25:  # lamps or a beacon on the roof
        for y in (-0.7, -0.35, 0.35, 0.7):
            parts.ball((front - 0.6, y * side, height + 0.08), (0.07, 0.12, 0.12), lamp((0.6, 0.5, 0.2), 0.4))
    if rng.random() < 0.4:  # air deflector with its side wings
        stack(
            parts,
            [
                (height - 0.1, back + 0.1, front - 0.7, side - 0.15),
                (height + rng.uniform(0.3, 0.7), back, back + 0.25, side - 0.3),
            ],
            paint,
        )
    parts.span((front + 0.06, front + 0.09), (-0.26, 0.26), (0.34, 0.45), WHITE_PLATE)
    return back


def nosed_cab(
    parts: Parts, rng: np.random.Generator, front: float, side: float, height: float, paint: Paint, lights: float
) -> float:
    """A cab behind a bonnet; returns where it ends at the rear."""
    nose = rng.uniform(1.2, 2.0)
    foot = front - nose
    back = foot - rng.uniform(1.5, 3.0)
    hood = rng.uniform(1.45, 1.8)
    sill = hood + 0.1
    plank(
        parts,
        [
            (foot - 0.3, 0.6, hood + 0.08, side * 0.75), (foot + 0.3, 0.6, hood, side * 0.72),
            (front - 0.15, 0.6, hood - 0.15, side * 0.6), (front, 0.65, hood - 0.25, side * 0.55),
        ],
        paint,
    )  # fmt: skip
    parts.span(
        (front - 0.1, front + 0.02),
        (-side * 0.45, side * 0.45),
        (0.75, hood - 0.3),
        CHROME if rng.random() < 0.5 else MESH,
    )
    parts.span((front - 0.2, front + 0.14), (-side, side), (0.35, 0.7), CHROME if rng.random() < 0.5 else paint)
    slope = rng.uniform(0.2, 0.45)
    stack(
        parts,
        [
            (0.5, back, foot, side), (sill, back, foot, side - 0.02),
            (height - 0.1, back, foot - slope * (height - sill), side - 0.1),
            (height, back + 0.1, foot - 1.3, side - 0.3),
        ],
        paint,
    )  # fmt: skip
    panes, top = glass(rng), min(height - 0.2, sill + 0.8)
    parts.span((foot - 0.6, foot + 0.012), (-side + 0.14, side - 0.14), (sill, top), panes, (slope, 0, 0.05, 0.05))
    parts.span(
        (foot - 1.1, foot - 0.15), (-side + 0.01, side - 0.01), (sill - 0.08, top), panes, (slope, 0, 0.07, 0.07)
    )
    for s in (1, -1):
        y = s * side * 0.78
        parts.ball((front - 0.75, y, 0.85), (0.72, 0.24, 0.42), paint)
        parts.span(
            (front - 0.3, front - 0.02), (y - 0.14, y + 0.14), (0.8, 1.0), lamp((0.5, 0.52, 0.55), 0.2 + 9 * lights)
        )
        arm = s * (side + 0.18)
        parts.span((foot - 0.1, foot), (arm - 0.1, arm + 0.1), (sill, sill + 0.6), BLACK)
        if rng.random() < 0.5:
            parts.post(back + 0.1, s * (side - 0.05), (0.6, height + 0.4), 0.07, CHROME)
        parts.add(p.CYLINDER, (foot - 0.8, s * (side - 0.25), 0.72), (0.3, 0.3, 0.6), CHROME, p.ALONG)
    return back
