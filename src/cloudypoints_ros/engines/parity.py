"""Whether an engine gives the depth that ONNX Runtime gives on the CPU. Pure NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import camera_from_hfov
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import Mask, ModelCard, ModelInput
from cloudypoints_ros.postprocess import inverse_depth
from cloudypoints_ros.preprocess import Placement, ray_angles

Array = npt.NDArray[Any]
Infer = Callable[[dict[str, Array]], Mapping[str, Array]]

# Of log depth, and the same for every precision: float16 and TF32, in which GPUs multiply float32, both keep 11 bits,
# and cloudypoints_training.export allows float16 as much. A wrong kernel is off by far more.
LARGEST, MEAN = 1e-1, 5e-3
MASKED_SHARE = 5e-3  # of the pixels; a logit at a mask's threshold may fall on either side


@dataclass(frozen=True)
class Difference:
    """Of two depths: ``largest`` and ``mean`` |log ratio| (relative models: difference over the reference's spread).

    ``masks`` is, by output, the share of pixels that a mask takes in one and not in the other.
    """

    largest: float
    mean: float
    masks: dict[str, float] = field(default_factory=dict)

    @property
    def small(self) -> bool:
        return self.largest <= LARGEST and self.mean <= MEAN and all(v <= MASKED_SHARE for v in self.masks.values())

    def __str__(self) -> str:
        masks = "".join(f", {name} differs on {share:.2%} of the pixels" for name, share in self.masks.items())
        return f"{self.largest:.2g} at most and {self.mean:.2g} on average in log depth{masks}"


def fixed_inputs(card: ModelCard, size: tuple[int, int] | None = None) -> dict[str, Array]:
    """Always the same blocks of colour under noise as network input, float32 (1, 3, H, W), by tensor name.

    ``size`` is (height, width), the card's preferred one without. Ray angles are those of a camera of 90 degrees.
    """
    height, width = size or card.input.size.opt
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (3, -(-height // 32), -(-width // 32)))
    pixels = coarse.repeat(32, 1).repeat(32, 2)[:, :height, :width] + rng.normal(0, 12, (3, height, width))
    inputs = {card.input.tensor: _normalised(np.clip(pixels, 0, 255), card.input)}
    if card.input.ray_angles:
        whole = Placement(width, height, 0, 0, width, height)
        inputs[card.input.ray_angles] = ray_angles(camera_from_hfov(width, height, 90.0), whole)
    return inputs


def differences(reference: Mapping[str, Array], outputs: Mapping[str, Array], card: ModelCard) -> Difference:
    """How ``outputs`` by tensor name differ from ``reference``; infinite where a number is missing or wrong in kind."""
    name = card.output.tensor
    ours, theirs = np.asarray(outputs[name], np.float32), np.asarray(reference[name], np.float32)
    if ours.shape != theirs.shape:
        return Difference(np.inf, np.inf)
    if card.output.unit == "metre":
        ours, theirs = (_log_depth(each, card) for each in (ours, theirs))
        scale = 1.0
    else:
        scale = float(np.ptp(theirs[np.isfinite(theirs)])) if np.isfinite(theirs).any() else 0.0
    both = np.isfinite(ours) & np.isfinite(theirs)
    masks = {
        mask.tensor: _share(reference[mask.tensor], outputs[mask.tensor], mask)
        for mask in (card.output.sky, card.output.validity)
        if mask
    }
    if (np.isfinite(ours) != np.isfinite(theirs)).any() or not both.any():
        return Difference(np.inf, np.inf, masks)
    gap = np.abs(ours[both] - theirs[both])
    if scale:
        gap = gap / scale
    return Difference(float(gap.max()), float(gap.mean()), masks)


def require_parity(name: str, model: Path, card: ModelCard, infer: Infer, reference: Infer) -> Difference:
    """The worst difference over the preferred and the least size; CloudyPointsError when an engine is too far off."""
    worst = Difference(0.0, 0.0)
    for size in dict.fromkeys((card.input.size.opt, card.input.size.min)):
        inputs = fixed_inputs(card, size)
        found = differences(reference(inputs), infer(inputs), card)
        worst = max(worst, found, key=lambda each: (each.largest, each.mean))
        if not found.small:
            raise CloudyPointsError(
                f"{name} differs from ONNX Runtime on {model} at {size[0]}x{size[1]} by {found}, expected at most "
                f"{LARGEST:g} and {MEAN:g} (masks {MASKED_SHARE:.1%}): it is not used; use another engine, or another "
                "version of it."
            )
    return worst


def _normalised(pixels: Array, card: ModelInput) -> Array:
    mean, std = (np.array(each)[:, None, None] for each in (card.mean, card.std))
    return np.asarray(((pixels * card.scale - mean) / std)[None], np.float32)


def _log_depth(raw: Array, card: ModelCard) -> Array:
    """Clipped to the card's range, NaN where there is none; the focal length cancels in the difference."""
    inverse = inverse_depth(raw, card.output, card.output.canonical_focal_px or 1.0)
    return np.asarray(-np.log(inverse))


def _share(reference: Array, ours: Array, mask: Mask) -> float:
    return float(np.mean((reference > mask.threshold) != (ours > mask.threshold)))
