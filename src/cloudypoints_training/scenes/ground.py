"""The ground: a road with kerbs and pavements, what a ray meets there, and how it looks."""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np
from numba import njit

from cloudypoints_training.scenes.surfaces import fade, hash2, look_up

TARMAC, COBBLES, SLABS, GRASS, GRAVEL, CONCRETE, PATCHES, WATER, SNOW = range(9)


@dataclass(frozen=True)
class Ground:
    """A road along x with constant curvature, an optional crossing road, pavements and yards. Metres.

    The lateral coordinate of a point is its y minus the road's axis, positive to the left. The road's surface
    is z = rise x + bend x^2 / 2 + tilt y; pavements lie `kerb` above it and yards `drop` below it.
    """

    exists: float = 1.0
    curvature: float = 0.0
    left: float = 3.5
    right: float = 3.5
    kerb: float = 0.12
    walk_left: float = 3.0
    walk_right: float = 3.0
    crossing_x: float = 1e6
    crossing_half: float = 4.0
    lane: float = 3.5
    line_style: float = 1.0  # 0 none, 1 dashes between lanes, 2 a double line on the axis too
    dash: float = 3.0
    gap: float = 6.0
    edge_lines: float = 0.0
    zebra_x: float = 1e6
    wet: float = 0.0
    road_kind: float = TARMAC
    road: float = 0.12  # grey level
    road_warm: float = 0.0
    walk_kind: float = SLABS
    walk_r: float = 0.3
    walk_g: float = 0.29
    walk_b: float = 0.27
    yard_kind: float = GRASS
    yard_r: float = 0.1
    yard_g: float = 0.16
    yard_b: float = 0.05
    reach: float = 250.0
    bays: float = 0.0  # length of marked parking bays along the edges, 0 = none
    seed: float = 0.0
    rise: float = 0.0
    bend: float = 0.0  # 1/m: a crest where negative, a dip where positive
    tilt: float = 0.0
    drop_left: float = 0.0
    drop_right: float = 0.0

    def values(self) -> np.ndarray:
        """(35,) float64 for the kernels."""
        return np.array(astuple(self), dtype=np.float64)

    @property
    def flat(self) -> bool:
        """Whether the road is level."""
        return self.rise == 0 and self.bend == 0 and self.tilt == 0

    def height(self, x: float, y: float) -> float:
        """The road's surface, carried on beyond its edges."""
        return self.rise * x + 0.5 * self.bend * x * x + self.tilt * y

    def upright(self, x: float) -> np.ndarray:
        """(3, 3) rotation that turns the vertical into the road's normal at x."""
        slope, cross = self.rise + self.bend * x, self.tilt
        size, wide = math.sqrt(1 + slope * slope + cross * cross), math.sqrt(1 + slope * slope)
        # Ahead lies in the plane of x and z, left is at right angles to it and to the normal.
        ahead = (1 / wide, 0.0, slope / wide)
        left = (-slope * cross / (size * wide), wide / size, cross / (size * wide))
        up = (-slope / size, -cross / size, 1 / size)
        return np.array([ahead, left, up]).T


(
    _EXISTS, _CURVE, _LEFT, _RIGHT, _KERB, _WALK_L, _WALK_R, _CROSS_X, _CROSS_H, _LANE, _STYLE, _DASH, _GAP,
    _EDGES,
    _ZEBRA, _WET, _ROAD_KIND, _ROAD, _WARM, _WALK_KIND, _WR, _WG, _WB, _YARD_KIND, _YR, _YG, _YB, _REACH,
    _BAYS, _SEED, _RISE, _BEND, _TILT, _DROP_L, _DROP_R,
) = range(35)  # fmt: skip


@njit(cache=True, nogil=True, inline="always")
def lateral(g, x, y):
    """Distance from the road's axis, positive to the left."""
    k = g[_CURVE] * x
    return (y - 0.5 * k * x) / math.sqrt(1 + k * k)


@njit(cache=True, nogil=True)
def on_road(g, x, y):
    """Whether the point lies on a carriageway."""
    d = lateral(g, x, y)
    return (-g[_RIGHT] < d < g[_LEFT]) or abs(x - g[_CROSS_X]) < g[_CROSS_H]


@njit(cache=True, nogil=True)
def _level(g, x, y):
    """How far the ground lies above the road's surface at a place: a pavement's kerb, or a yard below."""
    d = lateral(g, x, y)
    if (-g[_RIGHT] < d < g[_LEFT]) or abs(x - g[_CROSS_X]) < g[_CROSS_H]:
        return 0.0
    if d > 0 and g[_DROP_L] > 0 and d > g[_LEFT] + g[_WALK_L]:
        return -g[_DROP_L]
    if d < 0 and g[_DROP_R] > 0 and -d > g[_RIGHT] + g[_WALK_R]:
        return -g[_DROP_R]
    return g[_KERB]


@njit(cache=True, nogil=True)
def _sink_to(g, level, ox, oy, oz, dx, dy, dz):
    """Ray parameter where a ray from above first meets the road's surface moved up by `level`; inf: never."""
    a = -0.5 * g[_BEND] * dx * dx
    b = dz - g[_RISE] * dx - g[_BEND] * ox * dx - g[_TILT] * dy
    c = oz - g[_RISE] * ox - 0.5 * g[_BEND] * ox * ox - g[_TILT] * oy - level
    if c <= 0:
        return 0.0
    root = b * b - 4 * a * c
    if root < 0:
        return math.inf
    # The form that does not cancel: the surface is nearly a plane, a is small.
    q = -0.5 * (b + math.sqrt(root)) if b >= 0 else -0.5 * (b - math.sqrt(root))
    first = c / q if q != 0 else math.inf
    second = q / a if abs(a) > 1e-14 else math.inf
    if first <= 0:
        first = math.inf
    if second <= 0:
        second = math.inf
    return min(first, second)


@njit(cache=True, nogil=True)
def _meet_relief(g, ox, oy, oz, dx, dy, dz):
    """meet_ground where the road is not level or yards lie below it."""
    reach = g[_REACH] / max(1e-9, math.sqrt(dx * dx + dy * dy))
    below = -max(g[_DROP_L], g[_DROP_R])
    start = _sink_to(g, g[_KERB], ox, oy, oz, dx, dy, dz)
    if start > reach:
        return math.inf, 0
    if _level(g, ox + start * dx, oy + start * dy) >= g[_KERB]:
        return start, 0
    level = 0.0
    for _ in range(3):
        end = min(reach, _sink_to(g, level, ox, oy, oz, dx, dy, dz))
        # The first place between two levels where the ground stands higher than the ray: a vertical face.
        steps = 1 if level == 0.0 else 12
        before = start
        for k in range(1, steps + 1):
            t = start + (end - start) * k / steps
            if _level(g, ox + t * dx, oy + t * dy) > level:
                for _ in range(20):
                    middle = 0.5 * (before + t)
                    if _level(g, ox + middle * dx, oy + middle * dy) > level:
                        t = middle
                    else:
                        before = middle
                return t, 1
            before = t
        if end >= reach:
            return math.inf, 0
        if _level(g, ox + end * dx, oy + end * dy) >= level:
            return end, 0
        start = end
        level = -min(g[_DROP_L], g[_DROP_R]) if level == 0.0 and min(g[_DROP_L], g[_DROP_R]) > 0 else below
    return math.inf, 0


@njit(cache=True, nogil=True)
def meet_ground(g, ox, oy, oz, dx, dy, dz):
    """Ray parameter where a ray meets the ground (inf: never) and 1 if that is the face of a kerb."""
    if g[_EXISTS] < 0.5:
        return math.inf, 0
    if g[_RISE] != 0.0 or g[_BEND] != 0.0 or g[_TILT] != 0.0 or g[_DROP_L] > 0.0 or g[_DROP_R] > 0.0:
        return _meet_relief(g, ox, oy, oz, dx, dy, dz)
    if dz > -1e-7:
        return math.inf, 0
    low = -oz / dz
    if g[_KERB] <= 0.0 or oz <= g[_KERB]:
        return low if low * math.sqrt(dx * dx + dy * dy) < g[_REACH] else math.inf, 0
    high = (g[_KERB] - oz) / dz
    if high * math.sqrt(dx * dx + dy * dy) > g[_REACH]:
        return math.inf, 0
    if not on_road(g, ox + high * dx, oy + high * dy):
        return high, 0
    if on_road(g, ox + low * dx, oy + low * dy):
        return low, 0
    # Above the road at kerb height and under the pavement at road height: the kerb's face is between.
    for _ in range(20):
        middle = 0.5 * (low + high)
        if on_road(g, ox + middle * dx, oy + middle * dy):
            high = middle
        else:
            low = middle
    return high, 1


@njit(cache=True, nogil=True, fastmath=True)
def _material(kind, r, gr, b, x, y, foot, maps, seed):
    """Reflectance of a ground material."""
    wide = look_up(maps, 0, x * 5 + seed * 256, y * 5)
    fine = 0.5 + (look_up(maps, 1, x * 55, y * 55 + seed * 80) - 0.5) * fade(0.05, foot)
    shade = 0.75 + 0.35 * wide + 0.25 * (fine - 0.5)
    if kind == 0:  # tarmac: repaired patches and tyre polish
        cell = hash2(math.floor(x / 5.3 + wide * 0.05), math.floor(y / 1.9), seed)
        if cell > 0.86:
            shade *= 0.72
        crack = abs(look_up(maps, 0, x * 9 + seed * 19, y * 9 + 31) - 0.5)
        if crack < 0.012 and cell < 0.5:
            shade *= 1 - 0.5 * fade(0.1, foot)
    elif kind == 1 or kind == 2 or kind == 5:
        length = 0.16 if kind == 1 else (0.6 if kind == 2 else 3.1)
        keep = fade(length, foot)
        row = math.floor(y / length)
        along = x / length + 0.5 * (row % 2) * (1 if kind != 5 else 0)
        column = math.floor(along)
        joint = 0.12 if kind == 1 else (0.03 if kind == 2 else 0.012)
        if along - column < joint or y / length - row < joint:
            shade *= 1 - 0.5 * keep
        shade *= 1 + keep * 0.35 * (hash2(column, row, seed) - 0.5)
    elif kind == 3:
        clump = look_up(maps, 2, x * 30, y * 30 + seed * 99)
        shade = 0.35 + 0.6 * wide + 0.6 * clump * fade(0.1, foot) + 0.2 * (fine - 0.5)
        r = r * (0.7 + 0.8 * wide)
    elif kind == 4:
        shade = 0.55 + 0.4 * wide + 0.9 * (fine - 0.5) + 0.2
    elif kind == 7:  # water: streaks of waves
        wave = look_up(maps, 0, x * 14 + seed * 31, y * 60)
        shade = 0.7 + 0.6 * (wave - 0.5) * fade(0.4, foot) + 0.3 * wide
    elif kind == 8:  # snow, trodden in places
        shade = 0.9 + 0.2 * (wide - 0.5) + 0.1 * (fine - 0.5)
        if look_up(maps, 2, x * 9, y * 9 + seed * 50) < 0.2:
            shade *= 0.8
    else:
        cell = hash2(math.floor(x / 1.1), math.floor(y / 0.8), seed)
        r, gr, b = r * (0.4 + cell), gr * (0.4 + (cell * 7) % 1.0), b * (0.4 + (cell * 13) % 1.0)
    return r * shade, gr * shade, b * shade


@njit(cache=True, nogil=True, fastmath=True)
def ground_colour(g, x, y, kerb_face, foot, maps):
    """Reflectance r, g, b and gloss of the ground."""
    seed = g[_SEED]
    d = lateral(g, x, y)
    crossing = abs(x - g[_CROSS_X]) < g[_CROSS_H]
    main = -g[_RIGHT] < d < g[_LEFT]
    if kerb_face == 1:
        tone = 0.85 + 0.3 * hash2(math.floor(x), math.floor(y), seed)
        return 0.26 * tone, 0.255 * tone, 0.25 * tone, 0.0
    if not (main or crossing):
        over = d - g[_LEFT] if d > 0 else -d - g[_RIGHT]
        walk = g[_WALK_L] if d > 0 else g[_WALK_R]
        beside = min(over, abs(x - g[_CROSS_X]) - g[_CROSS_H])
        if beside < 0.16 and g[_KERB] > 0:
            tone = 0.9 + 0.2 * hash2(math.floor(x), math.floor(y), seed)
            if x - math.floor(x) < 0.02:
                tone *= 1 - 0.5 * fade(0.1, foot)
            return 0.3 * tone, 0.295 * tone, 0.285 * tone, 0.0
        if over < walk:
            r, gr, b = _material(int(g[_WALK_KIND]), g[_WR], g[_WG], g[_WB], x, d, foot, maps, seed)
        else:
            r, gr, b = _material(int(g[_YARD_KIND]), g[_YR], g[_YG], g[_YB], x, d, foot, maps, seed)
            if g[_YARD_KIND] == 7:
                return r, gr, b, 0.9
        return r, gr, b, 0.3 * g[_WET]
    road = g[_ROAD]
    r, gr, b = _material(int(g[_ROAD_KIND]), road * (1 + g[_WARM]), road, road * (1 - g[_WARM]), x, d, foot, maps, seed)
    wheel = abs(((d / g[_LANE]) % 1.0) - 0.5) * g[_LANE] - 0.75
    polish = 1 - 0.12 * math.exp(-wheel * wheel * 8)
    paint = False
    if main and not crossing:
        half_line = 0.065
        if g[_STYLE] > 0.5:
            lane_place = d / g[_LANE]
            nearest = math.floor(lane_place + 0.5)
            off = abs(lane_place - nearest) * g[_LANE]
            inside = nearest * g[_LANE] < g[_LEFT] - 0.8 and nearest * g[_LANE] > 0.8 - g[_RIGHT]
            if inside:
                if nearest == 0 and g[_STYLE] > 1.5:
                    paint = 0.06 < abs(d) < 0.19
                elif off < half_line and x % (g[_DASH] + g[_GAP]) < g[_DASH]:
                    paint = True
        if g[_EDGES] > 0.5:
            off = min(abs(d - g[_LEFT] + 0.3), abs(d + g[_RIGHT] - 0.3))
            paint = paint or off < 0.075
        if g[_BAYS] > 0:
            inner_l = g[_LEFT] - 2.1
            inner_r = 2.1 - g[_RIGHT]
            beside = d > inner_l or d < inner_r
            if (beside and x % g[_BAYS] < 0.1) or abs(d - inner_l) < 0.05 or abs(d - inner_r) < 0.05:
                paint = True
        if abs(x - g[_ZEBRA]) < 1.6:
            paint = (d / 1.0 + 100) % 1.0 < 0.5
        stop = abs(g[_CROSS_X] - g[_CROSS_H] - 1.4 - x)
        if stop < 0.2 and d < 0:
            paint = True
    gloss = 0.75 * g[_WET] * (0.35 + 0.65 * look_up(maps, 0, x * 7 + 90, y * 7))
    if paint:
        worn = look_up(maps, 0, x * 30 + 10, d * 30)
        cover = 0.9 if worn > 0.25 else 0.35
        cover *= min(1.0, 0.13 / max(foot * 0.5, 0.05))
        r, gr, b = r + (0.55 - r) * cover, gr + (0.55 - gr) * cover, b + (0.53 - b) * cover
    dark = polish * (1 - 0.45 * g[_WET])
    return r * dark, gr * dark, b * dark, gloss
