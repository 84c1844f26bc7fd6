"""Weather and time of day: sun, sky, fog, lamps. All radiances are linear, about 1 for a sunlit white."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WEATHERS = {
    "clear": 0.24, "hard": 0.12, "hazy": 0.11, "overcast": 0.19, "low": 0.08, "glare": 0.05, "wet": 0.07, "fog": 0.04,
    "dusk": 0.04, "night": 0.06,
}  # fmt: skip


@dataclass(frozen=True)
class Light:
    """What illuminates a scene; `values` is laid out as render.shade describes."""

    values: np.ndarray  # (23,)
    wet: float
    dark: bool  # needs lamps

    @property
    def sun(self) -> np.ndarray:
        """Unit vector towards the sun, (3,)."""
        return self.values[0:3]

    def inside(self) -> Light:
        """The same daylight seen from a tunnel: little of it reaches the walls."""
        values = self.values.copy()
        values[3:6] = 0.0
        values[20] = 0.04
        return Light(values, 0.0, True)

    @property
    def sunny(self) -> bool:
        """Whether anything casts a hard shadow."""
        return bool(self.values[3:6].sum() > 0)


def choose_light(rng: np.random.Generator, weather: str | None = None) -> Light:
    """Draws a light: see WEATHERS; `low` has the sun near the horizon, `hard` black shadows, `glare` both."""
    weather = weather or str(rng.choice(list(WEATHERS), p=list(WEATHERS.values())))
    azimuth = rng.uniform(0, 2 * math.pi)
    height = math.radians(rng.uniform(25, 65))
    sun, sky, horizon = (
        np.array([1.0, 0.95, 0.86]) * rng.uniform(1.8, 3.0),
        (0.2, 0.38, 0.8),
        (0.75, 0.85, 0.95),
    )
    clouds, bright, edge, fog, ambient, lit, beams, wet = (
        rng.uniform(0.2, 0.65),
        1.2,
        6.0,
        rng.uniform(0, 0.0015),
        0.9,
        0.0,
        0.0,
        0.0,
    )
    tone = np.ones(3)
    if weather == "hazy":
        sun = sun * 0.55
        sky, horizon, clouds, edge, fog = (
            (0.6, 0.72, 0.9),
            (1.1, 1.1, 1.1),
            rng.uniform(0.5, 0.8),
            2.5,
            rng.uniform(0.001, 0.004),
        )
    elif weather == "low":
        height = math.radians(rng.uniform(8, 22))
        sun = np.array([1.0, 0.72, 0.42]) * rng.uniform(1.5, 3.0)
        horizon = (1.2, 0.95, 0.7)
        ambient = 0.7
    elif weather == "hard":
        sun = sun * rng.uniform(1.2, 2.0)
        ambient, clouds = rng.uniform(0.15, 0.45), rng.uniform(0.0, 0.4)
        sky = (0.12, 0.25, 0.65)
    elif weather == "glare":
        height = math.radians(rng.uniform(4, 14))
        sun = np.array([1.0, 0.8, 0.55]) * rng.uniform(3.0, 7.0)
        horizon = (2.0, 1.7, 1.3)
        ambient, fog = rng.uniform(0.25, 0.6), rng.uniform(0.001, 0.006)
        wet = rng.uniform(0.3, 1.0) if rng.random() < 0.4 else 0.0
    elif weather in ("overcast", "wet", "fog"):
        sun = np.zeros(3)
        level = rng.uniform(0.8, 1.3)
        sky, horizon = (0.9 * level, 0.95 * level, 1.0 * level), (level, level, level)
        clouds, edge, bright, ambient = rng.uniform(0.6, 1.0), 1.5, level, 1.0
        if weather == "wet":
            wet = rng.uniform(0.5, 1.0)
            fog = rng.uniform(0.002, 0.008)
        if weather == "fog":
            fog = rng.uniform(0.008, 0.035)
    elif weather in ("dusk", "night"):
        sun = np.zeros(3)
        deep = rng.uniform(0.15, 0.35) if weather == "dusk" else rng.uniform(0.004, 0.03)
        sky, horizon = (0.3 * deep, 0.45 * deep, 0.9 * deep), (1.0 * deep, 0.8 * deep, 0.8 * deep)
        bright, ambient, lit, beams = 0.8 * deep, 1.0, rng.uniform(0.1, 0.4), rng.uniform(0.5, 1.5)
        wet = rng.uniform(0.4, 1.0) if rng.random() < 0.3 else 0.0
    values = np.zeros(23)
    values[0:3] = (
        math.cos(height) * math.cos(azimuth),
        math.cos(height) * math.sin(azimuth),
        math.sin(height),
    )
    values[3:6] = sun * tone
    values[6:9], values[9:12] = sky, horizon
    values[12:16] = clouds, bright, edge, rng.random()
    values[16] = fog
    values[17:20] = np.mean([sky, horizon, horizon], axis=0)
    values[20:23] = ambient, lit, beams
    return Light(values, float(wet), weather in ("dusk", "night"))
