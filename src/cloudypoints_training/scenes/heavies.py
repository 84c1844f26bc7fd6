"""Lorries with bodies of every trade, and buses; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.bodies import BODIES, body
from cloudypoints_training.scenes.cabs import MESH, flat_cab, nosed_cab
from cloudypoints_training.scenes.lofts import stack
from cloudypoints_training.scenes.motorcars import glass, lamp
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.utility import RED_WHITE, YELLOW_RED, any_colour, livery
from cloudypoints_training.scenes.vehicles import (
    BLACK,
    CHROME,
    LORRY_COLOURS,
    TRIM,
    WHITE_PLATE,
    Vehicle,
    rim,
    wheels,
)

_STEEL = Paint(p.PLAIN, (0.06, 0.06, 0.062), params=(0.4,))


def _rear_end(parts: Parts, rng: np.random.Generator, rear: float, side: float, floor: float, lights: float) -> None:
    """Bumper bar, lamps, plate, mud flaps, warning stripes, a tail lift."""
    parts.span(
        (rear - 0.02, rear + 0.1),
        (-side + 0.06, side - 0.06),
        (0.42, 0.56),
        RED_WHITE if rng.random() < 0.3 else _STEEL,
    )
    tall, long, z = rng.uniform(0.1, 0.2), rng.uniform(0.2, 0.5), rng.uniform(0.62, max(0.64, floor - 0.3))
    red = lamp((0.42, 0.01, 0.01), 0.3 + 2.5 * lights + (2.0 if rng.random() < 0.25 else 0.0))
    for s in (1, -1):
        y = s * (side - 0.06 - long / 2)
        parts.span((rear - 0.05, rear + 0.1), (y - long / 2, y + long / 2), (z, z + tall), red)
        y = s * (side - 0.25)
        parts.span((rear + 0.3, rear + 0.33), (y - 0.25, y + 0.25), (0.2, 0.7), BLACK)
    parts.span((rear - 0.04, rear + 0.1), (-0.26, 0.26), (z, z + 0.12), WHITE_PLATE)
    sign = rng.random()
    if sign < 0.3:
        parts.span(
            (rear - 0.03, rear),
            (-side + 0.05, side - 0.05),
            (floor - 0.16, floor - 0.02),
            (rng.random() < 0.5 and RED_WHITE) or YELLOW_RED,
        )
    elif sign < 0.45:
        parts.span(
            (rear - 0.12, rear - 0.04), (-side + 0.05, side - 0.05), (floor, floor + rng.uniform(1.2, 1.7)), TRIM
        )
    if rng.random() < 0.2:
        parts.add(
            p.CYLINDER,
            (rear - 0.03, 0.5 * side, floor + 0.5),
            (0.13, 0.13, 0.01),
            Paint(p.TEXT, (0.6, 0.6, 0.6), (0.02, 0.02, 0.02), (0.2,)),
            p.ALONG,
        )


def truck(rng: np.random.Generator, lights: float = 0.0, work: str | None = None) -> Vehicle:
    """A rigid lorry or an articulated one with a body of any of bodies.BODIES."""
    work = work or str(rng.choice(list(BODIES), p=np.array(list(BODIES.values())) / sum(BODIES.values())))
    articulated = rng.random() < 0.45 and work not in ("refuse", "skip", "fire", "mixer", "crane")
    length = rng.uniform(12.5, 16.5) if articulated else rng.uniform(5.6, 9.8)
    width = 2.12 if length < 6.3 else rng.uniform(2.42, 2.55)
    top = rng.uniform(3.4, 4.0) if articulated else rng.uniform(2.6, 3.8)
    cab = rng.uniform(2.9, 3.75) if articulated else min(top, rng.uniform(2.2, 3.0))
    half, side = length / 2, width / 2
    radius = 0.5 if length > 7 else 0.4
    floor = rng.uniform(0.95, 1.25) if length > 7 else rng.uniform(0.8, 1.0)
    colour = LORRY_COLOURS[rng.integers(len(LORRY_COLOURS))] if rng.random() < 0.5 else any_colour(rng)
    paint = Paint(p.PLAIN, colour if work != "fire" else (0.42, 0.015, 0.015), params=(0.25,), gloss=0.5)
    parts = Parts()
    make_cab = nosed_cab if rng.random() < 0.15 and length > 7 else flat_cab
    back = make_cab(parts, rng, half, side, cab, paint, lights)
    front = back - (rng.uniform(0.5, 1.1) if articulated else rng.uniform(0.1, 0.35))
    rear = -half + 0.05
    parts.span((rear + 0.1, half - 0.4), (-0.45, 0.45), (0.6, floor), _STEEL)
    body(parts, rng, work, rear, front, side, floor, top, paint)
    _rear_end(parts, rng, rear, side, floor, lights)
    if rng.random() < 0.6:  # tanks, tool boxes, spare wheel, side guards
        for s in (1, -1):
            y = s * (side - 0.3)
            x = rng.uniform(-0.1, 0.25) * length
            if rng.random() < 0.5:
                parts.add(p.CYLINDER, (x, y, 0.68), (0.3, 0.28, rng.uniform(0.4, 0.8)), CHROME, p.ALONG)
            else:
                parts.box((x, y, 0.66), (rng.uniform(0.6, 2.2), 0.5, 0.5), _STEEL if rng.random() < 0.6 else CHROME)
    if rng.random() < 0.5 and front - rear > 4.5:
        for z in (0.5, 0.75):
            parts.span(
                (rear + 3.2, front - 0.8),
                (-side + 0.02, side - 0.02),
                (z, z + 0.1),
                _STEEL if rng.random() < 0.5 else CHROME,
            )
    if articulated and rng.random() < 0.5:  # landing legs
        for s in (1, -1):
            parts.span(
                (front - 2.4, front - 2.25), (s * 0.75 * side - 0.08, s * 0.75 * side + 0.08), (0.35, floor), _STEEL
            )
    axles = [half - (1.35 if make_cab is flat_cab else 0.8)] + ([back - 0.2] if articulated else [])
    axles += [rear + 1.7 + 1.3 * k for k in range(3 if articulated else 1 + (length > 7.5))]
    wheels(parts, axles, width, radius, 0.34, False, rim(rng, lorry=True))
    for x in axles[1:]:
        parts.span((x - radius, x + radius), (-side, side), (2 * radius + 0.02, 2 * radius + 0.06), BLACK)
    rows = parts.rows()
    return Vehicle(rows, float(length), float(width), p.top_of(rows))


def coach(rng: np.random.Generator, lights: float = 0.0) -> Vehicle:
    """A city bus, coach, minibus, school bus or articulated bus with a rounded, raked front."""
    kind = str(rng.choice(["city", "coach", "mini", "long"], p=[0.45, 0.3, 0.15, 0.1]))
    length = {"city": rng.uniform(9.5, 12.5), "coach": rng.uniform(11, 13.5), "mini": rng.uniform(6, 8), "long": 17.5}[
        kind
    ]
    width = 2.2 if kind == "mini" else 2.54
    height = (
        rng.uniform(3.4, 3.85)
        if kind == "coach"
        else (rng.uniform(2.6, 2.9) if kind == "mini" else rng.uniform(2.95, 3.3))
    )
    half, side = length / 2, width / 2
    base = Paint(p.PLAIN, any_colour(rng, 0.65), params=(0.2,), gloss=0.45)
    skin = livery(rng, base)
    parts = Parts()
    low = rng.uniform(1.4, 1.7) if kind == "coach" else rng.uniform(0.95, 1.25)
    high = height - rng.uniform(0.35, 0.6)
    rake = rng.uniform(0.02, 0.25)
    sections = [
        (0.28, -half + 0.1, half - 0.1, side - 0.04), (0.6, -half, half, side), (low, -half, half - 0.02, side),
        (high, -half + 0.03, half - 0.02 - rake * (high - low), side - 0.03),
        (height - 0.05, -half + 0.1, half - 0.2 - rake * (height - low), side - 0.12),
        (height, -half + 0.3, half - 0.5 - rake * (height - low), side - 0.35),
    ]  # fmt: skip
    stack(parts, sections[:3], skin)
    stack(parts, sections[2:], base if rng.random() < 0.5 else skin)
    panes = glass(rng)
    lean = 0.03 / (high - low)
    parts.span((-half + 0.4, half - 0.3), (-side - 0.004, side + 0.004), (low, high), panes, (rake, 0, lean, lean))
    step = rng.uniform(1.1, 2.0)
    for k in range(1, int(length / step)):
        x = -half + 0.4 + step * k
        if x < half - 0.8:
            parts.span((x - 0.04, x + 0.04), (-side - 0.01, side + 0.01), (low, high), BLACK, (0, 0, lean, lean))
    parts.span(
        (half - 0.4, half + 0.0),
        (-side + 0.08, side - 0.08),
        (max(0.9, low - 0.3), high + 0.02),
        panes,
        (rake, 0, lean, lean),
    )
    if rng.random() < 0.7:
        parts.span(
            (-half - 0.012, -half + 0.2), (-side + 0.25, side - 0.25), (low + 0.15, high - 0.05), panes, (0, 0.02, 0, 0)
        )
    for k, x in enumerate((half - 0.9, 0.15 * length, -0.25 * length)[: 1 if kind == "coach" else 3]):
        parts.span((x - 0.6, x + 0.6), (-side - 0.014, -side + 0.05), (0.36, 2.3), panes if k else BLACK)
        parts.span((x - 0.02, x + 0.02), (-side - 0.02, -side + 0.05), (0.36, 2.3), TRIM)
    sign = Paint(p.TEXT, (0.01, 0.01, 0.01), (0.9, 0.5, 0.05), (0.2,))
    parts.span(
        (half - 0.6, half - rake * (high - low) + 0.012), (-side * 0.7, side * 0.7), (high + 0.02, high + 0.28), sign
    )
    parts.span((-half - 0.014, -half + 0.1), (-side * 0.55, side * 0.55), (0.75, 1.1), MESH)
    parts.span((-half - 0.05, -half + 0.1), (-side + 0.05, side - 0.05), (0.3, 0.5), TRIM)
    parts.span((half - 0.1, half + 0.04), (-side + 0.05, side - 0.05), (0.28, 0.5), TRIM)
    parts.span((half + 0.03, half + 0.06), (-0.26, 0.26), (0.36, 0.47), WHITE_PLATE)
    parts.span((-half - 0.06, -half), (-0.26, 0.26), (0.52, 0.63), WHITE_PLATE)
    red = lamp((0.4, 0.01, 0.01), 0.3 + 2.5 * lights)
    for s in (1, -1):
        y = s * (side - 0.32)
        parts.span(
            (half - 0.2, half + 0.02),
            (y - 0.2, y + 0.2),
            (0.58, 0.78),
            lamp((0.5, 0.52, 0.55), 0.2 + 9 * lights),
            (0.3, 0, 0, 0),
        )
        y = s * (side - 0.14)
        parts.span((-half - 0.02, -half + 0.05), (y - 0.09, y + 0.09), (0.8, rng.uniform(1.1, 1.7)), red)
        arm = s * (side + 0.12)
        parts.span((half + 0.0, half + 0.2), (arm - 0.1, arm + 0.1), (1.8, 2.3), BLACK)
    if kind == "long":
        parts.span(
            (-0.6, 0.6),
            (-side - 0.02, side + 0.02),
            (0.4, height - 0.05),
            Paint(p.STRIPES, (0.03, 0.03, 0.03), (0.1, 0.1, 0.1), (0.14, 0.5, 0.0)),
        )
    if rng.random() < 0.6:
        parts.span(
            (-half + 1, -half + rng.uniform(2.5, 0.6 * length)),
            (-side + 0.4, side - 0.4),
            (height - 0.02, height + 0.25),
            base,
        )
    axles = [
        half - 2.6 * (kind != "mini") - 1.0 * (kind == "mini"),
        -half + 0.25 * length * (kind != "long") + 2.4 * (kind == "long"),
    ]
    wheels(
        parts,
        axles + ([0.08 * length] if kind == "long" else []),
        width + 0.02,
        0.47 if kind != "mini" else 0.38,
        0.3,
        True,
        rim(rng, lorry=True),
    )
    return Vehicle(parts.rows(), float(length), float(width), float(height))
