"""What the network is trained for.

Targets are float32 N x 1 x h x w: canonical log depth, NaN where nothing is known, +inf for sky.
`error` below is predicted minus true log depth, 0 where not `valid` (bool, same shape).

Every term is the mean over images of a figure of each image, however many of its pixels are known. So a batch that
is divided among processes in equal shares gives, averaged, the very gradient of the whole batch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cloudypoints_training.models.base import Output

VARIANCE_FOCUS = 0.85  # of SILog: 1 forgets the scale altogether
SKY_LOG_DEPTH = math.log(150.0)  # where the depth output may rest under sky: this far or further
WEIGHTS = {
    "silog": 1.0,
    "l1": 1.0,
    "gradient": 0.5,
    "sky": 0.3,
    "sky_far": 0.1,
    "laplace": 0.1,
}


def canonical_log_depth(depth: Tensor, focal_px: Tensor | float, canonical_focal_px: float = 500.0) -> Tensor:
    """log of the depth (metres) that a camera of `canonical_focal_px` would need for this picture."""
    return torch.log(depth * (canonical_focal_px / focal_px))


def total(output: Output, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum to minimise, and each term, detached, for the log.

    A network without sky or variance output has no such terms.
    """
    valid = torch.isfinite(target)
    sky = torch.isposinf(target)
    error = torch.where(valid, output.log_depth - target.nan_to_num(0.0, 0.0, 0.0), 0.0)
    terms = {
        "silog": silog(error, valid),
        "l1": masked_mean(error.abs(), valid),
        "gradient": gradient_matching(error, valid),
        "sky_far": masked_mean(F.relu(SKY_LOG_DEPTH - output.log_depth), sky),
    }
    if output.sky is not None:
        entropy = F.binary_cross_entropy_with_logits(output.sky, sky.float(), reduction="none")
        terms["sky"] = masked_mean(entropy, valid | sky)
    if output.log_variance is not None:
        terms["laplace"] = laplace(error, valid, output.log_variance)
    loss = torch.stack([WEIGHTS[name] * term for name, term in terms.items()]).sum()
    return loss, {name: term.detach() for name, term in terms.items()}


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of each image's `values` where `mask`, 0 if that is nowhere; then the mean over images."""
    within = torch.where(mask, values, 0.0).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp(min=1)
    return within.mean()


def silog(error: Tensor, valid: Tensor) -> Tensor:
    """Scale-invariant log error of each image, then the mean over images."""
    count = valid.sum((1, 2, 3)).clamp(min=1)
    mean = error.sum((1, 2, 3)) / count
    square = error.square().sum((1, 2, 3)) / count
    # The small constant keeps the square root's gradient finite at a perfect prediction.
    return torch.sqrt((square - VARIANCE_FOCUS * mean.square()).clamp(min=0) + 1e-6).mean()


def gradient_matching(error: Tensor, valid: Tensor, scales: int = 4) -> Tensor:
    """Differences of the error between neighbours at spacings 1, 2, 4, 8: edges and slopes."""
    loss = error.new_zeros(())
    for _ in range(scales):
        for dim in (2, 3):
            length = error.shape[dim] - 1
            step = error.narrow(dim, 1, length) - error.narrow(dim, 0, length)
            both = valid.narrow(dim, 1, length) & valid.narrow(dim, 0, length)
            loss = loss + masked_mean(step.abs(), both)
        error, valid = error[:, :, ::2, ::2], valid[:, :, ::2, ::2]
    return loss / scales


def laplace(error: Tensor, valid: Tensor, log_variance: Tensor) -> Tensor:
    """Negative log likelihood of the error under a Laplace density of that variance.

    The error is detached: uncertainty is learned from the depth and must not excuse it.
    """
    log_scale = (log_variance - math.log(2.0)) / 2  # variance = 2 * scale ** 2
    return masked_mean(error.detach().abs() * torch.exp(-log_scale) + log_scale, valid)
