"""Motor homes and what is towed; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.lofts import plank, stack
from cloudypoints_training.scenes.motorcars import glass, lamp
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.utility import RED_WHITE, WHITE, any_colour, bed_load, livery, panel_van
from cloudypoints_training.scenes.vehicles import BLACK, TRIM, WHITE_PLATE, Vehicle, rim, wheels


def camper(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A motor home: a van's front under a bulging white body."""
    base = panel_van(np.random.default_rng(rng.integers(1 << 30)), lights)
    length, width, height = rng.uniform(5.9, 7.4), rng.uniform(2.15, 2.35), rng.uniform(2.7, 3.1)
    half, side = length / 2, width / 2
    parts = Parts()
    cut = base.rows[base.rows[:, p.CENTRE] > 0.12 * base.length]
    parts.place(cut[cut[:, p.HALF] < 0.4 * base.length], half - base.length / 2, 0.0, 0.0)
    skin = Paint(p.PANELS, (0.66, 0.65, 0.62), any_colour(rng, 0.4), (1.2, rng.uniform(0, 0.3)), gloss=0.4)
    front = half - 1.9
    stack(
        parts,
        [
            (0.4, -half, front, side), (1.9, -half, front, side), (2.05, -half, front + 0.75, side),
            (height - 0.2, -half + 0.04, front + 0.9, side), (height, -half + 0.25, front + 0.4, side - 0.15),
        ],
        skin,
    )  # fmt: skip
    plank(parts, [(front - 0.2, 0.4, 1.95, 0.95), (front + 0.9, 0.4, 1.9, 0.93), (half - 0.1, 0.4, 1.0, 0.9)], WHITE)
    panes = glass(rng)
    for x in (front - 0.7, -half + 1.0):
        parts.span((x - 0.45, x + 0.45), (-side - 0.02, side + 0.02), (1.4, 1.95), panes)
    parts.span((-half - 0.02, -half), (-0.6, 0.6), (1.5, 2.0), panes)
    parts.span((-half - 0.05, -half), (-side + 0.1, side - 0.1), (0.35, 0.6), TRIM)
    for s in (1, -1):
        parts.span(
            (-half - 0.03, -half),
            (s * 0.85 * side - 0.1, s * 0.85 * side + 0.1),
            (0.7, 0.9),
            lamp((0.4, 0.01, 0.01), 0.3),
        )
    if rng.random() < 0.6:  # an awning along the side, a rack with bicycles' outline at the rear
        parts.rod((-half + 0.5, -side - 0.06, height - 0.35), (front, -side - 0.06, height - 0.35), 0.08, WHITE)
    wheels(parts, [half - 0.95, -half + 1.7], width - 0.1, 0.34, 0.22, True, rim(rng))
    return Vehicle(parts.rows(), length, width, float(height))


def trailer(rng: np.random.Generator) -> Vehicle:
    """Something towed: a caravan, a box, a boat, a horse trailer or an open one."""
    kind = rng.choice(["caravan", "box", "open", "boat"])
    parts = Parts()
    long = rng.uniform(2.0, 3.0) if kind in ("open", "boat") else rng.uniform(2.6, 6.0)
    half, side = long / 2, rng.uniform(0.75, 1.1)
    top = {"caravan": rng.uniform(2.3, 2.6), "box": rng.uniform(1.5, 2.6), "open": 0.95, "boat": 1.3}[str(kind)]
    if kind == "caravan":
        stack(
            parts,
            [
                (0.4, -half + 0.1, half - 0.3, side), (1.1, -half, half, side),
                (top - 0.25, -half + 0.15, half - 0.5, side),
                (top, -half + 0.5, half - 0.9, side - 0.1),
            ],
            livery(rng, WHITE),
        )  # fmt: skip
        panes = glass(rng)
        parts.span((-half - 0.01, half + 0.01), (-side * 0.7, side * 0.7), (1.2, 1.75), panes, (0.3, 0.1, 0, 0))
        parts.span((-half * 0.5, half * 0.4), (-side - 0.01, side + 0.01), (1.25, 1.75), panes)
    elif kind == "box":
        parts.span((-half, half), (-side, side), (0.5, top), livery(rng, WHITE))
        parts.span((-half - 0.01, -half), (-side, side), (0.5, 0.62), RED_WHITE)
    elif kind == "open":
        parts.span((-half, half), (-side, side), (0.45, 0.55), TRIM)
        board = Paint(p.STRIPES, any_colour(rng, 0.4), (0.05, 0.05, 0.05), (0.16, 0.1, 1.0))
        for x in (-half, half):
            parts.span((x - 0.03, x + 0.03), (-side, side), (0.5, top), board)
        for y in (-side, side):
            parts.span((-half, half), (y - 0.03, y + 0.03), (0.5, top), board)
        bed_load(parts, rng, -half, half, side - 0.1, 0.55, top)
    else:
        hull = Paint(p.PLAIN, any_colour(rng), params=(0.1,), gloss=0.5)
        plank(parts, [(-half, 0.6, 1.2, 0.8), (0.2 * half, 0.6, 1.25, 0.85), (half + 0.6, 1.0, 1.35, 0.1)], hull)
        parts.span((-0.2, 0.5), (-0.5, 0.5), (1.2, 1.7), glass(rng), (0.6, 0, 0.1, 0.1))
    parts.rod((half, 0, 0.45), (half + 1.2, 0, 0.42), 0.05, BLACK)
    for s in (1, -1):
        y = s * (side - 0.12)
        parts.span((-half - 0.03, -half), (y - 0.1, y + 0.1), (0.5, 0.62), lamp((0.4, 0.01, 0.01), 0.4))
    parts.span((-half - 0.03, -half), (-0.26, 0.26), (0.42, 0.53), WHITE_PLATE)
    wheels(parts, [-0.1], 2 * side + 0.25, 0.3, 0.18, False, rim(rng))
    parts.span((-0.5, 0.3), (-side - 0.14, side + 0.14), (0.63, 0.67), BLACK)
    return Vehicle(parts.rows(), long + 1.2, 2 * side, float(top))
