"""Cast shadows: the scene as the sun sees it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.intersect import FAST, corners_of, first_hit, to_local
from cloudypoints_training.scenes.kernel import kernel
from cloudypoints_training.scenes.outline import FIRST_U, FIRST_V, LAST_U, LAST_V

_C = p.CENTRE
_WAY = 4
SHADOW_COLUMNS = _WAY + 3


@njit(cache=True, nogil=True, fastmath=FAST)
def shadow_outlines(rows, candidates, centre, span, sun, across, up, size):
    """Which of the candidates, (N,) int32, reach into a shadow map, (M,) int32, and where, (M, SHADOW_COLUMNS).

    A line holds the first and last column and row (outline.FIRST_U ...) and the sun's rays in the primitive's frame.
    """
    which = np.empty(candidates.shape[0], np.int32)
    lines = np.empty((candidates.shape[0], SHADOW_COLUMNS))
    corners = np.empty((8, 3))
    scale = size / span
    count = 0
    for index in candidates:
        row = rows[index]
        corners_of(row, corners)
        u0, u1, v0, v1 = math.inf, -math.inf, math.inf, -math.inf
        for k in range(8):
            x, y, z = corners[k, 0] - centre[0], corners[k, 1] - centre[1], corners[k, 2] - centre[2]
            u = (x * across[0] + y * across[1] + z * across[2]) * scale + size / 2
            v = (x * up[0] + y * up[1] + z * up[2]) * scale + size / 2
            u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
        if u1 < 0 or v1 < 0 or u0 > size - 1 or v0 > size - 1:
            continue
        line = lines[count]
        line[FIRST_U], line[LAST_U] = max(0.0, math.floor(u0)), min(size - 1.0, math.ceil(u1))
        line[FIRST_V], line[LAST_V] = max(0.0, math.floor(v0)), min(size - 1.0, math.ceil(v1))
        line[_WAY], line[_WAY + 1], line[_WAY + 2] = to_local(row, -sun[0], -sun[1], -sun[2])
        which[count] = index
        count += 1
    return which[:count], lines[:count]


@kernel(fastmath=FAST)
def cast_shadow_map(rows, which, lines, centre, span, sun, across, up, maps, window, height_map):
    """Fills (size, size) float32, within a window (see render).

    Metres from a plane 300 m up the sun to what its rays meet first; inf = nothing.
    """
    size = height_map.shape[0]
    scale = size / span
    first_u, stop_u, first_v, stop_v = window
    ox0 = centre[0] + 300 * sun[0]
    oy0 = centre[1] + 300 * sun[1]
    oz0 = centre[2] + 300 * sun[2]
    for v in range(first_v, stop_v):
        for u in range(first_u, stop_u):
            height_map[v, u] = math.inf
    for k in range(which.shape[0]):
        u0, u1 = max(first_u, int(lines[k, FIRST_U])), min(stop_u, int(lines[k, LAST_U]) + 1)
        v0, v1 = max(first_v, int(lines[k, FIRST_V])), min(stop_v, int(lines[k, LAST_V]) + 1)
        if u0 >= u1 or v0 >= v1:
            continue
        row = rows[which[k]]
        dx, dy, dz = lines[k, _WAY], lines[k, _WAY + 1], lines[k, _WAY + 2]
        for v in range(v0, v1):
            b = (v - size / 2) / scale
            for u in range(u0, u1):
                a = (u - size / 2) / scale
                ox, oy, oz = to_local(
                    row,
                    ox0 + a * across[0] + b * up[0] - row[_C],
                    oy0 + a * across[1] + b * up[1] - row[_C + 1],
                    oz0 + a * across[2] + b * up[2] - row[_C + 2],
                )
                t = first_hit(row, ox, oy, oz, dx, dy, dz, 0.0, maps)
                if t < height_map[v, u]:
                    height_map[v, u] = t


@kernel(fastmath=FAST)
def sunlight(x, y, z, centre, span, sun, across, up, height_map, bias):
    """Share of sunlight at a point, or -1 outside the shadow map."""
    size = height_map.shape[0]
    scale = size / span
    x, y, z = x - centre[0], y - centre[1], z - centre[2]
    u = (x * across[0] + y * across[1] + z * across[2]) * scale + size / 2
    v = (x * up[0] + y * up[1] + z * up[2]) * scale + size / 2
    if u < 1 or v < 1 or u > size - 2 or v > size - 2:
        return -1.0
    t = 300 - (x * sun[0] + y * sun[1] + z * sun[2]) - bias
    iu, iv = int(u), int(v)
    fu, fv = u - iu, v - iv
    light = 0.0
    light += (1 - fu) * (1 - fv) * (1.0 if height_map[iv, iu] > t else 0.0)
    light += fu * (1 - fv) * (1.0 if height_map[iv, iu + 1] > t else 0.0)
    light += (1 - fu) * fv * (1.0 if height_map[iv + 1, iu] > t else 0.0)
    light += fu * fv * (1.0 if height_map[iv + 1, iu + 1] > t else 0.0)
    return light
