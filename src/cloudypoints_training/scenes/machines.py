"""Trams and working machines; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.cabs import MESH
from cloudypoints_training.scenes.lofts import plank, stack
from cloudypoints_training.scenes.motorcars import glass, lamp
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.utility import any_colour
from cloudypoints_training.scenes.vehicles import BLACK, TRIM, Vehicle, rim, wheels

_STEEL = Paint(p.PLAIN, (0.06, 0.06, 0.062), params=(0.4,))


def tram(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A tram of two to four sections."""
    parts = Parts()
    sections = int(rng.integers(2, 5))
    each, side, height = rng.uniform(6, 9), 1.25, rng.uniform(3.3, 3.6)
    half = sections * each / 2
    skin, panes = Paint(p.PANELS, any_colour(rng), any_colour(rng), (2.0, 0.3), gloss=0.4), glass(rng)
    for k in range(sections):
        rear, front = -half + k * each + 0.3, -half + (k + 1) * each - 0.3
        nose, tail = 0.5 * (k == sections - 1), 0.5 * (k == 0)
        stack(
            parts,
            [
                (0.12, rear, front, side - 0.03), (0.9, rear, front, side),
                (2.6, rear + 0.6 * tail, front - 0.6 * nose, side),
                (height, rear + 1.6 * tail, front - 1.6 * nose, side - 0.15),
            ],
            skin,
        )  # fmt: skip
        parts.span((rear + 0.2, front - 0.2), (-side - 0.008, side + 0.008), (0.95, 2.5), panes)
        parts.span(
            (rear + 0.3 - 0.32 * (k == 0), front - 0.3 + 0.32 * (k == sections - 1)),
            (-side + 0.12, side - 0.12),
            (1.0, 2.5),
            panes,
            (0.35 * (nose > 0), 0.35 * (tail > 0), 0, 0),
        )
        parts.span((rear - 0.6, rear), (-side + 0.06, side - 0.06), (0.3, height - 0.1), BLACK)
        for x in (rear + 0.3 * each, rear + 0.7 * each):
            parts.span((x - 0.6, x + 0.6), (-side - 0.014, side + 0.014), (0.25, 2.3), panes)
        parts.span((rear + 0.5, front - 0.5), (-0.7, 0.7), (height - 0.05, height + 0.35), TRIM)
    for s in (1, -1):
        parts.span(
            (half - 0.5, half - 0.25),
            (s * 0.8 - 0.15, s * 0.8 + 0.15),
            (0.6, 0.75),
            lamp((0.5, 0.52, 0.55), 0.3 + 9 * lights),
        )
        parts.span(
            (-half + 0.25, -half + 0.5),
            (s * 0.8 - 0.15, s * 0.8 + 0.15),
            (0.6, 0.75),
            lamp((0.4, 0.01, 0.01), 0.4 + 2 * lights),
        )
    return Vehicle(parts.rows(), 2 * half, 2 * side, float(height))


def machine(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A tractor, wheel loader or excavator."""
    kind = str(rng.choice(["tractor", "loader", "excavator"]))
    colour = {"tractor": any_colour(rng, 0.5), "loader": (0.6, 0.38, 0.02), "excavator": (0.6, 0.3, 0.02)}[kind]
    paint, panes = Paint(p.PLAIN, colour, params=(0.4,), gloss=0.3), glass(rng)
    parts = Parts()
    tyre = rim(rng, lorry=True)
    if kind == "excavator":
        for s in (1, -1):
            plank(
                parts,
                [(-1.9, 0.3, 0.6, 0.3), (-1.6, 0.0, 0.85, 0.3), (1.6, 0.0, 0.85, 0.3), (1.9, 0.3, 0.6, 0.3)],
                _STEEL,
                s * 1.05,
            )
        parts.span((-1.9, 1.2), (-1.3, 1.3), (1.0, 1.9), paint)
        parts.span((-2.2, -1.2), (-1.3, 1.3), (0.95, 2.2), paint, (0, 0.1, 0.1, 0.1))
        parts.span((-0.2, 1.3), (0.3, 1.3), (1.3, 2.9), panes, (0.15, 0, 0.05, 0.05))
        knee = (rng.uniform(2.2, 3.2), -0.2, rng.uniform(3.2, 4.6))
        hand = (knee[0] + rng.uniform(1.0, 2.0), -0.2, rng.uniform(0.8, 2.6))
        parts.rod((0.8, -0.2, 1.6), knee, 0.22, paint, p.BOX)
        parts.rod(knee, hand, 0.17, paint, p.BOX)
        parts.box((hand[0], -0.2, hand[2] - 0.3), (0.9, 1.1, 0.8), _STEEL, 0.0, (0.3, 0, 0, 0))
        rows = parts.rows()
        return Vehicle(rows, 5.5, 2.7, p.top_of(rows))
    big, small = rng.uniform(0.75, 0.95), rng.uniform(0.45, 0.75)
    if kind == "loader":
        small = big
    parts.span((-0.6, 1.9), (-0.42, 0.42), (0.75, 1.5), paint, (0.15, 0, 0.1, 0.1))
    parts.span((1.85, 1.93), (-0.35, 0.35), (0.85, 1.4), MESH)
    parts.span((-1.4, 0.3), (-0.75, 0.75), (1.1, 2.75), panes, (0.1, 0.05, 0.08, 0.08))
    parts.span((-1.4, 0.15), (-0.72, 0.72), (2.65, 2.85), paint)
    for x in (-1.3, -0.5, 0.2):
        parts.span((x - 0.05, x + 0.05), (-0.76, 0.76), (1.1, 2.7), BLACK, (0, 0, 0.08, 0.08))
    parts.post(1.2, 0.2, (1.4, 2.3), 0.05, BLACK)
    wheels(parts, [-0.9], 2.2, big, 0.5, False, tyre)
    wheels(parts, [1.45], 1.9, small, 0.35, False, tyre)
    for s in (1, -1):
        parts.span((-1.7, -0.1), (s * 0.85 - 0.25, s * 0.85 + 0.25), (2 * big - 0.05, 2 * big + 0.04), paint)
        parts.span((-1.75, -1.65), (s * 0.7 - 0.1, s * 0.7 + 0.1), (1.3, 1.45), lamp((0.4, 0.01, 0.01), 0.4))
        parts.span(
            (1.8, 1.94), (s * 0.25 - 0.08, s * 0.25 + 0.08), (1.25, 1.38), lamp((0.5, 0.5, 0.5), 0.3 + 9 * lights)
        )
    if kind == "loader" or rng.random() < 0.3:
        for s in (1, -1):
            parts.rod((0.6, s * 0.5, 1.5), (2.6, s * 0.5, 0.7), 0.09, paint)
        parts.box((3.0, 0, 0.6), (0.8, 2.3, 0.9), _STEEL, 0.0, (0, 0.4, 0, 0))
    rows = parts.rows()
    return Vehicle(rows, 4.4, 2.3, p.top_of(rows))
