"""The habits of each kind of street, and the road that follows from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cloudypoints_training.scenes import elsewhere, greens, nature
from cloudypoints_training.scenes import ground as g
from cloudypoints_training.scenes.fleet import Mix
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import Light
from cloudypoints_training.scenes.primitives import Paint


@dataclass(frozen=True)
class Plan:
    """The habits of a style."""

    lanes: tuple[int, int]  # per direction, least and most
    lane: tuple[float, float]  # width
    walk: tuple[float, float]  # pavement width
    kerb: float
    sides: tuple[str, ...]  # what stands beyond the pavement
    gap: tuple[float, float]  # between vehicles in a lane
    mix: Mix  # cars, vans, lorries, buses, two-wheelers
    parked: float  # share of the kerb taken by parked vehicles
    people: float  # per 10 m of pavement
    things: float  # furniture per 10 m
    trees: float  # per 10 m
    turned: float  # chance that the camera looks anywhere but ahead
    reach: float = 130.0
    fleet: str = "modern"  # of fleet.MAKERS
    grade: float = 0.03  # how steep its roads are, as a standard deviation
    tree: Callable[[np.random.Generator], np.ndarray] = greens.tree
    far: Callable[[np.random.Generator, float], np.ndarray] = greens.far_line
    hill: Callable[[np.random.Generator], Paint] = greens.hill


TOWN_MIX: Mix = (0.62, 0.14, 0.08, 0.06, 0.1)
PLANS = {
    "city": Plan(
        lanes=(1, 2), lane=(2.9, 3.5), walk=(2.0, 5.0), kerb=0.12,
        sides=("fronts", "fronts", "fronts", "blocks", "mixed", "boards", "wall"),
        gap=(3, 30), mix=TOWN_MIX, parked=0.6, people=1.3, things=1.0, trees=0.6, turned=0.3,
    ),
    "suburb": Plan(
        lanes=(1, 1), lane=(2.8, 3.3), walk=(1.2, 2.2), kerb=0.1,
        sides=("houses", "terraces", "terraces", "hedge", "shrubs", "land", "mixed"),
        gap=(12, 60), mix=(0.75, 0.12, 0.04, 0.03, 0.06), parked=0.4, people=0.4, things=0.7, trees=1.2, turned=0.35,
        grade=0.045,
    ),
    "rural": Plan(
        lanes=(1, 1), lane=(2.7, 3.5), walk=(0.8, 1.5), kerb=0.0,
        sides=("land", "land", "slope", "grove", "shrubs", "dam", "retaining", "verge"),
        gap=(15, 90), mix=(0.6, 0.12, 0.2, 0.02, 0.06), parked=0.0, people=0.03, things=0.25, trees=0.8, turned=0.35,
        grade=0.05,
    ),
    "highway": Plan(
        lanes=(2, 3), lane=(3.4, 3.75), walk=(1.5, 3.0), kerb=0.0,
        sides=("noise", "slope", "grove", "land", "dam", "retaining", "tracks"),
        gap=(8, 60), mix=(0.52, 0.13, 0.32, 0.01, 0.02), parked=0.0, people=0.0, things=0.2, trees=0.1, turned=0.25,
        grade=0.02,
    ),
    "jam": Plan(
        lanes=(1, 3), lane=(2.8, 3.5), walk=(1.5, 4.0), kerb=0.12,
        sides=("fronts", "blocks", "mixed", "retaining", "noise", "slope", "boards", "grove"),
        gap=(1.0, 5.0), mix=(0.5, 0.15, 0.2, 0.07, 0.08), parked=0.4, people=0.8, things=0.6, trees=0.5, turned=0.4,
    ),
    "side": Plan(
        lanes=(1, 2), lane=(2.8, 3.6), walk=(1.0, 4.0), kerb=0.12,
        sides=(
            "fronts", "fronts", "terraces", "mixed", "land", "land", "slope", "slope", "grove", "shrubs", "retaining",
            "tracks", "boards", "dam", "hedge", "noise",
        ),
        gap=(3, 25), mix=TOWN_MIX, parked=0.4, people=0.9, things=1.2, trees=1.0, turned=1.0, reach=90.0, grade=0.035,
    ),
    "oldtown": Plan(
        lanes=(1, 1), lane=(2.5, 2.8), walk=(0.8, 1.8), kerb=0.06, sides=("oldtown",),
        gap=(8, 40), mix=(0.6, 0.15, 0.03, 0.0, 0.22), parked=0.35, people=2.2, things=1.2, trees=0.15, turned=0.4,
        fleet="former", tree=nature.tree, far=nature.tree_line,
    ),
    "industrial": Plan(
        lanes=(1, 1), lane=(3.5, 4.5), walk=(0.5, 1.5), kerb=0.0, sides=("halls", "containers", "fence"),
        gap=(5, 40), mix=(0.25, 0.2, 0.5, 0.03, 0.02), parked=0.4, people=0.3, things=1.0, trees=0.1, turned=0.5,
        fleet="former", tree=nature.tree, far=nature.tree_line, grade=0.0,
    ),
    "harbour": Plan(
        lanes=(1, 2), lane=(3.2, 4.2), walk=(1.0, 6.0), kerb=0.05, sides=("silos", "crane", "containers", "halls"),
        gap=(3, 30), mix=(0.25, 0.2, 0.45, 0.05, 0.05), parked=0.25, people=0.5, things=0.6, trees=0.0, turned=0.6,
        fleet="former", tree=nature.tree, far=nature.tree_line, grade=0.0,
    ),
    "alpine": Plan(
        lanes=(1, 1), lane=(2.7, 3.3), walk=(0.6, 1.5), kerb=0.0,
        sides=("rock", "firs", "firs", "chalet", "gallery", "dam"),
        gap=(6, 60), mix=(0.6, 0.15, 0.1, 0.1, 0.05), parked=0.1, people=0.15, things=0.1, trees=0.0, turned=0.45,
        fleet="former", tree=elsewhere.fir, far=elsewhere.far_firs, hill=elsewhere.mountain, grade=0.09,
    ),
}  # fmt: skip


def road_of(
    rng: np.random.Generator, plan: Plan, style: str, light: Light, half: float, lane: float,
    drops: tuple[float, float] = (0.0, 0.0),
) -> Ground:  # fmt: skip
    """The road of a street of that style, `half` wide to either side of its axis, `drops` above its left and right."""
    curvature = (
        float(rng.choice([0.0, rng.normal(0, 1 / 250)])) if style != "highway" else float(rng.normal(0, 1 / 900))
    )
    if max(drops) > 0:
        curvature *= 0.4  # so that a road on a dam does not come back into its own view from below
    rise = bend = tilt = 0.0
    if plan.grade > 0 and rng.random() < 0.55:
        rise = float(np.clip(rng.normal(0, plan.grade), -0.13, 0.13))
        bend = float(rng.choice([0.0, rng.uniform(-1 / 600, 1 / 900)]))
        tilt = float(np.clip(rng.normal(0, 0.015), -0.04, 0.04))
    road = rng.uniform(0.06, 0.22)
    walk = rng.uniform(0.14, 0.4)
    green = style in ("rural", "highway", "suburb") or rng.random() < 0.35
    yard = (0.09, 0.14, 0.045) if green else (0.22, 0.21, 0.19)
    if green and rng.random() < 0.3:
        yard = (0.24, 0.2, 0.1)  # dry grass
    yard_kind = g.GRASS if green else int(rng.choice([g.SLABS, g.GRAVEL, g.TARMAC]))
    if style == "alpine":
        yard, yard_kind = (0.75, 0.78, 0.84), g.SNOW
    elif style == "harbour":
        yard, yard_kind = (0.03, 0.05, 0.05), g.WATER
    scale = rng.uniform(0.6, 1.4) if yard_kind != g.SNOW else rng.uniform(0.8, 1.05)
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
        walk_left=rng.uniform(*plan.walk) + (90.0 if yard_kind == g.WATER and drops[0] == 0 else 0.0),
        walk_right=rng.uniform(*plan.walk) + (90.0 if yard_kind == g.WATER and drops[1] == 0 else 0.0),
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
        yard_kind=yard_kind,
        yard_r=yard[0] * scale,
        yard_g=yard[1] * scale,
        yard_b=yard[2] * scale,
        reach=rng.uniform(150, 350) if bend == 0 else rng.uniform(120, 190),
        bays=float(rng.uniform(5, 6.5)) if plan.parked > 0 and rng.random() < 0.3 else 0.0,
        seed=rng.random(),
        rise=rise,
        bend=bend,
        tilt=tilt,
        drop_left=drops[0],
        drop_right=drops[1],
    )
