"""The road under the camera: a floor for depth, and what tells objects from ground where nobody drew labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera

Array = npt.NDArray[Any]

CAMERA_HEIGHT_M = 1.65  # of KITTI's cameras, used where no road can be fitted
FAR_M = 80.0
NEAR_OBJECT_M = 10.0
OBJECT_HEIGHT_M = 0.3  # above kerbs, below bumpers

# A fitted road: its height under the camera, its tilt, and how far a point may be from it.
_HEIGHTS_M = (0.8, 3.5)
_MAX_TILT_DEG = 12.0
_TOLERANCE_M = 0.12
_MIN_POINTS = 100
_MIN_SHARE = 0.25
_REACH_M = 30.0
_SAMPLES, _TRIES = 4000, 300


@dataclass(frozen=True)
class Road:
    """The plane normal . p = height_m in the optical frame; `normal` is a unit vector that points down."""

    normal: tuple[float, float, float] = (0.0, 1.0, 0.0)
    height_m: float = CAMERA_HEIGHT_M
    fitted: bool = False


def flat_road(camera: Camera, height_m: float = CAMERA_HEIGHT_M, far_m: float = FAR_M) -> Array:
    """The depth of a level camera over an endless plane, float32 (H, W) metres; `far_m` beyond it and above."""
    _, down = camera.rays()
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(down > 0, np.float32(height_m) / down, np.float32(far_m))
    return np.minimum(depth, np.float32(far_m)).astype(np.float32)


def fit_road(depth: Array, camera: Camera) -> Road:
    """The road in a true depth map, float32 (H, W) metres; a level one at 1.65 m where too little of it is seen.

    RANSAC over points up to 30 m away and under the camera (Fischler and Bolles 1981; seeded, so that the answer is
    always the same), then least squares on the points within 12 cm.
    """
    points = _points(depth, camera)
    points = points[(points[:, 1] > _HEIGHTS_M[0] / 2) & (points[:, 2] < _REACH_M)]
    if len(points) < _MIN_POINTS:
        return Road()
    rng = np.random.default_rng(0)
    points = points[rng.permutation(len(points))[:_SAMPLES]]
    three = points[rng.integers(0, len(points), (_TRIES, 3))]
    normals = np.cross(three[:, 1] - three[:, 0], three[:, 2] - three[:, 0])
    lengths = np.linalg.norm(normals, axis=1)
    normals = normals[lengths > 1e-6] / lengths[lengths > 1e-6, None]
    normals *= np.where(normals[:, 1:2] < 0, -1, 1)
    heights = (normals * three[lengths > 1e-6, 0]).sum(1)
    fits = (heights > _HEIGHTS_M[0]) & (heights < _HEIGHTS_M[1]) & (normals[:, 1] > np.cos(np.radians(_MAX_TILT_DEG)))
    if not fits.any():
        return Road()
    normals, heights = normals[fits], heights[fits]
    on = np.abs(points @ normals.T - heights) < _TOLERANCE_M
    best = on[:, on.sum(0).argmax()]
    if best.sum() < max(_MIN_POINTS, _MIN_SHARE * len(points)):
        return Road()
    # y = a x + b z + c, which a road always is.
    x, y, z = points[best].T
    (a, b, c), *_ = np.linalg.lstsq(np.stack([x, z, np.ones_like(x)], 1), y, rcond=None)
    length = float(np.sqrt(1 + a * a + b * b))
    return Road((float(-a / length), 1 / length, float(-b / length)), float(c / length), True)


def near_objects(depth: Array, camera: Camera, road: Road) -> Array:
    """(H, W) bool: true points nearer than 10 m that stand more than 0.3 m above the road."""
    x, y = camera.rays()
    across, down, along = road.normal
    with np.errstate(invalid="ignore"):
        above = road.height_m - depth * (across * x + down * y + along)
        return (depth < NEAR_OBJECT_M) & (above > OBJECT_HEIGHT_M)


def _points(depth: Array, camera: Camera) -> Array:
    """float64 (N, 3) metres in the optical frame, of the finite depths."""
    x, y = camera.rays()
    seen = np.isfinite(depth) & np.isfinite(x)
    z = depth[seen].astype(np.float64)
    return np.stack([x[seen] * z, y[seen] * z, z], 1)
