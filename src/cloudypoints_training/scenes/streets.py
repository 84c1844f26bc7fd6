"""Streets: a road with its traffic and surroundings, and a camera driving on it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from cloudypoints_training.scenes import buildings, fronts, furniture, overhead
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.fleet import meet
from cloudypoints_training.scenes.lighting import choose_light
from cloudypoints_training.scenes.plans import PLANS, TOWN_MIX, Plan, road_of
from cloudypoints_training.scenes.roadside import FALLING, frontage, parked_row, pavement
from cloudypoints_training.scenes.scene import Scene, View, choose_view, standing, without_specks
from cloudypoints_training.scenes.shapes import random_paint
from cloudypoints_training.scenes.sides import choose_side
from cloudypoints_training.scenes.town import Town


def build(rng: np.random.Generator, style: str, width: int, height: int) -> tuple[Scene, View]:
    """A street of a style and a camera on it."""
    close = style == "close"
    plan = PLANS[str(rng.choice(["city", "jam", "side", "highway", "suburb", "rural"])) if close else style]
    light = choose_light(rng)
    hand = 1.0 if rng.random() < 0.75 else -1.0  # which side of the road is driven on
    n = int(rng.integers(plan.lanes[0], plan.lanes[1] + 1))
    lane = rng.uniform(*plan.lane)
    bay = 2.15 if plan.parked > 0 else 0.6
    half = n * lane + bay
    begins = [str(rng.choice(plan.sides)) for _ in range(2)]
    if style == "harbour":
        begins[int(rng.integers(2))] = "quay"
    drops = tuple(float(rng.uniform(*_DROPS.get(style, (1.0, 6.0)))) if kind in FALLING else 0.0 for kind in begins)
    ground = road_of(rng, plan, style, light, half, lane, drops)  # type: ignore[arg-type]
    own_lane = int(rng.integers(n))
    eye_d = -hand * (own_lane + 0.5) * lane + rng.normal(0, 0.15)
    if rng.random() < plan.turned or close:
        gaze = rng.uniform(-math.pi, math.pi) if style != "side" else float(rng.choice([-1, 1])) * rng.uniform(0.6, 2.5)
    else:
        gaze = rng.normal(0, 0.08)
    view = standing(choose_view(rng, width, height, 0.0, eye_d, gaze, 0.3 if abs(gaze) < 0.3 else 0.06), ground)
    tunnel = style in ("city", "highway", "jam") and rng.random() < 0.03
    if tunnel:
        light = choose_light(rng, "overcast").inside()
    town = Town(ground, light, gaze, math.atan(0.5 * width / view.camera.fx) + 0.05, reuse=True)
    town.look_from(eye_d)
    lights = float(light.dark) or (0.25 if rng.random() < 0.25 else 0.0)
    if close:
        _crowd_eye(rng, town, eye_d, gaze, lights)
    _traffic(rng, town, plan, n, lane, own_lane, hand, lights)
    if tunnel:
        _tunnel(rng, town, half)
    for side, kind, drop in zip((1, -1), begins, drops, strict=True):
        if tunnel:
            continue
        parked_row(rng, town, plan, side, half, hand)
        pavement(rng, town, plan, side)
        frontage(rng, town, plan, side, kind, choose_side(rng, drop))
    if style == "highway":
        rail = int(rng.integers(2))
        for s in np.arange(-60, plan.reach, 8.0):
            town.put(furniture.barrier(rng, 8.05, rail), float(s), 0.0, lie=True)
    if not tunnel:
        if ground.crossing_x < 1e5:
            _crossing(rng, town, plan, lights)
        if rng.random() < 0.12 and style in ("city", "highway", "jam", "rural", "close"):
            town.put(overhead.any_bridge(rng, half + 1, style == "highway"), rng.uniform(14, 90), 0.0)
        if rng.random() < 0.1 and plan.people > 0.5:
            town.put(overhead.wires(rng, half, plan.reach), -20.0, 0.0, lie=True)
        _backdrop(rng, town, plan)
    scene = without_specks(town.scene(), view)
    if rng.random() < 0.15 and plan.fleet == "modern":
        scene = _repainted(rng, scene)
    return scene, view


_DROPS = {"harbour": (1.2, 3.5), "alpine": (3.0, 15.0)}
"""How far the ground falls beside a road, metres; elsewhere 1 to 6."""


def _tunnel(rng: np.random.Generator, town: Town, half: float) -> None:
    """Puts the road into a tunnel that ends ahead."""
    end = float(rng.uniform(25, 160))
    town.put(overhead.tunnel(rng, half, -30.0, end), 0.0, 0.0, lie=True)
    for s in np.arange(-4.0, end, 9.0):
        town.light_lamp(float(s), 0.0, 4.4, (11.0, 9.5, 6.5))


def _traffic(
    rng: np.random.Generator,
    town: Town,
    plan: Plan,
    n: int,
    lane: float,
    own: int,
    hand: float,
    lights: float,
) -> None:
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
                vehicle = town.one_of(rng, "traffic", lambda: meet(rng, plan.fleet, plan.mix, lights), s, d)
                middle = s + vehicle.length / 2
                if mine and middle + vehicle.length / 2 > -3.2 and middle - vehicle.length / 2 < 2.2:
                    s = 2.2 + rng.uniform(0.3, lo + 2) if s < 2.2 else s + 1.0
                    continue
                if town.free(middle, d, 0.5 * min(vehicle.length, 5.0)) and abs(middle - town.ground.crossing_x) > 1:
                    town.park(vehicle, middle, d + rng.normal(0, 0.2), turn + rng.normal(0, 0.015))
                s += vehicle.length


def _crossing(rng: np.random.Generator, town: Town, plan: Plan, lights: float) -> None:
    """Traffic on the crossing road and what stands along it."""
    ground = town.ground
    for way in (1, -1):
        y = way * rng.uniform(-25, 10)
        for _ in range(int(rng.integers(0, 4))):
            vehicle = meet(rng, plan.fleet, TOWN_MIX, lights)
            s = ground.crossing_x + way * ground.crossing_half * 0.5
            apart = abs(y) > ground.left * 0.4 or rng.random() < 0.3
            if apart and town.free(s, y, 2.5):
                town.park(vehicle, s, y, way * math.pi / 2)
            y += way * (vehicle.length + rng.uniform(3, 20))
    for side in (1, -1):
        for flank in (1, -1):
            d = ground.left + ground.walk_left + 14
            while d < 90:
                length = rng.uniform(10, 20)
                s = ground.crossing_x + flank * (ground.crossing_half + 4)
                rows = _house(rng, plan, length) if rng.random() < 0.7 else plan.tree(rng)
                town.put(rows, s, side * (d + length / 2), -flank * math.pi / 2, ground.kerb)
                d += length


def _house(rng: np.random.Generator, plan: Plan, length: float) -> np.ndarray:
    """A building of a crossing road or a backdrop."""
    return fronts.front(rng, length) if plan.fleet == "modern" else buildings.block(rng, length)


def _backdrop(rng: np.random.Generator, town: Town, plan: Plan) -> None:
    """Something far away that closes the view, and hills now and then."""

    def closing() -> np.ndarray:
        return plan.far(rng, 24) if rng.random() < 0.6 else _house(rng, plan, 20)

    if rng.random() < 0.8:
        s = -60.0 if rng.random() < 0.5 else -100.0
        for end in (s, plan.reach * rng.uniform(0.9, 1.6)):
            for d in np.arange(-90, 91, 22.0):
                if town.seen(end, d, 14):
                    rows = town.one_of(rng, "backdrop", closing, end, float(d))
                    ground = town.ground
                    drop = ground.drop_left if d > ground.left + ground.walk_left else 0.0
                    drop = ground.drop_right if -d > ground.right + ground.walk_right else drop
                    town.put(rows, end, float(d), -math.pi / 2 if end > 0 else math.pi / 2, -drop)
    if rng.random() < 0.3:
        for _ in range(int(rng.integers(1, 6))):
            angle, far = rng.uniform(-math.pi, math.pi), rng.uniform(160, 400)
            size = rng.uniform(40, 130)
            town.parts.ball(
                (far * math.cos(angle), far * math.sin(angle), -5),
                (size, size * rng.uniform(0.5, 1), rng.uniform(10, 45)),
                plan.hill(rng),
                rng.uniform(0, 3),
            )


def _crowd_eye(rng: np.random.Generator, town: Town, eye_d: float, gaze: float, lights: float) -> None:
    """Large vehicles at 2 to 10 m in front of the camera, at any angle."""
    for _ in range(int(rng.integers(3, 8))):
        vehicle = meet(rng, "modern", (0.42, 0.18, 0.25, 0.09, 0.06), lights)
        angle = gaze + rng.uniform(-0.7, 0.7)
        turn = rng.uniform(-math.pi, math.pi)
        # The distance to the near side depends on how the vehicle is turned.
        half = abs(math.cos(turn - angle)) * vehicle.length / 2 + abs(math.sin(turn - angle)) * vehicle.width / 2
        away = half + 1.3 + 8.0 * rng.random() ** 1.6
        x, y = away * math.cos(angle), eye_d + away * math.sin(angle)
        if math.hypot(x, y - eye_d) > half + 0.9 and town.free(x, y, vehicle.length / 2):
            town.park(vehicle, x, y - 0.5 * town.ground.curvature * x * x, turn)


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
