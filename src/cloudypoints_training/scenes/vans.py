"""Delivery vans and minibuses; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.vehicles import (
    BLACK,
    CAR_COLOURS,
    GLASS,
    TRIM,
    WHITE_PLATE,
    Vehicle,
    car_paint,
    rim,
    wheels,
)


def van(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A delivery van or a minibus, 1.9 to 2.7 m high."""
    height = rng.uniform(1.88, 2.7)
    length = 4.5 + (height - 1.9) * 1.6 + rng.uniform(-0.1, 0.5)
    width = rng.uniform(1.85, 2.05)
    half, side = length / 2, width / 2
    paint = car_paint(rng) if rng.random() < 0.45 else Paint(p.PLAIN, (0.66, 0.66, 0.65), params=(0.2,), gloss=0.4)
    livery = paint
    if rng.random() < 0.4:
        other = CAR_COLOURS[rng.integers(5, len(CAR_COLOURS))]
        livery = Paint(p.PANELS, paint.a, other, (3.0, rng.uniform(0.2, 0.42)), gloss=0.4)
    parts = Parts()
    nose = rng.uniform(0.7, 1.0)
    wind_x = half - nose
    slope = rng.uniform(0.5, 0.8)
    bonnet_z = rng.uniform(0.98, 1.12)
    side_glass = rng.random() < 0.4
    cab_back = wind_x - 1.1
    parts.span((-half, half), (-side, side), (0.26, 0.85), livery, (0.12, 0.02, 0.02, 0.02))
    parts.span(
        (wind_x - 0.3, half - 0.06),
        (-side + 0.02, side - 0.02),
        (0.84, bonnet_z),
        paint,
        (1.6, 0, 0.15, 0.15),
    )
    parts.span((-half, wind_x + 0.1), (-side + 0.01, side - 0.01), (0.84, height), livery, (slope, 0.03, 0.07, 0.07))
    # Windscreen and side windows stand 1 cm proud of the panels.
    top_z = min(height - 0.25, bonnet_z + 0.85)
    shift = slope * (bonnet_z - 0.84)
    parts.span(
        (cab_back + 0.75, wind_x + 0.115 - shift),
        (-side + 0.13, side - 0.13),
        (bonnet_z, top_z),
        GLASS,
        (slope, 0, 0.07, 0.07),
    )
    parts.span(
        (cab_back + 0.1, cab_back + 0.95),
        (-side - 0.004, side + 0.004),
        (bonnet_z + 0.05, top_z - 0.02),
        GLASS,
        (slope, 0, 0.07, 0.07),
    )
    if side_glass:
        for k in range(2):
            x = cab_back - 0.05 - 1.25 * k
            parts.span(
                (x - 1.15, x),
                (-side - 0.004, side + 0.004),
                (bonnet_z + 0.05, top_z - 0.02),
                GLASS,
                (0, 0, 0.07, 0.07),
            )
    else:
        parts.span(
            (cab_back - 1.3, cab_back - 1.285),
            (-side - 0.004, side + 0.004),
            (0.4, height - 0.2),
            BLACK,
            (0, 0, 0.05, 0.05),
        )
    if rng.random() < 0.7:  # rear windows
        for s in (1, -1):
            y = s * side * 0.47
            parts.span(
                (-half - 0.012, -half + 0.2),
                (y - 0.33, y + 0.33),
                (bonnet_z + 0.1, min(height - 0.3, 1.75)),
                GLASS,
                (0, 0.02, 0, 0),
            )
    parts.span((-half - 0.006, -half + 0.1), (-0.012, 0.012), (0.4, height - 0.1), BLACK, (0, 0.02, 0, 0))
    parts.span((half - 0.2, half + 0.04), (-side + 0.04, side - 0.04), (0.24, 0.55), TRIM, (0.1, 0, 0.1, 0.1))
    parts.span((-half - 0.06, -half + 0.2), (-side + 0.04, side - 0.04), (0.32, 0.5), TRIM)
    parts.span((half - 0.2, half + 0.012), (-0.55, 0.55), (0.62, 0.8), BLACK, (0.12, 0, 0, 0))
    for s in (1, -1):
        y = s * (side - 0.2)
        parts.span(
            (half - 0.2, half - 0.01),
            (y - 0.15, y + 0.15),
            (0.68, 0.95),
            Paint(p.LIGHT, (0.55, 0.57, 0.6), params=(0.15 + 9 * lights,), gloss=0.8),
            (0.5, 0, 0, 0),
        )
        y = s * (side - 0.08)
        parts.span(
            (-half - 0.02, -half + 0.06),
            (y - 0.07, y + 0.07),
            (0.75, 1.35),
            Paint(p.LIGHT, (0.4, 0.008, 0.01), params=(0.25 + 2.5 * lights,)),
        )
        parts.span(
            (wind_x - 0.45, wind_x - 0.3),
            (s * side + (0.02 if s > 0 else -0.24), s * side + (0.24 if s > 0 else -0.02)),
            (1.1, 1.42),
            BLACK,
        )
        parts.span((-half + 0.9, half - 1.0), (s * side - 0.02, s * side + 0.02), (0.52, 0.62), TRIM)
    parts.span((-half - 0.07, -half), (-0.26, 0.26), (0.52, 0.63), WHITE_PLATE)
    parts.span((half + 0.02, half + 0.05), (-0.26, 0.26), (0.34, 0.45), WHITE_PLATE)
    wheels(parts, [half - 0.85, -half + 0.95], width + 0.02, 0.34, 0.22, True, rim(rng))
    return Vehicle(parts.rows(), length, width, height)
