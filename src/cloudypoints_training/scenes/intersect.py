"""Where a ray meets a primitive."""

from __future__ import annotations

import math

from cloudypoints_training.scenes import primitives as p
from cloudypoints_training.scenes.kernel import kernel
from cloudypoints_training.scenes.surfaces import leaves_solid

# Faster arithmetic that leaves infinities alone: they mean "no hit" here.
FAST = {"contract", "arcp", "nsz", "reassoc", "afn"}
_SHAPE, _C, _R, _H, _S, _HOLES, _SEED = p.SHAPE, p.CENTRE, p.ROTATION, p.HALF, p.SLOPE, p.HOLES, p.SEED
_PARAM = p.PARAM


@kernel(inline="always")
def _cut_plane(nx, ny, nz, offset, ox, oy, oz, dx, dy, dz, face, enter, leave, entered):
    """Narrows a ray's interval by the half space n.x <= offset."""
    along = nx * dx + ny * dy + nz * dz
    room = offset - (nx * ox + ny * oy + nz * oz)
    if along < 0:
        t = room / along
        if t > enter:
            return t, leave, face
    elif along > 0:
        t = room / along
        if t < leave:
            return enter, t, entered
    elif room < 0:
        return math.inf, leave, entered
    return enter, leave, entered


@kernel(fastmath=FAST)
def hit(row, ox, oy, oz, dx, dy, dz):
    """Entry and exit parameter of a local ray and the face entered; (inf, inf, -1) for a miss."""
    shape = int(row[_SHAPE])
    hx, hy, hz = row[_H], row[_H + 1], row[_H + 2]
    if shape == 0:
        enter, leave, face = -math.inf, math.inf, -1
        front, rear, left, right = row[_S], row[_S + 1], row[_S + 2], row[_S + 3]
        enter, leave, face = _cut_plane(0, 0, 1, hz, ox, oy, oz, dx, dy, dz, 4, enter, leave, face)
        enter, leave, face = _cut_plane(0, 0, -1, hz, ox, oy, oz, dx, dy, dz, 5, enter, leave, face)
        if enter >= leave:
            return math.inf, math.inf, -1
        enter, leave, face = _cut_plane(1, 0, front, hx - front * hz, ox, oy, oz, dx, dy, dz, 0, enter, leave, face)
        enter, leave, face = _cut_plane(-1, 0, rear, hx - rear * hz, ox, oy, oz, dx, dy, dz, 1, enter, leave, face)
        if enter >= leave:
            return math.inf, math.inf, -1
        enter, leave, face = _cut_plane(0, 1, left, hy - left * hz, ox, oy, oz, dx, dy, dz, 2, enter, leave, face)
        enter, leave, face = _cut_plane(0, -1, right, hy - right * hz, ox, oy, oz, dx, dy, dz, 3, enter, leave, face)
        if enter >= leave:
            return math.inf, math.inf, -1
        return enter, leave, face
    if shape == 1:
        ax, ay, az = ox / hx, oy / hy, oz / hz
        bx, by, bz = dx / hx, dy / hy, dz / hz
        a = bx * bx + by * by + bz * bz
        b = ax * bx + ay * by + az * bz
        c = ax * ax + ay * ay + az * az - 1
        root = b * b - a * c
        if root <= 0:
            return math.inf, math.inf, -1
        root = math.sqrt(root)
        return (-b - root) / a, (-b + root) / a, 6
    enter, leave, face = -math.inf, math.inf, -1
    enter, leave, face = _cut_plane(0, 0, 1, hz, ox, oy, oz, dx, dy, dz, 4, enter, leave, face)
    enter, leave, face = _cut_plane(0, 0, -1, hz, ox, oy, oz, dx, dy, dz, 5, enter, leave, face)
    if enter >= leave:
        return math.inf, math.inf, -1
    ax, ay = ox / hx, oy / hy
    bx, by = dx / hx, dy / hy
    a = bx * bx + by * by
    b = ax * bx + ay * by
    c = ax * ax + ay * ay
    if shape == 2:
        c -= 1
    else:  # a cone: the radius falls from 1 at the bottom to 0 at the top
        along, room = -dz / (2 * hz), (hz - oz) / (2 * hz)
        a -= along * along
        b -= along * room
        c -= room * room
    if abs(a) < 1e-14:
        if c > 0:
            return math.inf, math.inf, -1
        return enter, leave, face
    root = b * b - a * c
    if root <= 0:
        if a > 0:
            return math.inf, math.inf, -1
        return enter, leave, face
    root = math.sqrt(root)
    first, second = (-b - root) / a, (-b + root) / a
    if a > 0:
        if first > enter:
            enter, face = first, 6
        leave = min(leave, second)
    else:
        # A steep ray through a cone: inside it before the lesser root or after the greater one.
        low, high = min(first, second), max(first, second)
        if enter < low:
            leave = min(leave, low)
        elif enter < high:
            enter, face = high, 6
    if enter >= leave:
        return math.inf, math.inf, -1
    return enter, leave, face


@kernel(inline="always")
def to_local(row, x, y, z):
    """Turns a world direction into the primitive's frame."""
    return (
        row[_R] * x + row[_R + 3] * y + row[_R + 6] * z,
        row[_R + 1] * x + row[_R + 4] * y + row[_R + 7] * z,
        row[_R + 2] * x + row[_R + 5] * y + row[_R + 8] * z,
    )


@kernel(fastmath=FAST)
def _is_bar(row, lx, ly, lz):
    """Whether a railing stops a ray at a local point of its hull: p4 is the pitch, p5 the share of bar."""
    hx, hy, hz = row[_H], row[_H + 1], row[_H + 2]
    along = lx if hx > hy else ly
    rail = lz > hz * 0.9 or lz < -hz * 0.85
    return rail or (along / row[_PARAM + 4]) % 1.0 < row[_PARAM + 5]


@kernel(fastmath=FAST)
def first_hit(row, ox, oy, oz, dx, dy, dz, minimum, maps):
    """Ray parameter of the first solid point beyond `minimum`, or inf."""
    enter, leave, _ = hit(row, ox, oy, oz, dx, dy, dz)
    if row[_HOLES] < 0.5:
        return enter if enter > minimum else math.inf
    if enter == math.inf:
        return math.inf
    if row[_HOLES] > 1.5:
        if enter > minimum and _is_bar(row, ox + enter * dx, oy + enter * dy, oz + enter * dz):
            return enter
        if leave > minimum and _is_bar(row, ox + leave * dx, oy + leave * dy, oz + leave * dz):
            return leave
        return math.inf
    # Foliage: thin chords near the silhouette are mostly holes; look again a little deeper.
    size = max(row[_H], max(row[_H + 1], row[_H + 2]))
    speed = math.sqrt(dx * dx + dy * dy + dz * dz)
    grazing = min(1.0, (leave - enter) * speed / (1.4 * size))
    for step in range(2):
        t = enter + (leave - enter) * step * 0.35
        if t > minimum and leaves_solid(maps, ox + t * dx, oy + t * dy, oz + t * dz, grazing, row[_SEED] + step * 0.17):
            return t
    return math.inf


@kernel()
def corners_of(row, out):
    """World positions of a primitive's eight corners, (8, 3)."""
    hx, hy, hz = row[_H], row[_H + 1], row[_H + 2]
    for index in range(8):
        top = index >> 2 & 1
        x = hx - row[_S] * 2 * hz * top if index & 1 else -hx + row[_S + 1] * 2 * hz * top
        y = hy - row[_S + 2] * 2 * hz * top if index & 2 else -hy + row[_S + 3] * 2 * hz * top
        z = hz if top else -hz
        for axis in range(3):
            out[index, axis] = (
                row[_C + axis] + row[_R + 3 * axis] * x + row[_R + 3 * axis + 1] * y + row[_R + 3 * axis + 2] * z
            )
