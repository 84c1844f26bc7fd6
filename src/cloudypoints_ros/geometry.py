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
from cloudypoints_ros.point_filters import in_height_band, one_per_voxel, without_flying

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
        depth = in_height_band(depth, ray_x, ray_y, options.min_height_m, options.max_height_m, mount)
    if options.min_incidence_deg:
        depth = without_flying(depth, whole, camera, s, options.min_incidence_deg, mount)
    if options.voxel_m:
        depth = one_per_voxel(depth, ray_x, ray_y, low, high, options.voxel_m)
    counts = np.full(rows, columns, np.int64) if options.organised else _count(depth, low, high)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    count = int(starts[-1])
    points = np.empty((count, POINT_STEP[options.fields] // 4), np.float32)
    _pack(depth, ray_x, ray_y, image, low, high, extra, 0 if order == "rgb" else 2, starts, points)
    width, height = (columns, rows) if options.organised else (count, 1)
    return Cloud(points.reshape(-1).view(np.uint8), width, height, options.fields, not options.organised)


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
