"""What of a Cityscapes frame is no scene: masks for its depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import EGO_VEHICLE, OUT_OF_ROI, RECTIFICATION_BORDER, SKY
from cloudypoints_training.disparity import UNITS_PER_PIXEL

Array = npt.NDArray[Any]

HOOD_SHARE = 0.25  # of the rows, from below: what the hood covers at most, for frames without labels


def unseen_by_stereo(raw: Array) -> Array:
    """(H, W) bool: the match would lie left of the right image, so what a uint16 disparity says there is made up."""
    return np.asarray(np.arange(raw.shape[1]) < (raw.astype(np.float32) - 1) / UNITS_PER_PIXEL)


def left_strip(shape: tuple[int, int], share: float) -> Array:
    """(H, W) bool: the `share` of the columns at the left, where near things have no match."""
    mask = np.zeros(shape, bool)
    mask[:, : round(share * shape[1])] = True
    return mask


def hood(shape: tuple[int, int], labels: Array | None) -> Array:
    """(H, W) bool: the ego vehicle by the labels; without them the rows that it may cover."""
    if labels is not None:
        return np.asarray(labels == EGO_VEHICLE)
    mask = np.zeros(shape, bool)
    mask[shape[0] - round(HOOD_SHARE * shape[0]) :] = True
    return mask


def border(shape: tuple[int, int], labels: Array | None) -> Array:
    """(H, W) bool: what rectification left empty or outside the region of interest, by the labels."""
    return np.zeros(shape, bool) if labels is None else np.isin(labels, (RECTIFICATION_BORDER, OUT_OF_ROI))


def sky(shape: tuple[int, int], labels: Array | None) -> Array:
    """(H, W) bool: sky by the labels; nowhere without them."""
    return np.zeros(shape, bool) if labels is None else np.asarray(labels == SKY)


def read_labels(path: Path, shape: tuple[int, int]) -> Array:
    """uint8 (H, W) of a gtFine labelIds PNG."""
    try:
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        labels = None
    if labels is None or labels.dtype != np.uint8 or labels.shape != shape:
        found = "unreadable" if labels is None else f"{labels.dtype} with shape {labels.shape}"
        raise CloudyPointsError(f"The label file {path} is {found}; expected 8-bit label ids of shape {shape}.")
    return np.asarray(labels)
