"""A street under construction: collects what is placed along a road, in road coordinates."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import Light
from cloudypoints_training.scenes.primitives import Parts, about_z, turned
from cloudypoints_training.scenes.scene import Scene
from cloudypoints_training.scenes.vehicles import Vehicle


class Town:
    """Places things by (s, d): s along the road's x, d metres to the left of its axis.

    `gaze` is the world yaw of the camera at the origin and `half_view` half its horizontal angle: what lies
    far outside the view is never built, unless it may throw a shadow into it. With `reuse`, things further
    than 24 m are mostly copies of others in the same scene, which halves the time to build it.
    """

    def __init__(self, ground: Ground, light: Light, gaze: float, half_view: float, reuse: bool = False) -> None:
        self.ground = ground
        self.light = light
        self.parts = Parts()
        self.lamps: list[tuple[float, ...]] = []
        self.footprints: list[tuple[float, float, float, float, float]] = []
        self._gaze = gaze
        self._half_view = half_view
        self.eye_d = 0.0
        self._made: dict[str, list[Any]] | None = {} if reuse else None

    def one_of(self, rng: np.random.Generator, kind: str, make: Callable[[], Any], s: float, d: float) -> Any:
        """A new thing of a kind for a place, or far away mostly one that the scene has already."""
        if self._made is None:
            return make()
        made = self._made.setdefault(kind, [])
        if len(made) >= 4 and math.hypot(s, d - self.eye_d) > 24 and rng.random() < 0.9:
            return made[int(rng.integers(len(made)))]
        made.append(make())
        return made[-1]

    def look_from(self, d: float) -> None:
        """Tells where the camera is: at s = 0, d metres left of the axis."""
        self.eye_d = d

    def at(self, s: float, d: float, turn: float = 0.0) -> tuple[float, float, float]:
        """World x, y and yaw of road coordinates."""
        slope = self.ground.curvature * s
        return s, 0.5 * slope * s + d * math.sqrt(1 + slope * slope), math.atan(slope) + turn

    def seen(self, s: float, d: float, radius: float) -> bool:
        """Whether something of that radius can matter to the picture."""
        x, y, _ = self.at(s, d)
        x, y = x, y - self.eye_d
        distance = math.hypot(x, y)
        if distance < radius + 9:
            return True
        off = abs((math.atan2(y, x) - self._gaze + math.pi) % (2 * math.pi) - math.pi)
        return off < self._half_view + math.asin(min(1.0, (radius + 3) / distance))

    def put(
        self,
        rows: np.ndarray,
        s: float,
        d: float,
        turn: float = 0.0,
        z: float = 0.0,
        lie: bool = False,
        sink: float = 0.0,
    ) -> None:
        """Adds primitives, `z` above the road's surface; `lie` tilts them with it.

        `sink` is how far along the road something upright reaches from its middle: it is lowered until it
        stands on sloping ground everywhere.
        """
        x, y, yaw = self.at(s, d, turn)
        ground = self.ground
        if ground.flat:
            self.parts.place(rows, x, y, yaw, z)
            return
        z += ground.height(x, y)
        if lie:
            tilt = ground.upright(x) @ np.array(about_z(yaw)).reshape(3, 3)
            self.parts.extend(turned(rows, tilt, (x, y, z)))
        else:
            self.parts.place(rows, x, y, yaw, z - sink * abs(ground.rise + ground.bend * x))

    def park(self, vehicle: Vehicle, s: float, d: float, turn: float = 0.0, z: float = 0.0) -> None:
        """Adds a vehicle and darkens the ground under it."""
        x, y, yaw = self.at(s, d, turn)
        self.put(vehicle.rows, s, d, turn, z, lie=True)
        self.footprints.append((x, y, yaw, vehicle.length, vehicle.width))

    def free(self, s: float, d: float, radius: float) -> bool:
        """Whether no vehicle's middle is nearer than its own half length plus `radius`."""
        x, y, _ = self.at(s, d)
        return all(math.hypot(x - f[0], y - f[1]) > 0.5 * f[3] + radius for f in self.footprints)

    def light_lamp(self, s: float, d: float, z: float, colour: tuple[float, float, float]) -> None:
        """A lamp that illuminates its surroundings."""
        x, y, _ = self.at(s, d)
        self.lamps.append((x, y, z + self.ground.height(x, y), *colour))

    def scene(self) -> Scene:
        """What has been placed; of the lamps, the nearest eight."""
        lamps = sorted(self.lamps, key=lambda lamp: math.hypot(lamp[0], lamp[1]))[:8]
        return Scene(
            self.parts.rows(),
            self.ground,
            self.light,
            np.array(lamps, dtype=np.float64).reshape(-1, 6),
            np.array(self.footprints, dtype=np.float64).reshape(-1, 5),
        )
