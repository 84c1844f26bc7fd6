"""What of a Cityscapes frame is no scene, or was not seen by both cameras: masks for its depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import EGO_VEHICLE, OUT_OF_ROI, RECTIFICATION_BORDER, SKY

Array = npt.NDArray[Any]

# What is masked of frames without labels: the rows that the hood may cover, and the edges that rectification may have
# left empty (5 of 2048 pixels).
HOOD_SHARE = 0.25
BORDER_SHARE = 5 / 2048


def masked(disparity: Array, labels: Array | None, strip: float) -> Array:
    """The disparity (pixels, float32 (H, W)) with NaN for what is not to be learnt and 0, infinitely far, for sky.

    `labels` are gtFine's ids, uint8 (H, W). Without them the hood and the border are taken at their largest, and sky is
    only where the disparity says infinitely far. `strip` is the share of the columns at the left that both cameras see
    only of what is far.
    """
    known = np.array(disparity)
    known[unseen_by_stereo(disparity)] = np.nan
    known[:, : round(strip * disparity.shape[1])] = np.nan
    if labels is None:
        known[edges(disparity.shape, HOOD_SHARE, BORDER_SHARE)] = np.nan
        return known
    known[labels == SKY] = 0
    known[np.isin(labels, (EGO_VEHICLE, RECTIFICATION_BORDER, OUT_OF_ROI))] = np.nan
    return known


def unseen_by_stereo(disparity: Array) -> Array:
    """(H, W) bool: the match would lie left of the right image, so that the disparity there is made up."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.arange(disparity.shape[1]) < disparity)


def edges(shape: tuple[int, ...], hood: float, border: float) -> Array:
    """(H, W) bool: the lowest `hood` of the rows, and all that is nearer to an edge than `border` of the columns."""
    mask = np.zeros(shape, bool)
    mask[shape[0] - round(hood * shape[0]) :] = True
    width = round(border * shape[1])
    mask[:width] = mask[:, :width] = mask[:, shape[1] - width :] = True
    return mask


def read_labels(path: Path, shape: tuple[int, ...]) -> Array:
    """uint8 (H, W) of a gtFine labelIds PNG."""
    try:
        labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # such as a header that promises 60000 x 60000 pixels
        labels = None
    if labels is None or labels.dtype != np.uint8 or labels.shape != shape:
        found = "unreadable" if labels is None else f"{labels.dtype} with shape {labels.shape}"
        raise CloudyPointsError(
            f"The label file {path} is {found}; expected 8-bit label ids of shape {shape}: unpack the gtFine package "
            "again."
        )
    return np.asarray(labels)
