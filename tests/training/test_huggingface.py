"""Networks of `transformers`, the real classes with few weights: read from a folder, trained, exported, compared."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_networks import NETWORKS, network, write_folder, zoedepth
from transformers import AutoModelForDepthEstimation, BertConfig, BertModel

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_training.checkpoint import save
from cloudypoints_training.cli import main
from cloudypoints_training.export import export
from cloudypoints_training.losses import total
from cloudypoints_training.models import build, create
from cloudypoints_training.models.huggingface import FARTHEST_M, HuggingFaceDepth, load
from cloudypoints_training.onnx_graph import session
from cloudypoints_training.settings import Settings
from cloudypoints_training.state import start
from cloudypoints_training.tensorrt import obstacles

CASES = list(NETWORKS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("networks")
    return {name: write_folder(root / name, name) for name in CASES}


def picture(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """uint8 1 x H x W x 3."""
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (1, height, width, 3)).astype(np.uint8))


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_a_folder_becomes_a_network_with_its_numbers(folders: dict[str, Path], name: str) -> None:
    _, processor, multiple, metric = NETWORKS[name]
    model = load(str(folders[name]))
    assert model.input.multiple == multiple and model.metric == metric and model.output_stride == 1
    assert model.licence == "apache-2.0" and model.config["source"] == name
    image = picture(2 * multiple, 2 * multiple)
    # As the image processor normalises: rescaled to 0 .. 1, then by mean and deviation.
    mean, std = (np.array(processor.get(k, v)) for k, v in (("image_mean", 0.0), ("image_std", 1.0)))
    pixels = torch.from_numpy(((image[0].numpy() / 255 - mean) / std).astype(np.float32)).permute(2, 0, 1)[None]
    torch.testing.assert_close(model.normalise(image), pixels, rtol=1e-4, atol=1e-4)
    original = AutoModelForDepthEstimation.from_pretrained(folders[name]).eval()
    # Square and of the size it was made for, `transformers` itself can answer, too.
    if name == "dpt_hybrid":
        pixels = pixels[:, :, :32, :32]
    expected = original(pixel_values=pixels).predicted_depth[:, None]
    if name == "dpt_dinov2":  # answers 16 pixels for each patch of 14
        assert expected.shape[2] == pixels.shape[2] * 16 // 14
        expected = torch.nn.functional.interpolate(expected, pixels.shape[2:], mode="bilinear")
    assert expected.std() > 1e-4
    torch.testing.assert_close(model.answer(pixels), expected, rtol=1e-4, atol=1e-4)
    ours = torch.exp(model(pixels).log_depth)
    if metric:
        torch.testing.assert_close(ours, expected.clamp(min=1e-3), rtol=1e-3, atol=1e-4)
    else:
        assert (ours <= FARTHEST_M).all()
        near = expected > 0.05
        assert near.float().mean() > 0.5
        torch.testing.assert_close(ours[near], 1 / expected[near], rtol=0.01, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_any_multiple_is_a_size_and_pictures_do_not_mix(folders: dict[str, Path], name: str) -> None:
    model = load(str(folders[name]))
    unit = model.input.multiple
    images = torch.cat([picture(2 * unit, 3 * unit, seed) for seed in range(2)])
    output = model(model.normalise(images))
    assert output.log_depth.shape == (2, 1, 2 * unit, 3 * unit) and output.sky is None and output.log_variance is None
    assert torch.isfinite(output.log_depth).all()
    alone = model(model.normalise(images[1:])).log_depth
    torch.testing.assert_close(output.log_depth[1:], alone, rtol=1e-4, atol=1e-4)
    if name != "zoedepth":  # its random bins answer nearly the same everywhere
        assert (output.log_depth[0] - output.log_depth[1]).abs().max() > 1e-3


@torch.no_grad()
@pytest.mark.parametrize("name", CASES)
def test_its_configuration_rebuilds_it_without_the_folder(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    shutil.copytree(folders[name], tmp_path / "gone")
    model = load(str(tmp_path / "gone"), sky_beyond_m=90.0)
    shutil.rmtree(tmp_path / "gone")
    text = json.dumps(model.config)
    assert str(tmp_path) not in text
    again = build(json.loads(text)).eval()
    again.load_state_dict(model.state_dict())
    assert again.config == json.loads(text) == model.config and again.input == model.input
    image = model.normalise(picture(3 * model.input.multiple, 2 * model.input.multiple))
    for ours, theirs in zip(again(image)[:2], model(image)[:2], strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", ["depth_anything_metric", "dpt_hybrid", "glpn"])
def test_fine_tuning_lowers_the_loss(folders: dict[str, Path], name: str) -> None:
    model = load(str(folders[name])).train()
    images = model.normalise(picture(2 * model.input.multiple, 2 * model.input.multiple))
    target = torch.full((1, 1, *images.shape[2:]), 3.0)
    frozen = set(model.pretrained())
    assert frozen and all(key.startswith("network.") for key in frozen)
    model.freeze_encoder()
    before = copy.deepcopy(model.state_dict())
    assert frozen.isdisjoint(key for key, _ in model.learned())
    optimizer = torch.optim.AdamW([p for _, p in model.learned()], lr=1e-4)
    losses = []
    for _ in range(3):  # what the third finds is what two steps have made
        loss, _ = total(model(images), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert "log_factor" in changed and changed.isdisjoint(frozen)
    model.freeze_encoder(False)
    loss, _ = total(model(images), target)
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for key, p in model.named_parameters() if key in frozen)


@torch.no_grad()
def test_alignment_finds_the_metres(folders: dict[str, Path]) -> None:
    """Of depths that are a known function of the answer."""
    image_of = {name: load(str(folders[name])) for name in ("glpn", "dpt")}
    for name, model in image_of.items():
        image = model.normalise(picture(64, 96))
        answer = model.answer(image)[0, 0]
        truth = 0.3 * answer if name == "glpn" else 1 / (0.05 * answer + 0.02)
        truth[:5], truth[5:9] = torch.inf, torch.nan  # sky and unknown
        model.align([(image, truth)])
        known = torch.isfinite(truth)
        found = torch.exp(model(image).log_depth[0, 0])
        torch.testing.assert_close(found[known], truth[known], rtol=5e-3, atol=0)
    dpt = image_of["dpt"]
    assert dpt.shift is not None and dpt.shift.item() == pytest.approx(0.02, rel=0.05)
    with pytest.raises(CloudyPointsError, match="No pixel to align with"):
        dpt.align([(image, torch.full((64, 96), torch.nan))])


@torch.no_grad()
def test_alignment_survives_a_network_that_knows_nothing(folders: dict[str, Path]) -> None:
    model = load(str(folders["dpt"]))
    image = model.normalise(picture(64, 64))
    answer = model.answer(image)[0, 0]
    truth = 5 + 20 * (answer - answer.min()) / (answer.max() - answer.min())  # far where it says near
    model.align([(image, truth)])
    found = torch.exp(model(image).log_depth)
    assert 0.3 < (found.median() / truth.median()).item() < 3


@torch.no_grad()
def test_inverse_depth_keeps_a_gradient_at_infinity(folders: dict[str, Path]) -> None:
    model = load(str(folders["dpt"]))
    assert model.shift is not None
    model.shift.fill_(-100.0)
    with torch.enable_grad():
        depth = model.to_log_depth(torch.zeros(1))
        assert torch.exp(depth).item() == pytest.approx(FARTHEST_M, rel=1e-3)
        model.shift.data.fill_(-1 / FARTHEST_M)
        depth = model.to_log_depth(torch.zeros(1))
        depth.backward()
    assert model.shift.grad is not None and model.shift.grad.abs() > 1


@torch.no_grad()
def test_sky_beyond_a_depth(folders: dict[str, Path]) -> None:
    model = load(str(folders["glpn"]), sky_beyond_m=40.0)
    output = model(model.normalise(picture(64, 64)))
    assert output.sky is not None
    assert torch.equal(output.sky > model.sky_threshold, output.log_depth > np.log(40.0))
    assert 0 < (output.sky > 0).float().mean() < 1


@pytest.mark.parametrize("name", CASES)
def test_export_gives_the_same_metres(folders: dict[str, Path], name: str, tmp_path: Path) -> None:
    model = load(str(folders[name]), canonical_focal_px=400.0)
    unit = model.input.multiple
    size = (2 * unit, 3 * unit)
    done = export(model, tmp_path / "net.onnx", "net", {"data": "none"}, fixed=size)
    assert done.size == size and set(done.differences) == {"log_depth"}
    graph = onnx.load(tmp_path / "net.onnx")
    assert obstacles(graph) == []
    pipeline = Pipeline.open(tmp_path / "net.onnx")
    card = pipeline.card
    assert card.licence == "apache-2.0" and card.output.canonical_focal_px == 400 and card.output.sky is None
    assert card.input.size.fixed and card.input.size.opt == size and card.provenance["data"] == "none"
    image = picture(*size, seed=5)
    camera = Camera(size[1], size[0], 600.0, 600.0, size[1] / 2, size[0] / 2)
    depth = pipeline.depth(image[0].numpy(), camera).depth
    with torch.no_grad():
        expected = torch.exp(model(model.normalise(image)).log_depth[0, 0]) * 600 / 400
    np.testing.assert_allclose(depth, np.clip(expected.numpy(), *model.range_m), rtol=2e-3)


def test_export_in_float16(folders: dict[str, Path], tmp_path: Path) -> None:
    model = load(str(folders["depth_anything_metric"]))
    done = export(model, tmp_path / "half.onnx", "half", {}, precision="half", fixed=(56, 84))
    assert done.differences["log_depth"].largest < 0.05
    graph = onnx.load(tmp_path / "half.onnx")
    weights = {i.data_type for i in graph.graph.initializer if len(i.dims) > 1 and np.prod(i.dims) > 64}
    assert weights == {onnx.TensorProto.FLOAT16}
    image = model.normalise(picture(56, 84)).contiguous()
    with torch.no_grad():
        expected = model(image).log_depth.numpy()
    np.testing.assert_allclose(session(graph).run(None, {"image": image.numpy()})[0], expected, atol=0.05)


def test_without_a_size_it_takes_the_preferred_one(folders: dict[str, Path], tmp_path: Path) -> None:
    done = export(load(str(folders["glpn"])), tmp_path / "net.onnx", "net", {})
    assert done.size == (320, 640) and "640x320 only" in str(done)


def test_what_cannot_be_loaded_is_said(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no retries where there is no network
    with pytest.raises(CloudyPointsError, match=r"nobody/nothing cannot be loaded.*give a local folder"):
        load("nobody/nothing")
    with pytest.raises(CloudyPointsError, match=r"folder must hold config\.json"):
        load(str(tmp_path))
    bert = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=9)
    BertModel(bert).save_pretrained(tmp_path / "bert")
    with pytest.raises(CloudyPointsError, match="a model of the kind bert; expected a depth network of one of"):
        load(str(tmp_path / "bert"))
    network(zoedepth(heads=2)).save_pretrained(tmp_path / "zoe2")
    with pytest.raises(CloudyPointsError, match="chooses between 2 heads"):
        load(str(tmp_path / "zoe2"))
    bare = shutil.copytree(folders["glpn"], tmp_path / "bare")
    (bare / "preprocessor_config.json").unlink()
    with pytest.raises(CloudyPointsError, match=r"bare cannot be loaded .*preprocessor_config\.json"):
        load(str(bare))
    torn = shutil.copytree(folders["glpn"], tmp_path / "torn")
    (torn / "model.safetensors").write_bytes((torn / "model.safetensors").read_bytes()[:100])
    with pytest.raises(CloudyPointsError, match="torn cannot be loaded"):
        load(str(torn))


def test_weights_that_are_not_there_are_said(folders: dict[str, Path], tmp_path: Path) -> None:
    """The backbone alone, saved under the name of the whole."""
    folder = shutil.copytree(folders["glpn"], tmp_path / "backbone")
    model = AutoModelForDepthEstimation.from_pretrained(folder)
    model.glpn.save_pretrained(folder)
    with pytest.raises(CloudyPointsError, match=r"no weights for \d+ tensors"):
        load(str(folder))


def test_a_licence_that_nobody_says(tmp_path: Path) -> None:
    write_folder(tmp_path / "plain", "glpn", readme=None)
    assert load(str(tmp_path / "plain")).licence == "unknown: plain says none"
    write_folder(tmp_path / "own", "glpn", readme="---\nlicense: other\nlicense_name: research-only\n---\n")
    assert load(str(tmp_path / "own")).licence == "research-only"


def test_created_by_name_it_starts_in_metres(folders: dict[str, Path]) -> None:
    model = create(f"hf:{folders['dpt']}", scenes=1)
    assert isinstance(model, HuggingFaceDepth) and model.training and model.log_factor.item() != 0
    image = model.normalise(picture(64, 96))
    assert 2 < torch.exp(model(image).log_depth).median().item() < 80


def test_a_run_is_saved_and_exported_by_the_command(folders: dict[str, Path], tmp_path: Path) -> None:
    model = load(str(folders["glpn"]), canonical_focal_px=300.0)
    with torch.no_grad():
        model.log_factor.fill_(0.3)
    settings = Settings(encoder_rate=0.1)
    save(start(model, settings), settings, None, tmp_path / "checkpoint.safetensors")
    out = tmp_path / "net.onnx"
    assert main(["export", str(tmp_path / "checkpoint.safetensors"), str(out), "--fixed", "64x96"]) == 0
    card = Pipeline.open(out).card
    assert card.licence == "apache-2.0" and card.output.canonical_focal_px == 300
    assert card.provenance["encoder"] == "glpn glpn (apache-2.0), learning rate times 0.1"
    image = model.eval().normalise(picture(64, 96)).contiguous()
    with torch.no_grad():
        expected = model(image).log_depth.numpy()
    np.testing.assert_allclose(session(onnx.load(out)).run(None, {"image": image.numpy()})[0], expected, atol=1e-3)


def test_transformers_that_is_not_installed_is_said(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    config = load(str(folders["glpn"])).config
    monkeypatch.setitem(sys.modules, "transformers", None)  # as if it were not
    for attempt in (lambda: load("any/name"), lambda: build(config)):
        with pytest.raises(CloudyPointsError, match=r"pip install cloudypoints_training\[huggingface\]"):
            attempt()
