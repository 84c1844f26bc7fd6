"""How much the road trembles: depth of the same road from frame to frame of a drive.

The camera is taken to be level, at a known and constant height over a flat road. The pixels looked at are those whose
rays meet that plane from 5 to 25 m ahead and at most 1.5 m to the side, a trapezoid below the horizon. In frame t,
pixel p has r(t, p) = log(depth / plane depth). That is one number all over a road and falls away along whatever stands
on it, so the road is taken to be where most pixels agree: s(t) is the median of the interval of 0.2 that holds most of
them, and a pixel is on the plane where r is within 0.2 of s. Then

- `shape_std`: the standard deviation over time of r(t, p) - m(t), with m(t) the mean of r over the frame's pixels on
  the plane, as the root mean square over those pixels that are on the plane in half of the frames or more;
- `scale_std`: the standard deviation over time of m(t);
- `scale_step`: the root mean square of m(t) - m(t - 1), which slow drift does not enter;
- `share`: how much of the trapezoid is on the plane, the mean over frames: in a jam only the nearest metres are;
- `scale_mean`: exp of the mean of m(t), predicted over assumed distance: a wrong camera height shows here alone.

The first three are in log units: 0.05 is 5 %. The car's own pitching and hills are in them too, for every model alike.
A flat road scores 0, so no figure here means anything without the AbsRel beside it.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import CameraChoice, ImageSource
from cloudypoints_training.evaluation.road import CAMERA_HEIGHT_M, flat_road
from cloudypoints_training.sample import Sample

Array = npt.NDArray[Any]

NEAR_M, FAR_M = 5.0, 25.0
HALF_WIDTH_M = 1.5
WINDOW, TOLERANCE = 0.2, 0.2
MIN_PIXELS = 50
MIN_FRAMES = 3
MAX_PIXELS = 20_000


@dataclass(frozen=True)
class Flicker:
    """See the module. `scales` (frames,) is exp(m(t)), NaN in frames that show too little of the road."""

    frames: int
    frames_with_road: int
    pixels: int
    share: float
    shape_std: float
    scale_std: float
    scale_step: float
    scale_mean: float
    scales: Array


def trapezoid(camera: Camera, height_m: float) -> tuple[Array, Array]:
    """Flat indices (P,) of the pixels on the road ahead, and their plane depths float32 (P,) metres."""
    plane = flat_road(camera, height_m)
    across, down = camera.rays()
    with np.errstate(invalid="ignore"):
        ahead = (down > 0) & (plane >= NEAR_M) & (plane <= FAR_M) & (np.abs(across * plane) <= HALF_WIDTH_M)
    where = np.flatnonzero(ahead)
    if len(where) < MIN_PIXELS:
        raise CloudyPointsError(
            f"{len(where)} pixels show the road {NEAR_M:g} to {FAR_M:g} m ahead of a level camera {height_m:g} m above "
            f"it; expected at least {MIN_PIXELS}. Give a forward-looking clip, or its --camera-height."
        )
    where = where[:: max(1, len(where) // MAX_PIXELS)]
    return where, plane.flat[where]


def flicker(depths: Iterable[Array], camera: Camera, height_m: float = CAMERA_HEIGHT_M) -> Flicker:
    """Of the depth maps of consecutive frames of one camera, each float32 (H, W) metres."""
    where, plane = trapezoid(camera, height_m)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.array([np.log(depth.flat[where] / plane) for depth in depths])
    logs[~np.isfinite(logs)] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of frames and pixels without a number
        agreed = np.array([_most_agree(row[~np.isnan(row)]) for row in logs])
        logs[~(np.abs(logs - agreed[:, None]) <= TOLERANCE)] = np.nan
        logs[(~np.isnan(logs)).sum(1) < MIN_PIXELS] = np.nan
        scale = np.nanmean(logs, 1)
        known = ~np.isnan(scale)
        steady = (~np.isnan(logs)).sum(0) >= max(2, known.sum() / 2)
        variance = np.nanvar(logs[:, steady] - scale[:, None], 0)
    if known.sum() < MIN_FRAMES or not steady.any():
        raise CloudyPointsError(
            f"{known.sum()} of {len(scale)} frames show enough of one plane ahead; expected at least {MIN_FRAMES}. "
            "Give a clip of an open road."
        )
    steps = np.diff(scale)
    steps = steps[~np.isnan(steps)]
    return Flicker(
        frames=len(scale),
        frames_with_road=int(known.sum()),
        pixels=int(steady.sum()),
        share=float((~np.isnan(logs[known])).mean()),
        shape_std=float(np.sqrt(variance.mean())),
        scale_std=float(scale[known].std()),
        scale_step=float(np.sqrt(np.mean(steps**2))) if len(steps) else math.nan,
        scale_mean=float(np.exp(scale[known].mean())),
        scales=np.exp(scale),
    )


def _most_agree(values: Array) -> float:
    """The median of the interval of length WINDOW that holds most of the values; NaN for none."""
    if len(values) == 0:
        return math.nan
    ordered = np.sort(values)
    held = np.searchsorted(ordered, ordered + WINDOW, side="right") - np.arange(len(ordered))
    first = int(held.argmax())
    return float(np.median(ordered[first : first + held[first]]))


@dataclass(frozen=True)
class Clip:
    """A folder of images of one camera in order; their depth is not looked at."""

    root: Path
    source: ImageSource
    camera: Camera

    @staticmethod
    def open(root: Path) -> Clip:
        source = ImageSource(root, CameraChoice())
        return Clip(root, source, next(source.frames()).calibration.camera())

    def __len__(self) -> int:
        return self.source.count or 0

    def frames(self) -> Iterator[Sample]:
        for frame in self.source.frames():
            if frame.calibration.camera() != self.camera:
                raise CloudyPointsError(
                    f"{frame.path} has another camera than the first image of {self.root}; give a folder of one drive."
                )
            unknown = np.full(frame.image.shape[:2], np.nan, np.float32)
            name = frame.path.stem if frame.path else ""
            yield Sample(np.ascontiguousarray(frame.image[..., ::-1]), unknown, self.camera, name)


def words(found: Flicker, model: str, clip: str, height_m: float) -> str:
    """For people."""
    return "\n".join(
        (
            f"# Flicker of {model} on {clip}",
            "",
            f"{found.frames_with_road} of {found.frames} frames, {found.pixels} road pixels from {NEAR_M:g} to "
            f"{FAR_M:g} m ahead, camera {height_m:g} m above a level road; {found.share:.0%} of what may be road was.",
            "",
            f"- shape: {found.shape_std:.2%} standard deviation over time of the depth of a road pixel, each frame's "
            "mean removed",
            f"- scale: {found.scale_std:.2%} standard deviation over time, {found.scale_step:.2%} from frame to frame",
            f"- predicted / assumed distance: {found.scale_mean:.3f}",
            "",
            "The car's own pitching is in these figures, and a flat road scores 0: read them beside AbsRel.",
        )
    )
