"""What lies beside a road, piece by piece: slopes, walls, fields, woods, works. Frame as buildings.py. Metres.

Each maker draws a piece of `length` along x whose front lies at y = 0 towards the road; `side` holds what the
pieces of one side of a street share, so that a wall or slope goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cloudypoints_training.scenes import fronts, furniture, greens, plots
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.utility import any_colour


@dataclass(frozen=True)
class Side:
    """What the pieces of one side have in common."""

    high: float
    run: float  # horizontal length of a slope
    away: float  # where the view ends
    seed: int
    cover: Paint
    drop: float = 0.0  # how far the ground lies below the road beyond the pavement


def choose_side(rng: np.random.Generator, drop: float = 0.0) -> Side:
    """Draws what one side of a street is like."""
    high = float(np.exp(rng.uniform(np.log(0.5), np.log(9.0))))
    earth = rng.random()
    if earth < 0.7:
        cover = Paint(
            p.NOISE, (0.07, 0.12, 0.035), (0.17, 0.19, 0.07), (rng.uniform(0.02, 0.1), 1.0, rng.uniform(0.3, 2))
        )
    elif earth < 0.85:
        cover = Paint(p.NOISE, any_colour(rng, 0.35), (0.12, 0.1, 0.06), (rng.uniform(0.02, 0.1), 1.0, 1.5))
    else:
        cover = Paint(p.CELLS, (0.3, 0.29, 0.27), (0.14, 0.13, 0.12), (rng.uniform(0.2, 0.8),))
    return Side(
        high,
        high * rng.uniform(0.8, 3.0),
        float(np.exp(rng.uniform(np.log(12), np.log(80)))),
        int(rng.integers(1 << 30)),
        cover,
        drop,
    )


def slope(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A rising bank, with a break in its steepness, shrubs and trees on it, and a fence on its crest at times."""
    parts = Parts()
    share = np.random.default_rng(side.seed)
    lower, bend = share.uniform(0.4, 1.0), share.uniform(0.5, 1.5)
    crest, wall = share.random() < 0.3, share.random() < 0.3
    z1, y1 = side.high * lower, side.run * lower * bend
    foot = 0.6 if wall else 0.0
    if wall:  # a low retaining wall at the foot
        parts.box(
            (0, 0.15, foot / 2),
            (length, 0.3, foot + 0.1),
            Paint(p.BRICK, (0.35, 0.33, 0.3), (0.2, 0.19, 0.18), (0.5, 0.25, 0.06)),
        )
    parts.box(
        (0, y1 + 6.15, foot + z1 / 2), (length + 0.3, 2 * y1 + 12, z1), side.cover, slopes=(0, 0, y1 / z1, y1 / z1)
    )
    z2 = side.high - z1
    if z2 > 0.3:
        y2 = side.run
        parts.box(
            (0, y1 + y2 + 6, foot + z1 + z2 / 2),
            (length + 0.3, 2 * y2 + 10, z2),
            side.cover,
            slopes=(0, 0, y2 / z2, y2 / z2),
        )
    for _ in range(rng.poisson(1.6)):
        y = rng.uniform(0.0, 1.0) * y1
        z = foot + z1 * y / max(y1, 0.1)
        kind = rng.random()
        plant = greens.thicket(rng, rng.uniform(1, 5), rng.uniform(0.4, 1.8)) if kind < 0.6 else greens.tree(rng)
        parts.place(plant, rng.uniform(-0.5, 0.5) * length, y, 0.0, z - 0.15)
    if crest:
        parts.place(furniture.fence(np.random.default_rng(side.seed), length), 0, y1 + 1.0, 0, foot + z1)
    return parts.rows()


def dam(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """The shoulder of a road that lies above its surroundings: a bank that falls, a rail, trees seen by their tops."""
    parts = Parts()
    drop = max(side.drop, 0.5)
    share = np.random.default_rng(side.seed)
    run = drop * share.uniform(0.8, 2.2)
    parts.box(
        (0, 0.0, -drop / 2 - 0.02),
        (length + 0.3, 2 * run + 0.6, drop),
        side.cover,
        slopes=(0, 0, run / drop, run / drop),
    )
    if share.random() < 0.6:
        parts.place(
            furniture.barrier(np.random.default_rng(side.seed), length + 0.1, 1 if share.random() < 0.7 else 0),
            0,
            -0.4,
            0,
        )
    for _ in range(rng.poisson(1.2)):
        plant = greens.tree(rng) if rng.random() < 0.6 else greens.thicket(rng, rng.uniform(2, 6))
        parts.place(plant, rng.uniform(-0.5, 0.5) * length, run + rng.uniform(1, 25), 0, -drop - 0.2)
    parts.place(greens.far_line(rng, length), 0, run + side.away, 0, -drop)
    return parts.rows()


def open_land(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A verge with weeds, a low barrier or wire fence, fields, and trees 12 to 80 m away."""
    parts = Parts()
    share = np.random.default_rng(side.seed)
    border = str(share.choice(["none", "rail", "wire", "posts", "low wall", "ditch", "kerbstones"]))
    if border == "rail":
        parts.place(furniture.barrier(np.random.default_rng(side.seed), length, int(share.integers(3))), 0, 0.4, 0)
    elif border == "wire":
        wood = Paint(p.NOISE, (0.2, 0.16, 0.12), (0.1, 0.08, 0.06), (0.01, 1.0, 0.5))
        for k in range(int(length // 3)):
            parts.post(-length / 2 + 3 * k, 1.5, (-0.1, 1.15), 0.05, wood)
        for z in (0.45, 0.8, 1.1):
            parts.box((0, 1.5, z), (length, 0.02, 0.02), wood)
    elif border == "posts":
        for k in range(int(length // 6) + 1):
            parts.box(
                (-length / 2 + 6 * k, 0.3, 0.5), (0.12, 0.1, 1.0), Paint(p.GRADIENT, (0.1, 0.1, 0.1), (0.7, 0.7, 0.7))
            )
    elif border == "low wall":
        parts.box(
            (0, 0.5, 0.3),
            (length, 0.5, share.uniform(0.5, 1.2)),
            Paint(p.CELLS, (0.3, 0.28, 0.25), (0.15, 0.14, 0.12), (0.3,)),
        )
    elif border == "ditch":
        parts.box((0, 2.2, 0.2), (length, 2.0, 0.4), side.cover, slopes=(0, 0, 1.2, 1.2))
    elif border == "kerbstones":
        for k in range(int(length // 1.6)):
            parts.box(
                (-length / 2 + 1.6 * k, 0.4, 0.15),
                (0.9, 0.4, 0.3),
                Paint(p.NOISE, (0.4, 0.38, 0.36), (0.25, 0.24, 0.22), (0.02, 1.0, 0.3)),
            )
    if rng.random() < 0.6:
        parts.place(greens.tufts(rng, length, 3.0), 0, 0.3, 0)
    for _ in range(rng.poisson(0.5)):
        kind, x, y = rng.random(), rng.uniform(-0.5, 0.5) * length, rng.uniform(3, 30)
        if kind < 0.5:
            parts.place(greens.tree(rng), x, y, 0)
        elif kind < 0.75:  # hay bales
            parts.add(
                p.CYLINDER,
                (x, y, 0.7),
                (0.7, 0.7, 0.6),
                Paint(p.NOISE, (0.4, 0.32, 0.14), (0.25, 0.19, 0.08), (0.01, 1.0, 1.0)),
                p.ACROSS,
            )
        else:
            parts.place(greens.thicket(rng, 6), x, y, 0)
    if share.random() < 0.35:  # rows of crops
        crop = greens.leaves(share, p.SOLID)
        for k in range(int(min(8, side.away / 3))):
            parts.box((0, 4 + 2.2 * k, 0.25), (length, 0.9, share.uniform(0.3, 1.3)), crop, slopes=(0, 0, 0.3, 0.3))
    parts.place(greens.far_line(rng, length + 2), 0, side.away, 0)
    return parts.rows()


def wood(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """The edge of a wood, near or across a strip of grass."""
    parts = Parts()
    parts.place(greens.grove(rng, length, rng.uniform(4, 9)), 0, min(side.away, 45.0) * 0.5, 0)
    if rng.random() < 0.5:
        parts.place(greens.tufts(rng, length, 3.0), 0, 0.3, 0)
    return parts.rows()


def shrubs(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A wild hedge with whatever looks over it."""
    parts = Parts()
    parts.place(greens.thicket(rng, length, min(side.high, 3.5)), 0, 0.8 + 0.3 * min(side.high, 3.5), 0)
    if rng.random() < 0.5:
        parts.place(fronts.front(rng, length), 0, rng.uniform(6, 25), 0)
    elif rng.random() < 0.6:
        parts.place(greens.tree(rng), rng.uniform(-0.4, 0.4) * length, rng.uniform(2, 10), 0)
    return parts.rows()


def retaining(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A leaning wall of stone, concrete or gabions with what grows above it."""
    parts = Parts()
    share = np.random.default_rng(side.seed)
    high, lean = min(side.high, 7.0) + 0.4, share.uniform(0.0, 0.25)
    kind = int(share.integers(4))
    tone = any_colour(share, 0.45)
    paint = (
        Paint(p.BRICK, tone, (0.2, 0.19, 0.18), (share.uniform(0.4, 1.5), share.uniform(0.2, 0.6), 0.05)),
        Paint(p.CELLS, tone, (0.2, 0.18, 0.16), (share.uniform(0.15, 0.5),)),
        Paint(p.NOISE, (0.36, 0.35, 0.33), (0.2, 0.19, 0.18), (0.03, share.uniform(0.3, 4), 1.0)),
        Paint(p.STRIPES, (0.36, 0.35, 0.33), (0.26, 0.25, 0.24), (share.uniform(0.3, 2.0), 0.1, 0.0)),
    )[kind]
    parts.box(
        (0, lean * high + 3, high / 2), (length + 0.05, 2 * lean * high + 6, high), paint, slopes=(0, 0, lean, lean)
    )
    if share.random() < 0.5:
        parts.place(furniture.fence(np.random.default_rng(side.seed), length), 0, 2 * lean * high + 0.8, 0, high)
    for _ in range(rng.poisson(1.0)):
        plant = greens.thicket(rng, rng.uniform(2, 6), rng.uniform(0.5, 2)) if rng.random() < 0.6 else greens.tree(rng)
        parts.place(plant, rng.uniform(-0.5, 0.5) * length, lean * high * 2 + rng.uniform(0.2, 3), 0, high - 0.1)
    return parts.rows()


def tracks(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """A railway beside the road: ballast, rails, masts with wires, a train at times, a fence in front."""
    parts = Parts()
    ballast = Paint(p.NOISE, (0.22, 0.2, 0.19), (0.1, 0.09, 0.08), (0.004, 1.0, 1.5))
    parts.box((0, 7.5, 0.25), (length + 0.1, 9, 0.5), ballast, slopes=(0, 0, 1.2, 1.2))
    for y in (4.8, 6.24, 9.0, 10.44):
        parts.box((0, y, 0.57), (length + 0.1, 0.07, 0.15), Paint(p.PLAIN, (0.2, 0.15, 0.12), gloss=0.4))
    parts.post(0, 7.6, (0.4, 7.5), 0.14, Paint(p.PLAIN, (0.25, 0.26, 0.27)))
    parts.box((0, 7.6, 6.6), (0.1, 6.0, 0.1), Paint(p.PLAIN, (0.25, 0.26, 0.27)))
    for y in (5.5, 9.7):
        parts.box((0, y, 6.0), (length, 0.03, 0.03), Paint(p.PLAIN, (0.05, 0.05, 0.05)))
    if np.random.default_rng(side.seed).random() < 0.35:
        coat = Paint(p.PANELS, any_colour(np.random.default_rng(side.seed)), any_colour(rng), (2.5, 0.3), gloss=0.3)
        parts.box((0, 5.5, 2.6), (length - 0.4, 2.9, 3.2), coat)
        parts.box((0, 5.5, 3.0), (length - 1.5, 2.93, 1.0), Paint(p.GLASS, (0.03, 0.03, 0.03), gloss=0.8))
    parts.place(furniture.fence(np.random.default_rng(side.seed), length), 0, 0.4, 0)
    parts.place(greens.far_line(rng, length), 0, 14 + 0.5 * side.away, 0)
    return parts.rows()


def boards(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """Hoardings, a bus bay, a yard with stacked goods behind a fence of bars."""
    parts = Parts()
    if rng.random() < 0.4:
        parts.box(
            (0, 1.0, 2.8),
            (min(length * 0.8, rng.uniform(3, 9)), 0.25, 3.0),
            Paint(p.CELLS, any_colour(rng), any_colour(rng), (rng.uniform(0.3, 1.5),)),
        )
        for x in (-1.2, 1.2):
            parts.post(x, 1.1, (0, 1.4), 0.1, Paint(p.PLAIN, (0.2, 0.2, 0.2)))
    for _ in range(int(rng.integers(0, 6))):
        size = rng.uniform(0.8, 3.5, 3)
        goods = Paint(
            int(rng.choice([p.STRIPES, p.NOISE, p.PANELS, p.BRICK])), any_colour(rng), any_colour(rng), (0.3, 0.2, 0.3)
        )
        x, y = rng.uniform(-0.45, 0.45) * length, rng.uniform(3, 12)
        parts.box((x, y, size[2] / 2), (float(size[0]), float(size[1]), float(size[2])), goods, rng.normal(0, 0.3))
    parts.place(furniture.fence(np.random.default_rng(side.seed), length), 0, 0.3, 0)
    if rng.random() < 0.6:
        parts.place(fronts.front(rng, length), 0, rng.uniform(14, 30), 0)
    return parts.rows()


def fronts_near(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    return fronts.front(rng, length)


def mixed(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    """Whatever a town puts between its houses."""
    makers = (plots.terrace, plots.station, plots.site, fronts.front)
    return makers[int(rng.choice(4, p=[0.35, 0.15, 0.25, 0.25]))](rng, length)


def terraces(rng: np.random.Generator, length: float, side: Side) -> np.ndarray:
    return plots.terrace(rng, length)


PIECES: dict[str, Callable[[np.random.Generator, float, Side], np.ndarray]] = {
    "fronts": fronts_near,
    "terraces": terraces,
    "mixed": mixed,
    "slope": slope,
    "dam": dam,
    "land": open_land,
    "grove": wood,
    "shrubs": shrubs,
    "retaining": retaining,
    "tracks": tracks,
    "boards": boards,
}
