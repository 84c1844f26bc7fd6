"""Car parks, open or under a roof."""

from __future__ import annotations

import math

import numpy as np

from cloudypoints_training.scenes import buildings, fronts, greens, nature
from cloudypoints_training.scenes import ground as g
from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.fleet import meet
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import choose_light
from cloudypoints_training.scenes.people import person
from cloudypoints_training.scenes.primitives import Paint
from cloudypoints_training.scenes.scene import Scene, View, choose_view, without_specks
from cloudypoints_training.scenes.town import Town


def build(rng: np.random.Generator, width: int, height: int) -> tuple[Scene, View]:
    """Rows of parked vehicles at right angles to an aisle, open or under a roof."""
    light = choose_light(rng)
    grey = rng.uniform(0.08, 0.3)
    ground = Ground(
        left=60, right=60, kerb=0.0, line_style=0.0,
        road_kind=int(rng.choice([g.TARMAC, g.CONCRETE, g.SLABS, g.GRAVEL])),
        road=grey, wet=light.wet, seed=rng.random(), lane=2.5,
    )  # fmt: skip
    aisle = rng.uniform(5.0, 7.5)
    gaze = rng.uniform(-math.pi, math.pi)
    eye_d = rng.uniform(-0.3, 0.3) * aisle
    view = choose_view(rng, width, height, 0.0, eye_d, gaze, 0.1)
    town = Town(ground, light, gaze, math.atan(0.5 * width / view.camera.fx) + 0.05, reuse=True)
    town.look_from(eye_d)
    pitch = rng.uniform(2.35, 2.8)
    fill = rng.uniform(0.5, 1.0)
    row = aisle / 2 + 2.5
    for side in (1, -1):
        d = side * row
        for k in range(4):
            for s in np.arange(-26, 34, pitch):
                if rng.random() < fill and town.seen(s, d, 3):
                    vehicle = town.one_of(rng, "car", lambda: meet(rng, "modern", (0.86, 0.13, 0.01, 0.0, 0.0)), s, d)
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
                town.parts.box(
                    (float(s) + 1.25, float(d), 1.4),
                    (0.5, 0.5, 2.8),
                    Paint(p.GRADIENT, (0.5, 0.42, 0.05), (0.4, 0.4, 0.4)),
                )
            elif rng.random() < 0.15:
                town.put(greens.tree(rng), float(s) + pitch / 2, float(d))
    if roofed:
        town.parts.box(
            (0, 0, 3.1), (80, 80, 0.6), Paint(p.NOISE, (0.4, 0.4, 0.39), (0.25, 0.25, 0.25), (0.02, 1.0, 0.2))
        )
        for k in range(-3, 4):
            town.parts.box((k * 8.0, 0, 2.75), (0.3, 60, 0.12), Paint(p.LIGHT, (1, 1, 0.95), params=(2.5,)))
            town.light_lamp(k * 8.0, 0.0, 2.4, (5.0, 5.0, 4.8))
    for side in (0, 1, 2, 3):
        angle = side * math.pi / 2
        away = rng.uniform(36, 60)
        for off in np.arange(-50, 51, 20.0):
            kind = rng.random()
            rows = (
                (fronts.front(rng, 18) if kind < 0.25 else buildings.block(rng, 18))
                if kind < 0.4
                else (nature.tree_line(rng, 20) if kind < 0.8 else buildings.hall(rng, 20))
            )
            x, y = (
                away * math.cos(angle) - off * math.sin(angle),
                away * math.sin(angle) + off * math.cos(angle),
            )
            if town.seen(x, y, 14):
                town.put(rows, x, y, angle - math.pi / 2)
    return without_specks(town.scene(), view), view
