"""One Cityscapes frame as training files: image, metric depth, sky, and the camera of what was cut out."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera, save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_ros.sources import KITTI_DEPTH_SCALE, read_image
from cloudypoints_training.cityscapes import Frame, Rig, read_rig
from cloudypoints_training.disparity import depth_of, disparity_px, read_disparity, resized_disparity
from cloudypoints_training.masks import masked, read_labels

Array = npt.NDArray[Any]

INPUTS = ("leftImg8bit", "disparity", "camera", "labelIds")
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Settings:
    """What decides the files' contents; `crop` is x, y, width, height in pixels of the original, before `size`."""

    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None  # width, height
    depth: str = "png"  # uint16 metres x 256, or "npy": float32 metres
    image: str = "png"  # or "jpg"
    strip: float = 0.0625  # share of the columns at the left that is masked: 128 of 2048


@dataclass(frozen=True)
class Converted:
    """The files of a frame by name, the depth last because a reader looks for it; `known`: share of finite depth."""

    camera: Camera
    files: dict[str, bytes]
    known: float


def input_hashes(frame: Frame) -> dict[str, str]:
    """The SHA-256 of each file that a frame is made from; CloudyPointsError where one cannot be read."""
    found = {kind: frame.path(kind) for kind in INPUTS}
    try:
        return {kind: _sha256(path.read_bytes()) for kind, path in found.items() if path}
    except OSError as error:
        raise CloudyPointsError(
            f"{frame.name} cannot be read ({error}); check the file and its permissions."
        ) from error


def read_frame(frame: Frame, strip: float) -> tuple[Array, Array, Rig]:
    """A frame's left image (uint8 BGR), its masked disparity (float32 pixels, NaN unknown, 0 sky) and its own rig.

    CloudyPointsError where a file is missing, damaged, or does not fit the others.
    """
    image, raw = read_image(frame.require("leftImg8bit")), read_disparity(frame.require("disparity"))
    height, width = raw.shape
    if image.shape[:2] != (height, width):
        raise CloudyPointsError(
            f"The disparity of {frame.name} is {width}x{height} but its image is {image.shape[1]}x{image.shape[0]}; "
            "unpack both packages again."
        )
    rig = read_rig(frame.require("camera"), (width, height))
    labels_path = frame.path("labelIds")
    labels = None if labels_path is None else read_labels(labels_path, raw.shape)
    return image, masked(disparity_px(raw), labels, strip), rig


def convert(frame: Frame, settings: Settings) -> Converted:
    """CloudyPointsError as `read_frame`, or where the crop does not lie inside the image."""
    image, disparity, rig = read_frame(frame, settings.strip)
    image, disparity, camera = cut(image, disparity, rig.camera, settings.crop, settings.size)
    depth = depth_of(disparity, rig)
    sky = np.isposinf(depth)

    image_path = frame.require("leftImg8bit")
    whole = camera == rig.camera and settings.image == image_path.suffix[1:]
    files = {f"image.{settings.image}": image_path.read_bytes() if whole else encoded(image, settings.image)}
    if frame.path("labelIds") or sky.any():
        files["sky.png"] = encoded(np.where(sky, 255, 0).astype(np.uint8), "png")
    files[f"depth.{settings.depth}"] = npy(depth) if settings.depth == "npy" else encoded(kitti(depth), "png")
    return Converted(camera, files, float(np.isfinite(depth).mean()))


def write(converted: Converted, folder: Path) -> dict[str, str]:
    """Write a frame's files, each whole or not at all; their SHA-256 by name. CloudyPointsError where it fails."""
    for left in folder.glob(".*.part*"):  # by a run that was killed while it wrote
        left.unlink(missing_ok=True)
    with replacing(folder / "camera.json") as temporary:
        save_camera(converted.camera, temporary)
    for name, content in converted.files.items():
        with replacing(folder / name) as temporary:
            temporary.write_bytes(content)
    return output_hashes(folder, ["camera.json", *converted.files])


def output_hashes(folder: Path, names: list[str]) -> dict[str, str]:
    """The SHA-256 of those of these files that are there."""
    return {name: _sha256((folder / name).read_bytes()) for name in names if (folder / name).is_file()}


def cut(
    image: Array,
    disparity: Array,
    camera: Camera,
    crop: tuple[int, int, int, int] | None,
    size: tuple[int, int] | None,
) -> tuple[Array, Array, Camera]:
    """Crop, then resize, an image, its disparity (which stays in pixels of the original) and its camera."""
    if crop is not None:
        x, y, width, height = crop
        camera = camera.cropped(x, y, width, height)
        image, disparity = image[y : y + height, x : x + width], disparity[y : y + height, x : x + width]
    if size is not None and size != (camera.width, camera.height):
        shrinks = size[0] < camera.width
        camera = camera.resized(*size)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        disparity = resized_disparity(disparity, *size)
    return image, disparity, camera


def kitti(depth: Array) -> Array:
    """uint16 metres x 256; 0 where there is none, where it is sky, and from 256 m on, which do not fit."""
    scaled = np.rint(np.where(np.isfinite(depth), depth, 0) * KITTI_DEPTH_SCALE)
    return np.where(scaled <= 65535, scaled, 0).astype(np.uint16)


def npy(depth: Array) -> bytes:
    """A .npy file of float32 metres: NaN unknown, +inf sky."""
    buffer = io.BytesIO()
    np.save(buffer, depth.astype(np.float32, copy=False))
    return buffer.getvalue()


def encoded(image: Array, kind: str) -> bytes:
    """A png or jpg file of an image: uint8 BGR or grey, or uint16."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if kind == "jpg" else []
    done, content = cv2.imencode(f".{kind}", np.ascontiguousarray(image), flags)
    if not done:
        raise CloudyPointsError(
            f"A .{kind} cannot hold {image.shape[1]}x{image.shape[0]} pixels; give a smaller --size, or --image png."
        )
    return content.tobytes()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
