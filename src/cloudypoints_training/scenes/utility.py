"""Vans of every trade and pick-ups with loads; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.lofts import plank, stack
from cloudypoints_training.scenes.motorcars import glass, lamp
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.vehicles import (
    BLACK,
    CAR_COLOURS,
    CHROME,
    TRIM,
    WHITE_PLATE,
    Vehicle,
    car_paint,
    rim,
    wheels,
)

WHITE = Paint(p.PLAIN, (0.66, 0.66, 0.65), params=(0.2,), gloss=0.4)
RED_WHITE = Paint(p.STRIPES, (0.6, 0.02, 0.01), (0.62, 0.62, 0.58), (0.28, 0.5, 2.0))
YELLOW_RED = Paint(p.STRIPES, (0.65, 0.4, 0.02), (0.5, 0.03, 0.02), (0.4, 0.5, 2.0))


def any_colour(rng: np.random.Generator, most: float = 0.6) -> tuple[float, float, float]:
    """Mostly muted, sometimes pure."""
    grey, pure = rng.uniform(0.02, most), rng.random() ** 2
    r, g, b = grey * (1 - pure) + pure * rng.uniform(0.02, most, 3)
    return float(r), float(g), float(b)


def livery(rng: np.random.Generator, base: Paint) -> Paint:
    """A van's or lorry's side: plain, lettered, striped, or with a picture."""
    kind = rng.random()
    if kind < 0.35:
        return base
    other = CAR_COLOURS[rng.integers(3, len(CAR_COLOURS))]
    if kind < 0.7:
        return Paint(p.PANELS, base.a, other, (rng.uniform(1.5, 4), rng.uniform(0.15, 0.45)), gloss=0.4)
    if kind < 0.8:
        return Paint(p.STRIPES, base.a, other, (rng.uniform(0.4, 1.6), rng.uniform(0.2, 0.5), 1.0), gloss=0.4)
    if kind < 0.9:
        return Paint(p.TEXT, base.a, other, (rng.uniform(0.2, 0.5),), gloss=0.4)
    return Paint(p.CELLS, any_colour(rng), other, (rng.uniform(0.3, 1.2),), gloss=0.3)


def panel_van(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A rounded delivery van, 1.8 to 2.8 m high: plain, glazed, police, ambulance or with a roof rack."""
    height = rng.uniform(1.8, 2.8)
    length = 4.4 + (height - 1.8) * 1.5 + rng.uniform(-0.1, 0.7)
    width = rng.uniform(1.82, 2.06)
    half, side = length / 2, width / 2
    duty = str(rng.choice(["goods", "people", "rescue"], p=[0.62, 0.28, 0.1]))
    paint = WHITE if rng.random() < 0.5 or duty == "rescue" else car_paint(rng)
    skin = (
        livery(rng, paint)
        if duty != "rescue"
        else Paint(
            p.CHECKER if rng.random() < 0.4 else p.STRIPES, (0.65, 0.62, 0.1), any_colour(rng, 0.4), (0.4, 0.4, 1.0)
        )
    )
    parts = Parts()
    floor = rng.uniform(0.22, 0.3)
    nose = rng.uniform(0.5, 1.05)
    foot, sill = half - nose, 0.44 * height + 0.1
    slope = rng.uniform(0.45, 0.9)
    rise = height - sill
    stack(
        parts,
        [
            (floor, -half + 0.05, half - 0.15, side - 0.06),
            (floor + 0.2, -half, half - 0.06, side),
            (sill - 0.15, -half, half - 0.2, side),
            (sill, -half, foot + 0.12, side - 0.02),
            (height - 0.2, -half + 0.02, foot + 0.12 - slope * (rise - 0.2), side - 0.1),
            (height - 0.05, -half + 0.06, foot - slope * rise - 0.02, side - 0.17),
            (height, -half + 0.2, foot - slope * rise - 0.25, side - 0.36),
        ],
        skin,
    )
    plank(
        parts,
        [
            (foot - 0.2, floor + 0.1, sill, side - 0.03),
            (half - 0.16, floor + 0.08, sill - 0.22, side * 0.95),
            (half, floor + 0.12, sill - 0.42, side * 0.8),
        ],
        paint,
    )
    panes = glass(rng)
    lean = 0.09 / max(0.3, rise - 0.2)
    high = min(height - 0.22, sill + 0.85)
    parts.span((foot - 1.2, foot + 0.135), (-side + 0.13, side - 0.13), (sill, high), panes, (slope, 0, lean, lean))
    out = side - 0.008
    parts.span((foot - 1.15, foot - 0.15), (-out, out), (sill + 0.03, high - 0.03), panes, (slope, 0, lean, lean))
    if duty == "people":
        for k in range(int((foot - 1.3 + half) // 1.2)):
            x = foot - 1.3 - 1.2 * k
            parts.span((x - 1.1, x), (-out, out), (sill + 0.03, high - 0.03), panes, (0, 0, lean, lean))
    door = foot - 1.35
    for x in (door, door - 1.15):
        parts.span((x - 0.008, x + 0.008), (-side - 0.003, side + 0.003), (floor + 0.05, sill), BLACK)
    parts.span((-half + 0.3, door), (-side - 0.006, side + 0.006), (sill - 0.03, sill + 0.01), TRIM)
    for s in (1, -1):
        if rng.random() < 0.7:
            y = s * side * 0.47
            parts.span(
                (-half - 0.01, -half + 0.3), (y - 0.32, y + 0.32), (sill + 0.05, high - 0.05), panes, (0, 0.03, 0, 0)
            )
        y = s * (side - 0.07)
        red = lamp((0.4, 0.008, 0.01), 0.25 + 2.5 * lights)
        parts.span((-half - 0.016, -half + 0.08), (y - 0.07, y + 0.07), (0.7, rng.uniform(1.0, 1.5)), red)
        y = s * (side * 0.8 - 0.16)
        bright = lamp((0.5, 0.52, 0.55), 0.15 + 9 * lights)
        parts.span((half - 0.35, half + 0.012), (y - 0.16, y + 0.16), (sill - 0.58, sill - 0.4), bright, (0.4, 0, 0, 0))
        parts.span(
            (foot - 0.42, foot - 0.25), (s * (side + 0.13) - 0.1, s * (side + 0.13) + 0.1), (sill, sill + 0.32), BLACK
        )
    parts.span((-half - 0.012, -half + 0.1), (-0.012, 0.012), (floor + 0.2, height - 0.25), BLACK)
    parts.span((half - 0.3, half + 0.014), (-0.5, 0.5), (sill - 0.55, sill - 0.44), BLACK)
    parts.span((half - 0.3, half + 0.03), (-side * 0.82, side * 0.82), (floor, floor + 0.24), TRIM)
    parts.span((-half - 0.06, -half + 0.1), (-side + 0.05, side - 0.05), (floor + 0.05, floor + 0.22), TRIM)
    for x in (half + 0.01, -half - 0.08):
        parts.span((x, x + 0.03), (-0.26, 0.26), (floor + 0.22, floor + 0.33), WHITE_PLATE)
    if duty == "rescue":
        blue = lamp((0.05, 0.15, 0.9), float(rng.choice([0.5, 5.0])))
        for x in (foot - slope * rise - 0.4, -half + 0.5):
            parts.span((x - 0.15, x + 0.15), (-side * 0.7, side * 0.7), (height - 0.02, height + 0.16), blue)
    elif duty == "goods" and rng.random() < 0.3:
        roof_load(parts, rng, -half + 0.3, foot - slope * rise - 0.3, side - 0.25, height)
    wheels(parts, [half - 0.9, -half + rng.uniform(0.8, 1.1)], width + 0.02, 0.34, 0.22, True, rim(rng))
    return Vehicle(parts.rows(), length, width, float(height))


def roof_load(parts: Parts, rng: np.random.Generator, rear: float, front: float, wide: float, z: float) -> None:
    """A ladder, pipes or boards on bars."""
    for x in (rear + 0.3, front - 0.3):
        parts.span((x - 0.03, x + 0.03), (-wide, wide), (z - 0.03, z + 0.08), TRIM)
    for k in range(int(rng.integers(1, 5))):
        y, radius = rng.uniform(-wide, wide), rng.uniform(0.02, 0.06)
        bar = Paint(p.NOISE, any_colour(rng), (0.2, 0.2, 0.2), (0.01, 1.0, 0.2))
        parts.rod(
            (rear - 0.2 * k, y, z + 0.08 + radius), (front + rng.uniform(-0.4, 0.4), y, z + 0.08 + radius), radius, bar
        )


def pickup(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A pick-up with one or two rows of seats and whatever lies on its bed."""
    length, width, height = rng.uniform(5.0, 5.7), rng.uniform(1.84, 2.0), rng.uniform(1.74, 1.92)
    half, side = length / 2, width / 2
    paint = car_paint(rng)
    floor, belt = rng.uniform(0.28, 0.42), 0.6 * height
    cowl = half - 0.27 * length
    back = cowl - (1.75 if rng.random() < 0.6 else 1.0) - 0.25
    parts = Parts()
    plank(
        parts,
        [
            (back, floor + 0.05, belt, side - 0.01),
            (cowl, floor + 0.05, belt, side - 0.01),
            (half - 0.2, floor + 0.12, belt - 0.06, side * 0.97),
            (half, floor + 0.22, belt - 0.14, side * 0.86),
        ],
        paint,
    )
    for s in (1, -1):  # the bed's sides
        y = s * (side - 0.04)
        parts.span((-half, back - 0.04), (y - 0.04, y + 0.04), (floor + 0.12, belt), paint)
    parts.span((-half, back), (-side + 0.03, side - 0.03), (floor + 0.12, floor + 0.4), BLACK)
    parts.span((-half - 0.01, -half + 0.06), (-side, side), (floor + 0.2, belt), paint)
    panes, rise = glass(rng), height - belt - 0.07
    screen = rng.uniform(0.7, 1.1)
    parts.span(
        (back + 0.03, cowl + 0.03), (-side + 0.1, side - 0.1), (belt, belt + rise), panes, (screen, 0.12, 0.25, 0.25)
    )
    wide = side - 0.1 - 0.25 * rise
    stack(
        parts,
        [
            (belt + rise - 0.01, back + 0.08, cowl + 0.06 - screen * rise, wide + 0.02),
            (height - 0.02, back + 0.14, cowl - 0.05 - screen * rise, wide - 0.06),
            (height, back + 0.3, cowl - 0.3 - screen * rise, wide - 0.25),
        ],
        paint,
    )
    for x, slope in ((cowl - 0.02, screen), (0.5 * (cowl + back), 0.0), (back + 0.1, -0.12)):
        parts.span(
            (x - 0.06, x + 0.06), (-side + 0.088, side - 0.088), (belt, belt + rise), paint, (slope, -slope, 0.25, 0.25)
        )
    mesh = Paint(p.STRIPES, (0.015, 0.015, 0.015), (0.3, 0.3, 0.3), (0.1, 0.3, 1.0), gloss=0.3)
    parts.span((half - 0.2, half + 0.012), (-0.5, 0.5), (belt - 0.5, belt - 0.2), mesh)
    parts.span(
        (half - 0.2, half + 0.06),
        (-side * 0.9, side * 0.9),
        (floor + 0.05, floor + 0.28),
        CHROME if rng.random() < 0.5 else TRIM,
    )
    parts.span(
        (-half - 0.1, -half + 0.1),
        (-side * 0.9, side * 0.9),
        (floor + 0.08, floor + 0.22),
        CHROME if rng.random() < 0.5 else TRIM,
    )
    parts.span((-half - 0.03, -half), (-0.26, 0.26), (floor + 0.24, floor + 0.35), WHITE_PLATE)
    for s in (1, -1):
        y = s * side * 0.72
        parts.span(
            (half - 0.3, half + 0.01),
            (y - 0.15, y + 0.15),
            (belt - 0.42, belt - 0.22),
            lamp((0.5, 0.52, 0.55), 0.2 + 9 * lights),
        )
        y = s * (side - 0.07)
        parts.span(
            (-half - 0.02, -half + 0.1),
            (y - 0.06, y + 0.06),
            (belt - 0.42, belt - 0.04),
            lamp((0.4, 0.01, 0.01), 0.3 + 2.5 * lights),
        )
        parts.ball((cowl - 0.3, s * (side + 0.08), belt + 0.12), (0.08, 0.13, 0.12), BLACK)
    bed_load(parts, rng, -half + 0.1, back - 0.1, side - 0.12, floor + 0.4, belt)
    radius = rng.uniform(0.36, 0.42)
    wheels(parts, [half - 0.95, -half + 1.15], width + 0.05, radius, 0.25, True, rim(rng))
    return Vehicle(parts.rows(), length, width, float(height))


def bed_load(
    parts: Parts, rng: np.random.Generator, rear: float, front: float, wide: float, floor: float, rim_z: float
) -> None:
    """What lies on an open bed: nothing, boxes, a heap, a cover, a cage, pipes or a machine."""
    kind = rng.choice(["none", "boxes", "heap", "cover", "cage", "pipes"], p=[0.2, 0.25, 0.15, 0.15, 0.1, 0.15])
    middle, long = 0.5 * (rear + front), front - rear
    if kind == "cover":
        parts.span((rear, front), (-wide, wide), (rim_z - 0.03, rim_z + 0.02), BLACK, (0, 0, 0.3, 0.3))
    elif kind == "heap":
        earth = Paint(p.NOISE, any_colour(rng, 0.3), any_colour(rng, 0.3), (0.02, 1.0, 2.0))
        parts.ball((middle, 0, rim_z - 0.1), (0.45 * long, wide * 0.9, rng.uniform(0.2, 0.6)), earth)
    elif kind == "cage":
        bars = Paint(p.PLAIN, (0.1, 0.1, 0.1), params=(0.1, 0, 0, 0, 0.18, 0.2), holes=p.BARS)
        for y in (-wide, wide):
            parts.span((rear, front), (y - 0.02, y + 0.02), (rim_z, rim_z + 0.8), bars)
        for x in (rear, front):
            parts.span((x - 0.02, x + 0.02), (-wide, wide), (rim_z, rim_z + 0.8), bars)
    elif kind == "pipes":
        for k in range(int(rng.integers(2, 8))):
            radius = rng.uniform(0.03, 0.12)
            y, z = rng.uniform(-wide, wide) * 0.8, floor + radius + rng.uniform(0, 0.4)
            parts.rod(
                (rear - rng.uniform(0, 0.8), y, z),
                (front, y, z + 0.2 * (k % 2)),
                radius,
                Paint(p.PLAIN, any_colour(rng)),
            )
    elif kind == "boxes":
        for _ in range(int(rng.integers(1, 7))):
            size = rng.uniform(0.3, 0.9, 3) * (1.2, 1.0, 1.0)
            goods = Paint(
                int(rng.choice([p.PLAIN, p.NOISE, p.STRIPES, p.TEXT])),
                any_colour(rng),
                any_colour(rng),
                (0.15, 0.4, 0.5),
            )
            x, y = rng.uniform(rear + 0.3, front - 0.3), rng.uniform(-0.5, 0.5) * wide
            parts.box((x, y, floor + size[2] / 2), tuple(float(v) for v in size), goods, rng.normal(0, 0.1))  # type: ignore[arg-type]
