"""What a camera does to the light: exposure, tone curve, lens, noise, compression."""

from __future__ import annotations

import math

import cv2
import numpy as np


def expose(linear: np.ndarray, rng: np.random.Generator, plain: bool = False) -> np.ndarray:
    """Turns linear radiance (H, W, 3) float32 into an RGB image (H, W, 3) uint8.

    `plain` is a good camera without visible faults, for demonstrations.
    """
    height, width = linear.shape[:2]
    image = np.maximum(linear, 0.0).astype(np.float32)

    # Exposure by the lower part of the picture, so that the sky clips when the street is dark.
    luminance = image[height // 3 :: 2, ::2].mean(axis=2)
    level = float(np.exp(np.mean(np.log(luminance + 0.003))))
    key = 0.19 if plain else float(np.clip(0.18 * math.exp(rng.normal(0, 0.35)), 0.07, 0.42))
    gain = key / (level + 0.01)
    balance = np.ones(3) if plain else np.exp(rng.normal(0, 0.06, 3))
    image *= (gain * balance).astype(np.float32)

    if not plain:
        if rng.random() < 0.5:
            ys = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
            xs = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
            image *= (1 - rng.uniform(0.05, 0.4) * 0.5 * (xs * xs + ys * ys))[:, :, None]
        if rng.random() < 0.15:  # stray light in the lens
            image += float(rng.uniform(0.01, 0.12)) * image.mean()
        if rng.random() < 0.3:  # bloom around clipped lights
            small = cv2.resize(np.minimum(np.maximum(image - 1, 0), 3), (width // 8 + 1, height // 8 + 1), interpolation=cv2.INTER_AREA)
            image += 0.3 * cv2.resize(cv2.GaussianBlur(small, (0, 0), 2.0), (width, height))

    shoulder = 0.0 if not plain and rng.random() < 0.4 else (0.35 if plain else rng.uniform(0.1, 0.6))
    image = image * (1 + shoulder * 0.3) / (1 + shoulder * image)
    image = np.clip(image, 0, 1)
    gamma = 1 / 2.2 if plain else 1 / rng.uniform(1.8, 2.5)
    image = cv2.pow(image, gamma)
    if plain or rng.random() < 0.5:  # contrast curve
        amount = 0.25 if plain else rng.uniform(-0.2, 0.7)
        image += np.float32(amount) * (image * image * (3 - 2 * image) - image)
    saturation = 1.05 if plain else float(rng.choice([rng.uniform(0.0, 0.5), rng.uniform(0.5, 1.3)], p=[0.25, 0.75]))
    grey = image.mean(axis=2, keepdims=True)
    image = grey + np.float32(saturation) * (image - grey)

    blur = 0.35 if plain else float(rng.choice([0.0, rng.uniform(0.3, 0.7), rng.uniform(0.7, 1.6)], p=[0.35, 0.5, 0.15]))
    if blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), blur * max(1.0, width / 1024))
    noise = 0.004 if plain else float(min(0.06, abs(rng.standard_cauchy()) * 0.004))
    if noise > 0.002:
        # One field of noise, shifted between channels: cheaper than three and as good to look at.
        field = rng.standard_normal((height + 2, width + 7), dtype=np.float32) * np.float32(noise)
        image[:, :, 0] += field[:height, :width]
        image[:, :, 1] += field[1 : height + 1, 3 : width + 3]
        image[:, :, 2] += field[2 : height + 2, 7 : width + 7]
    image8 = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
    if not plain and rng.random() < 0.15:
        image8 = cv2.filter2D(image8, -1, np.array([[0, -0.25, 0], [-0.25, 2, -0.25], [0, -0.25, 0]], np.float32))
    if not plain and rng.random() < 0.6:
        quality = int(rng.uniform(25, 95))
        done, coded = cv2.imencode(".jpg", image8, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done:
            image8 = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(image8)
