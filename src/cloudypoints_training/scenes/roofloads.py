"""What cars carry on their roofs; same frame as vehicles.py. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.lofts import plank
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.vehicles import BLACK, CHROME, TRIM


def lamp(colour: tuple[float, float, float], power: float, gloss: float = 0.8) -> Paint:
    return Paint(p.LIGHT, colour, params=(power,), gloss=gloss)


def roof_load(parts: Parts, rng: np.random.Generator, roof: tuple[float, float, float], height: float) -> None:
    """Rails, a box, a rack with luggage, a kayak or a taxi sign."""
    rear, front, wide = roof
    kind = rng.choice(["rails", "box", "rack", "boat", "taxi", "glass"], p=[0.35, 0.2, 0.12, 0.06, 0.12, 0.15])
    middle = 0.5 * (rear + front)
    if kind == "taxi":
        parts.span((middle, middle + 0.16), (-0.3, 0.3), (height, height + 0.13), lamp((0.65, 0.5, 0.1), 0.4))
        return
    if kind == "glass":
        parts.span((rear + 0.45, front - 0.65), (-wide + 0.4, wide - 0.4), (height - 0.01, height + 0.004), BLACK)
        return
    bar = TRIM if rng.random() < 0.6 else CHROME
    for s in (1, -1):
        y = s * (wide - 0.12)
        parts.span((rear + 0.15, front - 0.3), (y - 0.02, y + 0.02), (height - 0.03, height + 0.04), bar)
    if kind == "rails":
        return
    for x in (rear + 0.4, front - 0.5):
        parts.span((x - 0.03, x + 0.03), (-wide + 0.05, wide - 0.05), (height + 0.03, height + 0.07), bar)
    if kind == "box":
        tone = float(rng.choice([0.02, 0.1, 0.5]))
        y, wide_box, long = rng.uniform(-0.15, 0.15), rng.uniform(0.3, 0.45), rng.uniform(0.75, 1.05)
        sections = [
            (middle - long, height + 0.1, height + 0.38, wide_box),
            (middle + 0.4 * long, height + 0.08, height + 0.42, wide_box),
            (middle + long, height + 0.1, height + 0.24, wide_box * 0.6),
        ]
        plank(parts, sections, Paint(p.PLAIN, (tone, tone, tone), params=(0.2,), gloss=0.5), y)
    elif kind == "boat":
        colour = tuple(float(v) for v in rng.uniform(0.05, 0.6, 3))
        parts.ball((middle, 0.1, height + 0.22), (1.9, 0.3, 0.16), Paint(p.PLAIN, colour, gloss=0.4))  # type: ignore[arg-type]
    else:
        for _ in range(int(rng.integers(1, 5))):
            long, tall, deep = rng.uniform(0.3, 0.9), rng.uniform(0.15, 0.45), rng.uniform(0.25, 0.6)
            x, y = middle + rng.uniform(-0.4, 0.4), rng.uniform(-0.25, 0.25)
            goods = Paint(p.NOISE, tuple(rng.uniform(0.03, 0.5, 3)), (0.1, 0.09, 0.08), (0.01, 1.0, 0.3))
            parts.box((x, y, height + 0.07 + tall / 2), (long, deep, tall), goods, rng.normal(0, 0.1))
