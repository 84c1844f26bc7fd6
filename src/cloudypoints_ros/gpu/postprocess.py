"""Raw network output -> float32 metres in torch on any device, by the rules of the CPU's postprocess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cloudypoints_ros.model_card import Mask, ModelOutput
from cloudypoints_ros.postprocess import _taps
from cloudypoints_ros.preprocess import Placement


@dataclass(frozen=True)
class Neighbours:
    """Which two map pixels make each pixel along one axis, int64 (target,) each, and the second one's weight."""

    low: Tensor
    high: Tensor
    weight: Tensor


def neighbours(
    size: tuple[int, int], placement: Placement, map_shape: tuple[int, int], device: torch.device
) -> tuple[Neighbours, Neighbours]:
    """Rows and columns from a map of (h, w) to a depth image of ``size`` (width, height)."""
    rows = _taps(size[1], placement.top, placement.image_height, placement.height, map_shape[0])
    columns = _taps(size[0], placement.left, placement.image_width, placement.width, map_shape[1])
    return _on(device, *rows), _on(device, *columns)


def depth_map(
    outputs: Mapping[str, Tensor], card: ModelOutput, factor: Tensor, rows: Neighbours, columns: Neighbours
) -> Tensor:
    """Depth along Z, float32 (N, H, W) metres, NaN invalid, +inf sky: postprocess.depth_map for N images.

    ``factor``, float32 (N, 1, 1), is f_net / f_c of each, 1 for a model without a canonical focal length.
    """
    raw = _plane(outputs[card.tensor])
    inverse = inverse_depth(raw, card, factor)
    known = inverse.isfinite()
    if card.validity:
        known &= _mask(outputs, card.validity)
    sky = _mask(outputs, card.sky) if card.sky else torch.zeros_like(known)
    inverse = inverse.masked_fill(~known | sky, 0)
    planes = torch.stack([inverse, (known | sky).float(), sky.float()])
    v, k, c = _between(_between(planes, columns, 3), rows, 2)
    # Only the finite neighbours carry 1/Z, so their weights are put back to a sum of one.
    return ((k - c) / v).masked_fill_(c > 0.5 * k, torch.inf).masked_fill_(k < 0.5, torch.nan)


def inverse_depth(raw: Tensor, card: ModelOutput, factor: Tensor) -> Tensor:
    """1/Z in 1/metres, float32 (N, h, w), clipped to the card's range; NaN where the network gave no number."""
    near, far = card.range_m
    if card.quantity == "log_depth":
        inverse = torch.exp(-raw) / factor
    elif card.quantity == "depth":
        inverse = (1 / (raw * factor)).masked_fill_(~(raw > 0), torch.nan)
    else:
        inverse = (raw / factor).masked_fill_(~(raw >= 0), torch.nan)
    return inverse.clamp_(float(np.float32(1 / far)), float(np.float32(1 / near)))


def _plane(tensor: Tensor) -> Tensor:
    """(N, h, w) float32 of (N, 1, h, w) or (N, h, w)."""
    return tensor.reshape(-1, *tensor.shape[-2:]).float()


def _mask(outputs: Mapping[str, Tensor], mask: Mask) -> Tensor:
    values = _plane(outputs[mask.tensor])
    return values > mask.threshold if mask.sense == "above" else values < mask.threshold


def _between(planes: Tensor, axis: Neighbours, dim: int) -> Tensor:
    low, high = planes.index_select(dim, axis.low), planes.index_select(dim, axis.high)
    shape = [1] * planes.ndim
    shape[dim] = -1
    return low.addcmul_(high.sub_(low), axis.weight.view(shape))


def _on(device: torch.device, taps: np.ndarray, weight: np.ndarray) -> Neighbours:
    low, high = torch.from_numpy(taps.astype(np.int64)).to(device)
    return Neighbours(low, high, torch.from_numpy(weight).to(device))
