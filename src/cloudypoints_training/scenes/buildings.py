"""Houses in their own frame: front along x, facing -y (the road), origin at the front's middle. Metres."""

from __future__ import annotations

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.primitives import Paint, Parts

_WALLS = (
    (0.55, 0.5, 0.42), (0.62, 0.6, 0.56), (0.42, 0.36, 0.28), (0.35, 0.2, 0.14), (0.3, 0.13, 0.09),
    (0.5, 0.42, 0.25),
    (0.28, 0.29, 0.3), (0.4, 0.42, 0.44), (0.2, 0.12, 0.09), (0.58, 0.5, 0.45),
)  # fmt: skip
_PASTELS = (
    (0.6, 0.3, 0.2),
    (0.62, 0.5, 0.15),
    (0.25, 0.42, 0.5),
    (0.3, 0.45, 0.28),
    (0.6, 0.38, 0.4),
    (0.6, 0.58, 0.5),
)


def wall_colour(rng: np.random.Generator, pastel: bool = False) -> tuple[float, float, float]:
    """A facade's reflectance."""
    palette = _PASTELS if pastel else _WALLS
    base = np.array(palette[rng.integers(len(palette))]) * rng.uniform(0.7, 1.25)
    return tuple(float(v) for v in np.clip(base * rng.uniform(0.92, 1.08, 3), 0.02, 0.8))  # type: ignore[return-value]


def facade(rng: np.random.Generator, wall: tuple[float, float, float], shop: bool, modern: bool) -> Paint:
    """Windows in a wall."""
    glass = (0.03, 0.035, 0.042)
    storey = rng.uniform(2.8, 3.5)
    ground = rng.uniform(3.2, 4.4) if shop else 0.0
    if modern:
        return Paint(
            p.WINDOWS,
            wall,
            glass,
            (rng.uniform(1.2, 3.2), storey, rng.uniform(0.7, 0.95), rng.uniform(0.5, 0.85), ground, 0.0),
        )
    brick = float(rng.random() < 0.4)
    return Paint(
        p.WINDOWS,
        wall,
        glass,
        (rng.uniform(1.9, 3.4), storey, rng.uniform(0.3, 0.55), rng.uniform(0.4, 0.6), ground, brick),
    )


def block(rng: np.random.Generator, length: float, pastel: bool = False, tall: float = 1.0) -> np.ndarray:
    """A town building of 2 to 8 storeys with bays, balconies, cornice, roof and shops."""
    parts = Parts()
    storeys = int(np.clip(rng.poisson(2.6 * tall) + 2, 2, 12))
    shop = rng.random() < 0.45
    modern = not pastel and rng.random() < 0.3
    wall = wall_colour(rng, pastel)
    paint = facade(rng, wall, shop, modern)
    ground, storey = paint.params[4], paint.params[1]
    high = ground + storey * storeys + 0.4
    deep = rng.uniform(9, 14)
    parts.box((0, deep / 2, high / 2), (length, deep, high), paint)
    trim = Paint(p.NOISE, tuple(min(0.8, c * 1.25) for c in wall), wall, (0.02, 1.0, 0.0))  # type: ignore[arg-type]
    if not modern:
        parts.box((0, deep / 2 - 0.15, high - 0.15), (length + 0.1, deep + 0.5, 0.35), trim)
        if rng.random() < 0.5:
            parts.box((0, deep / 2 - 0.06, max(ground, storey) + 0.05), (length, deep + 0.12, 0.22), trim)
        parts.box(
            (0, 0, 0.3),
            (length + 0.02, 0.1, 0.6),
            Paint(p.NOISE, (0.2, 0.2, 0.2), (0.1, 0.1, 0.1), (0.02, 1.0, 0.0)),
        )
    if rng.random() < 0.55:  # a pitched roof with dormers
        roof = rng.uniform(2.0, 4.5)
        tile = (0.22, 0.08, 0.05) if rng.random() < 0.55 else (0.07, 0.07, 0.08)
        lean = (deep / 2) / roof * 0.98
        tiles = Paint(p.BRICK, tile, tuple(c * 0.5 for c in tile), (0.3, 0.35, 0.12))  # type: ignore[arg-type]
        parts.box((0, deep / 2, high + roof / 2), (length, deep + 0.5, roof), tiles, slopes=(0, 0, lean, lean))
        for k in range(int(length // 5)):
            parts.box(
                ((k + 0.5) * length / max(1, length // 5) - length / 2, 1.6, high + 0.9),
                (1.4, 2.4, 1.5),
                trim,
            )
        parts.box(
            (rng.uniform(-0.4, 0.4) * length, deep / 2, high + roof),
            (0.8, 0.8, 2.0),
            Paint(p.BRICK, (0.3, 0.13, 0.09), (0.4, 0.4, 0.4), (0.24, 0.08, 0.15)),
        )
    bays = rng.random()
    bottom = ground if shop else 0.0
    if bays < 0.25:  # a part that stands forward
        wide = length * rng.uniform(0.2, 0.45)
        out = rng.uniform(0.4, 1.6)
        parts.box(
            (rng.uniform(-0.3, 0.3) * length, -out / 2, (bottom + high) / 2),
            (wide, out, high - bottom - 0.5),
            facade(rng, wall, False, modern),
        )
    elif bays < 0.65:  # balconies
        columns = rng.integers(1, 1 + max(1, int(length // 4)))
        rail = (
            Paint(p.PLAIN, (0.04, 0.04, 0.045), params=(0.1, 0, 0, 0, 0.12, 0.25), holes=p.BARS)
            if rng.random() < 0.6
            else trim
        )
        for column in range(columns):
            x = (column + 0.5) / columns * length - length / 2
            for level in range(1 if not shop else 0, storeys):
                z = ground + storey * level
                parts.box((x, -0.55, z), (2.6, 1.1, 0.16), trim)
                parts.box((x, -1.06, z + 0.55), (2.6, 0.06, 1.0), rail)
    if shop:
        for k in range(int(length // 5)):
            if rng.random() < 0.4:
                colour = tuple(float(v) for v in rng.uniform(0.02, 0.5, 3))
                parts.box(
                    ((k + 0.5) * 5 - length / 2, -0.6, ground - 0.5),
                    (3.6, 1.3, 0.45),
                    Paint(p.STRIPES, colour, (0.6, 0.6, 0.58), (0.5, 0.5, 0.0)),
                    slopes=(0, 0, 0, 2.4),
                )  # type: ignore[arg-type]
            if rng.random() < 0.3:
                colour = tuple(float(v) for v in rng.uniform(0.05, 0.6, 3))
                parts.box(
                    ((k + 0.2) * 5 - length / 2, -0.5, ground + 0.4),
                    (0.12, 0.9, 0.8),
                    Paint(p.TEXT, colour, (0.6, 0.6, 0.6), (0.3,)),
                )  # type: ignore[arg-type]
    else:
        x = rng.uniform(-0.3, 0.3) * length
        colour = tuple(float(v) for v in rng.uniform(0.02, 0.25, 3))
        parts.box((x, -0.02, 1.1), (1.1, 0.1, 2.2), Paint(p.PLAIN, colour, params=(0.3,)))  # type: ignore[arg-type]
        parts.box((x, -0.4, 0.12), (1.6, 0.9, 0.24), trim)
    if rng.random() < 0.3:
        parts.post(length / 2 - 0.3, -0.08, (0, high), 0.06, Paint(p.PLAIN, (0.2, 0.2, 0.2)))
    return parts.rows()


def house(rng: np.random.Generator, pastel: bool = False) -> np.ndarray:
    """A detached house of one or two storeys with a gable roof, garage or porch."""
    parts = Parts()
    length, deep = rng.uniform(7, 12), rng.uniform(7, 10)
    storeys = 1 if rng.random() < 0.4 else 2
    wall = wall_colour(rng, pastel)
    paint = facade(rng, wall, False, False)
    high = paint.params[1] * storeys
    parts.box((0, deep / 2, high / 2), (length, deep, high), paint)
    tile = (0.2, 0.08, 0.05) if rng.random() < 0.5 else (0.08, 0.08, 0.085)
    tiles = Paint(p.BRICK, tile, tuple(c * 0.5 for c in tile), (0.3, 0.35, 0.12))  # type: ignore[arg-type]
    roof = rng.uniform(1.8, 3.6)
    lean = deep / 2 / roof
    if rng.random() < 0.5:
        parts.box((0, deep / 2, high + roof / 2), (length + 0.6, deep + 0.8, roof), tiles, slopes=(0, 0, lean, lean))
    else:
        side = (length / 2) / roof
        parts.box((0, deep / 2, high + roof / 2), (length + 0.6, deep + 0.8, roof), tiles, slopes=(side, side, 0, 0))
    parts.box(
        (rng.uniform(-0.3, 0.3) * length, -0.02, 1.05),
        (1.0, 0.1, 2.1),
        Paint(p.PLAIN, tuple(float(v) for v in rng.uniform(0.02, 0.4, 3))),
    )  # type: ignore[arg-type]
    if rng.random() < 0.6:
        x = length / 2 + 1.7
        parts.box((x, 3.5, 1.3), (3.3, 6, 2.6), Paint(p.NOISE, wall, wall, (0.02, 1.0, 0.0)))
        parts.box(
            (x, 0.48, 1.1),
            (2.6, 0.1, 2.1),
            Paint(p.STRIPES, (0.55, 0.55, 0.54), (0.35, 0.35, 0.34), (0.4, 0.08, 1.0)),
        )
    parts.box(
        (length * 0.3, deep * 0.5, high + roof * 0.9),
        (0.7, 0.7, 1.8),
        Paint(p.BRICK, (0.3, 0.13, 0.09), (0.4, 0.4, 0.4), (0.24, 0.08, 0.15)),
    )
    return parts.rows()


def hall(rng: np.random.Generator, length: float) -> np.ndarray:
    """A warehouse: corrugated or plain walls, gates, a parapet sign."""
    parts = Parts()
    high, deep = rng.uniform(5, 11), 20.0
    colour = wall_colour(rng)
    parts.box((0, deep / 2, high / 2), (length, deep, high), Paint(p.PANELS, colour, colour, (0.35, 0.0, 1.0)))
    for k in range(int(length // 7)):
        parts.box(
            ((k + 0.5) * 7 - length / 2, -0.03, 2.0),
            (3.6, 0.1, 4.0),
            Paint(p.STRIPES, (0.4, 0.41, 0.42), (0.2, 0.2, 0.22), (0.5, 0.1, 1.0)),
        )
    parts.box(
        (0, -0.1, high - 1.0),
        (length * 0.4, 0.2, 1.4),
        Paint(p.TEXT, (0.6, 0.6, 0.6), tuple(float(v) for v in rng.uniform(0, 0.4, 3)), (0.5,)),
    )  # type: ignore[arg-type]
    return parts.rows()
