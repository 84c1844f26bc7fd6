from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cloudypoints_training.models.efficientnet_lite import (
    OUTPUT_STRIDE,
    Encoder,
    imagenet_weights,
    new_model,
)


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return imagenet_weights()


def reference_features(weights: dict[str, torch.Tensor], x: torch.Tensor) -> list[torch.Tensor]:
    """EfficientNet-Lite0 read by the names in its file, batch norms unfolded."""

    def conv(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        weight = weights[f"{name}.weight"]
        total = weight.shape[2] - stride
        sides = [total // 2, total - total // 2] * 2
        groups = x.shape[1] // weight.shape[1]
        return F.conv2d(F.pad(x, sides), weight, stride=stride, groups=groups)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        w = {k: weights[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")}
        return F.batch_norm(x, **w, eps=1e-3)

    x = F.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    features = []
    for i in range(16):
        prefix = f"_blocks.{i}"
        y = x
        if f"{prefix}._expand_conv.weight" in weights:
            y = F.relu6(norm(conv(y, f"{prefix}._expand_conv"), f"{prefix}._bn0"))
        stride = 2 if i in (1, 3, 5, 11) else 1
        y = F.relu6(norm(conv(y, f"{prefix}._depthwise_conv", stride), f"{prefix}._bn1"))
        y = norm(conv(y, f"{prefix}._project_conv"), f"{prefix}._bn2")
        x = x + y if y.shape == x.shape else y
        if i in (0, 2, 4, 10, 15):
            features.append(x)
    return features


@torch.no_grad()
def test_encoder_equals_the_weight_file_read_by_name(weights: dict[str, torch.Tensor]) -> None:
    encoder = Encoder()
    encoder.load_imagenet(weights)
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    ours, expected = encoder(image), reference_features(weights, image)
    assert [f.shape for f in ours] == [f.shape for f in expected]
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


def test_encoder_refuses_weights_of_another_network(weights: dict[str, torch.Tensor]) -> None:
    fewer = {k: v for k, v in weights.items() if not k.startswith("_blocks.15.")}
    with pytest.raises(ValueError, match="has 46 convolutions"):
        Encoder().load_imagenet(fewer)
    wrong = dict(weights)
    wrong["_conv_stem.weight"] = torch.zeros(32, 3, 5, 5)
    with pytest.raises(ValueError, match=r"_conv_stem.weight has shape \(32, 3, 5, 5\)"):
        Encoder().load_imagenet(wrong)


@torch.no_grad()
def test_outputs_have_the_promised_stride_and_start_near_15_m() -> None:
    model = new_model(imagenet=False).eval()
    output = model(torch.zeros(2, 3, 96, 160))
    for plane in output:
        assert plane.shape == (2, 1, 96 // OUTPUT_STRIDE, 160 // OUTPUT_STRIDE)
    assert 5 < float(torch.exp(output.log_depth).median()) < 50
    assert float(output.sky.mean()) < 0


def test_size() -> None:
    assert sum(p.numel() for p in new_model(imagenet=False).parameters()) < 3.3e6
