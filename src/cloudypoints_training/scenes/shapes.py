"""Scenes of random solids with random textures: no habits of streets to lean on."""

from __future__ import annotations

import math

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.ground import Ground
from cloudypoints_training.scenes.lighting import choose_light
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.scene import Scene, View, choose_view


def random_paint(rng: np.random.Generator) -> Paint:
    """Any texture in any colours."""
    bright = rng.uniform(0.03, 0.9)
    a = tuple(np.clip(bright * rng.uniform(0.3, 1.4, 3), 0.01, 0.9))
    b = tuple(rng.uniform(0.01, 0.8, 3))
    gloss = float(rng.uniform(0, 1)) if rng.random() < 0.25 else 0.0
    kind = int(
        rng.choice(
            [
                p.PLAIN,
                p.NOISE,
                p.BRICK,
                p.WINDOWS,
                p.STRIPES,
                p.CHECKER,
                p.CELLS,
                p.GRADIENT,
                p.TEXT,
                p.PANELS,
                p.FOLIAGE,
            ]
        )
    )
    size = float(np.exp(rng.uniform(math.log(0.05), math.log(1.2))))
    params = {
        p.PLAIN: (rng.uniform(0, 0.6),),
        p.NOISE: (size * 0.05, rng.choice([1.0, 0.2, 4.0]), rng.uniform(0, 3)),
        p.BRICK: (size * 2, size, 0.12),
        p.WINDOWS: (size * 4 + 0.6, size * 4 + 0.8, 0.6, 0.6, rng.choice([0.0, 3.0]), 0.0),
        p.STRIPES: (size, rng.uniform(0.2, 0.8), float(rng.integers(0, 3))),
        p.CHECKER: (size,),
        p.CELLS: (size,),
        p.TEXT: (size * 0.6,),
        p.PANELS: (size, rng.uniform(0, 0.4), float(rng.random() < 0.5)),
    }.get(kind, ())
    return Paint(kind, a, b, tuple(float(v) for v in params), gloss)  # type: ignore[arg-type]


def random_turn(rng: np.random.Generator) -> tuple[float, ...]:
    """A uniformly random rotation, row-major."""
    q, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    if np.linalg.det(q) < 0:
        q[:, 0] = -q[:, 0]
    return tuple(float(v) for v in q.ravel())


def build(rng: np.random.Generator, style: str, width: int, height: int) -> tuple[Scene, View]:
    """Random solids: `shapes` float anywhere, `shapes_ground` stand, `blobs` (held out) are round."""
    view = choose_view(rng, width, height, 0.0, 0.0, 0.0, hood=0.1)
    grounded = style == "shapes_ground" or (style == "blobs" and rng.random() < 0.6)
    parts = Parts()
    spread = 0.75 * width / view.camera.fx
    for _ in range(int(rng.integers(15, 90))):
        z = float(np.exp(rng.uniform(math.log(2.0), math.log(70.0))))
        lateral = z * rng.uniform(-spread, spread)
        size = float(np.clip(z * np.exp(rng.uniform(math.log(0.03), math.log(0.35))), 0.15, 14.0))
        half = tuple(float(v) for v in size * np.exp(rng.normal(0, 0.5, 3)))
        if style == "blobs":
            shape = int(rng.choice([p.ELLIPSOID, p.CONE], p=[0.8, 0.2]))
        else:
            shape = int(rng.choice([p.BOX, p.ELLIPSOID, p.CYLINDER, p.CONE], p=[0.55, 0.2, 0.18, 0.07]))
        slopes = (0.0, 0.0, 0.0, 0.0)
        if shape == p.BOX and rng.random() < 0.4:
            lean = rng.uniform(-0.3, 0.7, 4) * min(half[0], half[1]) / (2 * half[2])
            slopes = tuple(float(v) for v in lean)  # type: ignore[assignment]
        paint = random_paint(rng)
        if grounded and rng.random() < 0.8:
            turn = p.about_z(rng.uniform(0, 6.28))
            up = half[2] * (0.95 if shape != p.ELLIPSOID else rng.uniform(0.6, 1.0))
            parts.add(shape, (z, lateral, up), half, paint, turn, slopes)  # type: ignore[arg-type]
        else:
            up = view.eye[2] + z * rng.uniform(-0.5, 0.6) * height / view.camera.fy
            turn = random_turn(rng) if rng.random() < 0.7 else p.about_z(rng.uniform(0, 6.28))
            parts.add(shape, (z, lateral, float(up)), half, paint, turn, slopes)  # type: ignore[arg-type]
    solids = _clear_of_eye(parts.rows(), view.eye)
    wall = Parts()
    if rng.random() < (0.75 if not grounded else 0.35):
        # A wall behind it all, so that not everything unknown is sky.
        away = rng.uniform(15, 80)
        wall.add(
            p.BOX,
            (away, 0, away * 0.2),
            (1.0, away * 3, away * rng.uniform(0.2, 3)),
            random_paint(rng),
            p.about_z(rng.normal(0, 0.4)),
        )
    colour = rng.uniform(0.03, 0.5, 3)
    ground = Ground(
        exists=float(grounded), left=-900.0, right=-900.0, kerb=0.0, walk_left=0.0, walk_right=0.0,
        yard_kind=float(rng.integers(0, 7)), yard_r=colour[0], yard_g=colour[1], yard_b=colour[2],
        seed=rng.random(), reach=float(rng.uniform(60, 400)),
    )  # fmt: skip
    return Scene(np.concatenate([solids, wall.rows()]), ground, choose_light(rng)), view


def _clear_of_eye(rows: np.ndarray, eye: np.ndarray) -> np.ndarray:
    """Drops solids that come near enough to the eye to fill the picture."""
    offset = np.linalg.norm(rows[:, p.CENTRE : p.CENTRE + 3] - eye, axis=1)
    extent = np.linalg.norm(rows[:, p.HALF : p.HALF + 3], axis=1)
    return rows[offset > 1.25 * extent + 0.6]
