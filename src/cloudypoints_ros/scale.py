"""Metres from the road: the known height of the camera over the height at which its depth shows the road.

Nothing here knows the unit of the depth: every tolerance is relative, so a model that is right up to a factor is
served as well as one that is a little off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.mount import Mount

Array = npt.NDArray[Any]

# Pixels looked at. Closer to the horizon than this the road is far away, and a network's depth of it a guess.
_SAMPLES = 3000
_MIN_DEPRESSION_DEG = 2.0
# A tile of the image counts as one measurement of the height: errors of a network's depth are alike within it.
_TILES = (6, 8)

# The road may lean from where the mount says it is: braking, crests, a mount measured by eye.
_MAX_TILT_DEG = 8.0
_PITCHES_DEG = np.arange(-6.0, 6.1)
_ROLLS_DEG = np.arange(-4.0, 4.1, 2.0)

# The search for a start takes every third point. It counts heights in bins of their logarithm, up to e^3 times
# the median of the points' heights and down to a part in e^3.
_SEARCH_STEP = 3
_BIN = 0.02
_BINS = 300
_WINDOW = 2  # bins on either side that count as the same height

# Relative distance from the plane within which a point is road: a few standard deviations, within these limits. A
# kerb is some 8 % of a car's camera height, so where the depth is clean the pavement is told apart.
_TOLERANCE = (0.04, 0.15)
_START_TOLERANCE = 0.1
_DEVIATIONS = 3.0
_ITERATIONS = 8

# What a road is at least.
_MIN_POINTS = 100
_MIN_SHARE = 0.2
_MIN_TILES = 6
_MAX_BELOW = 0.5  # points under the road, as a share of those on it; a bonnet has the whole road under it
_MAX_SPREAD = 0.05

# Corrections further than this from the smoothed one, and than three standard deviations, have to come twice.
_MIN_GATE = 0.1
_FIRST_SCATTER = 0.03  # what frames are taken to differ by before there are any to compare
_SAME_STREAM_S = 1.0  # a pause up to this is a slow camera, even when nothing is to be held

REMEDY = (
    "let the camera see the road, check mount.height, mount.pitch and mount.roll, mask the vehicle itself with "
    "ego_mask, or set scale.source to constant (or to card, for a metric model)"
)


@dataclass(frozen=True)
class Road:
    """The road as one depth map shows it.

    ``height`` is the distance of the camera from it in the depth's own unit, ``spread`` the relative standard error
    of that height; ``share`` is how many of the points below the horizon lie on it, 0 to 1; ``tilt_deg`` is the
    angle between its normal and ``Mount.down``.
    """

    height: float
    share: float
    spread: float
    tilt_deg: float


def no_road(seconds: float) -> str:
    """The sentence for a node that has had no road for so long and therefore no metres."""
    return f"scale.source is camera_height but no road has been found for {seconds:.0f} s; {REMEDY}."


def fit_road(depth: Array, camera: Camera, mount: Mount) -> Road | None:
    """The road in a depth map, float32 (H, W) along Z in any unit, NaN or +inf where there is none; None if no road.

    A plane n @ p = h through points p = Z r is m @ p = 1 with m = n / h. An error of Z in proportion to Z is then an
    error of the same size everywhere, so plain least squares weighs near and far as they deserve. The start is the
    height that most points share over a grid of tilts around ``Mount.down`` (a Hough transform), the end a fit with
    Tukey's biweight. That fit is free to turn: on a wall it becomes the wall, and is refused for its tilt. No chance is
    involved.
    """
    if depth.shape != (camera.height, camera.width):
        raise ValueError(f"depth is {depth.shape}, the camera {camera.height}x{camera.width}; they must fit")
    view = _view(camera, mount)
    z = depth[view.rows, view.columns].astype(np.float64)
    seen = np.isfinite(z) & (z > 0)
    if not seen.any():
        return None
    unit = float(np.median(z[seen]))
    points = view.rays.compress(seen, 1) * (z[seen] / unit)
    plane, error, tolerance = _refine(points, _search(points[:, ::_SEARCH_STEP], view.tilts))
    on = np.abs(error) < tolerance
    tiles = view.tiles[seen][on]
    height = 1 / float(np.linalg.norm(plane))
    tilt = math.degrees(math.acos(min(1.0, max(-1.0, float(plane @ mount.down) * height))))
    share = float(on.mean())
    if (
        on.sum() < _MIN_POINTS
        or share < _MIN_SHARE
        or _count(tiles) < _MIN_TILES
        or tilt > _MAX_TILT_DEG
        or (error >= tolerance).mean() > _MAX_BELOW * share
    ):
        return None
    spread = _standard_error(points.compress(on, 1), error[on], tiles, plane)
    return Road(height * unit, share, spread, tilt) if spread <= _MAX_SPREAD else None


class RoadScale:
    """The factor from the model's depth to metres, smoothed over the frames of one camera; for one thread.

    ``height_m`` is the camera's height above the road. The factor follows with the time constant ``smoothing_s`` in
    the time of the image stamps, whatever the frame rate, and is held ``hold_s`` without a road. Time that runs
    backwards (a bag that starts again) or leaps forget everything.
    """

    def __init__(self, height_m: float, smoothing_s: float, hold_s: float) -> None:
        if not (height_m > 0 and smoothing_s >= 0 and hold_s >= 0):
            raise ValueError(
                f"height_m {height_m}, smoothing_s {smoothing_s}, hold_s {hold_s}; the first must be positive, the "
                "others not negative"
            )
        self._height_m, self._smoothing_s, self._hold_s = height_m, smoothing_s, hold_s
        self._doubt: float | None  # a correction out of line, waiting for another like it
        self.reset()

    def reset(self) -> None:
        """Forget every road."""
        self._now = self._since = -math.inf  # stamp of the last update, and since when there has been no road
        self._forget()

    def update(self, road: Road | None, t: float) -> None:
        """Take what :func:`fit_road` found in the image of stamp ``t`` in seconds."""
        if t < self._now or t - self._now > max(self._hold_s, _SAME_STREAM_S):
            self.reset()
            self._since = t
        self._now = t
        if road is not None:
            self._take(math.log(self._height_m / road.height), road)
        if self._frames and self.missing_s > self._hold_s:
            self._forget()

    @property
    def factor(self) -> float | None:
        """Metres per unit of the model's depth; None without a road for longer than ``hold_s``."""
        return math.exp(self._log) if self._frames else None

    @property
    def uncertainty(self) -> float:
        """Of the factor, relative, one standard deviation; inf where there is none.

        The fit's own error and how far the frames scatter. Neither shrinks with the number of frames, whose errors
        are alike; both grow while nothing is seen, as a random walk does with one such step every time constant.
        What ``height_m`` itself is wrong by is not in it.
        """
        if not self._frames:
            return math.inf
        walked = 1 + self.missing_s / max(self._smoothing_s, _SAME_STREAM_S)
        return math.sqrt((self._spread2 + self._scatter2) * walked)

    @property
    def missing_s(self) -> float:
        """Seconds of the image stamps since the last road that counted, or since the start; 0 before any image."""
        return self._now - self._since if math.isfinite(self._now) else 0.0

    @property
    def words(self) -> str:
        """One phrase for people."""
        if self.factor is None:
            return f"no road for {self.missing_s:.0f} s; {REMEDY}"
        size = f"x{self.factor:.4g} +- {100 * self.uncertainty:.1f} %"
        if self.missing_s > 0:
            return f"{size}, held for {self.missing_s:.1f} s without a road"
        return f"{size}, road in {100 * self._share:.0f} % of the points"

    def _forget(self) -> None:
        self._frames = 0
        self._log = self._spread2 = self._share = 0.0
        self._scatter2 = _FIRST_SCATTER**2
        self._doubt = None

    def _take(self, correction: float, road: Road) -> None:
        """Bring in the natural logarithm of one frame's factor."""
        # A running mean until there are frames enough, so that the first one does not weigh for long.
        passed = self._now - self._since
        gain = 1.0 if self._smoothing_s == 0 else 1 - math.exp(-passed / self._smoothing_s)
        gain = max(gain, 1 / (self._frames + 1))
        off = correction - self._log
        if self._frames:
            gate = max(_MIN_GATE, 3 * math.hypot(self.uncertainty, road.spread))
            # Wild frames widen the gate too, but each only so far.
            self._scatter2 += gain * (min(off * off, gate * gate) - self._scatter2)
            doubt, self._doubt = self._doubt, correction if abs(off) > gate else None
            if self._doubt is not None:
                if doubt is None or abs(correction - doubt) > gate:
                    return
                if self._frames == 1:  # two that agree outvote the very first
                    self._forget()
                    off, gain = correction, 1.0
        self._log += gain * off
        self._spread2 += gain * (road.spread**2 - self._spread2)
        self._share = road.share
        self._frames += 1
        self._since = self._now


@dataclass(frozen=True)
class _View:
    """Where a camera on its mount looks for the road: N pixels, the tile of each, its ray (3, N), and tilts (T, 3)."""

    rows: Array
    columns: Array
    tiles: Array
    rays: Array
    tilts: Array


@lru_cache(maxsize=16)
def _view(camera: Camera, mount: Mount) -> _View:
    coarse = max(1, min(camera.width, camera.height) // 64)
    below = float(_below_horizon(camera, mount, coarse).mean())
    stride = max(1, round(math.sqrt(below * camera.width * camera.height / _SAMPLES)))
    rows, columns = np.nonzero(_below_horizon(camera, mount, stride))
    x, y = (ray[rows, columns].astype(np.float64) for ray in camera.rays(stride))
    rows, columns = rows * stride, columns * stride
    # Tiles divide the part of the image that is looked at, not the image.
    top = rows.min(initial=camera.height - 1)
    tile_row = (rows - top) * _TILES[0] // (camera.height - top)
    return _View(
        rows, columns, tile_row * _TILES[1] + columns * _TILES[1] // camera.width, np.stack([x, y, np.ones(len(x))]),
        np.array([_leaning(mount, pitch, roll) for pitch in _PITCHES_DEG for roll in _ROLLS_DEG], np.float32),
    )  # fmt: skip


def _below_horizon(camera: Camera, mount: Mount, stride: int) -> Array:
    x, y = camera.rays(stride)
    down = mount.down
    with np.errstate(invalid="ignore"):  # no ray, no road
        steepness = (down[0] * x + down[1] * y + down[2]) / np.sqrt(x * x + y * y + 1)
        return np.asarray(steepness > math.sin(math.radians(_MIN_DEPRESSION_DEG)))


def _leaning(mount: Mount, pitch_deg: float, roll_deg: float) -> Array:
    """The mount's down, leaned forward by a pitch and to the right by a roll."""
    return Mount(pitch_deg=mount.pitch_deg + pitch_deg, roll_deg=mount.roll_deg + roll_deg).down


def _search(points: Array, tilts: Array) -> Array:
    """The plane m, (3,), whose height is shared by most points (3, N) less those under it.

    ``tilts`` (T, 3) float32 are the normals to try.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        heights = np.log(tilts @ points.astype(np.float32))  # (T, N), NaN above the horizon of that tilt
    middle = float(np.median(heights[len(tilts) // 2]))  # of the mount itself, which sees all of them below its horizon
    # What lies outside the bins is counted in the first or the last, and the first is never chosen.
    bins = np.clip(np.nan_to_num((heights - middle) / _BIN + _BINS / 2, nan=0.0), 0, _BINS - 1).astype(np.int64)
    bins += np.arange(len(tilts))[:, None] * _BINS
    counts = np.bincount(bins.ravel(), minlength=bins.shape[0] * _BINS).reshape(-1, _BINS)
    upto = np.cumsum(counts, 1)
    inside = upto[:, 2 * _WINDOW + 1 :] - upto[:, : -2 * _WINDOW - 1]
    under = upto[:, -1:] - upto[:, 2 * _WINDOW + 1 :]
    best, first = np.unravel_index(np.argmax(inside - under), inside.shape)
    return np.asarray(tilts[best] / math.exp(middle + (first + _WINDOW + 1.5 - _BINS / 2) * _BIN), np.float64)


def _refine(points: Array, plane: Array) -> tuple[Array, Array, float]:
    """The plane m, (3,), through most points (3, N), their m @ p - 1 (positive is under it), and the tolerance."""
    tolerance = _START_TOLERANCE
    error = plane @ points - 1
    for _ in range(_ITERATIONS):
        weighted = points * np.maximum(1 - (error / tolerance) ** 2, 0) ** 2
        # A hair of the old plane keeps points in one line solvable.
        matrix = weighted @ points.T
        keep = np.eye(3) * (1e-9 * max(float(np.trace(matrix)), 1e-9))
        plane = np.linalg.solve(matrix + keep, weighted.sum(1) + keep @ plane)
        error = plane @ points - 1
        size = np.abs(error)
        close = size[size < tolerance]
        if len(close) < _MIN_POINTS:
            break
        deviation = 1.4826 * float(np.median(close))
        tolerance = min(max(_DEVIATIONS * deviation, _TOLERANCE[0]), _TOLERANCE[1])
    return plane, error, tolerance


def _standard_error(points: Array, error: Array, tiles: Array, plane: Array) -> float:
    """The relative standard error of the height 1 / |m|, each tile one measurement.

    The sandwich estimator for clustered errors (Liang and Zeger 1986).
    """
    # d ln h = -m @ dm / |m|^2, and dm = -(P P^T)^-1 P e
    along = np.linalg.lstsq(points @ points.T, plane, rcond=1e-12)[0] / (plane @ plane)
    push = np.bincount(tiles, (along @ points) * error)
    count = _count(tiles)
    return float(np.linalg.norm(push)) * math.sqrt(count / (count - 3))


def _count(tiles: Array) -> int:
    return int((np.bincount(tiles) > 0).sum())
