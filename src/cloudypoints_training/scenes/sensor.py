"""What a camera does to the light: exposure, tone curve, lens, noise, compression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from cloudypoints_training.scenes.kernel import kernel

_CURVE_STEPS = 4096
SHARPEN = np.array([[0, -0.25, 0], [-0.25, 2, -0.25], [0, -0.25, 0]], np.float32)  # as many cameras do it
BLOOM_SIGMA, BLOOM_SHRINK = 2.0, 8


@dataclass(frozen=True)
class Exposure:
    """How one picture is exposed and what is wrong with its camera.

    `balance` (3,) gains of the channels; `curve` (4097,) float32 display value over the square root of light;
    `blur` sigma in pixels; `field` (H + 2, W + 7) float32 standard normal; `quality` of a JPEG, None = not compressed.
    """

    plain: bool
    key: float
    balance: np.ndarray
    vignette: float
    stray: float
    shoulder: float
    saturation: float
    curve: np.ndarray
    bloom: bool
    blur: float
    noise: float
    field: np.ndarray
    sharpen: bool
    quality: int | None

    def gain(self, level: Any) -> Any:
        """The gain for a picture of that mean light (a number or a tensor)."""
        # The good camera reacts weakly, so that frames of a drive keep their brightness.
        return self.key / (level**0.5 * 0.35**0.5) if self.plain else self.key / (level + 0.01)


def choose_exposure(rng: np.random.Generator, width: int, height: int, plain: bool = False) -> Exposure:
    """Draws an exposure. `plain` is a good camera without visible faults, for demonstrations."""
    key = 0.2 if plain else float(np.clip(0.18 * math.exp(rng.normal(0, 0.35)), 0.07, 0.42))
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
    bloom = not plain and rng.random() < 0.25
    blur = rng.choice([0.0, rng.uniform(0.3, 0.7), rng.uniform(0.7, 1.6)], p=[0.4, 0.45, 0.15])
    noise = 0.003 if plain else float(min(0.06, abs(rng.standard_cauchy()) * 0.004))
    field = rng.standard_normal((height + 2, width + 7), dtype=np.float32)
    sharpen = not plain and rng.random() < 0.15
    quality = int(rng.uniform(25, 95)) if not plain and rng.random() < 0.6 else None
    return Exposure(
        plain, key, balance, vignette, stray, shoulder, saturation, curve, bloom,
        0.0 if plain else float(blur) * max(1.0, width / 1024), noise, field, sharpen, quality,
    )  # fmt: skip


@kernel()
def develop(linear, gains, vignette, stray, shoulder, curve, saturation, window, out):
    """Linear radiance (H, W, 3) to display values 0..1, in one pass, within a window (see render)."""
    height, width = linear.shape[:2]
    first_u, stop_u, first_v, stop_v = window
    steps = curve.shape[0] - 1
    for v in range(first_v, stop_v):
        y = 2.0 * v / height - 1
        for u in range(first_u, stop_u):
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


@kernel()
def quantise(image, field, noise, window, out):
    """Adds noise (one field, shifted between the channels) and rounds to uint8, within a window."""
    first_u, stop_u, first_v, stop_v = window
    for v in range(first_v, stop_v):
        for u in range(first_u, stop_u):
            out[v, u, 0] = min(255.0, max(0.0, 255 * (image[v, u, 0] + noise * field[v, u]) + 0.5))
            out[v, u, 1] = min(255.0, max(0.0, 255 * (image[v, u, 1] + noise * field[v + 1, u + 3]) + 0.5))
            out[v, u, 2] = min(255.0, max(0.0, 255 * (image[v, u, 2] + noise * field[v + 2, u + 7]) + 0.5))


def expose(linear: np.ndarray, how: Exposure) -> np.ndarray:
    """Turns linear radiance (H, W, 3) float32 into an RGB image (H, W, 3) uint8."""
    height, width = linear.shape[:2]
    window = (0, width, 0, height)
    # Exposure by the lower part of the picture, so that the sky clips when the street is dark.
    luminance = linear[height // 3 :: 4, ::4].mean(axis=2)
    level = float(np.exp(np.mean(np.log(np.maximum(luminance, 0) + 0.003))))
    image = np.empty(linear.shape, np.float32)
    gains = how.gain(level) * how.balance
    develop(linear, gains, how.vignette, how.stray, how.shoulder, how.curve, how.saturation, window, image)

    if how.bloom:  # around clipped lights
        small = cv2.resize(image, bloom_size(width, height), interpolation=cv2.INTER_AREA)
        glow = cv2.GaussianBlur(np.maximum(small - 0.9, 0), (0, 0), BLOOM_SIGMA)
        image += 2.0 * cv2.resize(glow, (width, height))
    if how.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), how.blur)
    image8 = np.empty(linear.shape, np.uint8)
    quantise(image, how.field, how.noise, window, image8)
    if how.sharpen:
        image8 = cv2.filter2D(image8, -1, SHARPEN)
    if how.quality is not None:
        done, coded = cv2.imencode(".jpg", image8, [cv2.IMWRITE_JPEG_QUALITY, how.quality])
        if done:
            image8 = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image8)


def bloom_size(width: int, height: int) -> tuple[int, int]:
    """Width and height of the small picture in which light blooms."""
    return width // BLOOM_SHRINK + 1, height // BLOOM_SHRINK + 1
