"""People, standing, walking or riding; frame: x forward, origin on the ground. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts

_SKIN = ((0.45, 0.27, 0.19), (0.36, 0.2, 0.13), (0.2, 0.1, 0.06), (0.07, 0.035, 0.025), (0.52, 0.33, 0.25))
_HAIR = ((0.02, 0.015, 0.012), (0.07, 0.035, 0.02), (0.25, 0.17, 0.08), (0.3, 0.3, 0.3))


def _cloth(rng: np.random.Generator) -> Paint:
    tone = rng.random()
    if tone < 0.45:
        level = rng.uniform(0.01, 0.12)
        colour = (level, level * rng.uniform(0.9, 1.1), level * rng.uniform(0.9, 1.6))
    elif tone < 0.7:
        level = rng.uniform(0.3, 0.7)
        colour = (level, level, level * rng.uniform(0.85, 1.05))
    else:
        colour = tuple(rng.uniform(0.01, 0.55, 3))  # type: ignore[assignment]
    if rng.random() < 0.15:
        return Paint(p.STRIPES, colour, tuple(rng.uniform(0.05, 0.6, 3)), (0.09, 0.5, 1.0))  # type: ignore[arg-type]
    return Paint(p.NOISE, colour, tuple(c * 0.6 for c in colour), (0.003, 1.0, 0.3))  # type: ignore[arg-type]


def _head(parts: Parts, rng: np.random.Generator, x: float, z: float, skin: Paint, helmet: bool) -> None:
    parts.ball((x, 0, z), (0.095, 0.08, 0.12), skin)
    cap = _cloth(rng) if helmet or rng.random() < 0.2 else Paint(p.PLAIN, _HAIR[rng.integers(4)])
    grow = 1.25 if helmet else 1.06
    parts.ball((x - 0.025, 0, z + 0.035), (0.095 * grow, 0.085 * grow, 0.1 * grow), cap)


def person(rng: np.random.Generator, stride: float | None = None, height: float | None = None) -> np.ndarray:
    """A standing or walking person, 1.5 to 1.95 m; `stride` is the phase of the walk in radians."""
    height = float(np.clip(rng.normal(1.72, 0.09), 1.5, 1.95)) if height is None else height
    k = height / 1.75
    parts = Parts()
    swing = np.sin(stride if stride is not None else rng.uniform(0, 6.28)) * 0.3
    skin = Paint(p.PLAIN, _SKIN[rng.integers(5)])
    top, legs, shoes = _cloth(rng), _cloth(rng), Paint(p.PLAIN, (0.05, 0.045, 0.04))
    hip, shoulder = 0.88 * k, 1.42 * k
    skirt = rng.random() < 0.2
    for side in (1, -1):
        foot = (side * swing * 0.9, side * 0.1 * k, 0.06)
        knee = (side * swing * 0.5 + 0.04, side * 0.1 * k, 0.47 * k)
        parts.rod((foot[0], foot[1], 0.05), knee, 0.06 * k, skin if skirt else legs)
        parts.rod(knee, (0, side * 0.085 * k, hip), 0.078 * k, legs)
        parts.ball((foot[0] + 0.06, foot[1], 0.045), (0.13, 0.05, 0.05), shoes)
        elbow = (-side * swing * 0.5 - 0.03, side * 0.25 * k, 1.12 * k)
        hand = (-side * swing * 0.9 + 0.06, side * 0.25 * k, 0.86 * k)
        parts.rod((0, side * 0.19 * k, shoulder - 0.04), elbow, 0.05 * k, top)
        parts.rod(elbow, hand, 0.042 * k, top if rng.random() < 0.6 else skin)
    if skirt:
        parts.add(p.CONE, (0, 0, 0.85 * k), (0.3 * k, 0.3 * k, 0.45 * k), legs)
    parts.ball((0, 0, 0.98 * k), (0.13 * k, 0.165 * k, 0.18 * k), legs if not skirt else top)
    parts.ball((0, 0, 1.22 * k), (0.125 * k, 0.19 * k, 0.27 * k), top)
    parts.ball((0, 0, 1.38 * k), (0.1 * k, 0.22 * k, 0.1 * k), top)
    parts.rod((0, 0, 1.42 * k), (0.01, 0, 1.56 * k), 0.05 * k, skin)
    _head(parts, rng, 0.015, 1.63 * k, skin, False)
    if rng.random() < 0.25:
        parts.ball((-0.19 * k, 0, 1.22 * k), (0.1, 0.15, 0.22), _cloth(rng))
    return parts.rows()


def rider(rng: np.random.Generator, motor: bool) -> np.ndarray:
    """Somebody sitting on a two-wheeler whose saddle is at the frame's origin, 0.85 to 0.95 m up."""
    parts = Parts()
    skin, top, legs = Paint(p.PLAIN, _SKIN[rng.integers(5)]), _cloth(rng), _cloth(rng)
    seat = 0.85 if motor else 1.0
    lean = rng.uniform(0.1, 0.25)
    phase = rng.uniform(0, 6.28)
    for side in (1, -1):
        lift = 0.0 if motor else 0.14 * side * np.sin(phase)
        foot = (0.15, side * 0.14, 0.3 + lift)
        knee = (0.42, side * 0.16, seat - 0.22 + lift)
        parts.rod((0, side * 0.1, seat), knee, 0.08, legs)
        parts.rod(knee, foot, 0.06, legs)
        parts.ball((foot[0] + 0.05, foot[1], foot[2] - 0.02), (0.13, 0.05, 0.05), Paint(p.PLAIN, (0.03, 0.03, 0.03)))
        parts.rod((lean + 0.02, side * 0.2, seat + 0.5), (0.5, side * 0.3, seat + 0.15), 0.05, top)
    parts.rod((0, 0, seat - 0.05), (lean, 0, seat + 0.6), 0.17, top, p.ELLIPSOID)
    parts.ball((lean * 0.6, 0, seat + 0.35), (0.13, 0.2, 0.28), top)
    _head(parts, rng, lean + 0.05, seat + 0.72, skin, motor or rng.random() < 0.6)
    if rng.random() < 0.3:
        parts.ball((-0.12, 0, seat + 0.4), (0.12, 0.16, 0.22), _cloth(rng))
    return parts.rows()
