"""Networks in evaluation: a checkpoint scores as its export, and validation as the runtime would."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cloudypoints_ros.camera import Camera
from cloudypoints_training.checkpoint import save
from cloudypoints_training.cli import main
from cloudypoints_training.evaluation.predictors import PipelinePredictor, open_predictor
from cloudypoints_training.evaluation.torch_engine import TorchEngine
from cloudypoints_training.evaluation.validation import Scene, draw_scenes, predict, validator
from cloudypoints_training.export import export, make_card
from cloudypoints_training.models import DepthModel, InputSpec, Output
from cloudypoints_training.models.efficientnet_lite import new_model
from cloudypoints_training.sample import Sample
from cloudypoints_training.settings import Settings
from cloudypoints_training.state import State, changing
from cloudypoints_training.stream import VALIDATION_SEED

CAMERA = Camera(150, 70, 140.0, 140.0, 74.5, 34.5)


class Brightness(DepthModel):
    """Log depth is the red channel, uncertain where blue; no sky. Sides are multiples of 14."""

    input = InputSpec((0.0, 0.0, 0.0), (100.0, 100.0, 100.0), 14)
    output_stride = 2
    canonical_focal_px = 70.0

    def __init__(self) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"kind": "brightness"}
        self.unused = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Output:
        assert image.shape[2] % 14 == 0 and image.shape[3] % 14 == 0
        small = torch.nn.functional.avg_pool2d(image, 2)
        return Output(small[:, :1], None, small[:, 2:])


def picture(seed: int = 0) -> np.ndarray:
    """Smooth, so that sizes matter little."""
    v, u = np.mgrid[:70, :150]
    waves = [np.sin(u / 40 + v / 20 + seed), np.cos(v / 25), np.sin((u + v) / 50)]
    return np.stack([120 + 60 * w for w in waves], 2).astype(np.uint8)


def sample(image: np.ndarray, depth: np.ndarray | None = None) -> Sample:
    depth = np.full((70, 150), 10.0, np.float32) if depth is None else depth
    return Sample(image, depth, CAMERA, "a_0", "a")


def test_a_checkpoint_scores_as_its_export(tmp_path: Path) -> None:
    model = new_model(imagenet=False)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():  # so that it says something
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator) * parameter.data.std().nan_to_num(1)
    now = changing(model)
    average = {name: tensor.clone() for name, tensor in now.items()}
    state = State(0, 0, 0.0, model, now, average, torch.optim.AdamW(model.parameters()))
    save(state, Settings(), None, tmp_path / "checkpoint.safetensors")
    export(model.eval(), tmp_path / "m.onnx", "m", {})
    image = sample(picture())
    theirs = open_predictor(tmp_path / "m.onnx")(image)
    ours = open_predictor(tmp_path / "checkpoint.safetensors")(image)
    assert ours.depth.shape == theirs.depth.shape == (70, 150)
    assert ours.log_variance is not None and theirs.log_variance is not None
    np.testing.assert_allclose(ours.depth, theirs.depth, rtol=1e-3)
    np.testing.assert_allclose(ours.log_variance, theirs.log_variance, atol=1e-3)


def test_any_network_goes_through_the_runtimes_pipeline() -> None:
    model = Brightness()
    engine = TorchEngine(model, 0)
    card = make_card(model, "any", {}, {"log_depth", "log_variance"})
    assert card.output.sky is None and card.output.log_variance == "log_variance"
    assert card.input.size.opt == (322, 644) and card.input.mean == (0, 0, 0)
    found = PipelinePredictor(card, engine, engine.variance)(sample(picture()))
    red, blue = (picture()[..., i].astype(float) for i in (0, 2))
    # The network sees the picture 644 / 150 times as large, so that f is 140 * 644 / 150 there.
    expected = np.exp(red / 100) * (140 * 644 / 150) / 70
    np.testing.assert_allclose(found.depth, np.clip(expected, 0.5, 150), rtol=0.02)
    assert found.log_variance is not None
    np.testing.assert_allclose(found.log_variance, blue / 100, atol=0.03)


def test_validation_predicts_without_resizing() -> None:
    image = picture()[:65, :147]  # padded on every side
    depth = predict(Brightness(), Scene(image, np.zeros((65, 147), np.float32), 140.0))
    assert depth.shape == (65, 147) and depth.dtype == np.float32
    expected = np.exp(image[..., 0] / 100) * 140 / 70
    np.testing.assert_allclose(depth[4:-4, 4:-4], expected[4:-4, 4:-4], rtol=0.02)


def test_validator_scores_each_set_and_leaves_out_what_has_no_truth() -> None:
    images = [picture(seed) for seed in range(3)]
    truths = [(np.exp(image[..., 0] / 100) * 2).astype(np.float32) for image in images]
    right = [Scene(i, t, 140.0) for i, t in zip(images, truths, strict=True)]
    far = [Scene(i, t / 1.5, 140.0) for i, t in zip(images, truths, strict=True)]
    nothing = [Scene(images[0], np.full((70, 150), np.nan, np.float32), 140.0)]
    scores = validator(right=right + nothing, far=far)(Brightness())
    assert set(scores) == {"right_raw", "right_scaled", "far_raw", "far_scaled"}
    assert scores["right_raw"] < 0.02 and scores["far_raw"] == pytest.approx(0.5, abs=0.03)
    assert scores["far_scaled"] < 0.02


def test_validation_scenes_are_drawn_from_their_own_seeds() -> None:
    seen = []

    def draw(seed: int, width: int, height: int, style: str | None = None) -> Sample:
        seen.append((seed, width, height, style))
        return Sample(np.zeros((height, width, 3), np.uint8), np.ones((height, width), np.float32), CAMERA)

    scenes = draw_scenes(draw, "oldtown", 4)
    assert [s[0] for s in seen] == [VALIDATION_SEED + i for i in range(4)]
    assert {s[3] for s in seen} == {"oldtown"} and seen[0][1:3] == seen[3][1:3] != seen[1][1:3]
    assert scenes[0].focal_px == 140 and scenes[1].depth.shape == seen[1][2:0:-1]


def test_variance_is_reported(tmp_path: Path) -> None:
    """Through the command, with a real network: coverage is a share, and pictures and tables show it."""
    model = tmp_path / "m.onnx"
    export(new_model(imagenet=False), model, "m", {})
    out = tmp_path / "out"
    from test_evaluate import write_pair

    write_pair(tmp_path / "data/a_0", np.random.default_rng(0).uniform(2, 60, (64, 96)))
    assert main(["evaluate", str(model), str(tmp_path / "data"), "-o", str(out), "--bootstrap", "0"]) == 0
    record = json.loads((out / "evaluation.json").read_text())
    known = record["calibration"]
    assert known["images"] == 1 and all(0 <= share <= 1 for share in known["coverage"])
    assert known["coverage"] == sorted(known["coverage"])
    predicted = open_predictor(model)
    assert isinstance(predicted, PipelinePredictor)
    assert known["curve"][0] == pytest.approx(record["mean_over_sources"]["raw"]["abs_rel"], rel=0.05)
    assert math.isfinite(record["mean_over_sources"]["calibration"]["ause"])
    assert (out / "calibration.png").is_file() and "Laplace interval" in (out / "evaluation.md").read_text()
