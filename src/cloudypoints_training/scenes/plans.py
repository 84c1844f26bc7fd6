"""The habits of each kind of street, and the road that follows from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloudypoints_training.scenes import ground as g
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import Light

Mix = tuple[float, float, float, float, float]  # cars, vans, lorries, buses, two-wheelers


@dataclass(frozen=True)
class Plan:
    """The habits of a style."""

    lanes: tuple[int, int]  # per direction, least and most
    lane: tuple[float, float]  # width
    walk: tuple[float, float]  # pavement width
    kerb: float
    sides: tuple[str, ...]  # what stands beyond the pavement
    gap: tuple[float, float]  # between vehicles in a lane
    mix: Mix
    parked: float  # share of the kerb taken by parked vehicles
    people: float  # per 10 m of pavement
    things: float  # furniture per 10 m
    trees: float  # per 10 m
    turned: float  # chance that the camera looks anywhere but ahead
    reach: float = 130.0


TOWN_MIX: Mix = (0.62, 0.14, 0.08, 0.06, 0.1)
PLANS = {
    "city": Plan(
        (1, 2),
        (2.9, 3.5),
        (2.0, 5.0),
        0.12,
        ("blocks", "blocks", "blocks", "wall"),
        (3, 30),
        TOWN_MIX,
        0.6,
        1.3,
        1.0,
        0.6,
        0.3,
    ),
    "suburb": Plan(
        (1, 1),
        (2.8, 3.3),
        (1.2, 2.2),
        0.1,
        ("houses", "houses", "hedge", "verge"),
        (12, 60),
        (0.75, 0.12, 0.04, 0.03, 0.06),
        0.4,
        0.4,
        0.7,
        1.2,
        0.35,
    ),
    "rural": Plan(
        (1, 1),
        (2.7, 3.5),
        (0.8, 1.5),
        0.0,
        ("verge", "bank", "wood", "verge", "hedge"),
        (15, 90),
        (0.6, 0.12, 0.2, 0.02, 0.06),
        0.0,
        0.03,
        0.25,
        0.8,
        0.35,
    ),
    "highway": Plan(
        (2, 3),
        (3.4, 3.75),
        (1.5, 3.0),
        0.0,
        ("noise", "bank", "wood", "verge"),
        (8, 60),
        (0.52, 0.13, 0.32, 0.01, 0.02),
        0.0,
        0.0,
        0.2,
        0.1,
        0.2,
    ),
    "jam": Plan(
        (1, 3),
        (2.8, 3.5),
        (1.5, 4.0),
        0.12,
        ("blocks", "wall", "wood", "noise", "halls"),
        (1.0, 5.0),
        (0.5, 0.15, 0.2, 0.07, 0.08),
        0.4,
        0.8,
        0.6,
        0.5,
        0.4,
    ),
    "side": Plan(
        (1, 2),
        (2.8, 3.6),
        (1.0, 4.0),
        0.12,
        ("blocks", "houses", "verge", "bank", "wood", "hedge", "wall", "halls", "noise"),
        (3, 25),
        TOWN_MIX,
        0.5,
        0.9,
        1.2,
        1.0,
        1.0,
        90.0,
    ),
    "oldtown": Plan(
        (1, 1),
        (2.5, 2.8),
        (0.8, 1.8),
        0.06,
        ("oldtown",),
        (8, 40),
        (0.6, 0.15, 0.03, 0.0, 0.22),
        0.35,
        2.2,
        1.2,
        0.15,
        0.4,
    ),
    "industrial": Plan(
        (1, 1),
        (3.5, 4.5),
        (0.5, 1.5),
        0.0,
        ("halls", "containers", "fence"),
        (5, 40),
        (0.25, 0.2, 0.5, 0.03, 0.02),
        0.4,
        0.3,
        1.0,
        0.1,
        0.5,
    ),
}


def road_of(rng: np.random.Generator, plan: Plan, style: str, light: Light, half: float, lane: float) -> Ground:
    curvature = (
        float(rng.choice([0.0, rng.normal(0, 1 / 250)])) if style != "highway" else float(rng.normal(0, 1 / 900))
    )
    road = rng.uniform(0.06, 0.22)
    walk = rng.uniform(0.14, 0.4)
    green = style in ("rural", "highway", "suburb") or rng.random() < 0.35
    yard = (0.09, 0.14, 0.045) if green else (0.22, 0.21, 0.19)
    if green and rng.random() < 0.3:
        yard = (0.24, 0.2, 0.1)  # dry grass
    scale = rng.uniform(0.6, 1.4)
    crossing = style in ("city", "suburb", "jam", "oldtown", "side") and rng.random() < 0.35
    cross_x = float(rng.uniform(10, 60)) if crossing else 1e6
    road_kind = (
        g.COBBLES
        if style == "oldtown"
        else int(rng.choice([g.TARMAC, g.CONCRETE, g.COBBLES, g.PATCHES], p=[0.85, 0.08, 0.04, 0.03]))
    )
    if style == "industrial":
        road_kind = int(rng.choice([g.TARMAC, g.CONCRETE, g.GRAVEL]))
    return Ground(
        curvature=curvature,
        left=half,
        right=half,
        kerb=plan.kerb * rng.uniform(0.8, 1.3),
        walk_left=rng.uniform(*plan.walk),
        walk_right=rng.uniform(*plan.walk),
        crossing_x=cross_x,
        crossing_half=rng.uniform(3, 6),
        lane=lane,
        line_style=float(rng.choice([0, 1, 2], p=[0.15, 0.5, 0.35])),
        dash=rng.uniform(2, 6),
        gap=rng.uniform(2, 9),
        edge_lines=float(style in ("highway", "rural") and rng.random() < 0.8),
        zebra_x=cross_x - 7.5
        if crossing and rng.random() < 0.7
        else (rng.uniform(5, 40) if rng.random() < 0.2 and plan.people > 0.5 else 1e6),
        wet=light.wet,
        road_kind=road_kind,
        road=road,
        road_warm=rng.normal(0.02, 0.04),
        walk_kind=int(rng.choice([g.SLABS, g.COBBLES, g.TARMAC]))
        if plan.kerb > 0
        else int(rng.choice([g.GRAVEL, g.GRASS])),
        walk_r=walk,
        walk_g=walk * 0.97,
        walk_b=walk * 0.91,
        yard_kind=g.GRASS if green else int(rng.choice([g.SLABS, g.GRAVEL, g.TARMAC])),
        yard_r=yard[0] * scale,
        yard_g=yard[1] * scale,
        yard_b=yard[2] * scale,
        reach=rng.uniform(150, 350),
        bays=float(rng.uniform(5, 6.5)) if plan.parked > 0 and rng.random() < 0.3 else 0.0,
        seed=rng.random(),
    )
