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
LORRY_COLOURS = CAR_COLOURS[:5] + ((0.05, 0.12, 0.4), (0.45, 0.03, 0.03), (0.5, 0.3, 0.02), (0.05, 0.25, 0.1))


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


def _wheels(parts: Parts, axles: list[float], track: float, radius: float, width: float, arch: bool, rim: Paint) -> None:
    """Wheels whose outer faces lie at +-track/2, with dark arches behind them."""
    for x in axles:
        for side in (1, -1):
            y = side * (track / 2 - width / 2)
            if arch:
                parts.add(
                    p.CYLINDER, (x, side * (track / 2 - width / 2 - 0.012), radius * 1.06),
                    (radius * 1.2, radius * 1.2, width / 2), BLACK, p.ACROSS,
                )  # fmt: skip
            parts.add(p.CYLINDER, (x, y, radius), (radius, radius, width / 2), rim, p.ACROSS)


def _rim(rng: np.random.Generator, lorry: bool = False) -> Paint:
    tone = rng.uniform(0.25, 0.55) if rng.random() < 0.8 else rng.uniform(0.03, 0.1)
    spokes = -1.1 if lorry and rng.random() < 0.5 else rng.uniform(-0.6, 0.3)
    return Paint(p.WHEEL, RUBBER, (tone, tone, tone * 1.02), (spokes,))


def car(rng: np.random.Generator, kind: str | None = None, lights: float = 0.0) -> Vehicle:
    """A passenger car: sedan, hatchback, wagon, suv, mpv, pickup or mini. `lights` is their emission."""
    kind = kind or str(
        rng.choice(["sedan", "hatchback", "wagon", "suv", "mpv", "pickup", "mini"], p=[0.25, 0.25, 0.1, 0.24, 0.06, 0.04, 0.06])
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
    parts.span((hood_x - 0.2, half - 0.07), (-side + 0.03, side - 0.03), (low - 0.02, hood_z), paint, (0.75, 0.0, 0.2, 0.2))

    # Glass house.
    rise = height - belt_z
    wind_slope = {"suv": 0.95, "mpv": 1.1, "pickup": 0.9}.get(kind, 1.25) * rng.uniform(0.9, 1.15)
    tail_slope = {"sedan": 1.35, "hatchback": 0.55, "wagon": 0.45, "suv": 0.45, "mpv": 0.3, "pickup": 0.2, "mini": 0.35}[kind]
    tail_slope *= rng.uniform(0.8, 1.25)
    cab_rear = {"sedan": rear_x + 0.14 * length, "pickup": -0.02 * length}.get(kind, rear_x + 0.03)
    lean = rng.uniform(0.22, 0.34)
    top = side - 0.06
    parts.span((cab_rear, hood_x + 0.02), (-top, top), (belt_z - 0.01, height - 0.05), GLASS, (wind_slope, tail_slope, lean, lean))
    roof_z = height - 0.075
    roof_front = hood_x + 0.02 - wind_slope * (roof_z - belt_z) + 0.01
    roof_rear = cab_rear + tail_slope * (roof_z - belt_z) - 0.03
    roof_side = top - lean * (roof_z - belt_z) + 0.015
    parts.span((roof_rear, roof_front), (-roof_side, roof_side), (roof_z, height), roof_paint, (2.2, 1.5, 1.6, 1.6))
    pillar = 0.045
    z0, z1 = belt_z - 0.01, height - 0.06
    for x, front, rear in (
        (hood_x - 0.02, wind_slope, -wind_slope),
        (0.45 * hood_x + 0.55 * cab_rear + 0.3 * (wind_slope - tail_slope) * rise * 0.5, 0.02, -0.02),
        (cab_rear + (0.09 if kind in ("sedan", "pickup") else 0.16), -tail_slope, tail_slope),
    ):
        thick = pillar * (1.0 if front > 0 else 2.2)
        cover = BLACK if abs(front) < 0.1 and rng.random() < 0.6 else paint
        parts.span((x - thick, x + thick), (-top - 0.012, top + 0.012), (z0, z1), cover, (front, rear, lean, lean))
    if kind == "pickup":
        parts.span((rear_x + 0.06, cab_rear - 0.05), (-side + 0.1, side - 0.1), (belt_z - 0.02, belt_z + 0.004), BLACK)
    if kind in ("wagon", "suv", "mpv") and rng.random() < 0.6:
        for s in (1, -1):
            y = s * (roof_side - 0.14)
            parts.span((roof_rear + 0.2, roof_front - 0.3), (y - 0.02, y + 0.02), (height, height + 0.05), TRIM)
    if kind in ("hatchback", "suv", "mini", "wagon") and rng.random() < 0.7:
        parts.span((roof_rear - 0.14, roof_rear + 0.1), (-roof_side + 0.1, roof_side - 0.1), (roof_z, roof_z + 0.04), roof_paint)

    # Faces: bumpers, grille, lights, plates.
    cover = TRIM if rng.random() < 0.35 else paint
    parts.span((half - 0.16, half + 0.03), (-side + 0.06, side - 0.06), (clearance + 0.02, 0.5), cover, (0.1, 0, 0.15, 0.15))
    parts.span((-half - 0.04, -half + 0.2), (-side + 0.05, side - 0.05), (clearance + 0.04, 0.52), cover, (0, 0.08, 0.15, 0.15))
    grille = rng.uniform(0.3, 0.6)
    parts.span((half - 0.1, half + 0.04), (-grille, grille), (0.28, 0.42), BLACK, (0.1, 0, 0, 0))
    parts.span((half - 0.2, half - 0.035), (-grille * 0.9, grille * 0.9), (0.55, 0.69), BLACK if rng.random() < 0.7 else CHROME, (0.4, 0, 0, 0))
    lamp_z = rng.uniform(0.6, 0.68)
    for s in (1, -1):
        y = s * (side - 0.24)
        parts.span((half - 0.3, half - 0.05), (y - 0.19, y + 0.19), (lamp_z - 0.07, lamp_z + 0.07), Paint(p.LIGHT, (0.55, 0.57, 0.6), params=(0.15 + 9 * lights,), gloss=0.8), (0.6, 0, 0.3, 0.3))
        tall = rng.uniform(0.1, 0.24) if kind not in ("sedan",) else 0.1
        wide = 0.28 if tall < 0.15 else 0.14
        y = s * (side - 0.02 - wide / 2 - 0.03)
        z = min(belt_z - 0.13, 0.85)
        parts.span((-half - 0.005, -half + 0.3), (y - wide / 2, y + wide / 2), (z - tall, z + 0.1), Paint(p.LIGHT, (0.4, 0.008, 0.01), params=(0.25 + 2.5 * lights,), gloss=0.6), (0, 0.12, 0.1, 0.1))
        parts.ball((hood_x - 0.35, s * (side + 0.08), belt_z + 0.06), (0.07, 0.12, 0.075), paint if rng.random() < 0.8 else BLACK)
    plate = WHITE_PLATE if rng.random() < 0.75 else YELLOW_PLATE
    parts.span((half + 0.02, half + 0.05), (-0.26, 0.26), (0.36, 0.47), WHITE_PLATE)
    plate_z = 0.44 if rng.random() < 0.4 else 0.76
    parts.span((-half - 0.05, -half + 0.1), (-0.26, 0.26), (plate_z, plate_z + 0.11), plate)

    # Door seams, handles, side strip.
    for x in (hood_x - 0.25, 0.4 * hood_x + 0.6 * cab_rear + 0.1, cab_rear + 0.45):
        parts.span((x - 0.006, x + 0.006), (-side - 0.002, side + 0.002), (0.34, belt_z - 0.02), BLACK, (0, 0, 0.05, 0.05))
    for x in (0.45 * hood_x + 0.55 * cab_rear + 0.25, cab_rear + 0.6):
        parts.span((x - 0.09, x + 0.09), (-side - 0.012, side + 0.012), (belt_z - 0.17, belt_z - 0.14), paint if rng.random() < 0.6 else CHROME)
    _wheels(parts, [half - 0.19 * length, -half + 0.19 * length], width + 0.02, radius, 0.21, True, _rim(rng))
    if rng.random() < 0.04:  # a taxi sign
        parts.span((roof_front - 0.7, roof_front - 0.5), (-0.25, 0.25), (height, height + 0.12), Paint(p.LIGHT, (0.6, 0.5, 0.1), params=(0.4,)))
    return Vehicle(parts.rows(), length, width, height)


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
    parts.span((wind_x - 0.3, half - 0.06), (-side + 0.02, side - 0.02), (0.84, bonnet_z), paint, (1.6, 0, 0.15, 0.15))
    parts.span((-half, wind_x + 0.1), (-side + 0.01, side - 0.01), (0.84, height), livery, (slope, 0.03, 0.07, 0.07))
    # Windscreen and side windows stand 1 cm proud of the panels.
    top_z = min(height - 0.25, bonnet_z + 0.85)
    shift = slope * (bonnet_z - 0.84)
    parts.span((cab_back + 0.75, wind_x + 0.115 - shift), (-side + 0.13, side - 0.13), (bonnet_z, top_z), GLASS, (slope, 0, 0.07, 0.07))
    parts.span((cab_back + 0.1, cab_back + 0.95), (-side - 0.004, side + 0.004), (bonnet_z + 0.05, top_z - 0.02), GLASS, (slope, 0, 0.07, 0.07))
    if side_glass:
        for k in range(2):
            x = cab_back - 0.05 - 1.25 * k
            parts.span((x - 1.15, x), (-side - 0.004, side + 0.004), (bonnet_z + 0.05, top_z - 0.02), GLASS, (0, 0, 0.07, 0.07))
    else:
        parts.span((cab_back - 1.3, cab_back - 1.285), (-side - 0.004, side + 0.004), (0.4, height - 0.2), BLACK, (0, 0, 0.05, 0.05))
    if rng.random() < 0.7:  # rear windows
        for s in (1, -1):
            y = s * side * 0.47
            parts.span((-half - 0.012, -half + 0.2), (y - 0.33, y + 0.33), (bonnet_z + 0.1, min(height - 0.3, 1.75)), GLASS, (0, 0.02, 0, 0))
    parts.span((-half - 0.006, -half + 0.1), (-0.012, 0.012), (0.4, height - 0.1), BLACK, (0, 0.02, 0, 0))
    parts.span((half - 0.2, half + 0.04), (-side + 0.04, side - 0.04), (0.24, 0.55), TRIM, (0.1, 0, 0.1, 0.1))
    parts.span((-half - 0.06, -half + 0.2), (-side + 0.04, side - 0.04), (0.32, 0.5), TRIM)
    parts.span((half - 0.2, half + 0.012), (-0.55, 0.55), (0.62, 0.8), BLACK, (0.12, 0, 0, 0))
    for s in (1, -1):
        y = s * (side - 0.2)
        parts.span((half - 0.2, half - 0.01), (y - 0.15, y + 0.15), (0.68, 0.95), Paint(p.LIGHT, (0.55, 0.57, 0.6), params=(0.15 + 9 * lights,), gloss=0.8), (0.5, 0, 0, 0))
        y = s * (side - 0.08)
        parts.span((-half - 0.02, -half + 0.06), (y - 0.07, y + 0.07), (0.75, 1.35), Paint(p.LIGHT, (0.4, 0.008, 0.01), params=(0.25 + 2.5 * lights,)))
        parts.span((wind_x - 0.45, wind_x - 0.3), (s * side + (0.02 if s > 0 else -0.24), s * side + (0.24 if s > 0 else -0.02)), (1.1, 1.42), BLACK)
        parts.span((-half + 0.9, half - 1.0), (s * side - 0.02, s * side + 0.02), (0.52, 0.62), TRIM)
    parts.span((-half - 0.07, -half), (-0.26, 0.26), (0.52, 0.63), WHITE_PLATE)
    parts.span((half + 0.02, half + 0.05), (-0.26, 0.26), (0.34, 0.45), WHITE_PLATE)
    _wheels(parts, [half - 0.85, -half + 0.95], width + 0.02, 0.34, 0.22, True, _rim(rng))
    return Vehicle(parts.rows(), length, width, height)


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
        parts.add(p.CYLINDER, (x, 0, radius), (radius, radius, thick), Paint(p.WHEEL, RUBBER, (0.2, 0.2, 0.2), (0.5,)), p.ACROSS)
    if motor:
        parts.ball((0.15, 0, 0.78), (0.42, 0.17, 0.17), paint)
        parts.span((-0.75, 0.0), (-0.15, 0.15), (0.68, 0.82), BLACK, (0.3, -0.3, 0.1, 0.1))
        parts.ball((0.05, 0, 0.48), (0.35, 0.19, 0.22), TRIM)
        parts.ball((0.6, 0, 0.92), (0.16, 0.16, 0.2), paint)
        parts.span((-0.85, -0.7), (-0.09, 0.09), (0.6, 0.75), Paint(p.LIGHT, (0.4, 0.01, 0.01), params=(0.3 + 3 * lights,)))
        parts.rod((0.45, -0.36, 1.05), (0.45, 0.36, 1.05), 0.025, BLACK)
        parts.rod((base, 0.09, radius), (0.45, 0.09, 1.0), 0.03, CHROME)
        if rng.random() < 0.25:
            parts.span((-0.95, -0.55), (-0.25, 0.25), (0.85, 1.25), Paint(p.PANELS, paint.a, (0.6, 0.6, 0.6), (2.0, 0.3)))
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
