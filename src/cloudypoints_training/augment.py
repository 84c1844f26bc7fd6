"""Changes of a sample that keep its image, depth and camera one truth.

`cropped`, `resized` and `mirrored` say what is to be done; the others draw from `rng`. Depth stays in metres: a picture
that is resized is the same scene through another focal length.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_training.disparity import resized_disparity
from cloudypoints_training.sample import Sample

Array = npt.NDArray[Any]
Rng = np.random.Generator


@dataclass(frozen=True)
class Recipe:
    """How likely each change is, and how small a crop may be: its width over that of the largest one."""

    smallest_crop: float = 0.6
    fog: float = 0.1
    blur: float = 0.2
    noise: float = 0.3
    colour: float = 0.8
    jpeg: float = 0.3

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not 0 <= value <= 1 or (name == "smallest_crop" and value == 0):
                raise ValueError(f"Recipe.{name} is {value}; expected a share from 0 to 1")


# Depth is resized as the disparity of an imagined stereo rig with this baseline, which decides what is one surface:
# less than a pixel apart, as neighbours on a road are to every camera at least this high above it.
BASELINE_M = 0.6

PLAIN = Recipe(smallest_crop=1, fog=0, blur=0, noise=0, colour=0, jpeg=0)


def cropped(sample: Sample, x: int, y: int, width: int, height: int) -> Sample:
    """The part that starts at pixel (x, y)."""
    camera = sample.camera.cropped(x, y, width, height)
    part = np.s_[y : y + height, x : x + width]
    return dataclasses.replace(sample, image=sample.image[part], depth=sample.depth[part], camera=camera)


def resized(sample: Sample, width: int, height: int) -> Sample:
    """The picture that a lens of another focal length would give; metres stay.

    Depth is interpolated within a surface, which keeps planes exact, and elsewhere that of the nearest pixel: nothing
    appears between a car and what is behind it, in holes, or at the edge of the sky.
    """
    if (width, height) == (sample.camera.width, sample.camera.height):
        return sample
    shrinks = width < sample.camera.width
    image = cv2.resize(sample.image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    unit = np.float32(BASELINE_M * sample.camera.fx)
    with np.errstate(divide="ignore"):
        depth = unit / resized_disparity(unit / sample.depth, width, height)
    return dataclasses.replace(sample, image=image, depth=depth, camera=sample.camera.resized(width, height))


def mirrored(sample: Sample) -> Sample:
    """Left for right."""
    camera = dataclasses.replace(sample.camera, cx=sample.camera.width - 1 - sample.camera.cx)
    image, depth = np.ascontiguousarray(sample.image[:, ::-1]), np.ascontiguousarray(sample.depth[:, ::-1])
    return dataclasses.replace(sample, image=image, depth=depth, camera=camera)


def fit_to(rng: Rng, sample: Sample, width: int, height: int, smallest: float = 1.0) -> Sample:
    """A random crop of the shape `width` x `height`, resized to just that.

    The crop's width is `smallest` to 1 times that of the largest one, small and large ones alike.
    """
    camera = sample.camera
    largest = min(camera.width, camera.height * width / height)
    share = math.exp(rng.uniform(math.log(smallest), 0))
    crop_width = min(camera.width, max(1, round(largest * share)))
    crop_height = min(camera.height, max(1, round(crop_width * height / width)))
    x = int(rng.integers(0, camera.width - crop_width + 1))
    y = int(rng.integers(0, camera.height - crop_height + 1))
    return resized(cropped(sample, x, y, crop_width, crop_height), width, height)


def augmented(rng: Rng, sample: Sample, recipe: Recipe) -> Sample:
    """What weather, lens, sensor and encoder do, in this order, each by its chance."""
    for name, change in CHANGES.items():
        if rng.random() < getattr(recipe, name):
            sample = change(rng, sample)
    return sample


def fog(rng: Rng, sample: Sample) -> Sample:
    """Fog of 40 to 400 m visibility (Koschmieder): I exp(-beta r) + A (1 - exp(-beta r)) with r along the ray.

    visibility = 3 / beta, where 5 % of the contrast is left; A a light grey; sky is all fog. On display values, as in
    Foggy Cityscapes (Sakaridis, Dai, Van Gool 2018). Holes take the distance of the nearest known pixel, for the
    picture alone. Without a depth for most pixels the sample stays as it is: guessed fog would teach nothing.
    """
    beta = 3 / math.exp(rng.uniform(math.log(40), math.log(400)))
    light = rng.uniform(165, 235) + rng.normal(0, 4, 3)
    known = ~np.isnan(sample.depth)
    if known.mean() < 0.5:
        return sample
    x, y = sample.camera.rays()
    transmission = np.exp(-beta * _filled(sample.depth, known) * np.sqrt(1 + x * x + y * y))[..., None]
    return _with(sample, sample.image * transmission + light.astype(np.float32) * (1 - transmission))


def blur(rng: Rng, sample: Sample) -> Sample:
    """A lens out of focus: Gaussian of 0.3 to 1.6 pixels, as of a picture of 640 pixels."""
    sigma = rng.uniform(0.3, 1.6) * max(0.5, sample.camera.width / 640)
    return dataclasses.replace(sample, image=cv2.GaussianBlur(sample.image, (0, 0), sigma))


def noise(rng: Rng, sample: Sample) -> Sample:
    """Sensor noise of 1 to 15 steps of 255, partly as the square root of the light, of each channel its own."""
    sigma = math.exp(rng.uniform(0, math.log(15)))
    field = rng.standard_normal(sample.image.shape, dtype=np.float32)
    strength = np.float32(sigma) * np.sqrt(0.3 + 0.7 * sample.image / np.float32(255))
    return _with(sample, sample.image + field * strength)


def colour(rng: Rng, sample: Sample) -> Sample:
    """White balance, exposure, gamma and contrast as a curve per channel, then saturation."""
    gains = np.exp(rng.normal(0, 0.08, 3) + rng.normal(0, 0.2))
    gamma, contrast = math.exp(rng.uniform(-0.35, 0.35)), rng.uniform(-0.3, 0.4)
    saturation = rng.uniform(0, 1.4)
    tone = np.clip(np.linspace(0, 1, 256)[:, None] * gains, 0, 1) ** gamma
    curve = tone + contrast * (tone * tone * (3 - 2 * tone) - tone)
    image = cv2.LUT(sample.image, np.rint(curve * 255).astype(np.uint8)[None])
    grey = image.mean(2, keepdims=True, dtype=np.float32)
    return _with(sample, grey + np.float32(saturation) * (image - grey))


def jpeg(rng: Rng, sample: Sample) -> Sample:
    """Compression of quality 25 to 90."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 91))]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(sample.image[..., ::-1]), flags)
    image = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    return dataclasses.replace(sample, image=np.ascontiguousarray(image[..., ::-1]))


# In the order in which light meets them; the names are Recipe's.
CHANGES: dict[str, Callable[[Rng, Sample], Sample]] = {f.__name__: f for f in (fog, blur, noise, colour, jpeg)}


def _filled(depth: Array, known: Array) -> Array:
    """`depth` with that of the nearest known pixel where it is not known; some pixel must be."""
    if known.all():
        return depth
    _, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_label = np.zeros(int(label.max()) + 1, np.float32)
    of_label[label[known]] = depth[known]
    return np.asarray(of_label[label])


def _with(sample: Sample, values: Array) -> Sample:
    return dataclasses.replace(sample, image=np.clip(np.rint(values), 0, 255).astype(np.uint8))
