"""The small default: an EfficientNet-Lite encoder, a depthwise FPN decoder, three outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.models.base import DepthModel, InputSpec, Output
from cloudypoints_training.models.decoder import Decoder
from cloudypoints_training.models.encoder import VARIANTS, Encoder, imagenet_weights

STRIDE = 32  # input sides are multiples of this
OUTPUT_STRIDE = 2
MEAN = 127.0  # input = (rgb - MEAN) / SCALE
SCALE = 128.0
FOCAL_CANONICAL_PX = 500.0
# Seven to one for sky: an obstacle taken for sky is worse than sky taken for something far.
SKY_THRESHOLD = 2.0

Features = Callable[[Tensor], list[Tensor]]


class DepthNet(DepthModel):
    """Variants lite0 to lite4 of the encoder; `width` multiplies the decoder's channels.

    The encoder does not learn until it is told to (`requires_grad_`): it sees better what it saw on ImageNet.
    """

    input = InputSpec((MEAN, MEAN, MEAN), (SCALE, SCALE, SCALE), STRIDE)
    output_stride = OUTPUT_STRIDE
    canonical_focal_px = FOCAL_CANONICAL_PX
    sky_threshold = SKY_THRESHOLD
    licence = "MIT AND Apache-2.0"  # ours, and that of the ImageNet weights

    def __init__(self, variant: str = "lite0", width: float = 1.0) -> None:
        super().__init__()
        if variant not in VARIANTS:
            raise CloudyPointsError(
                f"There is no EfficientNet variant '{variant}'; expected one of {', '.join(VARIANTS)}."
            )
        self.config = {"kind": "efficientnet_lite", "variant": variant, "width": width}
        self.encoder = Encoder(variant)
        self.decoder = Decoder(self.encoder.channels, width)
        self._fast: Features | None = None  # the encoder through ONNX Runtime
        self.freeze_encoder()

    def forward(self, image: Tensor) -> Output:
        y = self.decoder(self._features(image))
        return Output(y[:, 0:1], y[:, 1:2], y[:, 2:3])

    def pretrained(self) -> Iterator[str]:
        return (f"encoder.{name}" for name, _ in self.encoder.named_parameters())

    def accelerate(self, threads: int) -> None:
        """Run a frozen encoder on a CPU by ONNX Runtime, which is twice as fast as PyTorch, until weights are loaded.

        Not part of the state: copies and files of the model are without it.
        """
        self._fast = None
        if self._encoder_rests():
            from cloudypoints_training.onnx_graph import onnx_features

            self._fast = onnx_features(self.encoder, len(self.encoder.channels), threads)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        self._fast = None  # it has the weights of before
        return super().load_state_dict(*args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fast": None}

    def _features(self, image: Tensor) -> list[Tensor]:
        if self._fast and self._encoder_rests() and not (image.requires_grad or torch.onnx.is_in_onnx_export()):
            return self._fast(image)
        features: list[Tensor] = self.encoder(image)
        return features

    def _encoder_rests(self) -> bool:
        """Whether it is on a CPU and does not learn."""
        return not any(p.requires_grad or p.device.type != "cpu" for p in self.encoder.parameters())


def new_model(imagenet: bool = True, variant: str = "lite0", width: float = 1.0) -> DepthNet:
    """A fresh network: decoder random, encoder from ImageNet (or random, for tests)."""
    model = DepthNet(variant, width)
    if imagenet:
        model.encoder.load_imagenet(imagenet_weights(variant))
    return model
