from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import METADATA_KEY, ModelCard, card_path
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_training import export as exporting
from cloudypoints_training.evaluate import Scene, predict
from cloudypoints_training.export import (
    export,
    onnx_encoder,
    parity,
    session,
)
from cloudypoints_training.models.efficientnet_lite import (
    FOCAL_CANONICAL_PX,
    SKY_THRESHOLD,
    DepthNet,
    Output,
    new_model,
)
from cloudypoints_training.scene_stream import letterbox
from cloudypoints_training.scenes import draw


@pytest.fixture(scope="module")
def model() -> DepthNet:
    """ImageNet encoder and a decoder whose norms are not at their neutral start."""
    torch.manual_seed(0)
    model = new_model()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
    return model.eval()


@pytest.fixture(scope="module")
def exported(model: DepthNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "street.onnx"
    assert export(model, path, "street", {"data": "none"}) < 1e-3
    assert {p.name for p in path.parent.iterdir()} == {"street.onnx", "street.card.json"}
    return path


def test_onnxruntime_gives_pytorchs_numbers_at_another_size(model: DepthNet, exported: Path) -> None:
    image = np.random.default_rng(3).normal(0, 1, (1, 3, 160, 288)).astype(np.float32)
    outputs = session(onnx.load(exported)).run(None, {"image": image})
    with torch.no_grad():
        expected = model(torch.from_numpy(image))
    assert [o.shape for o in outputs] == [(1, 1, 80, 144)] * 3
    for ours, theirs in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-3)


def test_card_beside_and_inside_are_one_text(exported: Path) -> None:
    graph = onnx.load(exported)
    inside = {p.key: p.value for p in graph.metadata_props}[METADATA_KEY]
    assert card_path(exported).read_text() == inside
    card = ModelCard.from_json(inside)
    assert card.name == "street"
    assert card.output.canonical_focal_px == FOCAL_CANONICAL_PX
    assert card.output.quantity == "log_depth" and card.output.unit == "metre"
    assert card.input.size.opt == (320, 640) and card.input.size.multiple == 32
    names = {o.name for o in graph.graph.output}
    assert card.output.sky is not None
    assert names == {card.output.tensor, card.output.sky.tensor, card.output.log_variance}
    assert [i.name for i in graph.graph.input] == [card.input.tensor]


def test_padding_is_inside_the_convolutions(exported: Path) -> None:
    kinds = {n.op_type for n in onnx.load(exported).graph.node}
    assert "Pad" not in kinds and "BatchNormalization" not in kinds


def test_a_wrong_graph_is_not_written(model: DepthNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(graph: onnx.ModelProto) -> None:
        honest(graph)
        for node in graph.graph.node:
            for attribute in node.attribute:
                if attribute.name == "pads" and list(attribute.ints) == [0, 0, 1, 1]:
                    attribute.ints[:] = [1, 1, 0, 0]

    honest = exporting.fold_pads
    monkeypatch.setattr(exporting, "fold_pads", spoiled)
    with pytest.raises(CloudyPointsError, match="differs from PyTorch"):
        export(model, tmp_path / "bad.onnx", "bad", {})
    assert list(tmp_path.iterdir()) == []


@torch.no_grad()
def test_frozen_encoder_through_onnxruntime(model: DepthNet) -> None:
    image = torch.randn(3, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    ours = onnx_encoder(model.encoder, 1)(image)
    for a, b in zip(ours, model.encoder(image), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_parity_sees_other_weights(model: DepthNet, exported: Path) -> None:
    assert parity(new_model(), onnx.load(exported)) > 0.1


class Smooth(torch.nn.Module):
    """Depth and sky from the colours of blocks of 32 pixels: as smooth as what a trained network answers."""

    def forward(self, image: torch.Tensor) -> Output:
        blocks = F.interpolate(F.avg_pool2d(image, 32), scale_factor=16.0, mode="bilinear")
        return Output(2.5 + blocks[:, 0:1], SKY_THRESHOLD + 4 * blocks[:, 2:3], blocks[:, 1:2])


def test_scores_while_training_are_those_of_the_runtime(tmp_path: Path) -> None:
    """`evaluate.predict` and `Pipeline.depth` agree, letterbox, focal length and sky included."""
    drawn = draw(11, 569, 320)
    image, depth = letterbox(drawn.image, drawn.depth)
    model: Any = Smooth()
    ours = predict(model, Scene(image, depth, drawn.camera.fx))[:, 3 : 3 + 569]
    export(model, tmp_path / "smooth.onnx", "smooth", {})
    theirs = Pipeline.open(tmp_path / "smooth.onnx").depth(drawn.image, drawn.camera).depth
    assert 0.1 < np.isposinf(ours).mean() < 0.9
    assert (np.isposinf(ours) == np.isposinf(theirs)).mean() > 0.99
    both = np.isfinite(ours) & np.isfinite(theirs)
    assert np.median(np.abs(ours[both] / theirs[both] - 1)) < 0.01
