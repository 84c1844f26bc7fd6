"""What weather, light and cheap cameras do to an image, in five steps each.

A small set in the spirit of ImageNet-C (Hendrycks and Dietterich 2019) and KITTI-C (Kong et al. 2023, RoboDepth); the
strengths of noise, blur and contrast are ImageNet-C's. Figures compare between models scored with this module, not
with those benchmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Corrupt = Callable[[Array, int, np.random.Generator], Array]

SEVERITIES = (1, 3, 5)  # scored ones, of 1 to 5


def noise(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Gaussian noise of the sensor: 8 to 38 % of the range."""
    sigma = (0.08, 0.12, 0.18, 0.26, 0.38)[severity - 1]
    return _bytes(image + rng.normal(0, 255 * sigma, image.shape))


def blur(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """A lens out of focus: Gaussian of 0.1 to 0.6 % of the image's width."""
    sigma = (0.001, 0.002, 0.003, 0.0045, 0.006)[severity - 1] * image.shape[1]
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma))


def fog(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """A smooth uneven veil that hides 30 to 75 % of the contrast; it does not know the depth."""
    veil = (0.3, 0.4, 0.5, 0.62, 0.75)[severity - 1]
    height, width = image.shape[:2]
    patches = cv2.resize(rng.uniform(-1, 1, (5, 9)), (width, height), interpolation=cv2.INTER_CUBIC)
    share = np.clip(veil + 0.15 * patches, 0, 1)[..., None]
    return _bytes(image * (1 - share) + 225 * share)


def dark(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Dusk to night: 60 to 10 % of the light, with the noise of a sensor turned up."""
    light = (0.6, 0.45, 0.3, 0.2, 0.1)[severity - 1]
    photons = rng.poisson(np.maximum(image * light, 0) * 2) / 2
    return _bytes(photons + rng.normal(0, 2, image.shape))


def contrast(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """40 to 5 % of the distance from the mean."""
    kept = (0.4, 0.3, 0.2, 0.1, 0.05)[severity - 1]
    mean = image.mean((0, 1))
    return _bytes((image - mean) * kept + mean)


def jpeg(image: Array, severity: int, rng: np.random.Generator) -> Array:
    """Compression at quality 25 to 7."""
    quality = (25, 18, 15, 10, 7)[severity - 1]
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.ascontiguousarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


CORRUPTIONS: dict[str, Corrupt] = {f.__name__: f for f in (noise, blur, fog, dark, contrast, jpeg)}


def corrupted(image: Array, name: str, severity: int, seed: int) -> Array:
    """uint8 (H, W, 3) RGB, the same at every call."""
    if not 1 <= severity <= 5:
        raise ValueError(f"severity is {severity}, expected 1 to 5")
    return CORRUPTIONS[name](image, severity, np.random.default_rng((seed, severity, *name.encode())))


def _bytes(values: Array) -> Array:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
