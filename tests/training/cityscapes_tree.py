"""A small Cityscapes tree in the official layout, from synthetic stereo whose depth is known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_training.cityscapes import EGO_VEHICLE, KINDS, OUT_OF_ROI, RECTIFICATION_BORDER, SKY, Frame, Rig
from cloudypoints_training.disparity import disparity_from_depth

Array = npt.NDArray[Any]

CITIES: dict[str, dict[str, int]] = {"train": {"aachen": 2, "bremen": 2}, "val": {"frankfurt": 1}, "test": {"bonn": 1}}
RATE_HZ = 17.0


@dataclass(frozen=True)
class Written:
    """What is known of a frame that was written: RGB, metres (+inf sky), where stereo saw nothing, and its rig."""

    frame: Frame
    image: Array
    depth: Array
    unseen: Array
    rig: Rig


def write_tree(
    root: Path,
    cities: Mapping[str, Mapping[str, int]] = CITIES,
    size: tuple[int, int] = (256, 128),
    kinds: tuple[str, ...] = tuple(KINDS),
    frames_per_sequence: int = 1,
    suffix: str = "",
    seed: int = 0,
) -> list[Written]:
    """Write `cities` = {split: {city: sequences}}; every city has its own rig. `suffix` is "_sequence" or nothing."""
    written = []
    for split, counts in cities.items():
        for number, (city, sequences) in enumerate(counts.items()):
            rig = rig_of(size, number + len(split))
            for sequence in range(sequences):
                rng = np.random.default_rng([seed, number, sequence, len(split)])
                for k in range(frames_per_sequence):
                    frame = Frame(root, split, city, sequence, 19 if frames_per_sequence == 1 else k)
                    written.append(_write(frame, rig, rng, kinds, suffix, k))
    return written


def rig_of(size: tuple[int, int], number: int) -> Rig:
    """The usual rig, scaled to `size`; another focal length and baseline for each number."""
    width, height = size
    fx = 2262.52 / 2048 * width * (1 + 0.02 * number)
    camera = Camera(width, height, fx, fx * 1.001, 0.535 * width, 0.5 * height)
    return Rig(camera, 0.209313 + 0.004 * number, x=1.7, y=0.1, z=1.22, yaw=-0.02, pitch=0.03, roll=0.001)


def _write(frame: Frame, rig: Rig, rng: np.random.Generator, kinds: tuple[str, ...], suffix: str, k: int) -> Written:
    image, depth = picture(rig, rng)
    left_of_right = np.arange(depth.shape[1]) < rig.baseline_m * rig.camera.fx / depth
    raw = np.where(left_of_right, 0, disparity_from_depth(depth, rig)).astype(np.uint16)
    raw[np.isinf(depth)] = 0  # stereo finds nothing in the sky
    labels = np.full(depth.shape, 7, np.uint8)
    labels[np.isinf(depth)] = SKY
    labels[:2] = OUT_OF_ROI
    labels[depth.shape[0] * 3 // 4 :, -4:] = RECTIFICATION_BORDER, RECTIFICATION_BORDER, OUT_OF_ROI, OUT_OF_ROI
    labels[-depth.shape[0] // 8 :] = EGO_VEHICLE
    place = {key: getattr(rig, key) for key in ("x", "y", "z", "yaw", "pitch", "roll")}
    camera = rig.camera
    contents: dict[str, Any] = {
        "leftImg8bit": image[..., ::-1],
        "rightImg8bit": _right(image, depth, rig)[..., ::-1],
        "disparity": raw,
        "labelIds": labels,
        "camera": {
            "extrinsic": {"baseline": rig.baseline_m, **place},
            "intrinsic": {"fx": camera.fx, "fy": camera.fy, "u0": camera.cx, "v0": camera.cy},
        },
        "vehicle": {
            "gpsHeading": 84.0, "gpsLatitude": 50.78, "gpsLongitude": 6.11, "outsideTemperature": 11.0,
            "speed": 8.0, "yawRate": 0.01,
        },
        "timestamp": str(round(k * 1e9 / RATE_HZ)),
    }  # fmt: skip
    for kind in kinds:
        names, ending = KINDS[kind]
        folder = names[0] + (suffix if names[0] + suffix in names else "")
        path = frame.root / folder / frame.split / frame.city / (frame.name + ending)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = contents[kind]
        if isinstance(content, np.ndarray):
            cv2.imwrite(str(path), np.ascontiguousarray(content))
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content))
    return Written(frame, image, depth, raw == 0, rig)


def picture(rig: Rig, rng: np.random.Generator) -> tuple[Array, Array]:
    """A textured road 1.22 m below the camera up to the horizon, sky, and two boxes standing on the road."""
    camera = rig.camera
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    below = (rows - camera.cy) / camera.fy
    depth = np.where(below > 0.004, 1.22 / np.maximum(below, 0.004), np.inf)
    texture = cv2.resize(rng.integers(30, 220, (camera.height // 4, camera.width // 4, 3), np.uint8), depth.shape[::-1])
    image = texture.copy()
    image[np.isinf(depth)] = (150, 180, 230)
    for distance in sorted(rng.uniform(6, 25, 2), reverse=True):
        width, height = camera.fx * 1.8 / distance, camera.fy * 1.5 / distance
        foot = camera.cy + camera.fy * 1.22 / distance
        left = rng.uniform(0.2, 0.7) * camera.width
        inside = (columns >= left) & (columns < left + width) & (rows >= foot - height) & (rows < foot)
        depth = np.where(inside, distance, depth)
        image[inside] = (texture[inside] * 0.5 + rng.integers(0, 120, 3)).astype(np.uint8)
    return image, depth.astype(np.float32)


def _right(image: Array, depth: Array, rig: Rig) -> Array:
    """The right view: every pixel moved left by its disparity, the nearest winning, holes filled from the left."""
    shift = np.rint(np.where(np.isinf(depth), 0, rig.baseline_m * rig.camera.fx / depth)).astype(int)
    right = image.copy()
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
    order = np.argsort(-depth, axis=None, kind="stable")  # far first
    v, u = rows.ravel()[order], (columns - shift).ravel()[order]
    inside = u >= 0
    right[v[inside], u[inside]] = image.reshape(-1, 3)[order][inside]
    return right
