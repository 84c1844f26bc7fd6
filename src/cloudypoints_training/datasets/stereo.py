"""Cityscapes as it is unpacked: disparity to metres as each frame is read, with its own camera.json.

The same masks as `prepare`, so that a raw and a prepared tree train the same.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from cloudypoints_training import conversion
from cloudypoints_training.cityscapes import Frame, find_frames, folders
from cloudypoints_training.conversion import Settings
from cloudypoints_training.datasets.items import Item, Measured
from cloudypoints_training.disparity import depth_of


def is_cityscapes(root: Path) -> bool:
    folders.cache_clear()  # it may have been unpacked since
    return bool(folders(root, "leftImg8bit"))


def frames_in(root: Path, split: str | None) -> list[Item]:
    """The frames that have a disparity; a city is a source."""
    frames = [frame for frame in find_frames(root, split) if frame.path("disparity")]
    return [Item(frame.name, frame.city, partial(read_frame, frame)) for frame in frames]


def read_frame(frame: Frame, strip: float = Settings.strip) -> Measured:
    """A frame's left image, its depth (NaN where stereo or the masks say nothing, +inf sky), its camera."""
    image, disparity, rig = conversion.read_frame(frame, strip)
    return image, depth_of(disparity, rig), rig.camera
