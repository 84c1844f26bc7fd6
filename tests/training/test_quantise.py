"""Static 8-bit quantisation, of a network that is trained a little so that its scores mean something."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_run import draw, fresh

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import ModelCard, card_path
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_training.checkpoint import save
from cloudypoints_training.cli import main
from cloudypoints_training.commands.export import calibration_images, validation_scenes
from cloudypoints_training.evaluation.validation import Scene, predict, validator
from cloudypoints_training.export import Exported, trace
from cloudypoints_training.losses import canonical_log_depth, total
from cloudypoints_training.models.efficientnet_lite import DepthNet, new_model
from cloudypoints_training.onnx_graph import session
from cloudypoints_training.quantise import (
    FIRST,
    LAST,
    Change,
    OnnxModel,
    change,
    export_int8,
    quantised,
    require_little,
)
from cloudypoints_training.scenes import HELD_OUT_STYLES
from cloudypoints_training.settings import Settings
from cloudypoints_training.state import start

WIDTH, HEIGHT = 96, 64
CPU = Path("/proc/cpuinfo")


def scenes(first: int, count: int, times: float = 1.0) -> list[Scene]:
    """Drawn scenes, said to be so many times as far as they are."""
    drawn = (draw(seed, WIDTH, HEIGHT) for seed in range(first, first + count))
    return [Scene(s.image, s.depth * np.float32(times), s.camera.fx) for s in drawn]


@pytest.fixture(scope="module")
def model() -> DepthNet:
    """ImageNet encoder, and a decoder that has seen the road and the box a few times."""
    torch.manual_seed(0)
    net = new_model().train()
    net.accelerate(1)
    optimizer = torch.optim.AdamW([p for _, p in net.learned()], lr=3e-3)
    for step in range(40):
        batch = scenes(1000 + 4 * step, 4)
        depths = (torch.from_numpy(np.ascontiguousarray(s.depth[::2, ::2])) for s in batch)
        target = torch.stack([canonical_log_depth(d, s.focal_px) for d, s in zip(depths, batch, strict=True)])[:, None]
        image = net.normalise(torch.from_numpy(np.stack([s.image for s in batch])))
        loss, _ = total(net(image), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def inputs(net: DepthNet, first: int, count: int) -> list[np.ndarray]:
    return [net.normalise(torch.from_numpy(s.image)[None]).contiguous().numpy() for s in scenes(first, count)]


@pytest.fixture(scope="module")
def graphs(model: DepthNet) -> tuple[onnx.ModelProto, onnx.ModelProto]:
    graph, _ = trace(model)
    return graph, quantised(graph, inputs(model, 0, 12))


def test_most_convolutions_are_in_8_bits_per_channel(graphs: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    before, after = graphs
    assert after.ByteSize() < 0.35 * before.ByteSize()
    producer = {out: node for node in after.graph.node for out in node.output}
    stored = {i.name: i for i in after.graph.initializer}
    convolutions = [n for n in after.graph.node if n.op_type == "Conv"]
    whole = [n.name for n in convolutions if n.input[1] in stored]
    assert len(convolutions) == 71 and len(whole) == FIRST + LAST
    assert whole[0].endswith("stem/Conv") and whole[-1].endswith("head/Conv")
    for node in convolutions:
        if node.name in whole:
            continue
        weight = producer[node.input[1]]
        assert weight.op_type == "DequantizeLinear"
        assert stored[weight.input[0]].data_type == onnx.TensorProto.INT8
        assert list(stored[weight.input[1]].dims) == [stored[weight.input[0]].dims[0]]  # a scale for each channel


def test_the_answer_is_nearly_the_same(model: DepthNet, graphs: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    before, after = graphs
    image = inputs(model, 500, 1)[0]
    one, other = (session(g).run(["log_depth"], {"image": image})[0] for g in graphs)
    assert one.std() > 0.1
    gap = np.abs(one - other)
    assert 1e-4 < gap.mean() < 0.1
    # Not in steps: the last convolution is in float32.
    assert len(np.unique(other)) > 0.5 * other.size
    assert before.graph.output[0].name == after.graph.output[0].name


def test_a_graph_scores_as_its_network(model: DepthNet, graphs: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    sets = {"one": scenes(600, 3), "two": scenes(700, 2)}
    score = validator(**sets)
    graph_score = score(OnnxModel(graphs[0], model, 1))
    assert graph_score == pytest.approx(score(model), rel=1e-3)
    np.testing.assert_allclose(
        predict(OnnxModel(graphs[0], model, 1), sets["one"][0]), predict(model, sets["one"][0]), rtol=1e-3
    )
    found = change(model, *graphs, sets)
    assert found.scenes == 5
    assert found.before == pytest.approx((graph_score["one_raw"] + graph_score["two_raw"]) / 2)
    after = score(OnnxModel(graphs[1], model, 1))
    assert found.after == pytest.approx((after["one_raw"] + after["two_raw"]) / 2) and found.after != found.before


def test_a_change_of_two_percent_is_refused() -> None:
    assert Change(8, 0.2, 0.21).share == pytest.approx(0.05)
    for after in (0.2, 0.2039, 0.1961):
        require_little(Change(8, 0.2, after))
    for after, words in ((0.206, r"\+3\.0%"), (0.195, r"-2\.5%"), (float("nan"), r"\+nan%")):
        with pytest.raises(CloudyPointsError, match=rf"on 8 drawn scenes from 0\.2000 to .* \({words}\); less than 2%"):
            require_little(Change(8, 0.2, after))


@pytest.mark.skipif(
    not {"avx_vnni", "avx512_vnni", "asimddp"} & set(CPU.read_text().split() if CPU.exists() else []),
    reason="without VNNI sums of 8-bit products saturate, and the scores are others",
)
def test_it_is_written_with_its_figures_or_not_at_all(model: DepthNet, tmp_path: Path) -> None:
    path = tmp_path / "int8.onnx"
    given = (model, path, "int8", {"data": "boxes"})
    # Calibrated on black pictures, everything brighter is clipped.
    black = [np.full((1, 3, HEIGHT, WIDTH), -127 / 128, np.float32)] * 2
    with pytest.raises(CloudyPointsError, match="Quantisation moves AbsRel on 4 drawn scenes"):
        export_int8(*given, black, {"all": scenes(800, 4)}, (HEIGHT, WIDTH))
    assert list(tmp_path.iterdir()) == []
    # Against truth far beyond every answer, AbsRel hardly depends on how this little network was trained.
    far = {"all": scenes(800, 4, times=8)}
    done, found = export_int8(*given, inputs(model, 0, 12), far, (HEIGHT, WIDTH))
    assert isinstance(done, Exported) and done.megabytes < 4.5 and abs(found.share) < 0.02
    card = ModelCard.from_json(card_path(path).read_text())
    assert card.provenance["precision"] == "int8" and card.provenance["int8"] == str(found)
    scene = draw(900, WIDTH, HEIGHT)
    depth = Pipeline.open(path).depth(scene.image, scene.camera).depth
    known = np.isfinite(depth) & np.isfinite(scene.depth)
    assert known.mean() > 0.3
    assert np.median(np.abs(depth[known] / scene.depth[known] - 1)) < 0.5


def test_a_network_without_enough_convolutions_is_refused() -> None:
    node = onnx.helper.make_node("Relu", ["image"], ["log_depth"])
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3, "h", "w"])
        for name in ("image", "log_depth")
    ]
    graph = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", ends[:1], ends[1:]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=9,
    )
    with pytest.raises(CloudyPointsError, match="has 0 convolutions and 4 of them stay in float32"):
        quantised(graph, [np.zeros((1, 3, 32, 32), np.float32)])


def test_the_command_says_what_int8_moves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of an untrained network: refused or written, with the figure."""
    path = tmp_path / "checkpoint.safetensors"
    save(start(fresh(), Settings()), Settings(), None, path)
    out = tmp_path / "int8.onnx"
    flags = ["--int8", "--fixed", "64x96", "--calibration", "2", "--validation-scenes", "1"]
    code = main(["export", str(path), str(out), *flags])
    said = capsys.readouterr()
    assert f"AbsRel on {1 + len(HELD_OUT_STYLES)} drawn scenes from 0." in (said.out if code == 0 else said.err)
    assert out.exists() == (code == 0) and code in (0, 2)


def test_calibration_and_validation_share_no_scene() -> None:
    net = fresh()
    images = calibration_images(net, (64, 96), 2)
    assert [i.shape for i in images] == [(1, 3, 64, 96)] * 2 and images[0].dtype == np.float32
    sets = validation_scenes((64, 96), 2)
    assert "seen" in sets and len(sets) > 1 and all(len(each) == 2 for each in sets.values())
    for each in sets.values():
        for scene in each:
            assert scene.image.shape == (64, 96, 3)
            image = net.normalise(torch.from_numpy(scene.image)[None]).numpy()
            assert all(np.abs(image - other).max() > 0.01 for other in images)
