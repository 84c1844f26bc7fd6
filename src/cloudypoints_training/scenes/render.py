"""The ray caster: depth of a list of primitives over a ground, and which of them owns each pixel.

Rays are scaled so that their component along the camera's axis is 1: the ray parameter of a hit is
its depth Z. Every primitive is tested only inside the rectangle its corners project to.

Here and in shadows, shading, edges and sensor a kernel works within a window of its picture: first and stop
column, first and stop row. The CPU gives it the whole picture; a thread of the GPU one pixel. So both run the very
same code, and the CPU pays for no call with a dozen arrays at every pixel.
"""

from __future__ import annotations

import math

from cloudypoints_training.scenes.ground import meet_ground
from cloudypoints_training.scenes.intersect import FAST, first_hit
from cloudypoints_training.scenes.kernel import kernel
from cloudypoints_training.scenes.outline import BASIS, FIRST_U, FIRST_V, LAST_U, LAST_V, NEAR, NEAREST

SKY, GROUND, KERB = -1, -2, -3


@kernel(fastmath=FAST)
def cast(rows, which, lines, ground, eye, axes, lens, maps, window, depth, owner):
    """Fills depth (H, W) float64 and owner (H, W) int32 for a pinhole camera, within a window.

    `which` (M,) rows and their outlines, `lines` (M, outline.COLUMNS); `eye` (3,) world position; `axes` (3, 3)
    columns right, down, forward in the world; `lens` fx, fy, cx, cy. Pixels whose depth is negative beforehand are
    left alone. Owner is a row of `rows`, or SKY, GROUND, KERB.
    """
    fx, fy, cx, cy = lens[0], lens[1], lens[2], lens[3]
    first_u, stop_u, first_v, stop_v = window
    for v in range(first_v, stop_v):
        b = (v - cy) / fy
        for u in range(first_u, stop_u):
            if depth[v, u] < 0:
                continue
            a = (u - cx) / fx
            dx = axes[0, 0] * a + axes[0, 1] * b + axes[0, 2]
            dy = axes[1, 0] * a + axes[1, 1] * b + axes[1, 2]
            dz = axes[2, 0] * a + axes[2, 1] * b + axes[2, 2]
            t, kerb = meet_ground(ground, eye[0], eye[1], eye[2], dx, dy, dz)
            if t == math.inf:
                depth[v, u] = math.inf
                owner[v, u] = SKY
            else:
                depth[v, u] = t
                owner[v, u] = KERB if kerb == 1 else GROUND
    for k in range(which.shape[0]):
        u0, u1 = max(first_u, int(lines[k, FIRST_U])), min(stop_u, int(lines[k, LAST_U]) + 1)
        v0, v1 = max(first_v, int(lines[k, FIRST_V])), min(stop_v, int(lines[k, LAST_V]) + 1)
        if u0 >= u1 or v0 >= v1:
            continue
        row = rows[which[k]]
        nearest = lines[k, NEAREST]
        ox, oy, oz = lines[k, BASIS], lines[k, BASIS + 1], lines[k, BASIS + 2]
        rx, ry, rz = lines[k, BASIS + 3], lines[k, BASIS + 4], lines[k, BASIS + 5]
        sx, sy, sz = lines[k, BASIS + 6], lines[k, BASIS + 7], lines[k, BASIS + 8]
        fx0, fy0, fz0 = lines[k, BASIS + 9], lines[k, BASIS + 10], lines[k, BASIS + 11]
        for v in range(v0, v1):
            b = v - cy
            for u in range(u0, u1):
                if depth[v, u] <= nearest:
                    continue
                a = u - cx
                t = first_hit(
                    row,
                    ox,
                    oy,
                    oz,
                    fx0 + a * rx + b * sx,
                    fy0 + a * ry + b * sy,
                    fz0 + a * rz + b * sz,
                    NEAR,
                    maps,
                )
                if t < depth[v, u]:
                    depth[v, u] = t
                    owner[v, u] = which[k]
