"""Where a primitive can be seen in a picture, and the picture's rays in the primitive's own frame.

An outline is one row of numbers: FIRST_U, LAST_U, FIRST_V, LAST_V, the pixels its corners project to; NEAREST, the
least depth it can have; and in its frame the eye, the step of a ray from pixel to pixel, rightwards and downwards,
and the ray through the principal point.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.intersect import FAST, corners_of, to_local
from cloudypoints_training.scenes.kernel import kernel

NEAR = 0.05
FIRST_U, LAST_U, FIRST_V, LAST_V, NEAREST, BASIS = range(6)
COLUMNS = BASIS + 12

_C = p.CENTRE
_EDGES = np.array(
    [[0, 1], [2, 3], [4, 5], [6, 7], [0, 2], [1, 3], [4, 6], [5, 7], [0, 4], [1, 5], [2, 6], [3, 7]],
    dtype=np.int64,
)


@kernel(fastmath=FAST)
def outline(row, eye, axes, lens, width, height, corners, seen, out):
    """Fills out (COLUMNS,) and tells whether the primitive may be in the picture.

    `corners` and `seen`, (8, 3) each, are room to work in.
    """
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    corners_of(row, corners)
    nearest = math.inf
    for k in range(8):
        for axis in range(3):
            seen[k, axis] = (
                (corners[k, 0] - eye[0]) * axes[0, axis]
                + (corners[k, 1] - eye[1]) * axes[1, axis]
                + (corners[k, 2] - eye[2]) * axes[2, axis]
            )
        nearest = min(nearest, seen[k, 2])
    u0, u1, v0, v1 = math.inf, -math.inf, math.inf, -math.inf
    for k in range(8):
        if seen[k, 2] >= NEAR:
            u = fx * seen[k, 0] / seen[k, 2] + cx
            v = fy * seen[k, 1] / seen[k, 2] + cy
            u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
    if nearest < NEAR:
        if u0 == math.inf and u1 == -math.inf:
            return False
        for e in range(12):
            i, j = _EDGES[e, 0], _EDGES[e, 1]
            if (seen[i, 2] < NEAR) != (seen[j, 2] < NEAR):
                s = (NEAR - seen[i, 2]) / (seen[j, 2] - seen[i, 2])
                u = fx * (seen[i, 0] + s * (seen[j, 0] - seen[i, 0])) / NEAR + cx
                v = fy * (seen[i, 1] + s * (seen[j, 1] - seen[i, 1])) / NEAR + cy
                u0, u1, v0, v1 = min(u0, u), max(u1, u), min(v0, v), max(v1, v)
    if u1 < 0 or v1 < 0 or u0 > width - 1 or v0 > height - 1:
        return False
    out[FIRST_U], out[LAST_U] = max(0.0, math.floor(u0)), min(width - 1.0, math.ceil(u1))
    out[FIRST_V], out[LAST_V] = max(0.0, math.floor(v0)), min(height - 1.0, math.ceil(v1))
    out[NEAREST] = max(nearest, NEAR)
    out[BASIS], out[BASIS + 1], out[BASIS + 2] = to_local(
        row, eye[0] - row[_C], eye[1] - row[_C + 1], eye[2] - row[_C + 2]
    )
    out[BASIS + 3], out[BASIS + 4], out[BASIS + 5] = to_local(row, axes[0, 0] / fx, axes[1, 0] / fx, axes[2, 0] / fx)
    out[BASIS + 6], out[BASIS + 7], out[BASIS + 8] = to_local(row, axes[0, 1] / fy, axes[1, 1] / fy, axes[2, 1] / fy)
    out[BASIS + 9], out[BASIS + 10], out[BASIS + 11] = to_local(row, axes[0, 2], axes[1, 2], axes[2, 2])
    return True


@njit(cache=True, nogil=True, fastmath=FAST)
def outlines(rows, candidates, eye, axes, lens, width, height):
    """Which of the candidates, (N,) int32, may be in the picture, (M,) int32, and their outlines, (M, COLUMNS)."""
    which = np.empty(candidates.shape[0], np.int32)
    lines = np.empty((candidates.shape[0], COLUMNS))
    corners, seen = np.empty((8, 3)), np.empty((8, 3))
    count = 0
    for index in candidates:
        if outline(rows[index], eye, axes, lens, width, height, corners, seen, lines[count]):
            which[count] = index
            count += 1
    return which[:count], lines[:count]
