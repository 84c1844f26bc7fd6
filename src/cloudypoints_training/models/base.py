"""What the training loop, the scores and the export ask of a depth network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Output(NamedTuple):
    """Each N x 1 x h x w, float32, with h, w = H, W / `output_stride`. None: the network has no such output."""

    log_depth: Tensor  # log of metres for a camera of `canonical_focal_px`
    sky: Tensor | None  # logit, above `sky_threshold` is sky
    log_variance: Tensor | None  # of log_depth: log of the variance (2 * scale squared) of a Laplace density


@dataclass(frozen=True)
class InputSpec:
    """Input = (rgb - mean) / std of uint8 RGB, sides multiples of `multiple`."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    multiple: int


class DepthModel(nn.Module):
    """Image N x 3 x H x W, normalised, to an `Output`.

    metres = exp(log_depth) * f / canonical_focal_px, f in pixels of this very input.

    `config` is JSON: `build(config)` makes the same architecture again, with weights to be loaded. Parameters that
    do not require a gradient stay as they are; their normalisation statistics stay too (`train_mode`).
    """

    config: dict[str, Any]
    input: InputSpec
    output_stride: int
    canonical_focal_px: float
    sky_threshold: float = 0.0
    range_m: tuple[float, float] = (0.5, 150.0)  # depths that the network is good for
    free_size: bool = True  # its ONNX graph takes every size, not only the one it was exported at
    licence: str = "unknown: the network does not say"  # of the weights

    def forward(self, image: Tensor) -> Output:
        raise NotImplementedError

    def normalise(self, image: Tensor) -> Tensor:
        """uint8 N x H x W x 3 RGB to the float32 N x 3 x H x W that `forward` takes, channels last."""
        mean, std = (torch.tensor(v, device=image.device) for v in (self.input.mean, self.input.std))
        return ((image.float() - mean) / std).permute(0, 3, 1, 2)

    def learned(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that training changes, by name."""
        return ((name, p) for name, p in self.named_parameters() if p.requires_grad)

    def pretrained(self) -> Iterator[str]:
        """Names of the parameters of the encoder that learned elsewhere: they rest, or learn at a lower rate."""
        return iter(())

    def freeze_encoder(self, frozen: bool = True) -> None:
        """Whether the pretrained encoder keeps its weights."""
        names = set(self.pretrained())
        for name, parameter in self.named_parameters():
            if name in names:
                parameter.requires_grad_(not frozen)

    def accelerate(self, threads: int) -> None:
        """Make use of what rests: called when training starts, after the model is where it trains."""
