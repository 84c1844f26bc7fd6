"""Cast shadows: the scene as the sun sees it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.intersect import FAST, corners_of, first_hit, to_local

_C = p.CENTRE


@njit(cache=True, nogil=True, fastmath=FAST)
def cast_shadow_map(rows, centre, span, sun, across, up, size, maps, height_map):
    """Fills (size, size) float32: metres from a plane 300 m up the sun to what it meets, inf = nothing."""
    scale = size / span
    ox0 = centre[0] + 300 * sun[0]
    oy0 = centre[1] + 300 * sun[1]
    oz0 = centre[2] + 300 * sun[2]
    height_map[:] = math.inf
    corners = np.empty((8, 3))
    for index in range(rows.shape[0]):
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
        dx, dy, dz = to_local(row, -sun[0], -sun[1], -sun[2])
        for v in range(int(max(0.0, math.floor(v0))), int(min(size - 1.0, math.ceil(v1))) + 1):
            b = (v - size / 2) / scale
            for u in range(int(max(0.0, math.floor(u0))), int(min(size - 1.0, math.ceil(u1))) + 1):
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


@njit(cache=True, nogil=True, fastmath=FAST)
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
