"""A drive through one street with moving traffic: the same scene, frame after frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from cloudypoints_ros.camera import Camera
from cloudypoints_training.scenes import furniture, nature
from cloudypoints_training.scenes import ground as g
from cloudypoints_training.scenes.cars import car
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import choose_light
from cloudypoints_training.scenes.lorries import bus, lorry
from cloudypoints_training.scenes.people import person
from cloudypoints_training.scenes.plans import PLANS
from cloudypoints_training.scenes.primitives import Parts
from cloudypoints_training.scenes.roadside import frontage, parked_row, pavement
from cloudypoints_training.scenes.sample import Sample, take_picture
from cloudypoints_training.scenes.scene import View, camera_axes
from cloudypoints_training.scenes.town import Town
from cloudypoints_training.scenes.vans import van
from cloudypoints_training.scenes.vehicles import Vehicle, two_wheeler

LANE = 3.25
EGO_SPEED = 9.7  # m/s, 35 km/h
CAMERA_HEIGHT = 1.45


@dataclass(frozen=True)
class Mover:
    """Something that moves along the road; `rows` gives its primitives at a time, in its own frame."""

    rows: Callable[[float], np.ndarray]
    s: float
    d: float
    speed: float  # m/s along the road, negative = oncoming
    footprint: tuple[float, float]  # length, width; 0 for people
    z: float = 0.0
    turn: float | None = None  # None: along its way

    @staticmethod
    def vehicle(vehicle: Vehicle, s: float, d: float, speed: float) -> Mover:
        """A vehicle in a lane."""
        return Mover(lambda _: vehicle.rows, s, d, speed, (vehicle.length, vehicle.width))


def clip(
    seed: int, n_frames: int = 68, rate_hz: float = 17.0, width: int = 1024, height: int = 512
) -> Iterator[Sample]:
    """Yields the frames of a drive at 35 km/h by daylight, in order."""
    return (sample for sample, _ in drive(seed, n_frames, rate_hz, width, height))


def drive(
    seed: int, n_frames: int = 68, rate_hz: float = 17.0, width: int = 1024, height: int = 512
) -> Iterator[tuple[Sample, View]]:
    """Yields the frames of `clip` and where each was seen from."""
    rng = np.random.default_rng([seed, 99])
    length = EGO_SPEED * n_frames / rate_hz
    town = _street(rng, length)
    movers = _movers(rng, town.ground, length)
    still = town.scene()
    camera = Camera(
        width=width,
        height=height,
        fx=0.95 * width,
        fy=0.95 * width,
        cx=0.5 * width - 0.5,
        cy=0.47 * height - 0.5,
    )
    for frame in range(n_frames):
        time = frame / rate_hz
        parts = Parts()
        prints = []
        for mover in movers:
            turn = mover.turn if mover.turn is not None else (0.0 if mover.speed >= 0 else math.pi)
            x, y, yaw = town.at(mover.s + mover.speed * time, mover.d, turn)
            parts.place(mover.rows(time), x, y, yaw, mover.z)
            if mover.footprint[0] > 0:
                prints.append((x, y, yaw, *mover.footprint))
        scene = replace(
            still,
            rows=np.concatenate([still.rows, parts.rows()]),
            footprints=np.concatenate([still.footprints, np.array(prints).reshape(-1, 5)]),
        )
        view = ego_view(town, camera, time)
        yield take_picture(scene, view, np.random.default_rng([seed, frame]), plain=True), view


def optical_pose(view: View, first: View) -> np.ndarray:
    """(3, 4) camera to world, the world being the optical frame of `first`: x right, y down, z forward, metres."""
    return np.column_stack([first.axes.T @ view.axes, first.axes.T @ (view.eye - first.eye)])


def ego_view(town: Town, camera: Camera, time: float) -> View:
    """The camera of the ego vehicle at a time: in its lane, with a slight sway."""
    x, y, yaw = town.at(EGO_SPEED * time, -0.5 * LANE + 0.1 * math.sin(0.5 * time))
    pitch = math.radians(0.6 + 0.15 * math.sin(4.1 * time))
    roll = math.radians(0.2 * math.sin(2.3 * time))
    height = CAMERA_HEIGHT + 0.008 * math.sin(7.0 * time)
    return View(camera, np.array([x, y, height]), camera_axes(yaw + 0.004 * math.sin(0.8 * time), pitch, roll))


def _street(rng: np.random.Generator, length: float) -> Town:
    """A town street with houses, parked cars and trees, long enough for the drive."""
    light = choose_light(rng, "clear")
    values = light.values.copy()
    # The sun stands to the side and behind, so that fronts are lit and shadows lie across the road.
    azimuth, elevation = math.radians(130), math.radians(42)
    values[0:3] = (
        math.cos(elevation) * math.cos(azimuth),
        math.cos(elevation) * math.sin(azimuth),
        math.sin(elevation),
    )
    values[12], values[16] = 0.45, 0.0006
    half = LANE + 2.2
    ground = Ground(
        curvature=1 / 900, left=half, right=half, kerb=0.12, walk_left=3.4, walk_right=3.4, lane=LANE,
        line_style=1.0,
        dash=3.0, gap=4.5, crossing_x=length + 34.0, crossing_half=4.0, zebra_x=length + 26.5, road=0.1,
        walk_kind=g.SLABS, walk_r=0.3, walk_g=0.29, walk_b=0.27, yard_kind=g.GRASS, reach=320.0, bays=5.8,
        seed=0.3,
    )  # fmt: skip
    town = Town(ground, replace(light, values=values, wet=0.0), 0.0, math.pi)
    plan = replace(
        PLANS["city"], sides=("blocks", "blocks", "houses"), parked=0.72, people=1.6, things=0.9, trees=0.75,
        reach=length + 150.0, fleet="clip", tree=nature.tree,
    )  # fmt: skip
    for side in (1, -1):
        parked_row(rng, town, plan, side, half, 1.0)
        pavement(rng, town, plan, side)
        frontage(rng, town, plan, side)
    town.put(furniture.traffic_light(rng), ground.crossing_x - 5.6, -half - 0.5, math.pi, 0.12)
    return town


def _walker(rng: np.random.Generator, s: float, d: float, speed: float, z: float, turn: float | None = None) -> Mover:
    """A person whose stride fits the speed."""
    seed, phase, pace = int(rng.integers(1 << 30)), rng.uniform(0, 6.28), abs(speed) if speed else 1.3

    def rows(time: float) -> np.ndarray:
        return person(np.random.default_rng(seed), stride=phase + 4.4 * pace * time)

    return Mover(rows, s, d, speed, (0.0, 0.0), z, turn)


def _movers(rng: np.random.Generator, ground: Ground, length: float) -> list[Mover]:
    """Traffic ahead, oncoming vehicles of every kind, a cyclist, and people on the pavements."""
    lane = 0.5 * LANE
    movers = [
        Mover.vehicle(car(rng, "suv"), 15.0, -lane + 0.15, EGO_SPEED - 0.5),
        Mover.vehicle(van(rng), 36.0, -lane, EGO_SPEED + 0.3),
        Mover.vehicle(two_wheeler(rng, ridden=True), 24.0, -LANE + 0.5, 7.0),
    ]
    s = 22.0
    for maker in (car, lorry, car, two_wheeler, bus, car, van, car, lorry, car):
        vehicle = maker(rng)
        s += vehicle.length / 2
        movers.append(Mover.vehicle(vehicle, s, lane + rng.normal(0, 0.1), -10.2))
        s += vehicle.length / 2 + rng.uniform(6, 13)
    for _ in range(int((length + 100) / 7)):
        side = 1 if rng.random() < 0.5 else -1
        d = side * ((ground.left if side > 0 else ground.right) + rng.uniform(0.6, 2.8))
        speed = float(rng.choice([-1, 1])) * rng.uniform(1.0, 1.6)
        movers.append(_walker(rng, rng.uniform(4, length + 100), d, speed, ground.kerb))
    return movers
