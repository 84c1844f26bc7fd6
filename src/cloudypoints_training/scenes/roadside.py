"""What stands beside a road: parked vehicles, people and furniture, and what lies behind them."""

from __future__ import annotations

import math

import numpy as np

from cloudypoints_training.scenes import buildings, furniture, nature
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.elsewhere import ALL_PIECES
from cloudypoints_training.scenes.fleet import meet
from cloudypoints_training.scenes.people import person
from cloudypoints_training.scenes.plans import Plan
from cloudypoints_training.scenes.primitives import Paint
from cloudypoints_training.scenes.sides import Side
from cloudypoints_training.scenes.town import Town

FALLING = ("dam", "quay")
"""Sides whose ground lies below the road."""
UPRIGHT = ("fronts", "terraces", "mixed", "silos", "crane", "chalet")
"""Pieces that stand upright on a slope instead of lying along it."""
_MAKERS = {
    "blocks": lambda rng, length: buildings.block(rng, length),
    "oldtown": lambda rng, length: buildings.block(rng, length, pastel=True, tall=0.6),
    "halls": lambda rng, length: buildings.hall(rng, length),
}


def parked_row(rng: np.random.Generator, town: Town, plan: Plan, side: int, edge: float, hand: float) -> None:
    """Vehicles along the kerb, or standing at an angle to it."""
    if plan.parked <= 0:
        return
    s = -40.0
    turn = 0.0 if side * hand < 0 else math.pi
    while s < plan.reach * 0.7:
        if rng.random() < plan.parked and town.seen(s + 2.5, side * edge, 5.0):
            vehicle = town.one_of(
                rng, "parked", lambda: meet(rng, plan.fleet, (0.8, 0.13, 0.03, 0.0, 0.04)), s, side * edge
            )
            middle = s + vehicle.length / 2
            d = side * (edge - 0.15 - vehicle.width / 2)
            if abs(middle - town.ground.crossing_x) > town.ground.crossing_half + 5 and town.free(middle, d, 1.2):
                town.park(vehicle, middle, d, turn + rng.normal(0, 0.02) + (math.pi if rng.random() < 0.1 else 0))
            s += vehicle.length + rng.uniform(0.5, 1.6)
        else:
            s += rng.uniform(4, 7)


def pavement(rng: np.random.Generator, town: Town, plan: Plan, side: int) -> None:
    """People, furniture, trees, lamps and signs between kerb and frontage."""
    ground = town.ground
    edge = ground.left if side > 0 else ground.right
    walk = ground.walk_left if side > 0 else ground.walk_right
    z = ground.kerb
    face = 0.0 if side > 0 else math.pi  # furniture's road lies towards -y

    def clear(s: float) -> bool:
        return abs(s - ground.crossing_x) > ground.crossing_half + 1

    posts = rng.uniform(18, 35)
    for s in np.arange(rng.uniform(-30, -10), plan.reach * 0.8, posts):
        if plan.people > 0 and clear(s) and town.seen(s, side * edge, 8):
            town.put(furniture.lamp_post(rng, town.light.dark), s, side * (edge + 0.5), face, z)
            if town.light.dark:
                town.light_lamp(s, side * (edge - 1.0), 6.5, (14.0, 10.0, 5.5))
    for share, kind, maker, offset in (
        (plan.trees, "tree", lambda: plan.tree(rng), (0.8, max(1.0, min(walk, 8.0)))),
        (plan.things, "thing", lambda: furniture.small_thing(rng), (0.5, max(0.7, min(walk, 8.0) - 0.3))),
        (0.25 * plan.things, "sign", lambda: furniture.sign(rng), (0.4, 0.9)),
        (0.07 * plan.things, "stop", lambda: furniture.bus_stop(rng), (0.8, 1.2)),
    ):
        for _ in range(rng.poisson(share * plan.reach / 10 * rng.uniform(0.3, 1.2))):
            s, d = rng.uniform(-25, plan.reach * 0.8), edge + rng.uniform(*offset)
            if clear(s) and town.seen(s, side * d, 4):
                town.put(
                    town.one_of(rng, kind, maker, s, side * d),
                    s,
                    side * d,
                    face + (math.pi if rng.random() < 0.3 else 0),
                    z,
                )
    for _ in range(rng.poisson(plan.people * plan.reach * 0.6 / 10)):
        s, d = rng.uniform(-15, plan.reach * 0.6), edge + rng.uniform(0.3, max(0.6, min(walk, 8.0) - 0.3))
        if rng.random() < 0.08:
            d = rng.uniform(0.3, 1) * edge  # somebody crosses the road
        if town.seen(s, side * d, 1) and math.hypot(s, side * d - town.eye_d) > 2.0 and town.free(s, side * d, 0.0):
            town.put(
                town.one_of(rng, "person", lambda: person(rng), s, side * d),
                s,
                side * d,
                rng.choice([0, math.pi]) + rng.normal(0, 0.5),
                z if d > edge else 0.0,
            )
    if ground.crossing_x < 1e5 and rng.random() < 0.8:
        town.put(
            furniture.traffic_light(rng),
            ground.crossing_x - ground.crossing_half - 1.6,
            side * (edge + 0.5),
            face,
            z,
        )


def frontage(
    rng: np.random.Generator, town: Town, plan: Plan, side: int, kind: str | None = None, shared: Side | None = None
) -> None:
    """Buildings, gardens, banks or woods along one side; `kind` is what it begins with."""
    ground = town.ground
    edge = (ground.left + ground.walk_left) if side > 0 else (ground.right + ground.walk_right)
    face = 0.0 if side > 0 else math.pi
    kind = kind or str(rng.choice(plan.sides))
    falls = shared is not None and shared.drop > 0
    others = [other for other in plan.sides if other not in FALLING]
    s = -50.0
    setback = float(rng.choice([0.0, rng.uniform(0, 8)])) if kind in ("blocks", "halls") else 0.0
    grass = Paint(p.NOISE, (0.07, 0.12, 0.035), (0.16, 0.19, 0.07), (rng.uniform(0.02, 0.08), 1.0, 1.0))
    high = rng.uniform(0.6, 6)
    wood_off = rng.uniform(3, 60)
    fence_kind = rng.integers(1 << 30)
    while s < plan.reach:
        if rng.random() < 0.03 and not falls:
            kind = str(rng.choice(others))
        length = rng.uniform(9, 26) if kind in ("blocks", "oldtown", "halls") else rng.uniform(9, 15)
        middle = s + length / 2
        s += length
        near_crossing = abs(middle - ground.crossing_x) < ground.crossing_half + length / 2 + 1
        if near_crossing or not town.seen(middle, side * (edge + 5), 0.6 * length + 8):
            continue
        d = side * (edge + setback)
        if kind in ALL_PIECES and shared is not None:
            rows, piece = town.one_of(
                rng,
                f"{side} {kind}",
                lambda k=kind, long=length: (ALL_PIECES[k](rng, long, shared), long),
                middle,
                side * edge,
            )
            s += piece - length
            middle += (piece - length) / 2
            town.put(rows, middle, side * edge, face, ground.kerb, lie=kind not in UPRIGHT, sink=piece / 2)
        elif kind in _MAKERS:
            rows = _MAKERS[kind](rng, length)
            irregular = rng.normal(0, 0.8) if rng.random() < 0.4 else 0.0
            town.put(rows, middle, d + side * abs(irregular), face, ground.kerb, sink=length / 2)
            if rng.random() < 0.15:
                s += rng.uniform(3, 14)
        elif kind == "houses":
            garden = rng.uniform(3, 8)
            town.put(
                buildings.house(rng), middle, side * (edge + garden), face + rng.normal(0, 0.03), ground.kerb, sink=5.0
            )
            if rng.random() < 0.7:
                border = nature.hedge(rng, length - 3) if rng.random() < 0.4 else furniture.fence(rng, length - 3)
                town.put(border, middle - 1, side * (edge + 0.3), face, ground.kerb, lie=True)
            for _ in range(rng.poisson(1.2)):
                plant = nature.tree(rng) if rng.random() < 0.5 else nature.bush(rng)
                town.put(
                    plant,
                    middle + rng.uniform(-0.5, 0.5) * length,
                    side * (edge + rng.uniform(1, garden)),
                    0,
                    ground.kerb,
                )
            s += rng.uniform(1, 5)
        elif kind == "hedge":
            town.put(nature.hedge(rng, length), middle, side * (edge + 0.7), face, ground.kerb, lie=True)
            if rng.random() < 0.4:
                town.put(nature.tree(rng), middle, side * (edge + rng.uniform(2, 9)), 0, ground.kerb)
        elif kind == "bank":
            town.put(furniture.bank(rng, length + 0.6, high, grass), middle, side * (edge + 0.5), face, 0, lie=True)
            for _ in range(rng.poisson(0.8)):
                plant = nature.bush(rng) if rng.random() < 0.6 else nature.tree(rng)
                town.put(
                    plant,
                    middle + rng.uniform(-0.5, 0.5) * length,
                    side * (edge + rng.uniform(2 * high, 2.5 * high + 3)),
                    0,
                    high * 0.9,
                )
        elif kind == "wood":
            town.put(nature.tree_line(rng, length), middle, side * (edge + wood_off), face, 0)
        elif kind == "wall":
            town.put(
                furniture.fence(np.random.default_rng(fence_kind), length),
                middle,
                side * (edge + 0.2),
                face,
                ground.kerb,
                lie=True,
            )
            if rng.random() < 0.6:
                town.put(nature.tree(rng), middle, side * (edge + rng.uniform(1.5, 12)), 0, ground.kerb)
            if rng.random() < 0.4:
                town.put(
                    buildings.block(rng, length),
                    middle,
                    side * (edge + rng.uniform(10, 25)),
                    face,
                    ground.kerb,
                )
        elif kind == "noise":
            town.put(
                furniture.barrier(np.random.default_rng(fence_kind), length, 3),
                middle,
                side * (edge + 0.3),
                face,
                0,
                lie=True,
            )
            if rng.random() < 0.5:
                town.put(nature.tree(rng), middle, side * (edge + rng.uniform(2, 6)), 0, 0)
        elif kind == "containers":
            colour = Paint(
                p.PANELS,
                tuple(float(v) for v in rng.uniform(0.02, 0.4, 3)),
                (0.6, 0.6, 0.6),
                (0.28, 0.12, 1.0),
            )  # type: ignore[arg-type]
            stack = p.Parts()
            for level in range(int(rng.integers(1, 4))):
                stack.box(
                    (rng.normal(0, 0.1), 2, 1.3 + 2.6 * level),
                    (12.2, 2.44, 2.59),
                    _recoloured(rng, colour),
                )
            town.put(stack.rows(), middle, side * (edge + rng.uniform(0, 6)), face, 0, lie=True)
        elif kind == "fence":
            town.put(
                furniture.fence(np.random.default_rng(fence_kind), length),
                middle,
                side * (edge + 0.2),
                face,
                0,
                lie=True,
            )
        else:  # an open verge: grass, single trees, a fence far off, woods behind
            for _ in range(rng.poisson(0.7)):
                plant = nature.bush(rng) if rng.random() < 0.5 else nature.tree(rng)
                town.put(plant, middle, side * (edge + rng.uniform(1, 30)), 0, 0)
            if rng.random() < 0.25:
                town.put(furniture.barrier(rng, length, 1), middle, side * (edge + 0.3), face, 0, lie=True)
            town.put(nature.tree_line(rng, length), middle, side * (edge + wood_off + 20), face, 0)


def _recoloured(rng: np.random.Generator, paint: Paint) -> Paint:
    """The same paint in another colour."""
    return paint._replace(a=tuple(float(v) for v in rng.uniform(0.02, 0.45, 3)))
