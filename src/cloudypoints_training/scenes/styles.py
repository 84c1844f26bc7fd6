"""The kinds of scenes and which of them are kept away from training."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import carpark, shapes, streets
from cloudypoints_training.scenes.scene import Scene, View

STYLES = ("city", "suburb", "rural", "highway", "jam", "carpark", "side", "close", "shapes", "shapes_ground")
_WEIGHTS = np.array([0.12, 0.08, 0.08, 0.07, 0.12, 0.07, 0.13, 0.11, 0.09, 0.13])
HELD_OUT_STYLES = ("oldtown", "industrial", "harbour", "alpine", "blobs")


def pick_style(rng: np.random.Generator) -> str:
    """A training style."""
    return str(rng.choice(STYLES, p=_WEIGHTS / _WEIGHTS.sum()))


def build_scene(rng: np.random.Generator, style: str, width: int, height: int) -> tuple[Scene, View]:
    """A scene of a style and a camera in it."""
    if style in ("shapes", "shapes_ground", "blobs"):
        return shapes.build(rng, style, width, height)
    if style == "carpark":
        return carpark.build(rng, width, height)
    return streets.build(rng, style, width, height)
