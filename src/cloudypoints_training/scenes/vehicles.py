"""Vehicles in their own frame: x forward, y left, z up, origin on the ground under the middle. Metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.people import rider
from cloudypoints_training.scenes.primitives import Paint, Parts

RUBBER = (0.02, 0.02, 0.021)
BLACK = Paint(p.PLAIN, (0.015, 0.015, 0.016), params=(0.3,))
TRIM = Paint(p.PLAIN, (0.035, 0.035, 0.037), params=(0.3,), gloss=0.15)
GLASS = Paint(p.GLASS, (0.022, 0.026, 0.028), gloss=1.0)
CHROME = Paint(p.PLAIN, (0.45, 0.46, 0.47), gloss=0.6)
WHITE_PLATE = Paint(p.PLATE, (0.62, 0.62, 0.6), (0.02, 0.02, 0.03))
YELLOW_PLATE = Paint(p.PLATE, (0.65, 0.48, 0.04), (0.02, 0.02, 0.03))

CAR_COLOURS = (
    (0.62, 0.62, 0.61), (0.7, 0.71, 0.7), (0.36, 0.37, 0.38), (0.2, 0.205, 0.21), (0.09, 0.092, 0.098),
    (0.018, 0.018, 0.02), (0.022, 0.024, 0.03), (0.03, 0.05, 0.16), (0.06, 0.13, 0.32), (0.35, 0.02, 0.02),
    (0.2, 0.012, 0.02), (0.25, 0.21, 0.15), (0.04, 0.09, 0.05), (0.5, 0.2, 0.02), (0.6, 0.45, 0.03),
    (0.1, 0.2, 0.22), (0.12, 0.07, 0.04),
)  # fmt: skip
_COLOUR_WEIGHTS = np.array([5, 5, 5, 4, 4, 5, 3, 2.5, 2, 2.5, 1, 1.2, 0.8, 0.7, 0.6, 0.7, 0.6])
LORRY_COLOURS = (*CAR_COLOURS[:5], (0.05, 0.12, 0.4), (0.45, 0.03, 0.03), (0.5, 0.3, 0.02), (0.05, 0.25, 0.1))


@dataclass(frozen=True)
class Vehicle:
    """Primitives and the footprint they fill."""

    rows: np.ndarray  # (N, COLUMNS)
    length: float
    width: float
    height: float


def car_paint(rng: np.random.Generator) -> Paint:
    """A body colour as seen on streets: mostly white, grey and black."""
    pick = rng.choice(len(CAR_COLOURS), p=_COLOUR_WEIGHTS / _COLOUR_WEIGHTS.sum())
    colour = tuple(float(c * rng.uniform(0.8, 1.2)) for c in CAR_COLOURS[pick])
    return Paint(p.PLAIN, colour, params=(rng.uniform(0.05, 0.3),), gloss=rng.uniform(0.35, 0.9))  # type: ignore[arg-type]


def wheels(
    parts: Parts, axles: list[float], track: float, radius: float, width: float, arch: bool, tyre: Paint
) -> None:
    """Wheels whose outer faces lie at +-track/2, with dark arches behind them."""
    for x in axles:
        for side in (1, -1):
            y = side * (track / 2 - width / 2)
            if arch:
                parts.add(
                    p.CYLINDER, (x, side * (track / 2 - width / 2 - 0.012), radius * 1.16),
                    (radius * 1.14, radius * 1.14, width / 2), BLACK, p.ACROSS,
                )  # fmt: skip
            parts.add(p.CYLINDER, (x, y, radius), (radius, radius, width / 2), tyre, p.ACROSS)


def rim(rng: np.random.Generator, lorry: bool = False) -> Paint:
    tone = rng.uniform(0.25, 0.55) if rng.random() < 0.8 else rng.uniform(0.03, 0.1)
    spokes = -1.1 if lorry and rng.random() < 0.5 else rng.uniform(-0.6, 0.3)
    return Paint(p.WHEEL, RUBBER, (tone, tone, tone * 1.02), (spokes,))


def two_wheeler(rng: np.random.Generator, lights: float = 0.0, ridden: bool | None = None) -> Vehicle:
    """A bicycle or motorbike with or without its rider."""
    motor = rng.random() < 0.5
    ridden = rng.random() < 0.8 if ridden is None else ridden
    parts = Parts()
    radius = 0.31 if motor else 0.34
    base = 0.7 if motor else 0.53
    thick = 0.07 if motor else 0.025
    paint = car_paint(rng)
    for x in (base, -base):
        parts.add(
            p.CYLINDER,
            (x, 0, radius),
            (radius, radius, thick),
            Paint(p.WHEEL, RUBBER, (0.2, 0.2, 0.2), (0.5,)),
            p.ACROSS,
        )
    if motor:
        parts.ball((0.15, 0, 0.78), (0.42, 0.17, 0.17), paint)
        parts.span((-0.75, 0.0), (-0.15, 0.15), (0.68, 0.82), BLACK, (0.3, -0.3, 0.1, 0.1))
        parts.ball((0.05, 0, 0.48), (0.35, 0.19, 0.22), TRIM)
        parts.ball((0.6, 0, 0.92), (0.16, 0.16, 0.2), paint)
        parts.span(
            (-0.85, -0.7),
            (-0.09, 0.09),
            (0.6, 0.75),
            Paint(p.LIGHT, (0.4, 0.01, 0.01), params=(0.3 + 3 * lights,)),
        )
        parts.rod((0.45, -0.36, 1.05), (0.45, 0.36, 1.05), 0.025, BLACK)
        parts.rod((base, 0.09, radius), (0.45, 0.09, 1.0), 0.03, CHROME)
        if rng.random() < 0.25:
            parts.span(
                (-0.95, -0.55),
                (-0.25, 0.25),
                (0.85, 1.25),
                Paint(p.PANELS, paint.a, (0.6, 0.6, 0.6), (2.0, 0.3)),
            )
    else:
        for start, end in (
            ((-base, 0, radius), (-0.15, 0, 0.85)),
            ((-0.15, 0, 0.85), (0.4, 0, 0.85)),
            ((0.4, 0, 0.85), (0.0, 0, 0.3)),
            ((0.0, 0, 0.3), (-0.15, 0, 0.95)),
            ((0.36, 0, 1.02), (base, 0, radius)),
            ((-base, 0, radius), (0.0, 0, 0.3)),
        ):
            parts.rod(start, end, 0.02, paint)
        parts.rod((0.36, -0.27, 1.05), (0.36, 0.27, 1.05), 0.018, BLACK)
        parts.ball((-0.18, 0, 0.98), (0.14, 0.07, 0.04), BLACK)
    if ridden:
        parts.place(rider(rng, motor), -0.15, 0.0, 0.0)
    return Vehicle(parts.rows(), 2.1 if motor else 1.75, 0.75, 1.75 if ridden else 1.1)
