"""What lorries carry: the body between two x on a floor; frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.lofts import plank, stack
from cloudypoints_training.scenes.motorcars import glass, lamp, motorcar
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.utility import WHITE, YELLOW_RED, any_colour, livery
from cloudypoints_training.scenes.vehicles import BLACK, CHROME, TRIM

BODIES = {
    "box": 0.2, "curtain": 0.13, "reefer": 0.07, "container": 0.08, "tank": 0.13, "silo": 0.04, "tipper": 0.08,
    "logs": 0.05, "cars": 0.05, "flat": 0.06, "refuse": 0.05, "skip": 0.03, "fire": 0.02, "mixer": 0.03,
    "crane": 0.03, "glass": 0.02,
}  # fmt: skip
"""Kinds of bodies and how often they are met."""
_STEEL = Paint(p.PLAIN, (0.06, 0.06, 0.062), params=(0.4,))
_WOOD = Paint(p.NOISE, (0.22, 0.14, 0.08), (0.1, 0.07, 0.05), (0.01, 0.2, 0.5))


def body(
    parts: Parts, rng: np.random.Generator, work: str, rear: float, front: float, side: float, floor: float,
    top: float, paint: Paint,
) -> None:  # fmt: skip
    """Adds the body `work` between x = rear and front, `side` the half width, from `floor` to at most `top`."""
    if work in ("box", "curtain", "reefer", "container"):
        _closed(parts, rng, work, rear, front, side, floor, top)
    elif work in ("tank", "silo"):
        _tank(parts, rng, work, rear, front, side, floor, top)
    elif work in ("tipper", "skip"):
        _open_top(parts, rng, work, rear, front, side, floor, top)
    elif work in ("logs", "flat", "crane", "glass"):
        _bed(parts, rng, work, rear, front, side, floor, top)
    elif work == "cars":
        _transporter(parts, rng, rear, front, side)
    else:
        _special(parts, rng, work, rear, front, side, floor, top, paint)


def _closed(
    parts: Parts, rng: np.random.Generator, work: str, rear: float, front: float, side: float, floor: float, top: float
) -> None:
    """A van body with its frame, doors and bolts, curtains with straps, or a cooling machine."""
    base = WHITE if rng.random() < 0.4 else Paint(p.PLAIN, any_colour(rng, 0.65), params=(0.2,), gloss=0.2)
    skin = livery(rng, base)
    if work == "container":
        skin = Paint(p.PANELS, any_colour(rng, 0.5), (0.6, 0.6, 0.6), (0.28, 0.12, 1.0))
        top = min(top, floor + 2.6)
    parts.span((rear, front), (-side, side), (floor, top), skin)
    frame = (CHROME, _STEEL, base)[rng.integers(3)]
    out = side + 0.012
    for z in (floor - 0.03, top - 0.09):
        parts.span((rear - 0.012, front + 0.012), (-out, out), (z, z + 0.12), frame)
    for x in (rear, front):
        parts.span((x - 0.06, x + 0.06), (-out, out), (floor, top), frame)
    if work == "curtain":
        for k in range(int((front - rear) / 0.7)):
            x = rear + 0.35 + 0.7 * k
            parts.span((x - 0.025, x + 0.025), (-out, out), (floor - 0.06, floor + rng.uniform(0.2, 0.3)), BLACK)
    leaf = float(rng.choice([0.0, rng.uniform(-0.2, 0.2)]))
    parts.span((rear - 0.025, rear), (leaf - 0.012, leaf + 0.012), (floor, top), BLACK)
    if rng.random() < 0.25:  # a roller shutter
        parts.span(
            (rear - 0.02, rear),
            (-side + 0.1, side - 0.1),
            (floor + 0.05, top - 0.25),
            Paint(p.STRIPES, base.a, (0.2, 0.2, 0.2), (0.25, 0.08, 1.0)),
        )
    else:
        for y in (-0.62, -0.3, 0.3, 0.62):
            parts.post(rear - 0.035, y * side, (floor + 0.02, top - 0.02), 0.02, CHROME)
    if rng.random() < 0.3:  # a poster on the door
        parts.span(
            (rear - 0.018, rear),
            (0.15, side - 0.2),
            (floor + 0.7, floor + 1.5),
            Paint(p.TEXT, any_colour(rng), any_colour(rng), (0.25,)),
        )
    if work == "reefer":
        parts.span(
            (front, front + 0.45),
            (-0.8, 0.8),
            (top - 1.7, top - 0.1),
            Paint(p.STRIPES, (0.6, 0.6, 0.6), (0.1, 0.1, 0.1), (0.2, 0.3, 1.0)),
        )


def _tank(
    parts: Parts, rng: np.random.Generator, work: str, rear: float, front: float, side: float, floor: float, top: float
) -> None:
    """A round or oval tank with bands, walkway, ladder and hatches, or a silo with hoppers below."""
    radius = (top - floor) / 2 * 0.9
    middle, long = 0.5 * (rear + front), front - rear
    shine = rng.random() < 0.55
    steel = Paint(
        p.PANELS if rng.random() < 0.5 else p.GRADIENT, (0.5, 0.51, 0.52) if shine else any_colour(rng, 0.65),
        any_colour(rng), (1.6, 0.0, 0.0), gloss=0.7 if shine else 0.35,
    )  # fmt: skip
    z = floor + radius
    parts.add(p.CYLINDER, (middle, 0, z), (radius, side * 0.97, long / 2 - 0.25), steel, p.ALONG)
    bulge = rng.uniform(0.15, 0.4)
    for x in (rear + 0.25, front - 0.25):
        parts.ball((x, 0, z), (bulge, side * 0.97, radius), steel)
    for k in range(1, int(long / 1.7)):
        x = rear + long * k / int(long / 1.7)
        parts.add(p.CYLINDER, (x, 0, z), (radius + 0.02, side * 0.985, 0.05), CHROME if shine else _STEEL, p.ALONG)
        if k % 2:
            parts.post(x + 0.4, 0, (z + radius - 0.05, z + radius + 0.15), 0.25, _STEEL)
    parts.span((rear + 0.6, front - 0.6), (-0.35, 0.35), (z + radius - 0.02, z + radius + 0.05), _STEEL)
    for y in (-0.25, 0.25):  # ladder
        parts.rod((rear - 0.02, y + 0.6, 0.6), (rear + 0.05, y + 0.6, z + radius), 0.02, CHROME)
    parts.span(
        (rear - 0.03, rear + 0.1),
        (-0.9, -0.6),
        (floor + 0.2, floor + 0.5),
        Paint(p.TEXT, (0.6, 0.3, 0.02), (0.02, 0.02, 0.02), (0.14,)),
    )
    if work == "silo":
        for k in range(int(long // 2.6)):
            x = rear + 1.3 + 2.6 * k
            parts.add(p.CONE, (x, 0, floor - 0.1), (1.1, side * 0.8, 0.6), steel, (1, 0, 0, 0, -1, 0, 0, 0, -1))
    else:
        parts.span((rear + 0.8, front - 1.5), (-side * 0.9, side * 0.9), (floor - 0.2, floor + 0.12), _STEEL)


def _open_top(
    parts: Parts, rng: np.random.Generator, work: str, rear: float, front: float, side: float, floor: float, top: float
) -> None:
    """A tipper with its heap or cover, or a skip on its arms."""
    rust = Paint(p.NOISE, any_colour(rng, 0.4), (0.12, 0.07, 0.04), (0.02, 1.0, rng.uniform(0, 2)))
    middle, long = 0.5 * (rear + front), front - rear
    if work == "skip":
        stack(
            parts,
            [(floor + 0.1, rear + 0.7, front - 1.2, side - 0.3), (floor + 1.4, rear + 0.1, front - 0.7, side - 0.1)],
            rust,
        )
        for s in (1, -1):
            y = s * (side - 0.1)
            parts.rod((front - 0.5, y, floor), (middle, y, floor + 1.8), 0.1, _STEEL)
            parts.rod((middle, y, floor + 1.8), (rear + 0.8, y, floor + 1.2), 0.05, _STEEL)
    else:
        high = floor + min(rng.uniform(0.7, 1.7), top - floor)
        stack(parts, [(floor, rear + 0.1, front - 0.1, side - 0.05), (high, rear, front, side)], rust)
        for k in range(int(long / 0.8)):
            x = rear + 0.4 + 0.8 * k
            parts.span((x - 0.05, x + 0.05), (-side - 0.03, side + 0.03), (floor, high), rust)
        parts.span((rear - 0.01, front + 0.01), (-side - 0.04, side + 0.04), (high - 0.1, high), rust)
        if rng.random() < 0.3:
            parts.span(
                (rear, front),
                (-side, side),
                (high, high + 0.15),
                Paint(p.NOISE, (0.05, 0.08, 0.05), (0.03, 0.04, 0.03)),
                (0, 0, 6, 6),
            )
            return
        floor = high - 1.1
    earth = Paint(p.NOISE, any_colour(rng, 0.4), any_colour(rng, 0.3), (0.02, 1.0, 2.0))
    for _ in range(int(rng.integers(0, 4))):
        x = middle + rng.uniform(-0.25, 0.25) * long
        parts.ball((x, rng.uniform(-0.2, 0.2), floor + 1.1), (0.3 * long, side * 0.8, rng.uniform(0.2, 0.8)), earth)


def _bed(
    parts: Parts, rng: np.random.Generator, work: str, rear: float, front: float, side: float, floor: float, top: float
) -> None:
    """A flat bed: logs between stakes, goods, a crane, or panes on a rack."""
    long = front - rear
    parts.span((rear, front), (-side, side), (floor - 0.05, floor + 0.1), _WOOD)
    parts.span((front - 0.1, front), (-side, side), (floor, floor + 1.3), _STEEL)
    floor += 0.1
    if work == "logs":
        for x in np.linspace(rear + 0.4, front - 0.4, max(2, int(long / 2))):
            for s in (1, -1):
                parts.post(float(x), s * (side - 0.06), (floor, top - 0.3), 0.06, _STEEL)
        z, level = floor, 0
        while z < top - 0.7:
            radius = rng.uniform(0.13, 0.22)
            bark = Paint(p.NOISE, (0.2, 0.14, 0.09), (0.08, 0.05, 0.03), (0.01, 1.0, 1.0))
            for y in np.arange(-side + 0.25, side - 0.2, 2 * radius + 0.02):
                x0, x1 = rear + rng.uniform(-0.2, 0.3), front - rng.uniform(0.1, 0.5)
                parts.add(
                    p.CYLINDER,
                    ((x0 + x1) / 2, float(y) + 0.1 * (level % 2), z + radius),
                    (radius, radius, (x1 - x0) / 2),
                    bark,
                    p.ALONG,
                )
            z, level = z + 1.8 * radius, level + 1
    elif work == "glass":
        pane = Paint(p.PLAIN, (0.15, 0.2, 0.2), params=(0.3,), gloss=0.9)
        for s in (1, -1):
            parts.span(
                (rear + 0.3, front - 0.4),
                (s * side - 0.12, s * side + 0.06),
                (floor, top),
                pane,
                (0, 0, 0.05 * s, -0.05 * s),
            )
        parts.span((rear + 0.3, front - 0.4), (-0.2, 0.2), (floor, top), _WOOD)
    else:
        x = rear + 0.2
        while x < front - 1.2:
            size = min(rng.uniform(0.7, 3.2), front - 0.3 - x)
            goods = Paint(
                int(rng.choice([p.NOISE, p.STRIPES, p.PANELS, p.BRICK, p.TEXT])), any_colour(rng), any_colour(rng),
                (0.3, 0.3, 0.1),
            )  # fmt: skip
            high = rng.uniform(0.3, max(0.4, top - floor - 0.1))
            if rng.random() < 0.25:
                r = min(size, high) / 2
                parts.add(p.CYLINDER, (x + r, 0, floor + r), (r, r, side * 0.85), goods, p.ACROSS)
            elif rng.random() < 0.9:
                wide = side * rng.uniform(0.5, 0.95)
                parts.span((x, x + size - 0.1), (-wide, wide), (floor, floor + high), goods)
            x += size
        if work == "crane":
            x = front - 0.3
            tip = (rear + rng.uniform(0, 1), 0.0, top + rng.uniform(-0.5, 0.6))
            parts.span((x - 0.4, x + 0.2), (-0.6, 0.6), (floor, floor + 1.2), Paint(p.PLAIN, (0.55, 0.3, 0.03)))
            parts.rod((x, 0, floor + 1.0), (x, 0, top + 0.2), 0.17, Paint(p.PLAIN, (0.55, 0.3, 0.03)))
            parts.rod((x, 0, top + 0.2), tip, 0.13, Paint(p.PLAIN, (0.55, 0.3, 0.03)))


def _transporter(parts: Parts, rng: np.random.Generator, rear: float, front: float, side: float) -> None:
    """Two decks of cars between lattice sides."""
    steel = Paint(p.PLAIN, any_colour(rng, 0.5), params=(0.2,))
    for deck in (0.85, 2.35):
        parts.span((rear, front), (-side, side), (deck - 0.08, deck), steel)
        x = rear + 2.4
        while x < front - 1.9:
            vehicle = motorcar(rng, str(rng.choice(["hatch", "city", "saloon", "crossover"])))
            parts.place(vehicle.rows, x, 0.0, float(rng.choice([0.0, np.pi])), deck)
            x += vehicle.length + 0.2
    for x in np.linspace(rear + 0.1, front - 0.1, max(3, int((front - rear) / 2.2))):
        for s in (1, -1):
            parts.span((float(x) - 0.05, float(x) + 0.05), (s * side - 0.05, s * side + 0.05), (0.8, 2.4), steel)


def _special(
    parts: Parts, rng: np.random.Generator, work: str, rear: float, front: float, side: float, floor: float,
    top: float, paint: Paint,
) -> None:  # fmt: skip
    """Refuse lorry, fire engine, concrete mixer."""
    middle, long = 0.5 * (rear + front), front - rear
    if work == "refuse":
        skin = Paint(p.PANELS, any_colour(rng, 0.6), any_colour(rng), (0.7, 0.2), gloss=0.2)
        parts.span((rear + 1.0, front), (-side, side), (floor, top), skin, (0, 0, 0.03, 0.03))
        plank(
            parts,
            [
                (rear - 0.5, floor - 0.4, floor + 1.0, side - 0.05),
                (rear + 0.4, floor - 0.3, top, side),
                (rear + 1.1, floor, top + 0.1, side),
            ],
            paint,
        )
        parts.span((rear - 0.52, rear - 0.4), (-side + 0.2, side - 0.2), (floor - 0.1, floor + 0.7), BLACK)
        parts.span((rear - 0.52, rear - 0.45), (-side, side), (floor - 0.35, floor - 0.15), YELLOW_RED)
    elif work == "fire":
        parts.span((rear, front), (-side, side), (0.6, top - 0.3), paint)
        for k in range(3):
            x = rear + 0.3 + k * (long - 0.4) / 3
            parts.span(
                (x, x + (long - 0.6) / 3 - 0.1),
                (-side - 0.012, side + 0.012),
                (0.8, top - 0.6),
                Paint(p.STRIPES, (0.5, 0.5, 0.5), (0.3, 0.3, 0.3), (0.12, 0.2, 1.0)),
            )
        parts.span(
            (rear, front),
            (-side - 0.006, side + 0.006),
            (0.62, 0.78),
            Paint(p.STRIPES, (0.65, 0.62, 0.1), (0.5, 0.02, 0.02), (0.4, 0.5, 2.0)),
        )
        for y in (-0.3, 0.3):
            parts.rod((rear - 0.3, y, top + 0.1), (front + 1.2, y, top + 0.3), 0.05, CHROME)
        parts.span(
            (front + 0.4, front + 0.8), (-side * 0.8, side * 0.8), (top - 0.1, top + 0.1), lamp((0.05, 0.15, 0.9), 3.0)
        )
        parts.span((front - 0.1, front + 0.3), (-side + 0.05, side - 0.05), (1.4, top - 0.5), glass(rng))
    else:  # mixer
        drum = Paint(p.STRIPES, any_colour(rng, 0.6), any_colour(rng, 0.6), (0.8, 0.3, 2.0))
        tilt = 0.22
        axis = (np.cos(tilt), 0.0, np.sin(tilt))
        c, s = float(axis[0]), float(axis[2])
        turn = (s, 0, -c, 0, -1, 0, -c, 0, -s)  # the drum's local z points back and up... its axis
        parts.add(p.ELLIPSOID, (middle + 0.2, 0, floor + 1.15), (side * 0.95, side * 0.95, 0.46 * long), drum, turn)
        parts.span((rear - 0.2, rear + 0.5), (-0.4, 0.4), (floor, floor + 1.9), TRIM)
        parts.span((front - 0.4, front), (-side * 0.8, side * 0.8), (floor, floor + 1.1), paint)
