"""Trees, hedges, bushes and hills. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts


def leaves(rng: np.random.Generator, holes: int = p.LEAVES) -> Paint:
    """A leaf colour: mostly greens, sometimes autumn or bare."""
    kind = rng.random()
    if kind < 0.75:
        dark = rng.uniform(0.6, 1.5)
        light = (0.09 * dark, rng.uniform(0.12, 0.19) * dark, 0.03 * dark)
    elif kind < 0.9:
        light = (rng.uniform(0.2, 0.4), rng.uniform(0.1, 0.22), 0.03)
    else:
        light = (0.16, 0.13, 0.1)
    deep = (light[0] * 0.25, light[1] * 0.28, light[2] * 0.3)
    return Paint(p.FOLIAGE, deep, light, holes=holes)


def bark(rng: np.random.Generator) -> Paint:
    """Rough, vertically drawn out."""
    tone = rng.uniform(0.05, 0.16)
    return Paint(p.NOISE, (tone, tone * 0.85, tone * 0.7), (tone * 0.4, tone * 0.33, tone * 0.28), (0.006, 5.0, 1.0))


def tree(rng: np.random.Generator, height: float | None = None, detail: int = 9) -> np.ndarray:
    """A broadleaf tree or a conifer, 3 to 16 m."""
    height = rng.uniform(4, 13) if height is None else height
    parts = Parts()
    if rng.random() < 0.18:
        parts.post(0, 0, (0, height * 0.3), 0.03 * height * 0.6, bark(rng))
        cover = leaves(rng)
        wide = height * rng.uniform(0.14, 0.24)
        parts.add(p.CONE, (0, 0, height * 0.55), (wide, wide, height * 0.45), cover)
        parts.add(p.CONE, (0, 0, height * 0.35), (wide * 1.2, wide * 1.2, height * 0.28), cover)
        return parts.rows()
    fork = height * rng.uniform(0.25, 0.42)
    thick = height * rng.uniform(0.012, 0.025)
    wood = bark(rng)
    lean = (rng.normal(0, 0.03) * height, rng.normal(0, 0.03) * height)
    parts.rod((0, 0, -0.1), (lean[0], lean[1], fork + 0.15 * height), thick, wood)
    cover = leaves(rng)
    wide = height * rng.uniform(0.2, 0.34)
    for _ in range(2):
        angle = rng.uniform(0, 6.28)
        tip = (lean[0] + 0.6 * wide * np.cos(angle), lean[1] + 0.6 * wide * np.sin(angle), height * 0.72)
        parts.rod((lean[0] * 0.8, lean[1] * 0.8, fork), tip, thick * 0.55, wood)
    for k in range(detail):
        angle = 6.28 * k / detail + rng.normal(0, 0.5)
        out = wide * rng.uniform(0.3, 0.85) * (k > 0)
        z = fork + (height - fork) * (rng.uniform(0.2, 0.75) if k else 0.6)
        size = wide * (rng.uniform(0.35, 0.6) if k else 0.75)
        parts.ball(
            (lean[0] + out * np.cos(angle), lean[1] + out * np.sin(angle), z),
            (size, size * rng.uniform(0.8, 1.2), size * rng.uniform(0.7, 1.0)),
            cover,
            rng.uniform(0, 3),
        )
    return parts.rows()


def bush(rng: np.random.Generator) -> np.ndarray:
    """A shrub, 0.5 to 2 m high."""
    parts = Parts()
    cover = leaves(rng)
    size = rng.uniform(0.4, 1.1)
    for _ in range(int(rng.integers(1, 4))):
        parts.ball(
            (rng.normal(0, 0.4) * size, rng.normal(0, 0.4) * size, size * 0.7),
            (size, size, size * rng.uniform(0.7, 1.0)),
            cover,
            rng.uniform(0, 3),
        )
    return parts.rows()


def hedge(rng: np.random.Generator, length: float) -> np.ndarray:
    """A clipped hedge along x, 0.8 to 2.2 m high."""
    parts = Parts()
    high, deep = rng.uniform(0.8, 2.2), rng.uniform(0.5, 1.2)
    paint = leaves(rng, p.SOLID)
    parts.box((0, 0, high / 2), (length, deep, high), paint)
    for k in range(int(length / 1.2)):
        parts.ball(
            ((k + 0.5) * 1.2 - length / 2, rng.normal(0, 0.1), high * rng.uniform(0.85, 1.0)),
            (0.8, deep * 0.55, 0.35),
            Paint(p.FOLIAGE, paint.a, paint.b, holes=p.LEAVES),
        )
    return parts.rows()


def tree_line(rng: np.random.Generator, length: float) -> np.ndarray:
    """A wood's edge along x: a dark wall behind overlapping crowns."""
    parts = Parts()
    high = rng.uniform(6, 16)
    base = leaves(rng, p.SOLID)
    parts.box((0, 2.5, high * 0.36), (length, 4, high * 0.72), base)
    x = -length / 2
    while x < length / 2:
        size = high * rng.uniform(0.2, 0.38)
        cover = leaves(rng) if rng.random() < 0.4 else Paint(p.FOLIAGE, base.a, base.b, holes=p.LEAVES)
        parts.ball(
            (x, rng.normal(0.5, 0.8), high * rng.uniform(0.45, 0.85)),
            (size, size * 0.8, size * rng.uniform(0.9, 1.5)),
            cover,
            rng.uniform(0, 3),
        )
        if rng.random() < 0.5:
            parts.ball(
                (x + size * 0.6, rng.normal(-0.5, 0.8), high * 0.2),
                (size * 0.7, size * 0.6, high * 0.25),
                cover,
            )
        x += size * rng.uniform(0.8, 1.5)
    return parts.rows()
