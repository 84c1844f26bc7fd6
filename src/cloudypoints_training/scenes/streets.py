"""Streets: what stands where along a road, and a camera driving on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cloudypoints_training.scenes import buildings, furniture, nature
from cloudypoints_training.scenes import ground as g
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import Light, choose_light
from cloudypoints_training.scenes.lorries import any_vehicle
from cloudypoints_training.scenes.people import person
from cloudypoints_training.scenes.primitives import Paint
from cloudypoints_training.scenes.scene import Scene, View, choose_view
from cloudypoints_training.scenes.shapes import random_paint
from cloudypoints_training.scenes.town import Town

Mix = tuple[float, float, float, float, float]  # cars, vans, lorries, buses, two-wheelers
_MAKERS = {
    "blocks": lambda rng, length: buildings.block(rng, length),
    "oldtown": lambda rng, length: buildings.block(rng, length, pastel=True, tall=0.6),
    "halls": lambda rng, length: buildings.hall(rng, length),
}


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


_TOWN_MIX: Mix = (0.62, 0.14, 0.08, 0.06, 0.1)
PLANS = {
    "city": Plan((1, 2), (2.9, 3.5), (2.0, 5.0), 0.12, ("blocks", "blocks", "blocks", "wall"), (3, 30), _TOWN_MIX, 0.6, 1.3, 1.0, 0.6, 0.3),
    "suburb": Plan((1, 1), (2.8, 3.3), (1.2, 2.2), 0.1, ("houses", "houses", "hedge", "verge"), (12, 60), (0.75, 0.12, 0.04, 0.03, 0.06), 0.4, 0.4, 0.7, 1.2, 0.35),
    "rural": Plan((1, 1), (2.7, 3.5), (0.8, 1.5), 0.0, ("verge", "bank", "wood", "verge", "hedge"), (15, 90), (0.6, 0.12, 0.2, 0.02, 0.06), 0.0, 0.03, 0.25, 0.8, 0.35),
    "highway": Plan((2, 3), (3.4, 3.75), (1.5, 3.0), 0.0, ("noise", "bank", "wood", "verge"), (8, 60), (0.52, 0.13, 0.32, 0.01, 0.02), 0.0, 0.0, 0.2, 0.1, 0.2),
    "jam": Plan((1, 3), (2.8, 3.5), (1.5, 4.0), 0.12, ("blocks", "wall", "wood", "noise", "halls"), (1.0, 5.0), (0.5, 0.15, 0.2, 0.07, 0.08), 0.4, 0.8, 0.6, 0.5, 0.4),
    "side": Plan((1, 2), (2.8, 3.6), (1.0, 4.0), 0.12, ("blocks", "houses", "verge", "bank", "wood", "hedge", "wall", "halls", "noise"), (3, 25), _TOWN_MIX, 0.5, 0.9, 1.2, 1.0, 1.0, 90.0),
    "oldtown": Plan((1, 1), (2.5, 2.8), (0.8, 1.8), 0.06, ("oldtown",), (8, 40), (0.6, 0.15, 0.03, 0.0, 0.22), 0.35, 2.2, 1.2, 0.15, 0.4),
    "industrial": Plan((1, 1), (3.5, 4.5), (0.5, 1.5), 0.0, ("halls", "containers", "fence"), (5, 40), (0.25, 0.2, 0.5, 0.03, 0.02), 0.4, 0.3, 1.0, 0.1, 0.5),
}  # fmt: skip


def build(rng: np.random.Generator, style: str, width: int, height: int) -> tuple[Scene, View]:
    """A street of a style and a camera on it."""
    if style == "carpark":
        return _carpark(rng, width, height)
    close = style == "close"
    plan = PLANS[str(rng.choice(["city", "jam", "side", "highway"])) if close else style]
    light = choose_light(rng)
    hand = 1.0 if rng.random() < 0.75 else -1.0  # which side of the road is driven on
    n = int(rng.integers(plan.lanes[0], plan.lanes[1] + 1))
    lane = rng.uniform(*plan.lane)
    bay = 2.15 if plan.parked > 0 else 0.6
    ground = _ground(rng, plan, style, light, n * lane + bay, lane)
    own_lane = int(rng.integers(n))
    eye_d = -hand * (own_lane + 0.5) * lane + rng.normal(0, 0.15)
    if rng.random() < plan.turned or close:
        gaze = rng.uniform(-math.pi, math.pi) if style != "side" else float(rng.choice([-1, 1])) * rng.uniform(0.6, 2.5)
    else:
        gaze = rng.normal(0, 0.08)
    hood = 0.25 if abs(gaze) < 0.3 else 0.04
    view = choose_view(rng, width, height, 0.0, eye_d, gaze, hood)
    town = Town(ground, light, gaze, math.atan(0.5 * width / view.camera.fx) + 0.05)
    town.look_from(eye_d)
    lights = float(light.dark) or (0.25 if rng.random() < 0.25 else 0.0)
    if close:
        _crowd_eye(rng, town, eye_d, gaze, lights)
    _traffic(rng, town, plan, n, lane, own_lane, hand, lights)
    for side in (1, -1):
        _parked_row(rng, town, plan, side, n * lane + bay, hand)
        _pavement(rng, town, plan, side)
        _frontage(rng, town, plan, side)
    if style == "highway":
        kind = int(rng.integers(2))
        for s in np.arange(-60, plan.reach, 8.0):
            town.put(furniture.barrier(rng, 8.05, kind), float(s), 0.0)
    if ground.crossing_x < 1e5:
        _crossing(rng, town, lane, lights)
    if rng.random() < 0.07 and style in ("city", "highway", "jam", "rural"):
        town.put(furniture.overpass(rng, ground.left + 1), rng.uniform(18, 90), 0.0)
    _backdrop(rng, town, plan.reach)
    scene = town.scene()
    if rng.random() < 0.12:
        scene = _repainted(rng, scene)
    return scene, view


def _ground(rng: np.random.Generator, plan: Plan, style: str, light: Light, half: float, lane: float) -> Ground:
    curvature = float(rng.choice([0.0, rng.normal(0, 1 / 250)])) if style != "highway" else float(rng.normal(0, 1 / 900))
    road = rng.uniform(0.06, 0.22)
    walk = rng.uniform(0.14, 0.4)
    green = style in ("rural", "highway", "suburb") or rng.random() < 0.35
    yard = (0.09, 0.14, 0.045) if green else (0.22, 0.21, 0.19)
    if green and rng.random() < 0.3:
        yard = (0.24, 0.2, 0.1)  # dry grass
    scale = rng.uniform(0.6, 1.4)
    crossing = style in ("city", "suburb", "jam", "oldtown", "side") and rng.random() < 0.35
    cross_x = float(rng.uniform(10, 60)) if crossing else 1e6
    road_kind = g.COBBLES if style == "oldtown" else int(rng.choice([g.TARMAC, g.CONCRETE, g.COBBLES, g.PATCHES], p=[0.85, 0.08, 0.04, 0.03]))
    if style == "industrial":
        road_kind = int(rng.choice([g.TARMAC, g.CONCRETE, g.GRAVEL]))
    return Ground(
        curvature=curvature, left=half, right=half, kerb=plan.kerb * rng.uniform(0.8, 1.3),
        walk_left=rng.uniform(*plan.walk), walk_right=rng.uniform(*plan.walk), crossing_x=cross_x,
        crossing_half=rng.uniform(3, 6), lane=lane, line_style=float(rng.choice([0, 1, 2], p=[0.15, 0.5, 0.35])),
        dash=rng.uniform(2, 6), gap=rng.uniform(2, 9), edge_lines=float(style in ("highway", "rural") and rng.random() < 0.8),
        zebra_x=cross_x - 7.5 if crossing and rng.random() < 0.7 else (rng.uniform(5, 40) if rng.random() < 0.2 and plan.people > 0.5 else 1e6),
        wet=light.wet, road_kind=road_kind, road=road, road_warm=rng.normal(0.02, 0.04),
        walk_kind=int(rng.choice([g.SLABS, g.COBBLES, g.TARMAC])) if plan.kerb > 0 else int(rng.choice([g.GRAVEL, g.GRASS])),
        walk_r=walk, walk_g=walk * 0.97, walk_b=walk * 0.91, yard_kind=g.GRASS if green else int(rng.choice([g.SLABS, g.GRAVEL, g.TARMAC])),
        yard_r=yard[0] * scale, yard_g=yard[1] * scale, yard_b=yard[2] * scale, reach=rng.uniform(150, 350),
        bays=float(rng.uniform(5, 6.5)) if plan.parked > 0 and rng.random() < 0.3 else 0.0, seed=rng.random(),
    )  # fmt: skip


def _traffic(rng: np.random.Generator, town: Town, plan: Plan, n: int, lane: float, own: int, hand: float, lights: float) -> None:
    """Fills every lane with vehicles; the ego vehicle's own place stays free."""
    lo, hi = plan.gap
    density = rng.uniform(0.6, 1.6)
    for way in (1, -1):
        for k in range(n):
            d = -hand * way * (k + 0.5) * lane
            mine = way == 1 and k == own
            s = -45.0 + rng.uniform(0, 20)
            turn = 0.0 if way == 1 else math.pi
            while s < plan.reach * 0.85:
                gap = float(np.exp(rng.uniform(math.log(lo), math.log(hi)))) * density
                s += gap
                if not town.seen(s + 3, d, 9.0):
                    s += 6.0
                    continue
                vehicle = any_vehicle(rng, plan.mix, lights)
                middle = s + vehicle.length / 2
                if mine and middle + vehicle.length / 2 > -3.2 and middle - vehicle.length / 2 < 2.2:
                    s = 2.2 + rng.uniform(0.3, lo + 2) if s < 2.2 else s + 1.0
                    continue
                if town.free(middle, d, 0.5 * min(vehicle.length, 5.0)) and abs(middle - town.ground.crossing_x) > 1:
                    town.park(vehicle, middle, d + rng.normal(0, 0.2), turn + rng.normal(0, 0.015))
                s += vehicle.length


def _parked_row(rng: np.random.Generator, town: Town, plan: Plan, side: int, edge: float, hand: float) -> None:
    """Vehicles along the kerb, or standing at an angle to it."""
    if plan.parked <= 0:
        return
    s = -40.0
    turn = 0.0 if side * hand < 0 else math.pi
    while s < plan.reach * 0.7:
        if rng.random() < plan.parked and town.seen(s + 2.5, side * edge, 5.0):
            vehicle = any_vehicle(rng, (0.8, 0.13, 0.03, 0.0, 0.04))
            middle = s + vehicle.length / 2
            d = side * (edge - 0.15 - vehicle.width / 2)
            if abs(middle - town.ground.crossing_x) > town.ground.crossing_half + 5 and town.free(middle, d, 1.2):
                town.park(vehicle, middle, d, turn + rng.normal(0, 0.02) + (math.pi if rng.random() < 0.1 else 0))
            s += vehicle.length + rng.uniform(0.5, 1.6)
        else:
            s += rng.uniform(4, 7)


def _pavement(rng: np.random.Generator, town: Town, plan: Plan, side: int) -> None:
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
    for share, maker, offset in (
        (plan.trees, lambda: nature.tree(rng), (0.8, max(1.0, walk))),
        (plan.things, lambda: furniture.small_thing(rng), (0.5, max(0.7, walk - 0.3))),
        (0.25 * plan.things, lambda: furniture.sign(rng), (0.4, 0.9)),
        (0.07 * plan.things, lambda: furniture.bus_stop(rng), (0.8, 1.2)),
    ):
        for _ in range(rng.poisson(share * plan.reach / 10 * rng.uniform(0.3, 1.2))):
            s, d = rng.uniform(-25, plan.reach * 0.8), edge + rng.uniform(*offset)
            if clear(s) and town.seen(s, side * d, 4):
                town.put(maker(), s, side * d, face + (math.pi if rng.random() < 0.3 else 0), z)
    for _ in range(rng.poisson(plan.people * plan.reach * 0.6 / 10)):
        s, d = rng.uniform(-15, plan.reach * 0.6), edge + rng.uniform(0.3, max(0.6, walk - 0.3))
        if rng.random() < 0.08:
            d = rng.uniform(0.3, 1) * edge  # somebody crosses the road
        if town.seen(s, side * d, 1) and math.hypot(s, side * d - town._eye_d) > 2.0 and town.free(s, side * d, 0.0):
            town.put(person(rng), s, side * d, rng.choice([0, math.pi]) + rng.normal(0, 0.5), z if d > edge else 0.0)
    if ground.crossing_x < 1e5 and rng.random() < 0.8:
        town.put(furniture.traffic_light(rng), ground.crossing_x - ground.crossing_half - 1.6, side * (edge + 0.5), face, z)


def _frontage(rng: np.random.Generator, town: Town, plan: Plan, side: int) -> None:
    """Buildings, gardens, banks or woods along one side."""
    ground = town.ground
    edge = (ground.left + ground.walk_left) if side > 0 else (ground.right + ground.walk_right)
    face = 0.0 if side > 0 else math.pi
    kind = str(rng.choice(plan.sides))
    s = -50.0
    setback = float(rng.choice([0.0, rng.uniform(0, 8)])) if kind in ("blocks", "halls") else 0.0
    grass = Paint(p.NOISE, (0.07, 0.12, 0.035), (0.16, 0.19, 0.07), (rng.uniform(0.02, 0.08), 1.0, 1.0))
    high = rng.uniform(0.6, 6)
    wood_off = rng.uniform(3, 60)
    fence_kind = rng.integers(1 << 30)
    while s < plan.reach:
        if rng.random() < 0.03:
            kind = str(rng.choice(plan.sides))
        length = rng.uniform(9, 26) if kind in ("blocks", "oldtown", "halls") else rng.uniform(9, 15)
        middle = s + length / 2
        s += length
        near_crossing = abs(middle - ground.crossing_x) < ground.crossing_half + length / 2 + 1
        if near_crossing or not town.seen(middle, side * (edge + 5), 0.6 * length + 8):
            continue
        d = side * (edge + setback)
        if kind in _MAKERS:
            rows = _MAKERS[kind](rng, length)
            irregular = rng.normal(0, 0.8) if rng.random() < 0.4 else 0.0
            town.put(rows, middle, d + side * abs(irregular), face, ground.kerb)
            if rng.random() < 0.15:
                s += rng.uniform(3, 14)
        elif kind == "houses":
            garden = rng.uniform(3, 8)
            town.put(buildings.house(rng), middle, side * (edge + garden), face + rng.normal(0, 0.03), ground.kerb)
            if rng.random() < 0.7:
                border = nature.hedge(rng, length - 3) if rng.random() < 0.4 else furniture.fence(rng, length - 3)
                town.put(border, middle - 1, side * (edge + 0.3), face, ground.kerb)
            for _ in range(rng.poisson(1.2)):
                plant = nature.tree(rng) if rng.random() < 0.5 else nature.bush(rng)
                town.put(plant, middle + rng.uniform(-0.5, 0.5) * length, side * (edge + rng.uniform(1, garden)), 0, ground.kerb)
            s += rng.uniform(1, 5)
        elif kind == "hedge":
            town.put(nature.hedge(rng, length), middle, side * (edge + 0.7), face, ground.kerb)
            if rng.random() < 0.4:
                town.put(nature.tree(rng), middle, side * (edge + rng.uniform(2, 9)), 0, ground.kerb)
        elif kind == "bank":
            town.put(furniture.bank(rng, length + 0.6, high, grass), middle, side * (edge + 0.5), face, 0)
            for _ in range(rng.poisson(0.8)):
                plant = nature.bush(rng) if rng.random() < 0.6 else nature.tree(rng)
                town.put(plant, middle + rng.uniform(-0.5, 0.5) * length, side * (edge + rng.uniform(2 * high, 2.5 * high + 3)), 0, high * 0.9)
        elif kind == "wood":
            town.put(nature.tree_line(rng, length), middle, side * (edge + wood_off), face, 0)
        elif kind == "wall":
            town.put(furniture.fence(np.random.default_rng(fence_kind), length), middle, side * (edge + 0.2), face, ground.kerb)
            if rng.random() < 0.6:
                town.put(nature.tree(rng), middle, side * (edge + rng.uniform(1.5, 12)), 0, ground.kerb)
            if rng.random() < 0.4:
                town.put(buildings.block(rng, length), middle, side * (edge + rng.uniform(10, 25)), face, ground.kerb)
        elif kind == "noise":
            town.put(furniture.barrier(np.random.default_rng(fence_kind), length, 3), middle, side * (edge + 0.3), face, 0)
            if rng.random() < 0.5:
                town.put(nature.tree(rng), middle, side * (edge + rng.uniform(2, 6)), 0, 0)
        elif kind == "containers":
            colour = Paint(p.PANELS, tuple(float(v) for v in rng.uniform(0.02, 0.4, 3)), (0.6, 0.6, 0.6), (0.28, 0.12, 1.0))  # type: ignore[arg-type]
            stack = p.Parts()
            for level in range(int(rng.integers(1, 4))):
                stack.box((rng.normal(0, 0.1), 2, 1.3 + 2.6 * level), (12.2, 2.44, 2.59), replace_colour(rng, colour))
            town.put(stack.rows(), middle, side * (edge + rng.uniform(0, 6)), face, 0)
        elif kind == "fence":
            town.put(furniture.fence(np.random.default_rng(fence_kind), length), middle, side * (edge + 0.2), face, 0)
        else:  # an open verge: grass, single trees, a fence far off, woods behind
            for _ in range(rng.poisson(0.7)):
                plant = nature.bush(rng) if rng.random() < 0.5 else nature.tree(rng)
                town.put(plant, middle, side * (edge + rng.uniform(1, 30)), 0, 0)
            if rng.random() < 0.25:
                town.put(furniture.barrier(rng, length, 1), middle, side * (edge + 0.3), face, 0)
            town.put(nature.tree_line(rng, length), middle, side * (edge + wood_off + 20), face, 0)


def replace_colour(rng: np.random.Generator, paint: Paint) -> Paint:
    """The same paint in another colour."""
    return paint._replace(a=tuple(float(v) for v in rng.uniform(0.02, 0.45, 3)))


def _crossing(rng: np.random.Generator, town: Town, lane: float, lights: float) -> None:
    """Traffic on the crossing road and what stands along it."""
    ground = town.ground
    for way in (1, -1):
        y = way * rng.uniform(-25, 10)
        for _ in range(int(rng.integers(0, 4))):
            vehicle = any_vehicle(rng, _TOWN_MIX, lights)
            s = ground.crossing_x + way * ground.crossing_half * 0.5
            if abs(y) > ground.left * 0.4 or rng.random() < 0.3:
                if town.free(s, y, 2.5):
                    town.park(vehicle, s, y, way * math.pi / 2)
            y += way * (vehicle.length + rng.uniform(3, 20))
    for side in (1, -1):
        for flank in (1, -1):
            d = ground.left + ground.walk_left + 14
            while d < 90:
                length = rng.uniform(10, 20)
                s = ground.crossing_x + flank * (ground.crossing_half + 4)
                rows = buildings.block(rng, length) if rng.random() < 0.7 else nature.tree(rng)
                town.put(rows, s, side * (d + length / 2), -flank * math.pi / 2, ground.kerb)
                d += length


def _backdrop(rng: np.random.Generator, town: Town, reach: float) -> None:
    """Something far away that closes the view, and hills now and then."""
    if rng.random() < 0.8:
        s = -60.0 if rng.random() < 0.5 else -100.0
        for end in (s, reach * rng.uniform(0.9, 1.6)):
            for d in np.arange(-90, 91, 22.0):
                if town.seen(end, d, 14):
                    rows = nature.tree_line(rng, 24) if rng.random() < 0.6 else buildings.block(rng, 20)
                    town.put(rows, end, float(d), -math.pi / 2 if end > 0 else math.pi / 2)
    if rng.random() < 0.3:
        green = Paint(p.NOISE, (0.06, 0.1, 0.04), (0.13, 0.14, 0.07), (0.5, 1.0, 0.5))
        for _ in range(int(rng.integers(1, 6))):
            angle, far = rng.uniform(-math.pi, math.pi), rng.uniform(160, 400)
            size = rng.uniform(40, 130)
            town.parts.ball((far * math.cos(angle), far * math.sin(angle), -5), (size, size * rng.uniform(0.5, 1), rng.uniform(10, 45)), green, rng.uniform(0, 3))


def _crowd_eye(rng: np.random.Generator, town: Town, eye_d: float, gaze: float, lights: float) -> None:
    """Large vehicles at 2 to 10 m in front of the camera, at any angle."""
    for _ in range(int(rng.integers(2, 6))):
        vehicle = any_vehicle(rng, (0.45, 0.18, 0.22, 0.08, 0.07), lights)
        angle = gaze + rng.uniform(-0.7, 0.7)
        turn = rng.uniform(-math.pi, math.pi)
        # The distance to the near side depends on how the vehicle is turned.
        half = abs(math.cos(turn - angle)) * vehicle.length / 2 + abs(math.sin(turn - angle)) * vehicle.width / 2
        away = half + rng.uniform(1.5, 9.0)
        x, y = away * math.cos(angle), eye_d + away * math.sin(angle)
        if math.hypot(x, y - eye_d) > half + 0.9 and town.free(x, y, vehicle.length / 2):
            town.park(vehicle, x, y - 0.5 * town.ground.curvature * x * x, turn)


def _carpark(rng: np.random.Generator, width: int, height: int) -> tuple[Scene, View]:
    """Rows of parked vehicles at right angles to an aisle, open or under a roof."""
    light = choose_light(rng)
    grey = rng.uniform(0.08, 0.3)
    ground = Ground(
        left=60, right=60, kerb=0.0, line_style=0.0, road_kind=int(rng.choice([g.TARMAC, g.CONCRETE, g.SLABS, g.GRAVEL])),
        road=grey, wet=light.wet, seed=rng.random(), lane=2.5,
    )  # fmt: skip
    aisle = rng.uniform(5.0, 7.5)
    gaze = rng.uniform(-math.pi, math.pi)
    eye_d = rng.uniform(-0.3, 0.3) * aisle
    view = choose_view(rng, width, height, 0.0, eye_d, gaze, 0.1)
    town = Town(ground, light, gaze, math.atan(0.5 * width / view.camera.fx) + 0.05)
    town.look_from(eye_d)
    pitch = rng.uniform(2.35, 2.8)
    fill = rng.uniform(0.5, 1.0)
    row = aisle / 2 + 2.5
    for side in (1, -1):
        d = side * row
        for k in range(4):
            for s in np.arange(-26, 34, pitch):
                if rng.random() < fill and town.seen(s, d, 3):
                    vehicle = any_vehicle(rng, (0.88, 0.12, 0.0, 0.0, 0.0))
                    turn = math.pi / 2 + (math.pi if rng.random() < 0.5 else 0) + rng.normal(0, 0.03)
                    town.park(vehicle, float(s), d + rng.normal(0, 0.15), turn)
            d += side * (5.1 if k % 2 == 0 else aisle + 5.0)
    for _ in range(rng.poisson(4)):
        s, d = rng.uniform(-15, 25), eye_d + rng.uniform(-0.4, 0.4) * aisle
        if math.hypot(s, d - eye_d) > 2:
            town.put(person(rng), s, d, rng.uniform(-3, 3))
    roofed = rng.random() < 0.3
    for s in np.arange(-24, 34, 4 * pitch):
        for d in (row - 2.4, -row + 2.4, row + 2.5, -row - 2.5):
            if roofed:
                town.parts.box((float(s) + 1.25, float(d), 1.4), (0.5, 0.5, 2.8), Paint(p.GRADIENT, (0.5, 0.42, 0.05), (0.4, 0.4, 0.4)))
            elif rng.random() < 0.15:
                town.put(nature.tree(rng), float(s) + pitch / 2, float(d))
    if roofed:
        town.parts.box((0, 0, 3.1), (80, 80, 0.6), Paint(p.NOISE, (0.4, 0.4, 0.39), (0.25, 0.25, 0.25), (0.02, 1.0, 0.2)))
        for k in range(-3, 4):
            town.parts.box((k * 8.0, 0, 2.75), (0.3, 60, 0.12), Paint(p.LIGHT, (1, 1, 0.95), params=(2.5,)))
            town.light_lamp(k * 8.0, 0.0, 2.4, (5.0, 5.0, 4.8))
    for side in (0, 1, 2, 3):
        angle = side * math.pi / 2
        away = rng.uniform(36, 60)
        for off in np.arange(-50, 51, 20.0):
            kind = rng.random()
            rows = buildings.block(rng, 18) if kind < 0.4 else (nature.tree_line(rng, 20) if kind < 0.8 else buildings.hall(rng, 20))
            x, y = away * math.cos(angle) - off * math.sin(angle), away * math.sin(angle) + off * math.cos(angle)
            if town.seen(x, y, 14):
                town.put(rows, x, y, angle - math.pi / 2)
    return town.scene(), view


def _repainted(rng: np.random.Generator, scene: Scene) -> Scene:
    """The same scene with random textures on most of its solids."""
    paints = p.Parts()
    for _ in range(24):
        paints.box((0, 0, 0), (1, 1, 1), random_paint(rng))
    swatches = paints.rows()
    rows = scene.rows.copy()
    chosen = (rng.random(len(rows)) < rng.uniform(0.4, 1.0)) & (rows[:, p.HOLES] == p.SOLID)
    pick = rng.integers(0, len(swatches), len(rows))
    rows[chosen, p.KIND : p.PARAM + 6] = swatches[pick[chosen], p.KIND : p.PARAM + 6]
    return replace(scene, rows=rows)
