"""Pieces of places that are kept away from training: quays and mountain roads. Frame and makers as sides.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Colour, Paint, Parts
from cloudypoints_training.scenes.sides import PIECES, Side

_RUST = Paint(p.NOISE, (0.3, 0.12, 0.06), (0.12, 0.06, 0.04), (0.03, 2.0, 1.5))
_YELLOW = Paint(p.STRIPES, (0.6, 0.42, 0.02), (0.02, 0.02, 0.02), (0.5, 0.3, 2.0))
_ROCK = Paint(p.NOISE, (0.3, 0.29, 0.28), (0.12, 0.12, 0.13), (0.06, 0.4, 2.5))
_SNOW = Paint(p.NOISE, (0.8, 0.82, 0.86), (0.62, 0.66, 0.74), (0.08, 1.0, 0.2))
_FIR: tuple[Colour, Colour] = ((0.01, 0.02, 0.015), (0.03, 0.06, 0.04))


def quay(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """The edge of a basin: bollards, chains, a ship's hull alongside or masts further out."""
    parts = Parts()
    share = np.random.default_rng(side.seed)
    parts.box((0, 0.0, 0.08), (length + 0.1, 0.5, 0.16), _YELLOW)
    for x in (-0.3 * length, 0.3 * length):
        parts.add(p.CONE, (x, -0.6, 0.35), (0.35, 0.35, 0.4), _RUST)
        parts.ball((x, -0.6, 0.55), (0.3, 0.3, 0.14), _RUST)
    if share.random() < 0.5:
        tone = tuple(float(v) for v in share.uniform(0.02, 0.3, 3))
        far, high = share.uniform(2, 14), share.uniform(2, 8)
        hull = Paint(p.GRADIENT, (0.25, 0.03, 0.02), tone)  # type: ignore[arg-type]
        parts.box((0, far + 6, high / 2 - 2), (length + 0.1, 12, high + 4), hull, slopes=(0, 0, -0.1, -0.1))
        if rng.random() < 0.6:
            parts.box(
                (0, far + 6, high + 2),
                (length * 0.7, 8, 5),
                Paint(p.WINDOWS, (0.65, 0.65, 0.62), (0.03, 0.03, 0.04), (1.6, 2.6, 0.4, 0.4, 0.0, 0.0)),
            )
    else:
        for _ in range(int(rng.integers(1, 4))):
            x, y = rng.uniform(-0.5, 0.5) * length, rng.uniform(4, 40)
            parts.ball((x, y, -side.drop + 0.2), (3.5, 1.1, 0.8), Paint(p.PLAIN, (0.65, 0.65, 0.66), gloss=0.5))
            parts.post(x, y, (-side.drop, 9.0), 0.06, Paint(p.PLAIN, (0.4, 0.4, 0.4)))
    return parts.rows()


def silos(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """Round stores, pipes on trestles, a conveyor."""
    parts = Parts()
    radius, high = rng.uniform(2.5, 5), rng.uniform(7, 22)
    for k in range(max(1, int(length // (2 * radius + 0.5)))):
        x = -length / 2 + radius + (2 * radius + 0.5) * k
        parts.post(
            x, 3 + radius, (0, high), radius, Paint(p.BRICK, (0.45, 0.44, 0.42), (0.3, 0.3, 0.3), (1.2, 1.2, 0.03))
        )
        parts.add(p.CONE, (x, 3 + radius, high + 1), (radius, radius, 1), _RUST)
    for z in (2.6, 3.1):
        parts.rod((-length / 2, 1.2, z), (length / 2, 1.2, z), 0.2, _RUST)
    for x in (-0.4 * length, 0.0, 0.4 * length):
        parts.box((x, 1.2, 1.3), (0.2, 0.8, 2.6), Paint(p.PLAIN, (0.2, 0.22, 0.22)))
    parts.rod(
        (-length / 2, 2.0, 1.0),
        (length / 2, 3.0, high),
        0.7,
        Paint(p.PANELS, (0.3, 0.35, 0.38), (0.3, 0.3, 0.3), (1.0, 0.0)),
        p.BOX,
    )
    return parts.rows()


def crane(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A gantry crane over stacks of containers."""
    parts = Parts()
    tone = tuple(float(v) for v in rng.uniform(0.05, 0.6, 3))
    steel, high = Paint(p.PLAIN, tone, params=(0.3,)), rng.uniform(14, 24)  # type: ignore[arg-type]
    for x in (-4.0, 4.0):
        for y in (1.0, 14.0):
            parts.box((x, y, high / 2), (0.9, 0.9, high), steel, slopes=(0.03, 0.03, 0, 0))
        parts.box((x, 6, high), (0.8, 34, 1.2), steel)
        parts.rod((x, 1.0, high * 0.4), (x, 14.0, high * 0.9), 0.25, steel)
    parts.box((0, rng.uniform(2, 10), high - 1.5), (4, 3, 2.4), Paint(p.GLASS, (0.03, 0.03, 0.03), gloss=0.8))
    for k in range(3):
        for level in range(int(rng.integers(0, 5))):
            box = Paint(
                p.PANELS, tuple(float(v) for v in rng.uniform(0.02, 0.45, 3)), (0.6, 0.6, 0.6), (0.28, 0.12, 1.0)
            )  # type: ignore[arg-type]
            parts.box((rng.normal(0, 0.1), 4 + 2.6 * k, 1.3 + 2.6 * level), (min(12.2, length), 2.44, 2.59), box)
    return parts.rows()


def rock(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A rough face of leaning blocks with snow on its ledges and firs above."""
    parts = Parts()
    x = -length / 2
    while x < length / 2:
        wide, high, lean = rng.uniform(2, 6), max(1.5, side.high * rng.uniform(0.6, 2.0)), rng.uniform(0.05, 0.5)
        out = rng.uniform(-0.2, 1.5)
        parts.box(
            (x + wide / 2, out + lean * high + 2, high / 2),
            (wide + 1, 2 * lean * high + 4, high),
            _ROCK,
            rng.normal(0, 0.12),
            (0.1, 0.1, 0, lean),
        )
        if rng.random() < 0.5:
            parts.ball((x + wide / 2, out + lean * high * 2 + 1, high), (wide * 0.6, 1.5, 0.4), _SNOW)
        x += wide
    for _ in range(rng.poisson(2)):
        parts.place(fir(rng), rng.uniform(-0.5, 0.5) * length, side.run + rng.uniform(1, 12), 0, side.high * 0.8)
    return parts.rows()


def fir(rng: np.random.Generator) -> np.ndarray:
    """A narrow dark conifer with snow on it."""
    parts = Parts()
    high = rng.uniform(5, 16)
    parts.post(0, 0, (-0.5, high * 0.3), 0.18, _ROCK)
    for k in range(4):
        size, z = high * (0.16 - 0.03 * k), high * (0.25 + 0.2 * k)
        parts.add(p.CONE, (0, 0, z), (size, size, high * 0.16), Paint(p.FOLIAGE, *_FIR, (1.0,)))
        if rng.random() < 0.7:
            parts.add(
                p.CONE,
                (0, 0, z + 0.04 * high),
                (size * 0.8, size * 0.8, high * 0.125),
                Paint(p.FOLIAGE, (0.4, 0.42, 0.45), (0.8, 0.82, 0.85), (1.2,), holes=p.LEAVES),
            )
    return parts.rows()


def far_firs(rng: np.random.Generator, length: float) -> np.ndarray:
    """A row of firs."""
    parts = Parts()
    for _ in range(int(length / 4)):
        parts.place(fir(rng), rng.uniform(-0.5, 0.5) * length, rng.uniform(0, 6), 0)
    return parts.rows()


def mountain(rng: np.random.Generator) -> Paint:
    """Rock under snow."""
    return _SNOW._replace(a=(0.25, 0.25, 0.27), params=(rng.uniform(0.3, 1.0), 1.0, 2.5))


def firs(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """Firs on a snowy slope that rises, with poles along the road."""
    parts = Parts()
    run, high = max(side.run, 4.0), max(side.high, 1.5)
    parts.box((0, run + 8, high / 2), (length + 0.3, 2 * run + 16, high), _SNOW, slopes=(0, 0, run / high, run / high))
    for _ in range(int(rng.integers(2, 8))):
        y = rng.uniform(0.5, run + 10)
        parts.place(fir(rng), rng.uniform(-0.5, 0.5) * length, y, 0, min(high, high * y / run) - 0.3)
    for x in (-0.25 * length, 0.25 * length):
        parts.post(x, -0.2, (0, 2.2), 0.04, Paint(p.STRIPES, (0.6, 0.05, 0.02), (0.02, 0.02, 0.02), (0.8, 0.5, 1.0)))
    return parts.rows()


def chalet(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A timber house on a stone base under a wide, flat-pitched roof with snow, gable to the road, balcony in front."""
    parts = Parts()
    wide, deep, high = rng.uniform(8, 12), rng.uniform(9, 12), rng.uniform(4.5, 7.5)
    timber = Paint(p.STRIPES, (0.16, 0.08, 0.04), (0.06, 0.03, 0.015), (rng.uniform(0.18, 0.3), 0.15, 1.0))
    y = rng.uniform(2, 9) + deep / 2
    parts.box((0, y, 1.2), (wide, deep, 2.4), Paint(p.CELLS, (0.35, 0.33, 0.31), (0.2, 0.19, 0.18), (0.35,)))
    parts.box((0, y, 2.4 + (high - 2.4) / 2), (wide, deep, high - 2.4), timber)
    for k in range(3):
        for z in (1.3, 3.6):
            parts.box(
                (-wide / 3 + k * wide / 3, y - deep / 2 - 0.02, z),
                (1.0, 0.08, 1.1),
                Paint(p.GLASS, (0.03, 0.03, 0.03), gloss=0.8),
            )
    parts.box((0, y - deep / 2 - 0.7, 2.6), (wide, 1.4, 0.15), timber)
    parts.box((0, y - deep / 2 - 1.35, 3.1), (wide, 0.08, 0.9), timber)
    tall = wide * 0.2
    lean = (wide / 2 + 1.2) / tall
    parts.box(
        (0, y - 0.3, high + tall / 2), (wide, deep, tall), timber, slopes=(wide / 2 / tall, wide / 2 / tall, 0, 0)
    )
    parts.box((0, y - 0.5, high + tall / 2 + 0.1), (wide + 2.4, deep + 2.4, tall), _SNOW, slopes=(lean, lean, 0, 0))
    for k in range(3):
        parts.place(fir(rng), (k - 1) * length / 3, y + deep / 2 + rng.uniform(2, 12), 0)
    return parts.rows()


def gallery(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """An avalanche gallery's columns and beam towards the valley, or snow ramparts."""
    parts = Parts()
    grey = Paint(p.NOISE, (0.4, 0.4, 0.39), (0.25, 0.25, 0.25), (0.03, 2.0, 0.8))
    if np.random.default_rng(side.seed).random() < 0.5:
        for k in range(int(length // 4) + 1):
            parts.box((-length / 2 + 4 * k, 0.4, 2.4), (0.6, 0.6, 4.8), grey)
        parts.box((0, 0.4, 5.2), (length + 0.1, 1.2, 1.0), grey)
        parts.box((0, 0.4, 0.4), (length + 0.1, 0.4, 0.8), grey)
    else:
        parts.box((0, 1.6, 0.7), (length + 0.4, 3.0, 1.6), _SNOW, 0.0, (0, 0, 0.7, rng.uniform(0.2, 0.9)))
    return parts.rows()


ELSEWHERE = {
    "quay": quay, "silos": silos, "crane": crane, "rock": rock, "firs": firs, "chalet": chalet, "gallery": gallery,
}  # fmt: skip
ALL_PIECES = PIECES | ELSEWHERE
