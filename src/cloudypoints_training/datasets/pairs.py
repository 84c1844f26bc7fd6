"""Images with a depth file each.

A pair is a folder `NAME/{image.jpg|png, depth.png|npy, camera.json[, sky.png]}`; `prepare` writes a tree of such
folders with a manifest. A clip is `image/000.jpg ...`, `depth/000.png ...` for some of them, and one camera.json.

depth.png is uint16 metres x 256, 0 unknown; depth.npy float32 metres, NaN unknown, +inf sky; sky.png is 8-bit, not 0
where sky is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera, load_calibration
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import read_image, read_truth
from cloudypoints_training.datasets.items import Item, Measured, source_of
from cloudypoints_training.manifest import MANIFEST

Array = npt.NDArray[Any]
ReadCamera = Callable[[int, int], Camera]  # of an image of this width and height

IMAGES = ("image.jpg", "image.png", "image.jpeg")
DEPTHS = ("depth.png", "depth.npy")


def pairs_in(folder: Path, below: Path) -> list[Item]:
    """The pairs anywhere below `folder`, named by their path below `below`."""
    found = sorted({file.parent for name in DEPTHS for file in folder.rglob(name)})
    items = []
    for pair in found:
        name = pair.relative_to(below).as_posix() if pair != below else pair.name
        items.append(Item(name, source_of(name), partial(read_pair, pair)))
    return items


def prepared_in(root: Path, split: str | None) -> list[Item]:
    """The frames that a manifest of `prepare` lists; a city is a source."""
    path = root / MANIFEST
    try:
        frames = json.loads(path.read_text(encoding="utf-8"))["frames"]
        folds = {str(key): record.get("fold") for key, record in frames.items()}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise CloudyPointsError(
            f"The manifest {path} cannot be read ({type(error).__name__}: {error}); give the prepare command again."
        ) from error
    wanted = [key for key in sorted(folds) if split is None or key.split("/")[0] == split]
    return [Item(key, Path(key).parent.name, partial(read_pair, root / key), folds[key]) for key in wanted]


def clip_in(root: Path) -> list[Item]:
    """The frames of a clip that have a depth; the clip is their source."""
    images = {file.stem: file for file in sorted((root / "image").iterdir())}
    depths = {file.stem: file for file in sorted((root / "depth").iterdir()) if file.suffix in (".png", ".npy")}
    camera = partial(read_camera, root / "camera.json")
    return [
        Item(f"image/{stem}", root.resolve().name, partial(read_files, images[stem], depths[stem], camera))
        for stem in sorted(images.keys() & depths.keys())
    ]


def read_pair(folder: Path) -> Measured:
    """What a pair's folder holds. CloudyPointsError names a file that is missing, broken or of another size."""
    image, depth = _one_of(folder, IMAGES), _one_of(folder, DEPTHS)
    sky = folder / "sky.png"
    return read_files(image, depth, partial(read_camera, folder / "camera.json"), sky if sky.is_file() else None)


def read_files(image_path: Path, depth_path: Path, camera_of: ReadCamera, sky_path: Path | None = None) -> Measured:
    """An image with its depth and camera, of one size."""
    image = read_image(image_path)
    height, width = image.shape[:2]
    depth = read_npy(depth_path) if depth_path.suffix == ".npy" else read_truth(depth_path)
    _require_size(depth, depth_path, image, image_path, "give a depth for every pixel of the image, 0 where unknown")
    if sky_path is not None:
        sky = _read_mask(sky_path)
        _require_size(sky, sky_path, image, image_path, "give a mask for every pixel of the image")
        depth[sky] = np.inf
    return image, depth, camera_of(width, height)


def read_camera(path: Path, width: int, height: int) -> Camera:
    """The pinhole of a camera file, which must be of an image of this size."""
    calibration = load_calibration(path)
    try:
        calibration.require_image(width, height)
    except CloudyPointsError as error:
        raise CloudyPointsError(
            f"{path} is of a {calibration.width}x{calibration.height} image but the image beside it is "
            f"{width}x{height}; give the intrinsics of this image size."
        ) from error
    camera = calibration.camera()
    if not camera.pinhole:
        raise CloudyPointsError(
            f"{path} has lens distortion ({camera.model}); rectify image and depth, and give the pinhole camera that "
            "they then have."
        )
    return camera


def read_npy(path: Path) -> Array:
    """float32 (H, W) metres; what is not positive is unknown."""
    try:
        depth = np.load(path)
    except (OSError, ValueError, EOFError) as error:
        raise CloudyPointsError(f"The depth file {path} cannot be read ({error}); replace it.") from error
    if depth.ndim != 2 or depth.dtype.kind != "f":
        raise CloudyPointsError(
            f"The depth file {path} is {depth.dtype} with shape {depth.shape}; expected float32 metres, (H, W), NaN "
            "where unknown."
        )
    return np.where(depth > 0, depth, np.nan).astype(np.float32)


def _read_mask(path: Path) -> Array:
    try:
        mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        mask = None
    if mask is None or mask.dtype != np.uint8 or mask.ndim != 2:
        found = "unreadable" if mask is None else f"{mask.dtype} with shape {mask.shape}"
        raise CloudyPointsError(f"The sky mask {path} is {found}; expected an 8-bit one-channel PNG, 0 = no sky.")
    return np.asarray(mask > 0)


def _one_of(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise CloudyPointsError(f"{folder} has no {' or '.join(names[:2])}; put it there, or take the folder away.")


def _require_size(plane: Array, path: Path, image: Array, image_path: Path, remedy: str) -> None:
    if plane.shape != image.shape[:2]:
        raise CloudyPointsError(
            f"{path} is {plane.shape[1]}x{plane.shape[0]} but {image_path.name} is {image.shape[1]}x{image.shape[0]}; "
            f"{remedy}."
        )
