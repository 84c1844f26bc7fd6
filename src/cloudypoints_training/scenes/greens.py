"""Vegetation in many habits: uneven crowns, bare branches, thickets, rows, tufts; origin on the ground. Metres."""

from __future__ import annotations

import math

import numpy as np

from cloudypoints_training.scenes import nature
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.nature import bark
from cloudypoints_training.scenes.primitives import Paint, Parts


def leaves(rng: np.random.Generator, holes: int = p.LEAVES) -> Paint:
    """A leaf colour, drawn as patches of light and dark on whatever side is seen."""
    return nature.leaves(rng, holes)._replace(params=(float(rng.uniform(0.5, 1.6)),))


def tree(rng: np.random.Generator) -> np.ndarray:
    """A tree of any habit, 2 to 20 m."""
    return _TREES[int(rng.choice(len(_TREES), p=_SHARES))](rng)


def _broad(rng: np.random.Generator) -> np.ndarray:
    """Several limbs, each ending in clumps; the crown's outline is uneven and shows sky."""
    parts = Parts()
    height = rng.uniform(5, 18)
    wood, cover = bark(rng), leaves(rng)
    fork = height * rng.uniform(0.12, 0.35)
    thick = height * rng.uniform(0.014, 0.03)
    parts.rod((0, 0, -0.2), (0, 0, fork + 0.05 * height), thick, wood)
    spread = height * rng.uniform(0.22, 0.42)
    for k in range(int(rng.integers(3, 6))):
        angle = 2.4 * k + rng.normal(0, 0.4)
        reach, z = spread * rng.uniform(0.3, 1.0), height * rng.uniform(0.5, 0.88)
        x, y = reach * math.cos(angle), reach * math.sin(angle)
        parts.rod((0, 0, fork), (x, y, z), thick * 0.5, wood)
        for _ in range(int(rng.integers(2, 5))):
            size = height * rng.uniform(0.06, 0.17)
            at = (
                x + rng.normal(0, 0.5) * spread * 0.5,
                y + rng.normal(0, 0.5) * spread * 0.5,
                z + rng.normal(0, 0.06) * height,
            )
            parts.ball(at, (size * rng.uniform(0.8, 1.6), size, size * rng.uniform(0.6, 1.0)), cover, rng.uniform(0, 3))
    return parts.rows()


def _bare(rng: np.random.Generator) -> np.ndarray:
    """A tree in winter: limbs and twigs only."""
    parts = Parts()
    height = rng.uniform(5, 14)
    wood, thick = bark(rng), height * rng.uniform(0.012, 0.022)
    fork = height * rng.uniform(0.2, 0.4)
    parts.rod((0, 0, -0.2), (0, 0, fork), thick, wood)
    for k in range(int(rng.integers(4, 8))):
        angle = 2.4 * k + rng.normal(0, 0.4)
        reach, z = height * rng.uniform(0.1, 0.35), height * rng.uniform(0.6, 1.0)
        tip = (reach * math.cos(angle), reach * math.sin(angle), z)
        parts.rod((0, 0, fork * rng.uniform(0.8, 1.0)), tip, thick * 0.4, wood)
        for share in (0.5, 0.75):
            foot = (tip[0] * share, tip[1] * share, fork + (z - fork) * share)
            twig = (
                foot[0] + rng.normal(0, 0.1) * height,
                foot[1] + rng.normal(0, 0.1) * height,
                foot[2] + 0.15 * height,
            )
            parts.rod(foot, twig, thick * 0.2, wood)
    return parts.rows()


def _column(rng: np.random.Generator) -> np.ndarray:
    """A poplar or cypress."""
    parts = Parts()
    height, cover = rng.uniform(4, 16), leaves(rng)
    wide = height * rng.uniform(0.06, 0.14)
    parts.post(0, 0, (-0.2, height * 0.2), 0.12, bark(rng))
    for k in range(4):
        z = height * (0.22 + 0.2 * k)
        parts.ball(
            (rng.normal(0, 0.1) * wide, 0, z), (wide * (1.1 - 0.18 * k), wide * (1.1 - 0.18 * k), height * 0.2), cover
        )
    return parts.rows()


def _spruce(rng: np.random.Generator) -> np.ndarray:
    """A conifer of several skirts."""
    parts = Parts()
    height, cover = rng.uniform(4, 18), leaves(rng)
    wide = height * rng.uniform(0.11, 0.2)
    parts.post(0, 0, (-0.2, height * 0.9), 0.015 * height, bark(rng))
    skirts = int(rng.integers(3, 6))
    for k in range(skirts):
        size = wide * (1 - 0.8 * k / skirts)
        parts.add(
            p.CONE, (0, 0, height * (0.08 + 0.92 * (k + 0.5) / skirts)), (size, size, height * 0.8 / skirts), cover
        )
    return parts.rows()


def _young(rng: np.random.Generator) -> np.ndarray:
    """A sapling tied to stakes, its crown small and thin."""
    parts = Parts()
    height, cover = rng.uniform(2.5, 5), leaves(rng)
    parts.post(0, 0, (-0.1, height * 0.8), 0.04, bark(rng))
    for s in (-0.35, 0.35):
        parts.post(s, 0, (-0.1, 1.5), 0.04, bark(rng))
    for _ in range(3):
        parts.ball((rng.normal(0, 0.25), rng.normal(0, 0.25), height * rng.uniform(0.6, 0.95)), (0.5, 0.5, 0.6), cover)
    return parts.rows()


def _clipped(rng: np.random.Generator) -> np.ndarray:
    """A street tree cut to a box or a ball."""
    parts = Parts()
    height, cover = rng.uniform(3, 8), leaves(rng)
    fork, wide = height * rng.uniform(0.35, 0.55), rng.uniform(0.9, 2.0)
    parts.post(0, 0, (-0.1, fork + 0.3), 0.1, bark(rng))
    middle = (0.0, 0.0, 0.5 * (fork + height))
    if rng.random() < 0.5:
        parts.box(middle, (2 * wide, 2 * wide, height - fork), cover)
    else:
        parts.ball(middle, (wide, wide, 0.5 * (height - fork)), cover)
    return parts.rows()


_TREES = (_broad, nature.tree, _bare, _column, _spruce, _young, _clipped)
_SHARES = (0.4, 0.14, 0.12, 0.08, 0.1, 0.08, 0.08)


def thicket(rng: np.random.Generator, length: float, high: float | None = None) -> np.ndarray:
    """An unkempt band of shrubs along x with gaps, 0.4 to 4 m high."""
    parts = Parts()
    high = rng.uniform(0.4, 4.0) if high is None else high
    cover = leaves(rng)
    x = -length / 2
    while x < length / 2:
        size = high * rng.uniform(0.35, 0.8)
        if rng.random() < 0.15:
            cover = leaves(rng)
        parts.ball(
            (x, rng.normal(0, 0.4) * high, size * rng.uniform(0.3, 0.7)),
            (size * rng.uniform(0.8, 1.6), size, size * rng.uniform(0.6, 1.1)), cover, rng.uniform(0, 3),
        )  # fmt: skip
        x += size * rng.uniform(0.6, 1.8)
    return parts.rows()


def grove(rng: np.random.Generator, length: float, depth: float) -> np.ndarray:
    """A stand of trees whose trunks are seen one behind another, on a floor of shrubs; y from 0 to `depth`."""
    parts = Parts()
    high, cover, wood = rng.uniform(6, 18), leaves(rng), bark(rng)
    conifers = rng.random() < 0.3
    for _ in range(int(np.clip(length * depth / 14, 3, 12))):
        x, y = rng.uniform(-0.5, 0.5) * length, rng.uniform(0, 1) ** 0.7 * depth
        tall = high * rng.uniform(0.7, 1.15)
        size = tall * rng.uniform(0.14, 0.26)
        parts.post(x, y, (-0.3, tall * 0.7), rng.uniform(0.08, 0.22), wood)
        if conifers:
            parts.add(p.CONE, (x, y, tall * 0.6), (size, size, tall * 0.45), cover)
        else:
            parts.ball((x, y, tall * 0.78), (size * 1.2, size, size), cover, rng.uniform(0, 3))
            parts.ball((x + rng.normal(0, 0.8) * size, y, tall * 0.58), (size, size, size * 0.8), cover)
    dark = leaves(rng, p.SOLID)
    parts.box((0, depth + 2, high * 0.3), (length, 2, high * 0.6), dark)
    parts.place(thicket(rng, length, rng.uniform(0.5, 1.6)), 0, 0.4 * depth, 0)
    return parts.rows()


def tufts(rng: np.random.Generator, length: float, depth: float) -> np.ndarray:
    """Tall grass and weeds scattered on a verge."""
    parts = Parts()
    cover = leaves(rng)
    for _ in range(int(rng.integers(2, 9))):
        size = rng.uniform(0.12, 0.45)
        parts.ball(
            (rng.uniform(-0.5, 0.5) * length, rng.uniform(0, depth), 0.3 * size), (size * 1.6, size * 1.2, size), cover
        )
    return parts.rows()


def far_line(rng: np.random.Generator, length: float) -> np.ndarray:
    """A line of trees far off: uneven tops, gaps, now and then a single tall one."""
    parts = Parts()
    cover, low = leaves(rng), rng.uniform(3, 9)
    x = -length / 2
    while x < length / 2:
        size = low * rng.uniform(0.3, 0.7) * (2.0 if rng.random() < 0.1 else 1.0)
        parts.ball(
            (x, rng.normal(0, 1.5), size * rng.uniform(0.5, 1.1)),
            (size * rng.uniform(0.7, 1.4), size, size * rng.uniform(0.7, 1.3)),
            cover,
        )
        x += size * rng.uniform(0.5, 1.6) + (low * 2 if rng.random() < 0.12 else 0)
    return parts.rows()


def hill(rng: np.random.Generator) -> Paint:
    """The look of a hill far off: meadow, wood, heath or haze."""
    tone = ((0.13, 0.14, 0.07), (0.04, 0.07, 0.03), (0.2, 0.15, 0.09), (0.14, 0.17, 0.2))[rng.integers(4)]
    return Paint(
        p.NOISE, (tone[0] * 0.5, tone[1] * 0.6, tone[2] * 0.6), tone, (rng.uniform(0.2, 1.5), 1.0, rng.uniform(0.3, 2))
    )
