"""What a network sees in validation scenes, as pictures for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_training.evaluation.validation import Scene, predict
from cloudypoints_training.models.base import DepthModel

Array = npt.NDArray[Any]

NEAR_M, FAR_M = 2.0, 80.0  # the ends of the colours


def viewer(sets: dict[str, list[Scene]], count: int = 2) -> Callable[[DepthModel], dict[str, Array]]:
    """A function from a model to a picture (uint8 H x W x 3 RGB) of each named set.

    A row for each of the first `count` scenes: image, truth, prediction. Near is red, far blue, sky and unknown black.
    """

    def look(model: DepthModel) -> dict[str, Array]:
        return {name: stack([row(s, predict(model, s)) for s in scenes[:count]]) for name, scenes in sets.items()}

    return look


def row(scene: Scene, predicted: Array) -> Array:
    """Image, truth and prediction beside each other."""
    return np.hstack([scene.image, coloured(scene.depth), coloured(predicted)])


def coloured(depth: Array) -> Array:
    """uint8 H x W x 3 RGB of metres, by their logarithm."""
    known = np.isfinite(depth)
    place = np.log(np.clip(np.where(known, depth, FAR_M), NEAR_M, FAR_M) / NEAR_M) / np.log(FAR_M / NEAR_M)
    colours = cv2.applyColorMap((255 * (1 - place)).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    return np.where(known[..., None], colours, 0).astype(np.uint8)


def stack(rows: list[Array]) -> Array:
    """Rows under each other, narrower ones padded with black."""
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])
