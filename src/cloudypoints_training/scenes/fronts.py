"""Irregular facades: bays, gables, loggias, arcades, shop fronts, scaffolding; frame as buildings.py. Metres."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.buildings import facade, wall_colour
from cloudypoints_training.scenes.primitives import Colour, Paint, Parts
from cloudypoints_training.scenes.utility import any_colour

_DARK = Paint(p.PLAIN, (0.03, 0.033, 0.036), params=(0.2,), gloss=0.3)
STEEL = Paint(p.PLAIN, (0.25, 0.26, 0.27), params=(0.3,), gloss=0.2)
_SHUTTER = Paint(p.STRIPES, (0.4, 0.41, 0.42), (0.18, 0.18, 0.19), (0.12, 0.2, 1.0))
BARS = Paint(p.PLAIN, (0.05, 0.05, 0.055), params=(0.1, 0, 0, 0, 0.12, 0.25), holes=p.BARS)


def tiles(rng: np.random.Generator) -> Paint:
    tone: Colour = (0.22, 0.08, 0.05) if rng.random() < 0.5 else (0.08, 0.08, 0.085)
    return Paint(p.BRICK, tone, (tone[0] / 2, tone[1] / 2, tone[2] / 2), (0.3, 0.35, 0.12))


def wall_and_paint(rng: np.random.Generator) -> tuple[Colour, Paint]:
    """A wall with windows, or blank: rendered, brick, concrete, boards, or glass all over."""
    wall = wall_colour(rng, rng.random() < 0.3)
    kind = rng.random()
    if kind < 0.72:
        return wall, facade(rng, wall, False, rng.random() < 0.35)
    if kind < 0.8:
        return wall, Paint(p.BRICK, wall, (0.4, 0.38, 0.35), (0.24, 0.08, 0.15))
    if kind < 0.87:
        return wall, Paint(
            p.STRIPES, wall, (wall[0] * 0.6, wall[1] * 0.6, wall[2] * 0.6), (rng.uniform(0.1, 0.5), 0.12, 0.0)
        )
    if kind < 0.93:
        return wall, Paint(
            p.WINDOWS, (0.2, 0.22, 0.24), (0.03, 0.04, 0.045), (1.4, 3.2, 0.95, 0.93, 0.0, 0.0), gloss=0.5
        )
    return wall, Paint(p.NOISE, wall, (wall[0] * 0.7, wall[1] * 0.7, wall[2] * 0.7), (0.03, 1.0, 0.5))


def front(rng: np.random.Generator, length: float) -> np.ndarray:
    """A building of two to five bays, each of its own depth, height, roof and dress."""
    parts = Parts()
    n = int(rng.integers(1, max(2, min(6, length // 4))))
    cuts = np.concatenate([[0.0], np.sort(rng.uniform(0.15, 0.85, n - 1)), [1.0]]) * length - length / 2
    storey, storeys = rng.uniform(2.8, 3.5), int(np.clip(rng.poisson(2.2) + 1, 1, 9))
    wall, shared = wall_and_paint(rng)
    for left, right in pairwise(cuts):
        wide = float(right - left)
        if wide < 1.0:
            continue
        if rng.random() < 0.3:
            wall, shared = wall_and_paint(rng)
        out = float(rng.choice([0.0, rng.uniform(-1.5, 2.0), rng.uniform(-6, 0)], p=[0.5, 0.35, 0.15]))
        high = 0.3 + storey * max(1, storeys + int(rng.integers(-1, 2)))
        x, deep = float(left + right) / 2, 10.0
        parts.box((x, deep / 2 - out, high / 2), (wide, deep, high), shared)
        _roof(parts, rng, x, out, wide, deep, high, wall)
        _dress(parts, rng, x, out, wide, high, storey, wall)
    if rng.random() < 0.1:
        _scaffold(parts, rng, length, storeys * storey)
    return parts.rows()


def _roof(
    parts: Parts, rng: np.random.Generator, x: float, out: float, wide: float, deep: float, high: float, wall: Colour
) -> None:
    """Flat with an edge and machines, hipped, gabled to the side, or gabled to the street."""
    kind = rng.choice(["flat", "gable", "side", "hip", "mansard"], p=[0.35, 0.2, 0.25, 0.1, 0.1])
    y, cover, tall = deep / 2 - out, tiles(rng), rng.uniform(1.5, 4.0)
    edge = Paint(
        p.NOISE, (min(0.8, wall[0] * 1.2), min(0.8, wall[1] * 1.2), min(0.8, wall[2] * 1.2)), wall, (0.02, 1.0, 0.0)
    )
    if kind == "flat":
        parts.box((x, y, high + 0.1), (wide + 0.1, deep + rng.uniform(0.1, 1.0), rng.uniform(0.2, 0.9)), edge)
        if rng.random() < 0.4:
            parts.box((x, y, high + 0.8), (min(2.0, 0.5 * wide), 2.0, 1.4), STEEL)
    elif kind == "gable":
        lean = wide / 2 / tall
        parts.box((x, y, high + tall / 2), (wide, deep, tall), edge, slopes=(lean, lean, 0, 0))
        parts.box((x, y + 0.2, high + tall / 2 + 0.15), (wide + 0.5, deep, tall), cover, slopes=(lean, lean, 0, 0))
    elif kind == "side":
        lean = deep / 2 / tall
        parts.box((x, y, high + tall / 2), (wide, deep + 0.7, tall), cover, slopes=(0, 0, lean, lean))
        for k in range(int(wide // 4) if rng.random() < 0.5 else 0):
            parts.box((x - wide / 2 + 2 + 4 * k, y - deep / 2 + 1.8, high + 0.8), (1.3, 2.0, 1.3), edge)
    elif kind == "hip":
        lean = min(wide, deep) / 2 / tall * 0.95
        parts.box((x, y, high + tall / 2), (wide + 0.6, deep + 0.6, tall), cover, slopes=(lean, lean, lean, lean))
    else:
        parts.box((x, y, high + tall / 2), (wide, deep, tall), cover, slopes=(0.05, 0.05, 0.4, 0.4))
    for _ in range(int(rng.integers(0, 3))):
        chimney = (x + rng.uniform(-0.4, 0.4) * wide, y + rng.uniform(-0.2, 0.2) * deep, high + tall * 0.8)
        parts.box(chimney, (0.7, 0.6, tall), Paint(p.BRICK, (0.3, 0.13, 0.09), (0.4, 0.4, 0.4), (0.24, 0.08, 0.15)))


def _dress(
    parts: Parts, rng: np.random.Generator, x: float, out: float, wide: float, high: float, storey: float, wall: Colour
) -> None:
    """What hangs on a bay: balconies, loggias, oriels, pipes, shops, arcades, doors and steps, machines."""
    face = -out
    kind = rng.choice(
        ["plain", "balcony", "loggia", "oriel", "shop", "arcade", "steps", "garage", "ribs"],
        p=[0.16, 0.16, 0.1, 0.1, 0.18, 0.06, 0.1, 0.07, 0.07],
    )
    light = Paint(
        p.NOISE, (min(0.8, wall[0] * 1.25), min(0.8, wall[1] * 1.25), min(0.8, wall[2] * 1.25)), wall, (0.02, 1.0, 0.0)
    )
    levels = max(1, int(high // storey))
    if kind in ("balcony", "loggia"):
        reach = rng.uniform(0.8, 1.7)
        rail = BARS if rng.random() < 0.5 else (Paint(p.PLAIN, any_colour(rng), params=(0.2,), gloss=0.3))
        span = wide * rng.uniform(0.4, 0.98)
        for level in range(1, levels):
            z = storey * level + 0.1
            parts.box((x, face - reach / 2, z), (span, reach, 0.18), light)
            parts.box((x, face - reach + 0.03, z + 0.55), (span, 0.05, 1.0), rail)
            if kind == "loggia":
                parts.box((x, face - 0.02, z + storey / 2), (span * 0.9, 0.1, storey * 0.75), _DARK)
            elif rng.random() < 0.4:
                parts.ball(
                    (x + rng.uniform(-0.4, 0.4) * span, face - reach, z + 1.05),
                    (0.6, 0.2, 0.25),
                    Paint(p.FOLIAGE, (0.02, 0.05, 0.01), (0.2, 0.2, 0.06), holes=p.LEAVES),
                )
        if kind == "loggia":
            for s in (-0.5, 0.5):
                parts.box((x + s * span, face - reach / 2, high / 2 + storey / 2), (0.2, reach, high - storey), light)
    elif kind == "oriel":
        span = min(wide * 0.6, rng.uniform(1.5, 3.5))
        bottom = storey * float(rng.integers(0, 2))
        pane = facade(rng, wall, False, rng.random() < 0.5)
        parts.box((x, face - 0.5, (bottom + high) / 2), (span, 1.0, high - bottom), pane)
        parts.box((x, face - 0.5, high + 0.5), (span + 0.2, 1.2, 1.0), tiles(rng), slopes=(0.8, 0.8, 0.5, 0.5))
    elif kind == "shop":
        _shop(parts, rng, x, face, wide, rng.uniform(3.0, 4.2))
    elif kind == "arcade":
        depth, top = rng.uniform(1.5, 3.0), min(rng.uniform(3.0, 4.0), high - 0.5)
        parts.box((x, face - depth / 2, (top + high) / 2), (wide, depth, high - top), facade(rng, wall, False, False))
        parts.box(
            (x, face - 0.02, top / 2),
            (wide * 0.96, 0.06, top),
            Paint(p.WINDOWS, wall, (0.03, 0.035, 0.042), (2.0, 3.5, 0.5, 0.6, top, 0.0)),
        )
        for k in range(int(wide // 3) + 1):
            parts.box((x - wide / 2 + 0.25 + 3 * k, face - depth + 0.25, top / 2), (0.5, 0.5, top), light)
    elif kind == "steps":
        at = x + rng.uniform(-0.3, 0.3) * wide
        for k in range(int(rng.integers(1, 5))):
            parts.box((at, face - 0.2 - 0.28 * k, 0.42 - 0.13 * k), (1.7, 0.4 + 0.56 * k, 0.17), light)
        parts.box((at, face - 0.03, 1.6), (1.1, 0.1, 2.1), Paint(p.PLAIN, any_colour(rng, 0.4), params=(0.3,)))
        parts.box((at, face - 0.6, 2.9), (1.9, 1.2, 0.12), _DARK)
    elif kind == "garage":
        for k in range(max(1, int(wide // 3.2))):
            at = x - wide / 2 + 1.6 + 3.2 * k
            parts.box((at, face - 0.02, 1.1), (2.6, 0.08, 2.2), _SHUTTER if rng.random() < 0.7 else _DARK)
    elif kind == "ribs":
        step = rng.uniform(0.8, 3.0)
        for k in range(int(wide // step) + 1):
            parts.box((x - wide / 2 + step * k, face - 0.15, high / 2), (0.2, 0.5, high), light)
    if rng.random() < 0.3:
        parts.post(x - wide / 2 + 0.2, face - 0.07, (0, high), 0.055, STEEL)
    for _ in range(rng.poisson(0.5)):  # coolers, dishes, boxes
        z, at = rng.uniform(2.2, max(2.5, high - 1)), x + rng.uniform(-0.45, 0.45) * wide
        if rng.random() < 0.5:
            parts.box((at, face - 0.25, z), (0.8, 0.4, 0.6), Paint(p.PLAIN, (0.5, 0.5, 0.49), params=(0.3,)))
        else:
            parts.ball((at, face - 0.3, z), (0.32, 0.1, 0.32), Paint(p.PLAIN, (0.5, 0.5, 0.5)))


def _shop(parts: Parts, rng: np.random.Generator, x: float, face: float, wide: float, top: float) -> None:
    """Panes between pilasters, a sign, an awning, goods and tables outside."""
    frame = Paint(p.PLAIN, any_colour(rng, 0.4), params=(0.2,), gloss=0.3)
    pane = Paint(
        p.GLASS,
        (0.03, 0.034, 0.036),
        (0.25, 0.22, 0.18),
        (rng.uniform(0.2, 0.9), rng.uniform(0.6, 1.6), rng.random()),
        gloss=0.8,
    )
    bays = max(1, int(wide // rng.uniform(2.2, 4.0)))
    step = wide / bays
    for k in range(bays):
        at = x - wide / 2 + (k + 0.5) * step
        closed = rng.random() < 0.15
        parts.box((at, face - 0.04, top * 0.44 + 0.15), (step - 0.25, 0.12, top * 0.8), _SHUTTER if closed else pane)
        parts.box((at - step / 2, face - 0.1, top / 2), (0.22, 0.24, top), frame)
    parts.box(
        (x, face - 0.14, top - 0.3),
        (wide, 0.3, 0.6),
        Paint(p.TEXT, any_colour(rng), any_colour(rng, 0.8), (rng.uniform(0.2, 0.4),)),
    )
    if rng.random() < 0.45:
        reach = rng.uniform(1.0, 2.4)
        cloth = Paint(p.STRIPES if rng.random() < 0.5 else p.PLAIN, any_colour(rng), (0.6, 0.6, 0.56), (0.4, 0.5, 0.0))
        parts.box((x, face - reach / 2, top - 0.7), (wide * 0.9, reach, 0.5), cloth, slopes=(0, 0, 0, reach / 0.55))
    for _ in range(rng.poisson(0.25 * wide)):
        at, y = x + rng.uniform(-0.45, 0.45) * wide, face - rng.uniform(0.5, 1.8)
        kind = rng.random()
        if kind < 0.35:  # table and chairs
            parts.post(at, y, (0, 0.72), 0.04, _DARK)
            parts.add(p.CYLINDER, (at, y, 0.74), (0.35, 0.35, 0.02), frame)
            for s in (-0.6, 0.6):
                parts.box((at + s, y, 0.44), (0.4, 0.4, 0.05), frame)
                parts.box((at + s * 1.3, y, 0.65), (0.05, 0.4, 0.45), frame)
        elif kind < 0.5:  # a parasol
            parts.post(at, y, (0, 2.3), 0.03, _DARK)
            parts.add(p.CONE, (at, y, 2.35), (1.3, 1.3, 0.3), Paint(p.PLAIN, any_colour(rng)))
        elif kind < 0.75:
            parts.box(
                (at, face - 0.5, 0.45),
                (1.1, 0.6, 0.9),
                Paint(p.CELLS, any_colour(rng), any_colour(rng), (0.12,)),
                slopes=(0, 0, 0, 0.3),
            )
        else:
            parts.box(
                (at, y, 0.5),
                (0.6, 0.1, 1.0),
                Paint(p.TEXT, any_colour(rng), any_colour(rng), (0.15,)),
                rng.uniform(0, 3),
            )


def _scaffold(parts: Parts, rng: np.random.Generator, length: float, high: float) -> None:
    """Tubes and decks in front of everything, some of it behind a net."""
    for k in range(int(length // 2.5) + 1):
        x = -length / 2 + 2.5 * k
        for y in (-2.2, -3.2):
            parts.post(x, y, (0, high + 1), 0.035, STEEL)
    deck = Paint(p.STRIPES, (0.3, 0.2, 0.1), (0.1, 0.07, 0.04), (0.3, 0.1, 1.0))
    for z in np.arange(2.0, high, 2.0):
        parts.box((0, -2.7, float(z)), (length, 1.0, 0.07), deck)
        parts.rod((-length / 2, -3.2, float(z) + 1.0), (length / 2, -3.2, float(z) + 1.0), 0.025, STEEL)
    if rng.random() < 0.5:
        net = Paint(p.PLAIN, any_colour(rng, 0.5), params=(0.2, 0, 0, 0, 0.06, 0.6), holes=p.BARS)
        parts.box((0, -3.25, high * 0.55), (length, 0.03, high * 0.9), net)
