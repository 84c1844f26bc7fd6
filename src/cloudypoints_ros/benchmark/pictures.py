"""Images that look like a street: the bundled clip, cut to the aspect that is asked for and resized."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera, load_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.sources import CLIP, find_images, read_image

Array = npt.NDArray[Any]

JPEG_QUALITY = 90


def street_images(width: int, height: int, count: int) -> list[Array]:
    """uint8 (height, width, 3) RGB, evenly spread over the clip; at most as many as it has."""
    paths = _clip()
    paths = [paths[n * len(paths) // count] for n in range(min(count, len(paths)))]
    return [_fitted(cv2.cvtColor(read_image(path), cv2.COLOR_BGR2RGB), width, height) for path in paths]


def street_camera(width: int, height: int) -> Camera:
    """The camera that fits :func:`street_images` of this size."""
    camera = load_camera(CLIP / "camera.json")
    return camera.cropped(*_cut(camera.width, camera.height, width, height)).resized(width, height)


def jpeg(image: Array) -> bytes:
    """A JPEG file of a uint8 (H, W, 3) RGB image."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return bytes(data)


def _clip() -> list[Path]:
    if not CLIP.is_dir():
        raise CloudyPointsError(f"The bundled clip {CLIP} is missing; install the package again.")
    return find_images(CLIP)


def _cut(width: int, height: int, to_width: int, to_height: int) -> tuple[int, int, int, int]:
    """x, y, width, height of the largest middle part with the aspect of ``to_width`` x ``to_height``."""
    cut_width = min(width, round(height * to_width / to_height))
    cut_height = min(height, round(width * to_height / to_width))
    return (width - cut_width) // 2, (height - cut_height) // 2, cut_width, cut_height


def _fitted(image: Array, width: int, height: int) -> Array:
    x, y, cut_width, cut_height = _cut(image.shape[1], image.shape[0], width, height)
    part = image[y : y + cut_height, x : x + cut_width]
    how = cv2.INTER_LINEAR if width > cut_width else cv2.INTER_AREA
    return np.ascontiguousarray(cv2.resize(part, (width, height), interpolation=how))
