"""What a camera does to the light: exposure, tone curve, lens, noise, compression."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numba import njit

_CURVE_STEPS = 4096


@njit(cache=True, nogil=True)
def _develop(linear, gains, vignette, stray, shoulder, curve, saturation, out):
    """Linear radiance (H, W, 3) to display values 0..1, in one pass."""
    height, width = linear.shape[:2]
    steps = curve.shape[0] - 1
    for v in range(height):
        y = 2.0 * v / height - 1
        for u in range(width):
            x = 2.0 * u / width - 1
            fall = 1 - vignette * (x * x + y * y)
            r = max(0.0, linear[v, u, 0]) * gains[0] * fall + stray
            g = max(0.0, linear[v, u, 1]) * gains[1] * fall + stray
            b = max(0.0, linear[v, u, 2]) * gains[2] * fall + stray
            r = min(1.0, r * (1 + 0.3 * shoulder) / (1 + shoulder * r))
            g = min(1.0, g * (1 + 0.3 * shoulder) / (1 + shoulder * g))
            b = min(1.0, b * (1 + 0.3 * shoulder) / (1 + shoulder * b))
            # The curve is tabulated over the square root: dark tones need the finer steps.
            values = (
                curve[int(math.sqrt(r) * steps)], curve[int(math.sqrt(g) * steps)],
                curve[int(math.sqrt(b) * steps)],
            )  # fmt: skip
            grey = (values[0] + values[1] + values[2]) / 3
            out[v, u, 0] = grey + saturation * (values[0] - grey)
            out[v, u, 1] = grey + saturation * (values[1] - grey)
            out[v, u, 2] = grey + saturation * (values[2] - grey)


@njit(cache=True, nogil=True)
def _quantise(image, field, noise, out):
    """Adds noise (one field, shifted between the channels) and rounds to uint8."""
    height, width = image.shape[:2]
    for v in range(height):
        for u in range(width):
            out[v, u, 0] = min(255.0, max(0.0, 255 * (image[v, u, 0] + noise * field[v, u]) + 0.5))
            out[v, u, 1] = min(255.0, max(0.0, 255 * (image[v, u, 1] + noise * field[v + 1, u + 3]) + 0.5))
            out[v, u, 2] = min(255.0, max(0.0, 255 * (image[v, u, 2] + noise * field[v + 2, u + 7]) + 0.5))


def expose(linear: np.ndarray, rng: np.random.Generator, plain: bool = False) -> np.ndarray:
    """Turns linear radiance (H, W, 3) float32 into an RGB image (H, W, 3) uint8.

    `plain` is a good camera without visible faults, for demonstrations.
    """
    height, width = linear.shape[:2]
    # Exposure by the lower part of the picture, so that the sky clips when the street is dark.
    luminance = linear[height // 3 :: 4, ::4].mean(axis=2)
    level = float(np.exp(np.mean(np.log(np.maximum(luminance, 0) + 0.003))))
    key = 0.2 if plain else float(np.clip(0.18 * math.exp(rng.normal(0, 0.35)), 0.07, 0.42))
    # The good camera reacts weakly, so that frames of a drive keep their brightness.
    gain = key / (level**0.5 * 0.35**0.5) if plain else key / (level + 0.01)
    balance = np.ones(3) if plain else np.exp(rng.normal(0, 0.06, 3))
    vignette = 0.5 * rng.uniform(0.05, 0.4) if not plain and rng.random() < 0.5 else 0.0
    stray = rng.uniform(0.01, 0.12) * key if not plain and rng.random() < 0.15 else 0.0
    if plain:
        shoulder, gamma, contrast, saturation = 0.4, 1 / 2.2, 0.3, 1.1
    else:
        shoulder = 0.0 if rng.random() < 0.4 else rng.uniform(0.1, 0.6)
        gamma = 1 / rng.uniform(1.8, 2.5)
        contrast = rng.uniform(-0.2, 0.7) if rng.random() < 0.5 else 0.0
        saturation = rng.uniform(0.0, 0.5) if rng.random() < 0.25 else rng.uniform(0.5, 1.3)
    tone = np.linspace(0, 1, _CURVE_STEPS + 1) ** (2 * gamma)
    curve = (tone + contrast * (tone * tone * (3 - 2 * tone) - tone)).astype(np.float32)
    image = np.empty(linear.shape, np.float32)
    _develop(linear, gain * balance, vignette, stray, shoulder, curve, saturation, image)

    if not plain and rng.random() < 0.25:  # bloom around clipped lights
        small = cv2.resize(image, (width // 8 + 1, height // 8 + 1), interpolation=cv2.INTER_AREA)
        glow = cv2.GaussianBlur(np.maximum(small - 0.9, 0), (0, 0), 2.0)
        image += 2.0 * cv2.resize(glow, (width, height))
    blur = rng.choice([0.0, rng.uniform(0.3, 0.7), rng.uniform(0.7, 1.6)], p=[0.4, 0.45, 0.15])
    if not plain and blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), float(blur) * max(1.0, width / 1024))
    noise = 0.003 if plain else float(min(0.06, abs(rng.standard_cauchy()) * 0.004))
    field = rng.standard_normal((height + 2, width + 7), dtype=np.float32)
    image8 = np.empty(linear.shape, np.uint8)
    _quantise(image, field, noise, image8)
    if not plain and rng.random() < 0.15:  # sharpening, as many cameras do it
        image8 = cv2.filter2D(image8, -1, np.array([[0, -0.25, 0], [-0.25, 2, -0.25], [0, -0.25, 0]], np.float32))
    if not plain and rng.random() < 0.6:
        done, coded = cv2.imencode(".jpg", image8, [cv2.IMWRITE_JPEG_QUALITY, int(rng.uniform(25, 95))])
        if done:
            image8 = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image8)
