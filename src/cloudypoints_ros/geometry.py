"""Depth -> points, packed as sensor_msgs/PointCloud2 wants them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.mount import Mount

Array = npt.NDArray[Any]

# sensor_msgs/PointField datatypes.
UINT8, UINT16, FLOAT32 = 2, 4, 7

_XYZ = (("x", 0, FLOAT32), ("y", 4, FLOAT32), ("z", 8, FLOAT32))

# Layout name -> (name, offset, datatype) of every field. xyzrgb is PCL's: 0x00RRGGBB seen as a float32.
# xyzirc is Autoware's PointXYZIRC: intensity is the pixel's luminance, return_type 1 (single strongest),
# channel the row of the kept grid, as a LiDAR's ring.
LAYOUTS: dict[str, tuple[tuple[str, int, int], ...]] = {
    "xyz": _XYZ,
    "xyzrgb": (*_XYZ, ("rgb", 12, FLOAT32)),
    "xyzirc": (*_XYZ, ("intensity", 12, UINT8), ("return_type", 13, UINT8), ("channel", 14, UINT16)),
}
POINT_STEP = {"xyz": 12, "xyzrgb": 16, "xyzirc": 16}
_EXTRA_NONE, _EXTRA_RGB, _EXTRA_IRC = 0, 1, 2
_SINGLE_STRONGEST = 1  # return_type of autoware_point_types
_EXTRA = {"xyz": _EXTRA_NONE, "xyzrgb": _EXTRA_RGB, "xyzirc": _EXTRA_IRC}

# A voxel's three indices share one int64, its name, 21 bits each.
_INDEX_BITS = 21
_MAX_INDEX = 2.0 ** (_INDEX_BITS - 1)
_NO_VOXEL = -1  # no voxel has this name


@dataclass(frozen=True)
class CloudOptions:
    """Which pixels become points, and what a point carries.

    ``stride`` takes every n-th pixel of every n-th row; ranges are metres along Z, both ends included.
    ``organised`` keeps the image's grid with NaN for missing points; else missing points are left out.

    ``min_height_m`` and ``max_height_m`` are metres above the road, both ends included, and need a mount with a height.

    ``voxel_m`` is the edge of cubes, aligned with the optical frame's origin, each of which keeps the one of its
    points that is nearest its centre (of equals the first by row, then column): a pixel's own point with its own
    colour, not a mean. 0 keeps all, and so does a distance of 2**20 edges. Not for organised clouds.

    ``min_incidence_deg`` leaves out points that fly between an edge and what is behind it, by the rule that
    laser_filters' ScanShadowsFilter applies along a scan: no point where the line through the pixel's left and right
    neighbours, or the one through its upper and lower neighbours, is seen under a smaller angle, measured from the
    pixel's line of sight. Neighbours are those in the full image, whatever the stride. One without depth (NaN, sky,
    beyond the border, where the lens has no ray) is replaced by the pixel itself, so that an outline against the sky
    stays. 0 is off.

    A level road at distance Z is seen at atan(height / Z): less than 1 degree beyond 86 m, from 1.5 m up. So the
    upright line, which is the one that runs along a road, must also be seen under less than half the sine at which
    the ray meets a level road. Thus the road stays at every distance if the camera is level or ``mount`` knows its
    tilt, and to height / tan(angle) if it does not; rolled by r, to about height / (tan(angle) * sin(r)). The price is
    that points flying above an upper edge just below the horizon stay, too. A facade d metres beside the camera goes
    beyond d / tan(angle), and an edge without any flying points loses the last pixel on either side, as the line
    crosses it.
    """

    fields: str = "xyzrgb"
    stride: int = 4
    organised: bool = False
    min_range_m: float = 0.0
    max_range_m: float = math.inf
    min_height_m: float = -math.inf
    max_height_m: float = math.inf
    voxel_m: float = 0.0
    min_incidence_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.fields not in LAYOUTS:
            raise CloudyPointsError(f"The point fields '{self.fields}' are not known; expected {', '.join(LAYOUTS)}.")
        if self.stride < 1:
            raise CloudyPointsError(f"The stride is {self.stride}; expected 1 or more pixels.")
        if not self.min_range_m < self.max_range_m:
            raise CloudyPointsError(
                f"The range is {self.min_range_m} to {self.max_range_m} m; the maximum must exceed the minimum."
            )
        if not self.min_height_m < self.max_height_m:
            raise CloudyPointsError(
                f"The heights are {self.min_height_m} to {self.max_height_m} m; the maximum must exceed the minimum."
            )
        if not 0 <= self.voxel_m < math.inf:
            raise CloudyPointsError(f"The voxel size is {self.voxel_m} m; expected a length, or 0 to keep every point.")
        if self.voxel_m and self.organised:
            raise CloudyPointsError(
                f"An organised cloud was asked for with voxels of {self.voxel_m} m, which have no place in the image's "
                "grid; set organised to false or the voxel size to 0."
            )
        if not 0 <= self.min_incidence_deg < 90:
            raise CloudyPointsError(
                f"The smallest incidence is {self.min_incidence_deg} degrees; expected 0 (off) to less than 90."
            )

    @property
    def height_band(self) -> bool:
        """Whether heights are asked for."""
        return self.min_height_m > -math.inf or self.max_height_m < math.inf


@dataclass(frozen=True)
class Cloud:
    """Packed points: ``data`` is uint8 (height * width * point_step,), little endian, optical frame, metres."""

    data: Array
    width: int
    height: int
    fields: str
    is_dense: bool

    @property
    def point_step(self) -> int:
        return POINT_STEP[self.fields]


def cloud(
    depth: Array,
    camera: Camera,
    image: Array | None = None,
    order: str = "rgb",
    options: CloudOptions | None = None,
    mount: Mount | None = None,
) -> Cloud:
    """Back-project a depth map, float32 (H, W) metres along Z, through the camera's rays.

    ``image`` is uint8 (H, W, 3) with channels in ``order``; xyzrgb and xyzirc need it. NaN and +inf depth are
    never points. ``mount`` says how the camera sits over the road; none means level, at an unknown height, with
    which a height band raises CloudyPointsError.
    """
    options = options or CloudOptions()
    if depth.shape != (camera.height, camera.width):
        raise ValueError(f"depth is {depth.shape}, the camera {camera.height}x{camera.width}; they must fit")
    extra = _EXTRA[options.fields]
    if extra and (image is None or image.shape != (*depth.shape, 3)):
        raise ValueError(f"fields {options.fields} need an image of shape {(*depth.shape, 3)}")
    if image is None:
        image = np.empty((*depth.shape, 3), np.uint8)  # xyz never looks at it
    s = options.stride
    whole, depth, image = depth, depth[::s, ::s], image[::s, ::s]
    ray_x, ray_y = camera.rays(s)
    if camera.blind(s):
        depth = np.where(np.isnan(ray_x), np.float32(np.nan), depth)  # where the lens has no ray there is no point
    rows, columns = depth.shape
    low, high = np.float32(options.min_range_m), np.float32(min(options.max_range_m, float(np.finfo(np.float32).max)))
    mount = mount or Mount()
    if options.height_band:
        depth = _in_height_band(depth, ray_x, ray_y, options, mount)
    if options.min_incidence_deg:
        depth = _without_flying(depth, whole, camera, options, mount)
    if options.voxel_m:
        depth = _one_per_voxel(depth, ray_x, ray_y, low, high, options.voxel_m)
    counts = np.full(rows, columns, np.int64) if options.organised else _count(depth, low, high)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    count = int(starts[-1])
    points = np.empty((count, POINT_STEP[options.fields] // 4), np.float32)
    _pack(depth, ray_x, ray_y, image, low, high, extra, 0 if order == "rgb" else 2, starts, points)
    width, height = (columns, rows) if options.organised else (count, 1)
    return Cloud(points.reshape(-1).view(np.uint8), width, height, options.fields, not options.organised)


def _in_height_band(depth: Array, ray_x: Array, ray_y: Array, options: CloudOptions, mount: Mount) -> Array:
    """``depth`` with NaN where the point is lower or higher than asked."""
    if mount.height_m == 0:
        raise CloudyPointsError(
            f"Points {options.min_height_m} to {options.max_height_m} m above the road were asked for, but the "
            "camera's own height over the road is unknown; set mount.height in metres."
        )
    kept = np.empty(depth.shape, np.float32)
    band = (mount.height_m, options.min_height_m, options.max_height_m)
    _keep_heights(depth, ray_x, ray_y, mount.down, *(float(metres) for metres in band), kept)
    return kept


def _without_flying(depth: Array, whole: Array, camera: Camera, options: CloudOptions, mount: Mount) -> Array:
    """``depth`` with NaN where the surface in the ``whole`` depth is grazed: see CloudOptions."""
    kept = np.empty(depth.shape, np.float32)
    sine = np.float32(math.sin(math.radians(options.min_incidence_deg)))
    _keep_seen(depth, whole, *camera.rays(), options.stride, sine, mount.down.astype(np.float32), kept)
    return kept


def _one_per_voxel(depth: Array, ray_x: Array, ray_y: Array, low: float, high: float, edge_m: float) -> Array:
    """``depth`` with NaN for every point that is not the nearest its voxel's centre."""
    voxels, ranks = np.empty(depth.shape, np.uint64), np.empty(depth.shape, np.int64)
    counts = np.zeros((len(depth), numba.get_num_threads()), np.int64)
    _voxel_runs(depth, ray_x, ray_y, low, high, float(edge_m), voxels, ranks, counts)
    kept = np.full(depth.shape, np.nan, np.float32)
    _keep_nearest(depth, voxels, ranks, counts, kept)
    return kept


@numba.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _count(depth: Array, low: float, high: float) -> Array:
    """Points per row, int64."""
    counts = np.zeros(depth.shape[0], np.int64)
    for y in numba.prange(depth.shape[0]):
        n = 0
        for x in range(depth.shape[1]):
            z = depth[y, x]
            n += low <= z and z <= high
        counts[y] = n
    return counts


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _extra_word(red: int, green: int, blue: int, y: int, extra: int) -> Any:
    """The fourth float32 of a point: 0x00RRGGBB, or intensity, return_type and channel, as raw bits."""
    r, g, b = np.uint32(red), np.uint32(green), np.uint32(blue)
    if extra == _EXTRA_RGB:
        return np.uint32((r << 16) | (g << 8) | b).view(np.float32)
    # Luminance of ITU-R BT.601 in 8-bit fixed point.
    grey = (77 * r + 150 * g + 29 * b) >> 8
    return np.uint32(grey | (_SINGLE_STRONGEST << 8) | (np.uint32(y) << 16)).view(np.float32)


@numba.njit(cache=True, nogil=True, parallel=True)  # type: ignore[untyped-decorator]
def _pack(
    depth: Array,
    ray_x: Array,
    ray_y: Array,
    image: Array,
    low: float,
    high: float,
    extra: int,
    red: int,
    starts: Array,
    points: Array,
) -> None:
    """Fill ``points``, float32 (N, words); row y begins at ``starts[y]`` and ends where the next one begins."""
    width = depth.shape[1]
    for y in numba.prange(depth.shape[0]):
        line = points[starts[y] : starts[y + 1]]
        first = n = 0
        while n < len(line):
            # A run of pixels that are all points has no branch inside and compiles to vector instructions.
            if len(line) == width:
                last = width
            else:
                while not (low <= depth[y, first] and depth[y, first] <= high):
                    first += 1
                last = first + 1
                while last < width and low <= depth[y, last] and depth[y, last] <= high:
                    last += 1
            run, end = slice(first, last), n + last - first
            _pack_run(depth[y, run], ray_x[y, run], ray_y[y, run], image[y, run], low, high, extra, red, y, line[n:end])
            first, n = last, end


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _pack_run(
    depth: Array,
    ray_x: Array,
    ray_y: Array,
    pixels: Array,
    low: float,
    high: float,
    extra: int,
    red: int,
    y: int,
    line: Array,
) -> None:
    for x in range(len(depth)):
        z = depth[x]
        z = z if low <= z and z <= high else np.float32(np.nan)  # only an organised row has any
        line[x, 0] = ray_x[x] * z
        line[x, 1] = ray_y[x] * z
        line[x, 2] = z
        if extra != _EXTRA_NONE:
            line[x, 3] = _extra_word(pixels[x, red], pixels[x, 1], pixels[x, 2 - red], y, extra)


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
