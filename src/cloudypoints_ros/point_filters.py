"""Which depths become no point: a depth map in, the same with NaN where a point would not be wanted out.

``depth`` is float32 (h, w) metres along Z, every ``stride``-th pixel of every ``stride``-th row of the camera's image;
the rays are the camera's for the same pixels. The rules are said in geometry.CloudOptions.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.mount import Mount

Array = npt.NDArray[Any]

# A voxel's three indices share one int64, its name, 21 bits each.
_INDEX_BITS = 21
_MAX_INDEX = 2.0 ** (_INDEX_BITS - 1)
_NO_VOXEL = -1  # no voxel has this name


def in_height_band(depth: Array, ray_x: Array, ray_y: Array, low_m: float, high_m: float, mount: Mount) -> Array:
    """Points from ``low_m`` to ``high_m`` above the road. CloudyPointsError when the mount's height is unknown."""
    if mount.height_m == 0:
        raise CloudyPointsError(
            f"Points {low_m} to {high_m} m above the road were asked for, but the camera's own height over the road is "
            "unknown; set mount.height in metres."
        )
    kept = np.empty(depth.shape, np.float32)
    _keep_heights(depth, ray_x, ray_y, mount.down, float(mount.height_m), float(low_m), float(high_m), kept)
    return kept


def without_flying(
    depth: Array, whole: Array, camera: Camera, stride: int, min_incidence_deg: float, mount: Mount
) -> Array:
    """Points where the surface in the ``whole`` depth map, (H, W), is not grazed."""
    kept = np.empty(depth.shape, np.float32)
    sine = np.float32(math.sin(math.radians(min_incidence_deg)))
    _keep_seen(depth, whole, *camera.rays(), stride, sine, mount.down.astype(np.float32), kept)
    return kept


def one_per_voxel(depth: Array, ray_x: Array, ray_y: Array, low: float, high: float, edge_m: float) -> Array:
    """Of the points in each voxel, and between ``low`` and ``high`` along Z, the nearest to its centre."""
    voxels, ranks = np.empty(depth.shape, np.uint64), np.empty(depth.shape, np.int64)
    counts = np.zeros((len(depth), numba.get_num_threads()), np.int64)
    _voxel_runs(depth, ray_x, ray_y, low, high, float(edge_m), voxels, ranks, counts)
    kept = np.full(depth.shape, np.nan, np.float32)
    _keep_nearest(depth, voxels, ranks, counts, kept)
    return kept


@numba.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _keep_heights(
    depth: Array, ray_x: Array, ray_y: Array, down: Array, height: float, low: float, high: float, kept: Array
) -> None:
    """Fill ``kept``, float32, from ``depth``: NaN where the point's metres above the road are not in [low, high]."""
    for y in numba.prange(depth.shape[0]):
        for x in range(depth.shape[1]):
            z = depth[y, x]
            over = height - (down[0] * ray_x[y, x] + down[1] * ray_y[y, x] + down[2]) * z
            kept[y, x] = z if low <= over and over <= high else np.float32(np.nan)


@numba.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _keep_seen(
    depth: Array, whole: Array, ray_x: Array, ray_y: Array, stride: int, sine: float, down: Array, kept: Array
) -> None:
    """Fill ``kept``, float32, from ``depth``: NaN where a line through the neighbours is seen at less than ``sine``.

    ``whole`` and the rays are those of the full image, of which ``depth`` is every ``stride``-th pixel.
    """
    last_y, last_x = whole.shape[0] - 1, whole.shape[1] - 1
    for row in numba.prange(depth.shape[0]):
        y = row * stride
        up, below = max(y - 1, 0), min(y + 1, last_y)
        for column in range(depth.shape[1]):
            x = column * stride
            left, right = max(x - 1, 0), min(x + 1, last_x)
            z, rx, ry = depth[row, column], ray_x[y, x], ray_y[y, x]
            here = (z * rx, z * ry, z)
            length2 = rx * rx + ry * ry + np.float32(1)
            # Below the horizon this is the sine at which the ray meets a level road.
            road = (down[0] * rx + down[1] * ry + down[2]) / np.sqrt(length2)
            along = min(sine, np.float32(0.5) * road) if road > 0 else sine
            a = _point_or(here, whole[y, left], ray_x[y, left], ray_y[y, left])
            b = _point_or(here, whole[y, right], ray_x[y, right], ray_y[y, right])
            c = _point_or(here, whole[up, x], ray_x[up, x], ray_y[up, x])
            d = _point_or(here, whole[below, x], ray_x[below, x], ray_y[below, x])
            grazed = _grazed(a, b, rx, ry, sine * sine * length2) or _grazed(c, d, rx, ry, along * along * length2)
            kept[row, column] = np.float32(np.nan) if grazed else z


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _point_or(here: Any, z: float, ray_x: float, ray_y: float) -> Any:
    """The point at this depth, or ``here`` when there is none."""
    x = z * ray_x  # NaN or infinite without a depth or a ray
    return (x, z * ray_y, z) if abs(x) < np.float32(np.inf) else here


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _grazed(a: Any, b: Any, ray_x: float, ray_y: float, limit: float) -> Any:
    """Whether the line from a to b lies along the ray: sin^2 times the squared length of the ray is under ``limit``.

    |cross(line, ray)| = |line| |ray| sin. A line of no length has no direction and is not grazed.
    """
    x, y, z = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    cross_x, cross_y, cross_z = y - z * ray_y, z * ray_x - x, x * ray_y - y * ray_x
    return cross_x * cross_x + cross_y * cross_y + cross_z * cross_z < limit * (x * x + y * y + z * z)


@numba.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _voxel_runs(
    depth: Array,
    ray_x: Array,
    ray_y: Array,
    low: float,
    high: float,
    edge: float,
    voxels: Array,
    ranks: Array,
    counts: Array,
) -> None:
    """The voxels that each row of pixels passes through, and the best pixel of each run.

    ``voxels``, uint64, holds their names, mixed. ``ranks``, int64, orders the pixels: the bits of the squared distance
    to the voxel's centre, which sort as the float32 itself, over 32 bits of the pixel's number. The least rank is the
    nearest, and of equals the first, in whatever order they are compared. ``counts`` says how many runs a row has
    for each share of the names.
    """
    width, shares = depth.shape[1], counts.shape[1]
    for y in numba.prange(depth.shape[0]):
        n = 0
        last = np.int64(_NO_VOXEL)
        for x in range(width):
            z = depth[y, x]
            if not (low <= z and z <= high):
                continue
            number = np.int64(y * width + x)
            u, v, w = (ray_x[y, x] * z) / edge, (ray_y[y, x] * z) / edge, z / edge
            i, j, k = np.floor(u), np.floor(v), np.floor(w)
            name = -2 - number  # too far for the grid: a voxel of its own
            if abs(u) < _MAX_INDEX and abs(v) < _MAX_INDEX and abs(w) < _MAX_INDEX:
                name = (_shifted(i) << (2 * _INDEX_BITS)) | (_shifted(j) << _INDEX_BITS) | _shifted(k)
            off_u, off_v, off_w = u - i - 0.5, v - j - 0.5, w - k - 0.5
            off = np.float32(off_u * off_u + off_v * off_v + off_w * off_w)
            rank = (np.int64(off.view(np.int32)) << 32) | number
            # Neighbouring pixels mostly share a voxel: a run of them needs the table only once.
            if name == last:
                ranks[y, n - 1] = min(ranks[y, n - 1], rank)
            else:
                voxels[y, n], ranks[y, n], last = _mixed(name), rank, name
                counts[y, _share(voxels[y, n], shares)] += 1
                n += 1


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _shifted(index: float) -> Any:
    """A voxel index of either sign as one without."""
    return np.int64(index + _MAX_INDEX)


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mixed(name: int) -> Any:
    """A hash, uint64, all of whose bits depend on all bits of the name: the finaliser of MurmurHash3.

    Different names have different hashes, so that the hash is as good a name.
    """
    h = np.uint64(name)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _share(voxel: int, shares: int) -> Any:
    """Which of ``shares`` equal parts of the names this one is in."""
    return np.int64(((voxel >> np.uint64(32)) * np.uint64(shares)) >> np.uint64(32))


@numba.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _keep_nearest(depth: Array, voxels: Array, ranks: Array, counts: Array, kept: Array) -> None:
    """Copy the depth of every voxel's least rank to ``kept``, float32.

    Each thread has one share of the voxels, in a table of its own with open addressing.
    """
    width, shares = depth.shape[1], counts.shape[1]
    empty = _mixed(_NO_VOXEL)
    for share in numba.prange(shares):
        capacity = 16
        while capacity < 2 * counts[:, share].sum():
            capacity *= 2
        names, best = np.full(capacity, empty, np.uint64), np.empty(capacity, np.int64)
        for y in range(len(counts)):
            for n in range(counts[y].sum()):
                voxel, rank = voxels[y, n], ranks[y, n]
                if _share(voxel, shares) != share:
                    continue
                slot = np.int64(voxel & np.uint64(capacity - 1))
                while names[slot] != voxel and names[slot] != empty:
                    slot = (slot + 1) & (capacity - 1)
                if names[slot] == empty or rank < best[slot]:
                    names[slot], best[slot] = voxel, rank
        for slot in range(capacity):
            if names[slot] != empty:
                number = best[slot] & 0xFFFFFFFF
                kept[number // width, number % width] = depth[number // width, number % width]
