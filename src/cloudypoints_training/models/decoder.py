"""The depthwise feature pyramid that turns an encoder's features into depth, sky and uncertainty."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloudypoints_training.models.encoder import round_to_8

WIDTHS = (48, 64, 96, 128)  # channels at strides 4, 8, 16, 32
KERNELS = (3, 5, 5, 5)
DEPTHS = (1, 2, 2, 2)
START = (2.7, -1.0, -1.5)  # about 15 m, not sky, a scale of a third


class Refine(nn.Module):
    """Residual depthwise-separable convolution."""

    def __init__(self, channels: int, kernel: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.body(x))


def _project(cin: int, cout: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(cin, cout, 1, bias=False), nn.BatchNorm2d(cout))


class Decoder(nn.Module):
    """Feature pyramid from stride 32 up to stride 4, and 2 x 2 output pixels from each of those.

    Working at stride 4 and rearranging the last channels costs a third of a pyramid level at
    stride 2; the encoder's stride-2 features still enter, through a 2 x 2 convolution.
    """

    def __init__(self, channels: tuple[int, ...], width: float = 1.0) -> None:
        super().__init__()
        widths = [round_to_8(width * w) for w in WIDTHS]
        self.fine = nn.Conv2d(channels[0], widths[0], 2, stride=2, bias=False)
        self.lateral = nn.ModuleList(map(_project, channels[1:], widths))
        self.reduce = nn.ModuleList(_project(wide, narrow) for narrow, wide in pairwise(widths))
        self.refine = nn.ModuleList(
            nn.Sequential(*(Refine(w, kernel) for _ in range(depth)))
            for w, kernel, depth in zip(widths, KERNELS, DEPTHS, strict=True)
        )
        self.head = nn.Conv2d(widths[0], len(START) * 4, 1)
        with torch.no_grad():
            assert self.head.bias is not None
            self.head.weight.mul_(0.1)
            self.head.bias.copy_(torch.tensor(START).repeat_interleave(4))

    def forward(self, features: list[Tensor]) -> Tensor:
        """N x 3 x h x w at stride 2, from features at strides 2, 4, 8, 16, 32."""
        x = self.refine[3](F.relu(self.lateral[3](features[4])))
        for level in (2, 1, 0):
            x = F.interpolate(self.reduce[level](x), scale_factor=2.0, mode="bilinear")
            x = x + self.lateral[level](features[level + 1])
            if level == 0:
                x = x + self.fine(features[0])
            x = self.refine[level](F.relu(x))
        return F.pixel_shuffle(self.head(x), 2)
