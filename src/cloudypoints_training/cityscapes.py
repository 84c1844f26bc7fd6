"""The layout of Cityscapes: which frames a tree has, where their files are, and each frame's own rig.

`ROOT/{type}/{split}/{city}/{city}_{sequence:06}_{frame:06}_{type}.{ext}`; the folders of the unzipped archives
(`leftImg8bit_trainvaltest/leftImg8bit/...`, `..._trainextra/...`) and the sequence packages
(`leftImg8bit_sequence/...`) are found as well. https://github.com/mcordts/cityscapesScripts
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from cloudypoints_ros.camera import CITYSCAPES_SIZE, Camera
from cloudypoints_ros.errors import CloudyPointsError

SPLITS = ("train", "val", "test", "train_extra", "demoVideo")

# kind: the folders that may hold it, and how its files' names end
KINDS: dict[str, tuple[tuple[str, ...], str]] = {
    "leftImg8bit": (("leftImg8bit", "leftImg8bit_sequence"), "_leftImg8bit.png"),
    "rightImg8bit": (("rightImg8bit", "rightImg8bit_sequence"), "_rightImg8bit.png"),
    "disparity": (("disparity", "disparity_sequence"), "_disparity.png"),
    "camera": (("camera", "camera_sequence"), "_camera.json"),
    "vehicle": (("vehicle", "vehicle_sequence"), "_vehicle.json"),
    "timestamp": (("timestamp", "timestamp_sequence"), "_timestamp.txt"),
    "labelIds": (("gtFine",), "_gtFine_labelIds.png"),
}

# labelIds of pixels that are no scene, and of sky
EGO_VEHICLE, RECTIFICATION_BORDER, OUT_OF_ROI, SKY = 1, 2, 3, 23

_STEM = re.compile(r"(?P<city>.+)_(?P<sequence>\d{6})_(?P<frame>\d{6})$")


@dataclass(frozen=True, order=True)
class Frame:
    """One moment of one camera; `sequence` and `frame` are its numbers in the file names."""

    root: Path
    split: str
    city: str
    sequence: int
    frame: int

    @property
    def name(self) -> str:
        return f"{self.city}_{self.sequence:06}_{self.frame:06}"

    def path(self, kind: str) -> Path | None:
        """Its file of one of KINDS; None where the tree has none."""
        ending = KINDS[kind][1]
        for folder in folders(self.root, kind):
            path = folder / self.split / self.city / (self.name + ending)
            if path.is_file():
                return path
        return None

    def require(self, kind: str) -> Path:
        """Its file of one of KINDS, or a sentence about what is missing."""
        path = self.path(kind)
        if path is None:
            raise CloudyPointsError(
                f"{self.split}/{self.city}/{self.name} has no {kind} file; unpack the Cityscapes package with "
                f"{' or '.join(KINDS[kind][0])} into {self.root}."
            )
        return path


@lru_cache(maxsize=256)
def folders(root: Path, kind: str) -> tuple[Path, ...]:
    """The folders of a tree that hold a kind of file: directly below `root` or below an unzipped archive's folder."""
    names = KINDS[kind][0]
    found = [base / name for name in names for base in (root, *sorted(p for p in root.iterdir() if p.is_dir()))]
    return tuple(path for path in found if path.is_dir() and any((path / split).is_dir() for split in SPLITS))


def find_frames(root: Path, split: str | None = None) -> list[Frame]:
    """Every frame of `root` that has a left image, sorted by split, city, sequence and number.

    CloudyPointsError where there is none. A file whose name is no frame's is passed over.
    """
    if not root.is_dir():
        raise CloudyPointsError(f"There is no folder {root}; give the root of a Cityscapes tree.")
    if split is not None and split not in SPLITS:
        raise CloudyPointsError(f"There is no split '{split}'; expected one of {', '.join(SPLITS)}.")
    folders.cache_clear()
    ending = KINDS["leftImg8bit"][1]
    found = set()
    for folder in folders(root, "leftImg8bit"):
        for each in SPLITS if split is None else (split,):
            for path in (folder / each).glob(f"*/*{ending}"):
                match = _STEM.match(path.name.removesuffix(ending))
                if match and match["city"] == path.parent.name:
                    found.add(Frame(root, each, match["city"], int(match["sequence"]), int(match["frame"])))
    if not found:
        raise CloudyPointsError(
            f"There is no Cityscapes image{f' of split {split}' if split else ''} under {root}; expected "
            "leftImg8bit/SPLIT/CITY/CITY_000000_000019_leftImg8bit.png."
        )
    return sorted(found)


def fold_of(city: str, folds: int) -> int:
    """The fold of a training city, by its name alone: a partial tree is divided as the whole one."""
    return int.from_bytes(hashlib.sha256(city.encode()).digest()[:8], "big") % folds


@dataclass(frozen=True)
class Rig:
    """The stereo rig of one frame: the left camera, and how far to its right the right one is, in metres.

    `x, y, z` (metres, forward, left, up from the rear axle) and `yaw, pitch, roll` (radians) place the left camera on
    the vehicle; 0 where the file does not say.
    """

    camera: Camera
    baseline_m: float
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


def read_rig(path: Path, size: tuple[int, int] = CITYSCAPES_SIZE) -> Rig:
    """The rig of a frame's own camera.json, for images of `size` (width, height): the file does not say it."""
    try:
        data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        intrinsic, extrinsic = data["intrinsic"], data["extrinsic"]
        fx, fy, cx, cy = (float(intrinsic[key]) for key in ("fx", "fy", "u0", "v0"))
        baseline = float(extrinsic["baseline"])
        place = {key: float(extrinsic.get(key, 0.0)) for key in ("x", "y", "z", "yaw", "pitch", "roll")}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CloudyPointsError(
            f"The camera file {path} cannot be read ({type(error).__name__}: {error}); expected Cityscapes' JSON with "
            "intrinsic fx, fy, u0, v0 and extrinsic baseline."
        ) from error
    if not 0 < baseline < math.inf:
        raise CloudyPointsError(f"The baseline in {path} is {baseline} m; expected a positive length.")
    try:
        rig = Rig(Camera(*size, fx, fy, cx, cy), baseline, **place)
    except CloudyPointsError as error:
        raise CloudyPointsError(f"{path}: {error}") from error
    if not (0.2 < cx / size[0] < 0.8 and 0.2 < cy / size[1] < 0.8):
        raise CloudyPointsError(
            f"The principal point in {path} is ({cx:g}, {cy:g}), not near the middle of {size[0]}x{size[1]} images; "
            "give the images at their original size: cloudypoints-train prepare scales them with their camera."
        )
    return rig
