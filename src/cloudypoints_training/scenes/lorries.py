"""Lorries, tankers, trailers, buses; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.vehicles import (
    BLACK,
    CAR_COLOURS,
    CHROME,
    GLASS,
    LORRY_COLOURS,
    TRIM,
    WHITE_PLATE,
    Vehicle,
    rim,
    wheels,
)

_STEEL = Paint(p.PLAIN, (0.06, 0.06, 0.062), params=(0.4,))


def _tail(parts: Parts, rear: float, half_width: float, lights: float, rng: np.random.Generator) -> None:
    """Bumper bar, lamps, plate and reflecting stripes at x = rear."""
    parts.span((rear - 0.02, rear + 0.12), (-half_width + 0.08, half_width - 0.08), (0.45, 0.62), _STEEL)
    for s in (1, -1):
        y = s * (half_width - 0.28)
        parts.span(
            (rear - 0.05, rear + 0.1),
            (y - 0.2, y + 0.2),
            (0.66, 0.84),
            Paint(p.LIGHT, (0.42, 0.01, 0.01), params=(0.3 + 2.5 * lights,)),
        )
    parts.span((rear - 0.04, rear + 0.1), (-0.26, 0.26), (0.66, 0.78), WHITE_PLATE)
    if rng.random() < 0.5:
        stripe = Paint(p.STRIPES, (0.6, 0.02, 0.01), (0.6, 0.6, 0.55), (0.28, 0.5, 2.0))
        parts.span((rear - 0.03, rear), (-half_width + 0.05, half_width - 0.05), (0.9, 1.05), stripe)


def _cab(
    parts: Parts, front: float, length: float, half_width: float, height: float, paint: Paint, lights: float
) -> None:
    """A flat-nosed cab from x = front backwards."""
    back = front - length
    low = 0.45
    glass_z = 1.15 + 0.22 * height
    parts.span((back, front), (-half_width, half_width), (low, glass_z), paint, (0.03, 0, 0.01, 0.01))
    parts.span(
        (back, front - 0.03),
        (-half_width + 0.01, half_width - 0.01),
        (glass_z - 0.02, height),
        paint,
        (0.16, 0.02, 0.05, 0.05),
    )
    top = min(height - 0.35, glass_z + 0.85)
    parts.span(
        (front - 0.5, front - 0.015),
        (-half_width + 0.12, half_width - 0.12),
        (glass_z, top),
        GLASS,
        (0.16, 0, 0.05, 0.05),
    )
    parts.span(
        (front - 0.95 * min(1.0, length / 1.6), front - 0.22),
        (-half_width - 0.006, half_width + 0.006),
        (glass_z - 0.05, top - 0.05),
        GLASS,
        (0.16, 0, 0.05, 0.05),
    )
    parts.span(
        (front - 0.1, front + 0.025),
        (-half_width * 0.72, half_width * 0.72),
        (0.85, glass_z - 0.25),
        Paint(p.STRIPES, (0.02, 0.02, 0.02), (0.1, 0.1, 0.1), (0.12, 0.4, 1.0)),
    )
    parts.span(
        (front - 0.2, front + 0.06),
        (-half_width, half_width),
        (0.3, 0.72),
        TRIM if paint.a[0] > 0.4 else paint,
        (0.05, 0, 0.05, 0.05),
    )
    parts.span((front + 0.05, front + 0.075), (-0.26, 0.26), (0.42, 0.53), WHITE_PLATE)
    for s in (1, -1):
        y = s * (half_width - 0.28)
        parts.span(
            (front - 0.1, front + 0.075),
            (y - 0.18, y + 0.18),
            (0.5, 0.68),
            Paint(p.LIGHT, (0.55, 0.57, 0.6), params=(0.2 + 9 * lights,), gloss=0.8),
        )
        y = s * (half_width + 0.16)
        parts.span((front - 0.15, front - 0.02), (y - 0.12, y + 0.12), (glass_z + 0.1, glass_z + 0.75), BLACK)
        parts.span(
            (back + 0.3, back + 0.33),
            (s * half_width - 0.012, s * half_width + 0.012),
            (low, height - 0.4),
            BLACK,
        )
        parts.span((front - 0.75, front - 0.2), (s * half_width - 0.01, s * half_width + 0.01), (0.3, 0.5), BLACK)
    if height > 2.9:
        parts.span(
            (front - 0.25, front + 0.08),
            (-half_width + 0.05, half_width - 0.05),
            (top + 0.02, top + 0.14),
            BLACK,
            (0.3, 0, 0, 0),
        )


def _box_paint(rng: np.random.Generator) -> Paint:
    base = LORRY_COLOURS[rng.integers(len(LORRY_COLOURS))] if rng.random() < 0.55 else (0.66, 0.66, 0.65)
    other = CAR_COLOURS[rng.integers(2, len(CAR_COLOURS))]
    return Paint(
        p.PANELS,
        base,
        other,
        (rng.uniform(0.5, 2.6), rng.uniform(0, 0.42), float(rng.random() < 0.25)),
        gloss=0.15,
    )


def _load(
    parts: Parts,
    rng: np.random.Generator,
    rear: float,
    front: float,
    half_width: float,
    floor: float,
    top: float,
) -> None:
    """A body between two x: box, curtain, container, tank, flatbed with goods, or tipper."""
    kind = rng.choice(
        ["box", "curtain", "container", "tank", "flat", "tipper", "mixer"],
        p=[0.3, 0.2, 0.12, 0.16, 0.1, 0.08, 0.04],
    )
    if kind == "mixer" and front - rear > 8:
        kind = "tank"
    middle, length = (front + rear) / 2, front - rear
    if kind in ("box", "curtain", "container"):
        paint = _box_paint(rng)
        if kind == "container":
            paint = Paint(p.PANELS, CAR_COLOURS[rng.integers(7, len(CAR_COLOURS))], (0.6, 0.6, 0.6), (0.28, 0.12, 1.0))
            top = min(top, floor + 2.6)
        parts.span((rear, front), (-half_width, half_width), (floor, top), paint)
        frame = CHROME if rng.random() < 0.5 else _STEEL
        for z in (floor - 0.02, top - 0.1):
            parts.span((rear - 0.01, front + 0.01), (-half_width - 0.012, half_width + 0.012), (z, z + 0.12), frame)
        for x in (rear, front):
            parts.span((x - 0.06, x + 0.06), (-half_width - 0.012, half_width + 0.012), (floor, top), frame)
        parts.span((rear - 0.02, rear + 0.02), (-0.012, 0.012), (floor, top), BLACK)
        for y in (-0.75, -0.45, 0.45, 0.75):  # door bolts
            parts.post(rear - 0.03, y * half_width / 1.25, (floor, top), 0.02, CHROME)
        if kind == "curtain":
            for k in range(int(length / 0.6)):
                x = rear + 0.3 + 0.6 * k
                parts.span(
                    (x - 0.02, x + 0.02),
                    (-half_width - 0.014, half_width + 0.014),
                    (floor - 0.05, floor + 0.22),
                    BLACK,
                )
    elif kind == "tank":
        radius = (top - floor) / 2 * 0.92
        steel = Paint(
            p.PANELS,
            (0.5, 0.51, 0.52) if rng.random() < 0.6 else LORRY_COLOURS[rng.integers(len(LORRY_COLOURS))],
            (0.05, 0.15, 0.4),
            (1.6, 0.0, 0.0),
            gloss=0.6,
        )
        parts.add(
            p.CYLINDER,
            (middle, 0, floor + radius),
            (radius, half_width * 0.98, length / 2 - 0.2),
            steel,
            p.ALONG,
        )
        for x in (rear + 0.2, front - 0.2):
            parts.ball((x, 0, floor + radius), (0.25, half_width * 0.98, radius), steel)
        for k in range(1, int(length / 1.8)):
            x = rear + length * k / int(length / 1.8)
            parts.add(p.CYLINDER, (x, 0, floor + radius), (radius + 0.02, half_width, 0.05), CHROME, p.ALONG)
        parts.span(
            (rear + 0.6, front - 0.6),
            (-0.4, 0.4),
            (floor + 2 * radius - 0.02, floor + 2 * radius + 0.06),
            _STEEL,
        )
        parts.span(
            (rear - 0.03, rear),
            (-0.3, 0.3),
            (floor + 0.7, floor + 1.0),
            Paint(p.TEXT, (0.6, 0.3, 0.02), (0.02, 0.02, 0.02), (0.14,)),
        )
    elif kind == "flat":
        parts.span(
            (rear, front),
            (-half_width, half_width),
            (floor, floor + 0.15),
            Paint(p.NOISE, (0.2, 0.13, 0.08), (0.1, 0.07, 0.05), (0.01, 0.2, 0.5)),
        )
        x = rear + 0.2
        while x < front - 1.0:
            size = min(rng.uniform(0.8, 2.6), front - x)
            goods = Paint(
                int(rng.choice([p.NOISE, p.STRIPES, p.PANELS, p.BRICK])),
                tuple(float(v) for v in rng.uniform(0.05, 0.6, 3)),
                tuple(float(v) for v in rng.uniform(0.05, 0.5, 3)),
                (0.3, 0.3, 0.1),
            )  # type: ignore[arg-type]
            if rng.random() < 0.3:
                parts.add(
                    p.CYLINDER,
                    (x + size / 2, 0, floor + 0.15 + size / 2 * 0.8),
                    (size / 2 * 0.8, size / 2 * 0.9, half_width * 0.9),
                    goods,
                    p.ACROSS,
                )
            else:
                high = rng.uniform(0.3, top - floor)
                parts.span(
                    (x, x + size - 0.1),
                    (-half_width * 0.9, half_width * 0.9),
                    (floor + 0.15, floor + 0.15 + high),
                    goods,
                )
            x += size
        parts.span((front - 0.1, front), (-half_width, half_width), (floor, floor + 1.3), _STEEL)
    elif kind == "tipper":
        paint = Paint(p.PANELS, LORRY_COLOURS[rng.integers(len(LORRY_COLOURS))], (0, 0, 0), (0.9, 0.0, 0.0))
        high = floor + min(1.5, top - floor)
        parts.span((rear, front), (-half_width, half_width), (floor, high), paint, (-0.1, -0.15, 0, 0))
        parts.ball(
            (middle, 0, high - 0.1),
            (length * 0.42, half_width * 0.85, 0.5),
            Paint(p.NOISE, (0.3, 0.24, 0.17), (0.12, 0.1, 0.07), (0.01, 1.0, 1.0)),
        )
    else:
        drum = Paint(p.STRIPES, (0.6, 0.6, 0.58), LORRY_COLOURS[rng.integers(len(LORRY_COLOURS))], (1.2, 0.3, 2.0))
        parts.rod((rear + 0.6, 0, floor + 1.55), (front - 0.3, 0, floor + 0.9), 1.1, drum)
        parts.rod((rear - 0.4, 0, floor + 2.2), (rear + 1.2, 0, floor + 1.3), 0.7, drum)
        parts.span((rear, rear + 0.5), (-0.4, 0.4), (floor, floor + 1.8), _STEEL)


def lorry(rng: np.random.Generator, lights: float = 0.0, articulated: bool | None = None) -> Vehicle:
    """A rigid lorry (5.5 to 9 m) or a tractor with a semi-trailer (13 to 16.5 m), 2.6 to 4 m high."""
    articulated = rng.random() < 0.4 if articulated is None else articulated
    parts = Parts()
    colour = LORRY_COLOURS[rng.integers(len(LORRY_COLOURS))] if rng.random() < 0.6 else (0.62, 0.62, 0.61)
    paint = Paint(p.PLAIN, colour, params=(0.25,), gloss=0.5)
    if articulated:
        length, width, top, cab_high = (
            rng.uniform(13, 16.5),
            2.5,
            rng.uniform(3.5, 4.0),
            rng.uniform(3.1, 3.8),
        )
        radius, cab_long, floor = 0.5, 2.2, 1.15
    else:
        length, top = rng.uniform(5.5, 9.0), rng.uniform(2.6, 3.7)
        width = 2.1 if length < 6.2 else 2.48
        cab_high = min(top, rng.uniform(2.2, 3.0))
        radius, cab_long, floor = 0.38 + 0.1 * (length > 6.5), 1.7, 0.95
    half, side = length / 2, width / 2
    rear = -half + 0.05
    front = half - cab_long - (0.9 if articulated else 0.25)
    _cab(parts, half, cab_long, side, cab_high, paint, lights)
    if cab_high < top - 0.3 and rng.random() < 0.5:  # wind deflector
        parts.span(
            (half - cab_long, half - 0.5),
            (-side + 0.15, side - 0.15),
            (cab_high - 0.05, top - 0.1),
            paint,
            (1.0, 0, 0.1, 0.1),
        )
    parts.span((rear + 0.1, half - 0.3), (-0.45, 0.45), (0.62, floor), _STEEL)
    _load(parts, rng, rear, front, side, floor, top)
    _tail(parts, rear, side, lights, rng)
    if rng.random() < 0.6:  # side guard and tank between the axles
        parts.span(
            (-half * 0.35, half * 0.3),
            (-side + 0.05, side - 0.05),
            (0.5, 0.72),
            _STEEL if rng.random() < 0.5 else CHROME,
        )
    if rng.random() < 0.4:
        parts.span(
            (rear, rear + 0.05),
            (-side, side),
            (floor - 0.35, floor),
            Paint(p.STRIPES, (0.6, 0.3, 0.02), (0.5, 0.02, 0.02), (0.4, 0.5, 2.0)),
        )
    tyre = rim(rng, lorry=True)
    axles = [half - 1.35] + ([front - 0.4] if articulated else [])
    axles += [rear + 1.7, rear + 3.0] if length > 7.5 else [rear + 1.5]
    if articulated:
        axles.append(rear + 4.3)
    wheels(parts, axles, width, radius, 0.34, False, tyre)
    for x in axles:  # mudguards
        parts.span((x - radius, x + radius), (-side, side), (2 * radius + 0.02, 2 * radius + 0.06), BLACK)
    rows = parts.rows()
    return Vehicle(rows, length, width, p.top_of(rows))


def bus(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A city bus or coach, 9 to 13 m, or a double decker."""
    parts = Parts()
    double = rng.random() < 0.12
    length, width, height = rng.uniform(9, 13), 2.52, 4.2 if double else rng.uniform(2.95, 3.6)
    half, side = length / 2, width / 2
    colour = (
        (0.62, 0.62, 0.6)
        if rng.random() < 0.3
        else tuple(float(v) for v in np.array(CAR_COLOURS[rng.integers(7, len(CAR_COLOURS))]) * 1.2)
    )
    paint = Paint(
        p.PANELS,
        colour,
        CAR_COLOURS[rng.integers(len(CAR_COLOURS))],
        (1.4, rng.choice([0.0, 0.35]), 0.0),
        gloss=0.4,
    )  # type: ignore[arg-type]
    parts.span((-half, half), (-side, side), (0.3, height), paint, (0.03, 0.01, 0.012, 0.012))
    for low in (1.25, 2.85) if double else (rng.uniform(1.05, 1.5),):
        high = low + (1.0 if double else min(1.25, height - low - 0.45))
        edge = 0.012 * (low - 0.3)
        parts.span(
            (-half + 0.5, half - 0.35),
            (-side - 0.006 + edge, side + 0.006 - edge),
            (low, high),
            GLASS,
            (0, 0, 0.012, 0.012),
        )
        for k in range(1, int(length / 1.45)):
            x = -half + length * k / int(length / 1.45)
            parts.span(
                (x - 0.035, x + 0.035),
                (-side - 0.012 + edge, side + 0.012 - edge),
                (low, high),
                BLACK,
                (0, 0, 0.012, 0.012),
            )
        parts.span(
            (half - 0.3, half + 0.02),
            (-side + 0.12, side - 0.12),
            (max(0.95, low - 0.25), high + 0.05),
            GLASS,
            (0.04, 0, 0, 0),
        )
        parts.span((-half - 0.012, -half + 0.2), (-side + 0.3, side - 0.3), (low + 0.1, high), GLASS)
    for x in (half - 0.95, -0.3):  # doors on the right
        parts.span((x - 0.6, x + 0.6), (-side - 0.016, -side + 0.05), (0.38, 2.35), GLASS)
        parts.span((x - 0.02, x + 0.02), (-side - 0.02, -side + 0.05), (0.38, 2.35), BLACK)
    sign_z = height - 0.4
    parts.span(
        (half - 0.2, half + 0.015),
        (-side + 0.25, side - 0.25),
        (sign_z, sign_z + 0.28),
        Paint(p.TEXT, (0.01, 0.01, 0.01), (0.9, 0.5, 0.05), (0.2,)),
    )
    parts.span((half - 0.2, half + 0.05), (-side + 0.02, side - 0.02), (0.3, 0.62), TRIM)
    _tail(parts, -half - 0.02, side, lights, rng)
    parts.span(
        (-half - 0.01, -half + 0.1),
        (-side * 0.6, side * 0.6),
        (0.9, 1.2),
        Paint(p.STRIPES, (0.03, 0.03, 0.03), colour, (0.12, 0.4, 1.0)),
    )  # type: ignore[arg-type]
    for s in (1, -1):
        y = s * (side - 0.3)
        parts.span(
            (half - 0.1, half + 0.03),
            (y - 0.22, y + 0.22),
            (0.68, 0.86),
            Paint(p.LIGHT, (0.55, 0.57, 0.6), params=(0.2 + 9 * lights,), gloss=0.8),
        )
        parts.span(
            (half + 0.1, half + 0.25),
            (s * (side + 0.15) - 0.09, s * (side + 0.15) + 0.09),
            (1.75, 2.3),
            BLACK,
        )
    if rng.random() < 0.5:
        parts.span(
            (-half + 1, half - 4),
            (-side + 0.4, side - 0.4),
            (height, height + 0.3),
            Paint(p.PLAIN, (0.5, 0.5, 0.5)),
        )
    wheels(parts, [half - 2.6, -half + 3.0], width + 0.02, 0.48, 0.3, True, rim(rng, lorry=True))
    return Vehicle(parts.rows(), length, width, height)
