"""Passenger cars with curved bodies; same frame as vehicles.py. Metres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.lofts import plank, stack
from cloudypoints_training.scenes.primitives import Paint, Parts
from cloudypoints_training.scenes.roofloads import lamp, roof_load
from cloudypoints_training.scenes.vehicles import (
    BLACK,
    CHROME,
    TRIM,
    WHITE_PLATE,
    YELLOW_PLATE,
    Vehicle,
    car_paint,
    rim,
    wheels,
)


@dataclass(frozen=True)
class Shape:
    """The proportions of a kind of car; lengths in metres, slopes in metres per metre of height."""

    length: float
    width: float
    height: float
    bonnet: float  # share of the length before the windscreen's foot
    boot: float  # share of the length behind the rear window's foot
    belt: float  # height of the window sill, share of the height
    screen: float  # slope of the windscreen
    tail: float  # slope of the rear window
    wheel: float  # radius
    floor: float = 0.18
    share: float = 1.0


SHAPES = {
    "saloon": Shape(4.75, 1.84, 1.44, 0.28, 0.15, 0.63, 1.45, 1.5, 0.33, share=2.0),
    "hatch": Shape(4.2, 1.78, 1.46, 0.25, 0.03, 0.62, 1.35, 0.65, 0.32, share=2.2),
    "estate": Shape(4.7, 1.82, 1.47, 0.27, 0.02, 0.63, 1.35, 0.5, 0.33),
    "crossover": Shape(4.35, 1.83, 1.6, 0.25, 0.02, 0.63, 1.1, 0.55, 0.35, 0.22, 1.6),
    "offroad": Shape(4.8, 1.95, 1.88, 0.25, 0.01, 0.61, 0.45, 0.08, 0.39, 0.27, 0.7),
    "suv": Shape(4.85, 1.95, 1.74, 0.24, 0.02, 0.62, 0.95, 0.4, 0.37, 0.24, 1.5),
    "coupe": Shape(4.5, 1.86, 1.33, 0.33, 0.12, 0.64, 1.6, 2.2, 0.34, 0.13, 0.5),
    "city": Shape(3.5, 1.63, 1.5, 0.19, 0.02, 0.6, 1.0, 0.25, 0.29, 0.16, 0.9),
    "micro": Shape(2.75, 1.6, 1.56, 0.13, 0.02, 0.58, 0.7, 0.3, 0.28, 0.17, 0.25),
    "kei": Shape(3.4, 1.48, 1.85, 0.13, 0.01, 0.53, 0.45, 0.05, 0.27, 0.16, 0.4),
    "people": Shape(4.75, 1.9, 1.8, 0.18, 0.01, 0.55, 1.15, 0.25, 0.33, 0.17, 0.7),
    "classic": Shape(4.1, 1.58, 1.42, 0.3, 0.2, 0.62, 0.6, 0.9, 0.3, 0.2, 0.35),
}


def glass(rng: np.random.Generator) -> Paint:
    """Panes: tinted and black, or with seats against the daylight behind them."""
    through = float(rng.choice([0.0, rng.uniform(0.2, 1.0)], p=[0.4, 0.6]))
    light = float(rng.uniform(0.08, 0.4))
    return Paint(
        p.GLASS, (0.022, 0.026, 0.028), (light, light * 1.03, light * 1.05),
        (through, rng.uniform(0.75, 1.05), rng.random()), gloss=float(rng.uniform(0.6, 1.0)),
    )  # fmt: skip


def motorcar(rng: np.random.Generator, kind: str | None = None, lights: float = 0.0) -> Vehicle:
    """A passenger car of one of SHAPES. `lights` is the emission of its lamps."""
    names = list(SHAPES)
    shares = np.array([SHAPES[name].share for name in names])
    shape = SHAPES[kind or names[rng.choice(len(names), p=shares / shares.sum())]]
    length, width, height = np.array([shape.length, shape.width, shape.height]) * rng.uniform(0.96, 1.05, 3)
    half, side = length / 2, width / 2
    paint = car_paint(rng)
    belt = shape.belt * height
    floor = shape.floor * rng.uniform(0.9, 1.1)
    cowl = half - shape.bonnet * length * rng.uniform(0.93, 1.07)
    deck = -half + shape.boot * length + 0.06
    parts = Parts()
    nose = _body(parts, rng, half, side, belt, floor, cowl, deck, shape.boot > 0.05, paint)
    roof = _greenhouse(parts, rng, shape, side, belt, height, cowl, deck, paint)
    _front(parts, rng, half, side, nose, floor, paint, lights)
    _rear(parts, rng, half, side, belt, floor, shape.boot > 0.05, paint, lights)
    _flanks(parts, rng, side, belt, floor, cowl, deck, paint)
    if rng.random() < 0.3:
        roof_load(parts, rng, roof, height)
    axles = [half - rng.uniform(0.175, 0.2) * length, -half + rng.uniform(0.17, 0.2) * length]
    radius = shape.wheel * rng.uniform(0.96, 1.05)
    if rng.random() < (0.6 if shape.floor > 0.2 else 0.25):  # flared arches
        flare = TRIM if rng.random() < 0.7 else paint
        for x in axles:
            reach = radius * 1.32
            parts.add(p.CYLINDER, (x, 0, radius * 1.06), (reach, reach, side + 0.004), flare, p.ACROSS)
    wheels(parts, axles, width + 0.035, radius, 0.21, True, rim(rng))
    rows = parts.rows()
    return Vehicle(rows, float(length), float(width), float(height))


def _body(
    parts: Parts, rng: np.random.Generator, half: float, side: float, belt: float, floor: float, cowl: float,
    deck: float, boot: bool, paint: Paint,
) -> float:  # fmt: skip
    """Everything below the windows; returns the height of the bonnet's leading edge."""
    bonnet = belt - rng.uniform(0.03, 0.09)
    nose = bonnet - rng.uniform(0.1, 0.2)
    waist = floor + 0.62 * (belt - floor)
    trunk = belt - (rng.uniform(0.0, 0.06) if boot else 0.02)
    point = rng.uniform(0.72, 0.9)  # how blunt the nose is, seen from above
    stack(
        parts,
        [
            (floor, -half + 0.16, half - 0.2, side - 0.1),
            (floor + 0.16, -half + 0.1, half - 0.12, side - 0.012),
            (waist, -half + 0.08, half - 0.42, side),
            (belt, deck - 0.1, cowl + 0.2, side - 0.1),
        ],
        paint,
    )
    plank(
        parts,
        [
            (-half, floor + 0.16, trunk - 0.24, side * 0.86),
            (-half + 0.05, floor + 0.1, trunk - 0.06, side * 0.93),
            (-half + 0.3, floor + 0.04, trunk, side * 0.965),
            (cowl - 0.3, floor + 0.04, trunk, side - 0.06),
        ],
        paint,
    )
    plank(
        parts,
        [
            (cowl - 0.3, floor + 0.05, belt - 0.01, side - 0.04),
            (cowl + 0.1, floor + 0.05, bonnet, side - 0.045),
            (max(half - 0.32, cowl + 0.14), floor + 0.05, nose + 0.02, side * 0.955),
            (half - 0.1, floor + 0.08, nose - 0.06, side * (0.5 * point + 0.46)),
            (half, floor + 0.16, nose - 0.2, side * point),
        ],
        paint,
    )
    return nose


def _greenhouse(
    parts: Parts, rng: np.random.Generator, shape: Shape, side: float, belt: float, height: float, cowl: float,
    deck: float, paint: Paint,
) -> tuple[float, float, float]:  # fmt: skip
    """Windows, pillars and roof; returns the roof's rear, front and half width."""
    rise = height - 0.09 - belt
    screen, tail = shape.screen * rng.uniform(0.9, 1.1), shape.tail * rng.uniform(0.85, 1.2)
    lean = rng.uniform(0.2, 0.33)
    sill = side - 0.1
    panes = glass(rng)
    parts.span((deck, cowl + 0.04), (-sill, sill), (belt - 0.01, belt + rise), panes, (screen, tail, lean, lean))
    rear, front, wide = deck + tail * rise, cowl + 0.04 - screen * rise, sill - lean * rise
    top = BLACK if rng.random() < 0.12 else paint
    crown = [
        (belt + rise - 0.02, rear - 0.04, front + 0.03, wide + 0.02),
        (belt + rise + 0.03, rear + 0.02, front - 0.08, wide - 0.03),
        (height - 0.02, rear + 0.2, front - 0.34, wide - 0.16),
        (height, rear + 0.42, front - 0.62, wide - 0.36),
    ]
    stack(parts, crown, top)
    # Pillars: sheared slabs that stand a finger's breadth proud of the panes.
    middle = 0.5 * (cowl + deck) + 0.25 * (tail - screen) * rise
    dark = BLACK if rng.random() < 0.7 else paint
    for x, slope, thick, cover in (
        (cowl - 0.02, screen, 0.04, paint),
        (middle - 0.05, 0.04, 0.07, dark),
        (deck + (0.16 if shape.boot > 0.05 else 0.28), -tail, 0.11 if shape.boot > 0.05 else 0.17, paint),
        (deck + 0.16 + 0.24 * (middle - deck), -0.3 * tail, 0.04, dark),
    ):
        parts.span(
            (x - thick, x + thick), (-sill - 0.012, sill + 0.012), (belt - 0.01, belt + rise), cover,
            (slope, -slope, lean, lean),
        )  # fmt: skip
    if rng.random() < 0.3:  # a chrome sill
        stack(parts, [(belt - 0.012, deck, cowl, sill + 0.016), (belt + 0.012, deck, cowl, sill + 0.012)], CHROME)
    if shape.boot < 0.05 and rng.random() < 0.6:  # a spoiler over the rear window
        parts.span((rear - 0.2, rear + 0.1), (-wide + 0.05, wide - 0.05), (height - 0.075, height - 0.035), top)
    if rng.random() < 0.3:
        mast = (rear + 0.35, 0.0, height - 0.02)
        parts.rod(mast, (rear + 0.1, 0.0, height + rng.uniform(0.06, 0.35)), 0.008, BLACK)
    return rear, front, wide


def _front(
    parts: Parts, rng: np.random.Generator, half: float, side: float, nose: float, floor: float, paint: Paint,
    lights: float,
) -> None:  # fmt: skip
    """Grille, air intake, head lamps and plate. They stand slightly proud of the nose."""
    wide = rng.uniform(0.3, 0.62)
    deep = rng.uniform(0.06, 0.3)
    top = nose - 0.16
    mesh = Paint(p.STRIPES, (0.012, 0.012, 0.013), (0.06, 0.06, 0.06), (0.05, 0.4, 1.0), gloss=0.2)
    if rng.random() < 0.8:
        parts.span((half - 0.3, half + 0.012), (-wide, wide), (top - deep, top), mesh, (0.1, 0, 0.2, 0.2))
        if rng.random() < 0.4:
            parts.span((half - 0.3, half + 0.018), (-wide, wide), (top - 0.015, top + 0.015), CHROME)
    parts.span(
        (half - 0.3, half + 0.01),
        (-rng.uniform(0.35, 0.7), 0.5),
        (floor + 0.05, floor + rng.uniform(0.12, 0.22)),
        BLACK,
    )
    glow = 0.15 + 9 * lights * (lights > 0.5 or rng.random() < 0.6)
    tall, long = rng.uniform(0.06, 0.2), rng.uniform(0.22, 0.42)
    round_lamp = rng.random() < 0.12
    for s in (1, -1):
        y = s * (side * 0.84 - long / 2)
        if round_lamp:
            parts.add(
                p.CYLINDER, (half - 0.06, y, top + 0.02), (0.1, 0.1, 0.075), lamp((0.6, 0.62, 0.64), glow), p.ALONG
            )
        else:
            parts.span(
                (half - 0.42, half + 0.012), (y - long / 2, y + long / 2 + (s > 0) * 0.05),
                (top + 0.08 - tall, top + 0.08),
                lamp((0.5, 0.52, 0.55), glow), (0.45, 0, 0.5 * (s > 0), 0.5 * (s < 0)),
            )  # fmt: skip
        if rng.random() < 0.5:
            parts.ball((half - 0.06, s * side * 0.74, floor + 0.17), (0.09, 0.09, 0.06), BLACK)
    if rng.random() < 0.85:
        parts.span((half, half + 0.03), (-0.26, 0.26), (floor + 0.2, floor + 0.31), WHITE_PLATE)
    if rng.random() < 0.3:
        parts.span((half - 0.3, half + 0.015), (-side * 0.8, side * 0.8), (floor, floor + 0.07), TRIM)


def _rear(
    parts: Parts, rng: np.random.Generator, half: float, side: float, belt: float, floor: float, boot: bool,
    paint: Paint, lights: float,
) -> None:  # fmt: skip
    """Tail lamps, bumper, plate, exhausts."""
    red = lamp((0.4, 0.008, 0.01), 0.25 + 2.5 * lights + (1.5 if rng.random() < 0.3 else 0.0), 0.6)
    z = belt - rng.uniform(0.16, 0.24)
    tall = rng.uniform(0.08, 0.16) if boot or rng.random() < 0.5 else rng.uniform(0.2, 0.4)
    long = rng.uniform(0.25, 0.45) if tall < 0.2 else rng.uniform(0.11, 0.18)
    for s in (1, -1):
        y = s * (side * 0.93 - long / 2)
        upper = min(z + tall / 2, belt - 0.05)
        parts.span(
            (-half - 0.006, -half + 0.34), (y - long / 2, y + long / 2), (upper - tall, upper), red, (0, 0.12, 0, 0)
        )
        if rng.random() < 0.4:
            parts.span((-half - 0.02, -half + 0.2), (y - 0.1, y + 0.1), (floor + 0.17, floor + 0.21), red)
        if rng.random() < 0.3:
            parts.add(p.CYLINDER, (-half + 0.02, s * side * 0.6, floor + 0.05), (0.04, 0.04, 0.06), CHROME, p.ALONG)
    if rng.random() < 0.2:  # a band of light across
        parts.span((-half - 0.012, -half + 0.2), (-side * 0.8, side * 0.8), (z, z + 0.05), red)
    cover = TRIM if rng.random() < 0.5 else paint
    plank(
        parts,
        [
            (-half - 0.035, floor + 0.09, floor + 0.28, side * 0.84),
            (-half + 0.06, floor + 0.04, floor + 0.3, side * 0.95),
            (-half + 0.3, floor + 0.02, floor + 0.3, side * 0.99),
        ],
        cover,
    )
    plate = WHITE_PLATE if rng.random() < 0.75 else YELLOW_PLATE
    plate_z = floor + 0.15 if rng.random() < 0.3 else z - rng.uniform(0.05, 0.12)
    parts.span((-half - 0.045, -half + 0.1), (-0.26, 0.26), (plate_z, plate_z + 0.11), plate)


def _flanks(
    parts: Parts,
    rng: np.random.Generator,
    side: float,
    belt: float,
    floor: float,
    cowl: float,
    deck: float,
    paint: Paint,
) -> None:
    """Seams, handles, sills, mirrors, side strips."""
    for x in (cowl - 0.2, 0.5 * (cowl + deck) - 0.02, deck + 0.5):
        parts.span(
            (x - 0.006, x + 0.006), (-side - 0.002, side + 0.002), (floor + 0.1, floor + 0.62 * (belt - floor)), BLACK
        )
    handle = paint if rng.random() < 0.6 else CHROME
    for x in (0.5 * (cowl + deck) + 0.12, deck + 0.62):
        z = belt - 0.14
        parts.span((x - 0.09, x + 0.09), (-side + 0.03, side - 0.03), (z, z + 0.03), handle)
    if rng.random() < 0.5:
        trim = TRIM if rng.random() < 0.6 else CHROME
        z = floor + rng.uniform(0.06, 0.22)
        parts.span((deck + 0.3, cowl), (-side - 0.006, side + 0.006), (z, z + rng.uniform(0.03, 0.14)), trim)
    shell = paint if rng.random() < 0.75 else BLACK
    for s in (1, -1):
        x, y, z = cowl - 0.36, s * (side + 0.04), belt + 0.075
        parts.ball((x, y, z), (0.08, 0.13, 0.08), shell)
        parts.rod((x, s * (side - 0.12), belt), (x, y, z), 0.025, BLACK)
