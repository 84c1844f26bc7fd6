"""Street furniture in its own frame: the road lies towards -y, origin on the ground. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts

_GREY = Paint(p.PLAIN, (0.22, 0.23, 0.24), params=(0.2,), gloss=0.2)
_DARK = Paint(p.PLAIN, (0.03, 0.035, 0.035), params=(0.2,), gloss=0.2)
_CONCRETE = Paint(p.NOISE, (0.36, 0.35, 0.33), (0.22, 0.21, 0.2), (0.02, 1.0, 0.3))
_SIGNS = ((0.02, 0.09, 0.4), (0.5, 0.02, 0.02), (0.6, 0.6, 0.6), (0.6, 0.42, 0.02), (0.02, 0.2, 0.08))


def _any_colour(rng: np.random.Generator) -> tuple[float, float, float]:
    # Mostly muted: paint in the street is rarely pure.
    grey, pure = rng.uniform(0.03, 0.5), rng.random() ** 2
    r, g, b = grey * (1 - pure) + pure * rng.uniform(0.02, 0.55, 3)
    return float(r), float(g), float(b)


def lamp_post(rng: np.random.Generator, lit: bool) -> np.ndarray:
    """A street lamp, 5 to 10 m, its arm over the road."""
    parts = Parts()
    high, arm = rng.uniform(5, 10), rng.uniform(0.3, 2.2)
    steel = _GREY if rng.random() < 0.6 else _DARK
    parts.post(0, 0, (0, 1.0), 0.11, steel)
    parts.post(0, 0, (0, high), 0.065, steel)
    parts.rod((0, 0, high), (0, -arm, high + 0.2), 0.045, steel)
    head = Paint(p.LIGHT, (1.0, 0.75, 0.4) if lit else (0.5, 0.5, 0.5), params=(8.0 if lit else 0.0,))
    parts.box((0, -arm - 0.25, high + 0.2), (0.22, 0.6, 0.12), head)
    if rng.random() < 0.2:
        parts.box((0.3, 0, high * 0.45), (0.5, 0.04, 0.9), Paint(p.TEXT, _any_colour(rng), (0.6, 0.6, 0.6), (0.22,)))
    return parts.rows()


def sign(rng: np.random.Generator) -> np.ndarray:
    """A traffic sign that faces traffic along x."""
    parts = Parts()
    high = rng.uniform(2.1, 2.9)
    parts.post(0, 0, (0, high), 0.035, _GREY)
    for k in range(int(rng.integers(1, 3))):
        colour = _SIGNS[rng.integers(5)]
        other = (0.62, 0.62, 0.62) if colour[0] < 0.5 or colour[1] < 0.1 else (0.02, 0.02, 0.02)
        z, size = high - 0.32 - 0.65 * k, rng.uniform(0.28, 0.4)
        back = Paint(p.PLAIN, (0.3, 0.3, 0.3))
        if rng.random() < 0.5:
            parts.add(p.CYLINDER, (-0.05, 0, z), (size, size, 0.012), Paint(p.PLAIN, colour), p.ALONG)
            parts.add(
                p.CYLINDER,
                (-0.065, 0, z),
                (size * 0.72, size * 0.72, 0.01),
                Paint(p.TEXT, other, (0.02, 0.02, 0.02), (0.3,)),
                p.ALONG,
            )
        else:
            parts.box((-0.05, 0, z), (0.02, 2 * size, 1.6 * size), Paint(p.TEXT, colour, other, (0.16,)))
        parts.box((-0.035, 0, z), (0.012, size, size), back)
    return parts.rows()


def traffic_light(rng: np.random.Generator) -> np.ndarray:
    """A signal for traffic that drives along +x, with a second head over the road sometimes."""
    parts = Parts()
    arm = rng.random() < 0.4
    high = 5.8 if arm else 3.3
    parts.post(0, 0, (0, high), 0.08 if arm else 0.055, _DARK)
    heads = [(0.0, 2.75)]
    if arm:
        reach = rng.uniform(2.5, 5.0)
        parts.rod((0, 0, high - 0.1), (0, -reach, high), 0.06, _DARK)
        heads.append((-reach, high - 0.2))
    state = int(rng.integers(3))
    for y, z in heads:
        parts.box((-0.12, y, z), (0.2, 0.34, 1.0), _DARK)
        for k, colour in enumerate(((0.9, 0.02, 0.01), (0.9, 0.5, 0.01), (0.02, 0.8, 0.3))):
            lens = Paint(
                p.LIGHT,
                colour if k == state else tuple(c * 0.08 for c in colour),
                params=(4.0 if k == state else 0.0,),
            )  # type: ignore[arg-type]
            parts.add(p.CYLINDER, (-0.23, y, z + 0.3 - 0.3 * k), (0.1, 0.1, 0.02), lens, p.ALONG)
    return parts.rows()


def small_thing(rng: np.random.Generator) -> np.ndarray:
    """A bin, bollard, box, bench, cone, hydrant, planter, advertising column or pallet of goods."""
    parts = Parts()
    kind = rng.integers(9)
    colour = Paint(p.PLAIN, _any_colour(rng), params=(0.3,), gloss=0.2)
    if kind == 0:
        for k in range(int(rng.integers(1, 4))):
            parts.box((0.75 * k, 0, 0.52), (0.6, 0.7, 1.04), colour, slopes=(-0.05, -0.05, -0.05, -0.05))
            parts.box((0.75 * k, 0, 1.07), (0.62, 0.74, 0.08), _DARK)
    elif kind == 1:
        for k in range(int(rng.integers(1, 6))):
            parts.post(1.5 * k, 0, (0, 0.95), 0.06, _DARK if rng.random() < 0.5 else _GREY)
    elif kind == 2:
        parts.box(
            (0, 0, 0.65),
            (rng.uniform(0.6, 1.6), 0.4, 1.3),
            Paint(p.NOISE, (0.3, 0.31, 0.3), (0.2, 0.2, 0.2), (0.01, 1.0, 0.3)),
        )
    elif kind == 3:
        wood = Paint(p.STRIPES, (0.25, 0.14, 0.07), (0.05, 0.03, 0.02), (0.12, 0.15, 1.0))
        parts.box((0, 0, 0.45), (1.7, 0.45, 0.06), wood)
        parts.box((0, 0.22, 0.75), (1.7, 0.06, 0.4), wood)
        for x in (-0.7, 0.7):
            parts.box((x, 0, 0.22), (0.08, 0.4, 0.44), _DARK)
    elif kind == 4:
        for k in range(int(rng.integers(1, 5))):
            parts.add(
                p.CONE,
                (2.0 * k, 0, 0.4),
                (0.2, 0.2, 0.42),
                Paint(p.STRIPES, (0.7, 0.15, 0.02), (0.7, 0.7, 0.7), (0.3, 0.4, 1.0)),
            )
            parts.box((2.0 * k, 0, 0.02), (0.42, 0.42, 0.04), _DARK)
    elif kind == 5:
        parts.box((0, 0, 0.35), (rng.uniform(0.8, 2.5), 0.8, 0.7), _CONCRETE)
        parts.ball(
            (0, 0, 0.9),
            (0.5, 0.4, 0.4),
            Paint(p.FOLIAGE, (0.02, 0.04, 0.01), (0.1, 0.18, 0.04), holes=p.LEAVES),
        )
    elif kind == 6:
        parts.post(0, 0, (0, 2.9), 0.6, Paint(p.TEXT, _any_colour(rng), _any_colour(rng), (0.5,)))
        parts.add(p.ELLIPSOID, (0, 0, 2.9), (0.7, 0.7, 0.35), _DARK)
    elif kind == 7:
        parts.post(0, 0, (0, 0.7), 0.12, Paint(p.PLAIN, (0.5, 0.03, 0.02)))
        parts.ball((0, 0, 0.72), (0.13, 0.13, 0.12), Paint(p.PLAIN, (0.5, 0.03, 0.02)))
    else:
        for k in range(int(rng.integers(1, 5))):
            size = rng.uniform(0.4, 1.2)
            parts.box(
                (rng.normal(0, 0.6), rng.normal(0.3, 0.2), size / 2),
                (size, size, size),
                colour if k else _CONCRETE,
                yaw=rng.uniform(0, 3),
            )
    return parts.rows()


def bus_stop(rng: np.random.Generator) -> np.ndarray:
    """A glazed shelter."""
    parts = Parts()
    pane = Paint(p.TEXT, (0.2, 0.22, 0.23), _any_colour(rng), (0.5,), gloss=0.6)
    parts.box((0, 0.7, 2.45), (4.0, 1.6, 0.12), _DARK)
    parts.box((0, 1.4, 1.3), (4.0, 0.05, 2.0), Paint(p.PLAIN, (0.2, 0.23, 0.24), params=(0.3,), gloss=0.8))
    parts.box((1.95, 0.7, 1.2), (0.12, 1.3, 1.9), pane)
    for x in (-1.9, 0.0, 1.9):
        parts.post(x, 1.4, (0, 2.4), 0.04, _DARK)
    parts.box((-0.3, 1.1, 0.5), (2.4, 0.35, 0.06), _GREY)
    return parts.rows()


def fence(rng: np.random.Generator, length: float) -> np.ndarray:
    """A fence, wall or railing along x, 0.6 to 2 m high."""
    parts = Parts()
    kind = rng.integers(5)
    high = rng.uniform(0.8, 1.9)
    if kind == 0:
        parts.box(
            (0, 0, high / 2),
            (length, 0.24, high),
            Paint(p.BRICK, (0.3, 0.14, 0.1), (0.4, 0.38, 0.35), (0.24, 0.08, 0.15)),
        )
        parts.box((0, 0, high + 0.04), (length, 0.32, 0.08), _CONCRETE)
    elif kind == 1:
        wood = (0.3, 0.2, 0.12) if rng.random() < 0.6 else (0.6, 0.6, 0.58)
        parts.box(
            (0, 0, high / 2),
            (length, 0.05, high),
            Paint(p.STRIPES, wood, tuple(c * 0.3 for c in wood), (0.14, 0.12, 0.0)),
        )  # type: ignore[arg-type]
    elif kind == 2:
        rail = Paint(p.PLAIN, (0.05, 0.055, 0.05), params=(0.1, 0, 0, 0, 0.13, 0.2), holes=p.BARS)
        parts.box((0, 0, high / 2), (length, 0.04, high), rail)
        for x in np.arange(-length / 2, length / 2 + 0.1, 2.5):
            parts.post(float(x), 0, (0, high + 0.06), 0.035, _DARK)
    elif kind == 3:
        parts.box((0, 0, high * 0.3), (length, 0.3, high * 0.6), _CONCRETE)
        parts.box(
            (0, 0, high * 0.8),
            (length, 0.04, high * 0.5),
            Paint(p.PLAIN, (0.05, 0.05, 0.05), params=(0.1, 0, 0, 0, 0.13, 0.2), holes=p.BARS),
        )
    else:
        picket = Paint(
            p.PLAIN,
            (0.6, 0.6, 0.58) if rng.random() < 0.5 else (0.25, 0.16, 0.1),
            params=(0.2, 0, 0, 0, 0.16, 0.6),
            holes=p.BARS,
        )
        parts.box((0, 0, high * 0.35), (length, 0.05, high * 0.7), picket)
    return parts.rows()


def barrier(rng: np.random.Generator, length: float, kind: int | None = None) -> np.ndarray:
    """A low barrier along x: 0 concrete profile, 1 steel guard rail, 2 plastic blocks, 3 tall noise wall."""
    parts = Parts()
    kind = int(rng.integers(3)) if kind is None else kind
    if kind == 0:
        parts.box((0, 0, 0.15), (length, 0.6, 0.3), _CONCRETE, slopes=(0, 0, 0.35, 0.35))
        parts.box((0, 0, 0.55), (length, 0.4, 0.6), _CONCRETE, slopes=(0, 0, 0.18, 0.18))
    elif kind == 1:
        steel = Paint(p.GRADIENT, (0.25, 0.26, 0.27), (0.45, 0.46, 0.47), gloss=0.3)
        for z in (0.5, 0.66):
            parts.box((0, 0, z), (length, 0.1, 0.13), steel)
        for x in np.arange(-length / 2 + 1, length / 2, 2.0):
            parts.box((float(x), 0.1, 0.38), (0.1, 0.12, 0.76), _GREY)
    elif kind == 2:
        x = -length / 2
        k = 0
        while x < length / 2:
            colour = (0.6, 0.05, 0.03) if k % 2 else (0.62, 0.62, 0.6)
            parts.box(
                (x + 0.6, 0, 0.4),
                (1.15, 0.4, 0.8),
                Paint(p.PLAIN, colour, params=(0.2,)),
                slopes=(0, 0, 0.12, 0.12),
            )
            x, k = x + 1.2, k + 1
    else:
        high = rng.uniform(2.5, 5)
        paint = (
            Paint(p.PANELS, _any_colour(rng), _any_colour(rng), (0.5, 0.0, 1.0))
            if rng.random() < 0.5
            else Paint(p.BRICK, (0.4, 0.38, 0.35), (0.2, 0.2, 0.2), (2.0, 0.5, 0.04))
        )
        parts.box((0, 0, high / 2), (length, 0.25, high), paint)
        for x in np.arange(-length / 2, length / 2 + 0.1, 4.0):
            parts.box((float(x), 0, high / 2), (0.2, 0.34, high + 0.1), _GREY)
    return parts.rows()


def bank(rng: np.random.Generator, length: float, high: float, paint: Paint) -> np.ndarray:
    """An embankment along x that rises away from the road."""
    parts = Parts()
    run = high * rng.uniform(1.2, 2.5)
    parts.box((0, run + 4, high / 2), (length, 2 * run + 8, high), paint, slopes=(0, 0, run / high, run / high))
    return parts.rows()


def overpass(rng: np.random.Generator, span: float) -> np.ndarray:
    """A bridge across the road at x = 0."""
    parts = Parts()
    high, deep = rng.uniform(4.7, 6.5), rng.uniform(7, 14)
    parts.box((0, 0, high + 0.6), (deep, 4 * span, 1.2), _CONCRETE)
    for x in (-deep / 2, deep / 2):
        parts.box((x, 0, high + 1.6), (0.25, 4 * span, 0.9), _CONCRETE)
    for s in (1, -1):
        parts.box((0, s * (span + 1.2), high / 2), (deep * 0.9, 1.2, high), _CONCRETE)
        parts.box(
            (0, s * (span + 8), high / 2),
            (deep, 12, high),
            Paint(p.NOISE, (0.08, 0.13, 0.04), (0.03, 0.05, 0.02), (0.05, 1.0, 0.5)),
        )
    return parts.rows()
