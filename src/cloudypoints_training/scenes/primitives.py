"""What a scene is made of: rows of one float array, one row per primitive.

World frame: x along the road, y left, z up, metres, ground at z = 0. A primitive has a local frame
(centre and rotation) and half sizes along its local axes. Boxes may be tapered: each of the four
sides leans inwards by `slope` metres per metre of height, which also makes wedges, gable roofs,
windscreens and (with opposite signs) sheared pillars.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

BOX, ELLIPSOID, CYLINDER, CONE = 0, 1, 2, 3

# Surface kinds; see surfaces.py for what the parameters p0..p5 mean.
(
    PLAIN,
    NOISE,
    BRICK,
    WINDOWS,
    STRIPES,
    CHECKER,
    GLASS,
    WHEEL,
    LIGHT,
    PLATE,
    PANELS,
    FOLIAGE,
    CELLS,
    GRADIENT,
    TEXT,
) = range(15)

SOLID, LEAVES, BARS = 0, 1, 2  # what a ray may pass through

# Columns.
SHAPE, CENTRE, ROTATION, HALF, SLOPE, KIND, COLOUR_A, COLOUR_B, PARAM, HOLES, SEED, GLOSS = (
    0, 1, 4, 13, 16, 20, 21, 24, 27, 33, 34, 35,
)  # fmt: skip
COLUMNS = 36

Colour = tuple[float, float, float]
Vector = tuple[float, float, float]


class Paint(NamedTuple):
    """How a surface looks. Colours are linear reflectances in 0..1."""

    kind: int = PLAIN
    a: Colour = (0.5, 0.5, 0.5)
    b: Colour = (0.2, 0.2, 0.2)
    params: tuple[float, ...] = ()
    gloss: float = 0.0
    holes: int = SOLID


class Parts:
    """A growing list of primitives in one frame."""

    def __init__(self) -> None:
        self._rows: list[tuple[float, ...]] = []
        self._blocks: list[np.ndarray] = []

    def add(
        self,
        shape: int,
        centre: Vector,
        half: Vector,
        paint: Paint,
        rotation: tuple[float, ...] = (1, 0, 0, 0, 1, 0, 0, 0, 1),
        slopes: tuple[float, float, float, float] = (0, 0, 0, 0),
    ) -> None:
        """One primitive. `rotation`: local to frame, row-major; `slopes`: front, rear, left, right."""
        params = paint.params + (0.0,) * (6 - len(paint.params))
        seed = (centre[0] * 12.9898 + centre[1] * 78.233 + half[0] * 37.7) % 1.0
        self._rows.append(
            (
                shape, *centre, *rotation, *half, *slopes, paint.kind, *paint.a, *paint.b, *params,
                paint.holes,
                seed, paint.gloss,
            )
        )  # fmt: skip

    def box(
        self,
        centre: Vector,
        size: Vector,
        paint: Paint,
        yaw: float = 0.0,
        slopes: tuple[float, float, float, float] = (0, 0, 0, 0),
    ) -> None:
        """A box by its full size; `yaw` in radians about z."""
        half = (size[0] / 2, size[1] / 2, size[2] / 2)
        self.add(BOX, centre, half, paint, about_z(yaw) if yaw else (1, 0, 0, 0, 1, 0, 0, 0, 1), slopes)

    def span(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        paint: Paint,
        slopes: tuple[float, float, float, float] = (0, 0, 0, 0),
    ) -> None:
        """A box between two values on each axis."""
        self.add(
            BOX,
            ((x[0] + x[1]) / 2, (y[0] + y[1]) / 2, (z[0] + z[1]) / 2),
            ((x[1] - x[0]) / 2, (y[1] - y[0]) / 2, (z[1] - z[0]) / 2),
            paint,
            slopes=slopes,
        )

    def ball(self, centre: Vector, half: Vector, paint: Paint, yaw: float = 0.0) -> None:
        """An ellipsoid by its half axes."""
        self.add(ELLIPSOID, centre, half, paint, about_z(yaw))

    def post(self, x: float, y: float, z: tuple[float, float], radius: float, paint: Paint) -> None:
        """An upright cylinder."""
        self.add(CYLINDER, (x, y, (z[0] + z[1]) / 2), (radius, radius, (z[1] - z[0]) / 2), paint)

    def rod(self, start: Vector, end: Vector, radius: float, paint: Paint, shape: int = CYLINDER) -> None:
        """A cylinder (or another shape) from one point to another."""
        dx, dy, dz = end[0] - start[0], end[1] - start[1], end[2] - start[2]
        length = math.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx / length, dy / length, dz / length
        # A side at right angles to the axis, and the third direction (scalars: numpy is slow on threes).
        sx, sy, sz = (dy, -dx, 0.0) if abs(dz) < 0.9 else (0.0, dz, -dy)
        norm = math.sqrt(sx * sx + sy * sy + sz * sz)
        sx, sy, sz = sx / norm, sy / norm, sz / norm
        ox, oy, oz = dy * sz - dz * sy, dz * sx - dx * sz, dx * sy - dy * sx
        middle = ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, (start[2] + end[2]) / 2)
        self.add(shape, middle, (radius, radius, length / 2), paint, (sx, ox, dx, sy, oy, dy, sz, oz, dz))

    def place(self, rows: np.ndarray, x: float, y: float, yaw: float, z: float = 0.0) -> None:
        """Adds primitives of another frame, turned by `yaw` and moved to (x, y, z)."""
        self._blocks.append(moved(rows, x, y, yaw, z))

    def extend(self, rows: np.ndarray) -> None:
        """Adds primitives of this frame."""
        self._blocks.append(rows)

    def rows(self) -> np.ndarray:
        """(N, COLUMNS) float64."""
        blocks = list(self._blocks)
        if self._rows:
            blocks.append(np.array(self._rows, dtype=np.float64))
        return np.concatenate(blocks) if blocks else np.zeros((0, COLUMNS))


def top_of(rows: np.ndarray) -> float:
    """The highest point the primitives' boxes reach."""
    upright = np.abs(rows[:, ROTATION + 6 : ROTATION + 9])
    return float((rows[:, CENTRE + 2] + (upright * rows[:, HALF : HALF + 3]).sum(axis=1)).max())


def moved(rows: np.ndarray, x: float, y: float, yaw: float, z: float = 0.0) -> np.ndarray:
    """Copies primitives (N, COLUMNS), turned by `yaw` about z and then moved by (x, y, z)."""
    out = rows.copy()
    turn = np.array(about_z(yaw)).reshape(3, 3)
    out[:, CENTRE : CENTRE + 3] = rows[:, CENTRE : CENTRE + 3] @ turn.T + (x, y, z)
    local = rows[:, ROTATION : ROTATION + 9].reshape(-1, 3, 3)
    out[:, ROTATION : ROTATION + 9] = (turn @ local).reshape(-1, 9)
    return out


def turned(rows: np.ndarray, turn: np.ndarray, place: tuple[float, float, float]) -> np.ndarray:
    """Copies primitives (N, COLUMNS), turned by any rotation (3, 3) and then moved."""
    out = rows.copy()
    out[:, CENTRE : CENTRE + 3] = rows[:, CENTRE : CENTRE + 3] @ turn.T + place
    local = rows[:, ROTATION : ROTATION + 9].reshape(-1, 3, 3)
    out[:, ROTATION : ROTATION + 9] = (turn @ local).reshape(-1, 9)
    return out


def about_z(yaw: float) -> tuple[float, ...]:
    """Row-major rotation about the vertical."""
    c, s = math.cos(yaw), math.sin(yaw)
    return (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0)


ACROSS: tuple[float, ...] = (1, 0, 0, 0, 0, 1, 0, -1, 0)
"""Rotation that lays a cylinder's axis along y: a wheel."""
ALONG: tuple[float, ...] = (0, 0, 1, 0, 1, 0, -1, 0, 0)
"""Rotation that lays a cylinder's axis along x: a tank."""
