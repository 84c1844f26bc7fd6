"""What is noted of one frame: little enough to add up thousands of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import CITYSCAPES_SIZE, Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import read_image
from cloudypoints_training.cityscapes import Frame, Rig, read_rig
from cloudypoints_training.conversion import Settings
from cloudypoints_training.datasets.items import Item
from cloudypoints_training.disparity import depth_of, disparity_px, read_disparity
from cloudypoints_training.masks import masked, read_labels, unseen_by_stereo

Array = npt.NDArray[Any]
T = TypeVar("T")

# Depths are counted in bins of a sixtieth of a decade (3.9 %) from 1 m to 1000 m; the first and last bin take what lies
# beyond.
NEAREST_M, BINS_PER_DECADE, DECADES = 1.0, 60, 3
BINS = BINS_PER_DECADE * DECADES

MAP_WIDTH, THUMBNAIL_WIDTH = 512, 480
SPARSE = 0.2  # a lidar scan knows less of an image than this, stereo more
COLOUR_STEP = 8  # every so many pixels and rows tell an image's mean colour


@dataclass(frozen=True)
class Counts:
    """Numbers of pixels: all; with a measurement; of those infinitely far; of those whose match would lie outside the
    right image, so that they are made up; and what the masks for training leave as metres."""

    pixels: int = 0
    measured: int = 0
    infinite: int = 0
    unseen: int = 0
    kept: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class Truth:
    """histogram: int64 (BINS,) of the depths that are kept; None where no camera says what the disparity means.

    measured_map, kept_map: float32 (h, w), the shares 0 to 1 of each part of the image, at most MAP_WIDTH wide.
    """

    counts: Counts
    histogram: Array | None
    measured_map: Array
    kept_map: Array


@dataclass(frozen=True)
class Look:
    """What could be read of a frame. Each part is None where it is missing or broken; `problems` says what is broken.

    size: width, height of the image. colour: float64 (2, 3), mean and mean square of its RGB, 0 to 1.
    thumbnail: uint8 RGB. depth: float32 metres of the thumbnail's pixels, NaN unknown, +inf sky.
    """

    size: tuple[int, int] | None = None
    colour: Array | None = None
    camera: Camera | None = None
    rig: Rig | None = None
    truth: Truth | None = None
    thumbnail: Array | None = None
    depth: Array | None = None
    problems: tuple[str, ...] = ()


def look_at_frame(frame: Frame, strip: float = Settings.strip) -> Look:
    """A Cityscapes frame; its depth behind the same masks as `prepare` has."""
    problems: list[str] = []

    def part(kind: str, read: Callable[[Path], T]) -> T | None:
        path = frame.path(kind)
        return None if path is None else attempt(lambda: read(path), problems)

    image = part("leftImg8bit", read_image)
    raw = part("disparity", read_disparity)
    if image is not None and raw is not None and image.shape[:2] != raw.shape:
        problems.append(
            f"The disparity {frame.path('disparity')} is {raw.shape[1]}x{raw.shape[0]} but its image is "
            f"{image.shape[1]}x{image.shape[0]}; unpack both packages again."
        )
        raw = None
    seen = next((plane for plane in (image, raw) if plane is not None), None)
    size = CITYSCAPES_SIZE if seen is None else (seen.shape[1], seen.shape[0])
    rig = part("camera", lambda path: read_rig(path, size))
    camera = None if rig is None else rig.camera
    if raw is None:
        return _look(image, camera, rig, None, None, problems)
    labels = part("labelIds", lambda path: read_labels(path, raw.shape))
    disparity = disparity_px(raw)
    kept = masked(disparity, labels, strip)
    depth = None if rig is None else depth_of(kept, rig)
    truth = _truth(raw > 0, kept > 0, int(np.count_nonzero(raw == 1)), unseen_by_stereo(disparity), depth)
    return _look(image, camera, rig, truth, depth, problems)


def look_at_item(item: Item) -> Look:
    """An image with depth of any other layout; nothing of it is known if one of its files is broken."""
    problems: list[str] = []
    found = attempt(item.read, problems)
    if found is None:
        return Look(problems=tuple(problems))
    image, depth, camera = found
    sky = np.isposinf(depth)
    truth = _truth(~np.isnan(depth), np.isfinite(depth), int(np.count_nonzero(sky)), np.zeros_like(sky), depth)
    return _look(image, camera, None, truth, depth, problems)


def attempt(read: Callable[[], T], problems: list[str]) -> T | None:
    """What `read` gives; None, and a sentence more, where it cannot."""
    try:
        return read()
    except CloudyPointsError as error:
        problems.append(str(error))
    except OSError as error:
        problems.append(f"A file cannot be read ({error}); check the path, its permissions and the disk.")
    return None


def counted(depth: Array) -> Array:
    """int64 (BINS,): how many of the finite depths (metres) lie in each bin."""
    near = np.log10(depth[np.isfinite(depth)] / np.float32(NEAREST_M)) * BINS_PER_DECADE
    return np.bincount(np.clip(np.floor(near), 0, BINS - 1).astype(np.int64), minlength=BINS)


def bin_edges() -> Array:
    """float64 (BINS + 1,) metres."""
    return NEAREST_M * 10 ** (np.arange(BINS + 1) / BINS_PER_DECADE)


def _truth(measured: Array, kept: Array, infinite: int, unseen: Array, depth: Array | None) -> Truth:
    size = _fitted(measured.shape[1], measured.shape[0], MAP_WIDTH)
    return Truth(
        Counts(
            pixels=measured.size,
            measured=int(np.count_nonzero(measured)),
            infinite=infinite,
            unseen=int(np.count_nonzero(unseen)),
            kept=int(np.count_nonzero(kept)),
        ),
        histogram=None if depth is None else counted(depth),
        measured_map=_shares(measured, size),
        kept_map=_shares(kept, size),
    )


def _look(
    image: Array | None,
    camera: Camera | None,
    rig: Rig | None,
    truth: Truth | None,
    depth: Array | None,
    problems: list[str],
) -> Look:
    if image is None:
        return Look(camera=camera, rig=rig, truth=truth, problems=tuple(problems))
    height, width = image.shape[:2]
    few = image[::COLOUR_STEP, ::COLOUR_STEP, ::-1].reshape(-1, 3) / 255.0
    size = _fitted(width, height, THUMBNAIL_WIDTH)
    thumbnail = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
    return Look(
        size=(width, height),
        colour=np.array([few.mean(0), np.square(few).mean(0)]),
        camera=camera,
        rig=rig,
        truth=truth,
        thumbnail=np.asarray(thumbnail),
        depth=None if depth is None else _small(depth, size),
        problems=tuple(problems),
    )


def _small(depth: Array, size: tuple[int, int]) -> Array:
    """The depth at fewer pixels; the points of a scan as wide as can still be seen, the nearest where they meet."""
    known = np.isfinite(depth)
    if known.mean() < SPARSE:
        side = 2 * round(depth.shape[1] / size[0]) + 1
        wide = cv2.erode(np.where(known, depth, np.inf).astype(np.float32), np.ones((side, side)))
        depth = np.where(np.isfinite(wide), wide, depth)
    return np.asarray(cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST))


def _shares(mask: Array, size: tuple[int, int]) -> Array:
    return np.asarray(cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA))


def _fitted(width: int, height: int, most: int) -> tuple[int, int]:
    """A size of the same shape that is at most `most` wide."""
    fitted = min(width, most)
    return fitted, max(1, round(height * fitted / width))
