"""Passenger cars; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.vehicles import (
    BLACK,
    CHROME,
    GLASS,
    TRIM,
    WHITE_PLATE,
    YELLOW_PLATE,
    Vehicle,
    car_paint,
    rim,
    wheels,
)


def car(rng: np.random.Generator, kind: str | None = None, lights: float = 0.0) -> Vehicle:
    """A passenger car: sedan, hatchback, wagon, suv, mpv, pickup or mini. `lights` is their emission."""
    kind = kind or str(
        rng.choice(
            ["sedan", "hatchback", "wagon", "suv", "mpv", "pickup", "mini"],
            p=[0.25, 0.25, 0.1, 0.24, 0.06, 0.04, 0.06],
        )
    )
    length, width, height, bonnet, belt = {
        "sedan": (4.65, 1.82, 1.45, 0.27, 0.64),
        "hatchback": (4.15, 1.77, 1.48, 0.24, 0.63),
        "wagon": (4.7, 1.82, 1.48, 0.26, 0.63),
        "suv": (4.5, 1.87, 1.68, 0.24, 0.63),
        "mpv": (4.6, 1.84, 1.75, 0.17, 0.56),
        "pickup": (5.2, 1.88, 1.8, 0.24, 0.62),
        "mini": (3.65, 1.65, 1.5, 0.2, 0.62),
    }[kind]
    length *= rng.uniform(0.95, 1.06)
    width *= rng.uniform(0.97, 1.03)
    height *= rng.uniform(0.97, 1.05)
    paint = car_paint(rng)
    roof_paint = BLACK if rng.random() < 0.07 else paint
    parts = Parts()
    half, side = length / 2, width / 2
    clearance = 0.17 if kind not in ("suv", "pickup") else 0.23
    radius = (0.315 if kind not in ("suv", "pickup") else 0.36) * rng.uniform(0.96, 1.06)
    belt_z = belt * height
    hood_z = belt_z - rng.uniform(0.02, 0.08)
    hood_x = half - bonnet * length  # foot of the windscreen
    sill = Paint(p.PLAIN, paint.a, params=paint.params, gloss=paint.gloss * 0.6) if rng.random() < 0.6 else TRIM

    # Body: sill, flanks up to the shoulder line, and the sloping bonnet.
    parts.span((-half + 0.12, half - 0.14), (-side + 0.03, side - 0.03), (clearance, 0.36), sill)
    parts.span((-half, half), (-side, side), (0.33, 0.33 + 0.55 * (belt_z - 0.33)), paint, (0.22, 0.12, 0.03, 0.03))
    shoulder_front = hood_x + 0.25
    rear_x = -half + 0.04
    low = 0.33 + 0.55 * (belt_z - 0.33) - 0.005
    parts.span((rear_x, shoulder_front), (-side + 0.01, side - 0.01), (low, belt_z), paint, (0.1, 0.15, 0.12, 0.12))
    parts.span(
        (hood_x - 0.2, half - 0.07),
        (-side + 0.03, side - 0.03),
        (low - 0.02, hood_z),
        paint,
        (0.75, 0.0, 0.2, 0.2),
    )

    # Glass house.
    rise = height - belt_z
    wind_slope = {"suv": 0.95, "mpv": 1.1, "pickup": 0.9}.get(kind, 1.25) * rng.uniform(0.9, 1.15)
    tail_slope = {
        "sedan": 1.35,
        "hatchback": 0.55,
        "wagon": 0.45,
        "suv": 0.45,
        "mpv": 0.3,
        "pickup": 0.2,
        "mini": 0.35,
    }[kind]
    tail_slope *= rng.uniform(0.8, 1.25)
    cab_rear = {"sedan": rear_x + 0.14 * length, "pickup": -0.02 * length}.get(kind, rear_x + 0.03)
    lean = rng.uniform(0.22, 0.34)
    top = side - 0.06
    parts.span(
        (cab_rear, hood_x + 0.02),
        (-top, top),
        (belt_z - 0.01, height - 0.05),
        GLASS,
        (wind_slope, tail_slope, lean, lean),
    )
    roof_z = height - 0.075
    roof_front = hood_x + 0.02 - wind_slope * (roof_z - belt_z) + 0.01
    roof_rear = cab_rear + tail_slope * (roof_z - belt_z) - 0.03
    roof_side = top - lean * (roof_z - belt_z) + 0.015
    parts.span((roof_rear, roof_front), (-roof_side, roof_side), (roof_z, height), roof_paint, (2.2, 1.5, 1.6, 1.6))
    pillar = 0.045
    z0, z1 = belt_z - 0.01, height - 0.06
    for x, front, rear in (
        (hood_x - 0.07, wind_slope, -wind_slope),
        (0.45 * hood_x + 0.55 * cab_rear + 0.3 * (wind_slope - tail_slope) * rise * 0.5, 0.02, -0.02),
        (cab_rear + (0.15 if kind in ("sedan", "pickup") else 0.2), -tail_slope, tail_slope),
    ):
        thick = pillar * (1.0 if front > 0 else 2.2)
        cover = BLACK if abs(front) < 0.1 and rng.random() < 0.6 else paint
        parts.span((x - thick, x + thick), (-top - 0.012, top + 0.012), (z0, z1), cover, (front, rear, lean, lean))
    if kind == "pickup":
        parts.span(
            (rear_x + 0.06, cab_rear - 0.05),
            (-side + 0.1, side - 0.1),
            (belt_z - 0.02, belt_z + 0.004),
            BLACK,
        )
    if kind in ("wagon", "suv", "mpv") and rng.random() < 0.6:
        for s in (1, -1):
            y = s * (roof_side - 0.14)
            parts.span((roof_rear + 0.2, roof_front - 0.3), (y - 0.02, y + 0.02), (height, height + 0.05), TRIM)
    if kind in ("hatchback", "suv", "mini", "wagon") and rng.random() < 0.7:
        parts.span(
            (roof_rear - 0.14, roof_rear + 0.1),
            (-roof_side + 0.1, roof_side - 0.1),
            (roof_z, roof_z + 0.04),
            roof_paint,
        )

    # Faces: bumpers, grille, lights, plates.
    cover = TRIM if rng.random() < 0.35 else paint
    parts.span(
        (half - 0.16, half + 0.03),
        (-side + 0.06, side - 0.06),
        (clearance + 0.02, 0.5),
        cover,
        (0.1, 0, 0.15, 0.15),
    )
    parts.span(
        (-half - 0.04, -half + 0.2),
        (-side + 0.05, side - 0.05),
        (clearance + 0.04, 0.52),
        cover,
        (0, 0.08, 0.15, 0.15),
    )
    grille = rng.uniform(0.3, 0.6)
    parts.span((half - 0.1, half + 0.04), (-grille, grille), (0.28, 0.42), BLACK, (0.1, 0, 0, 0))
    parts.span(
        (half - 0.2, half - 0.035),
        (-grille * 0.9, grille * 0.9),
        (0.55, 0.69),
        BLACK if rng.random() < 0.7 else CHROME,
        (0.4, 0, 0, 0),
    )
    lamp_z = rng.uniform(0.6, 0.68)
    for s in (1, -1):
        y = s * (side - 0.24)
        parts.span(
            (half - 0.3, half - 0.05),
            (y - 0.19, y + 0.19),
            (lamp_z - 0.07, lamp_z + 0.07),
            Paint(p.LIGHT, (0.55, 0.57, 0.6), params=(0.15 + 9 * lights,), gloss=0.8),
            (0.6, 0, 0.3, 0.3),
        )
        tall = rng.uniform(0.1, 0.24) if kind not in ("sedan",) else 0.1
        wide = 0.28 if tall < 0.15 else 0.14
        y = s * (side - 0.02 - wide / 2 - 0.03)
        z = min(belt_z - 0.13, 0.85)
        parts.span(
            (-half - 0.005, -half + 0.3),
            (y - wide / 2, y + wide / 2),
            (z - tall, z + 0.1),
            Paint(p.LIGHT, (0.4, 0.008, 0.01), params=(0.25 + 2.5 * lights,), gloss=0.6),
            (0, 0.12, 0.1, 0.1),
        )
        parts.ball(
            (hood_x - 0.35, s * (side + 0.08), belt_z + 0.06),
            (0.07, 0.12, 0.075),
            paint if rng.random() < 0.8 else BLACK,
        )
    plate = WHITE_PLATE if rng.random() < 0.75 else YELLOW_PLATE
    parts.span((half + 0.02, half + 0.05), (-0.26, 0.26), (0.36, 0.47), WHITE_PLATE)
    plate_z = 0.44 if rng.random() < 0.4 else 0.76
    parts.span((-half - 0.05, -half + 0.1), (-0.26, 0.26), (plate_z, plate_z + 0.11), plate)

    # Door seams, handles, side strip.
    for x in (hood_x - 0.25, 0.4 * hood_x + 0.6 * cab_rear + 0.1, cab_rear + 0.45):
        parts.span(
            (x - 0.006, x + 0.006),
            (-side - 0.002, side + 0.002),
            (0.34, belt_z - 0.02),
            BLACK,
            (0, 0, 0.05, 0.05),
        )
    for x in (0.45 * hood_x + 0.55 * cab_rear + 0.25, cab_rear + 0.6):
        parts.span(
            (x - 0.09, x + 0.09),
            (-side - 0.012, side + 0.012),
            (belt_z - 0.17, belt_z - 0.14),
            paint if rng.random() < 0.6 else CHROME,
        )
    wheels(parts, [half - 0.19 * length, -half + 0.19 * length], width + 0.02, radius, 0.21, True, rim(rng))
    if rng.random() < 0.04:  # a taxi sign
        parts.span(
            (roof_front - 0.7, roof_front - 0.5),
            (-0.25, 0.25),
            (height, height + 0.12),
            Paint(p.LIGHT, (0.6, 0.5, 0.1), params=(0.4,)),
        )
    return Vehicle(parts.rows(), length, width, height)
