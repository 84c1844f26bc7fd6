from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.preprocess import place
from cloudypoints_training import scene_stream
from cloudypoints_training.evaluate import Scene, draw_scenes, predict, validator
from cloudypoints_training.export import SIZE
from cloudypoints_training.fit import (
    CHECKPOINT,
    Settings,
    averaged,
    fit,
    learning_rate,
    load_averaged,
    move_average,
    open_log,
    read_record,
    require_same,
    save,
    start,
)
from cloudypoints_training.models.efficientnet_lite import FOCAL_CANONICAL_PX, new_model
from cloudypoints_training.scene_stream import SceneStream, letterbox


@dataclass(frozen=True)
class Picture:
    image: Any
    depth: Any
    camera: Camera


def draw(seed: int, width: int, height: int, style: str | None = None) -> Picture:
    """A road to the horizon and one box whose height in the picture tells its distance."""
    rng = np.random.default_rng(seed)
    focal = width * rng.uniform(0.6, 1.2)
    horizon = height // 2
    rows = np.arange(height)[:, None].repeat(width, 1)
    depth = np.where(rows > horizon, 1.5 * focal / np.maximum(rows - horizon, 1), np.inf)
    image = np.full((height, width, 3), 200, np.uint8)
    image[horizon:] = 90
    distance = rng.uniform(4, 20)
    half = int(focal * 0.8 / distance)
    x = int(rng.integers(0, width - 8))
    box = np.s_[max(0, horizon - half) : horizon + half, x : x + half + 1]
    image[box] = rng.integers(0, 255, 3)
    depth[box] = distance
    depth[-2:] = np.nan
    camera = Camera(width, height, focal, focal, width / 2 - 0.5, height / 2 - 0.5)
    return Picture(image, depth.astype(np.float32), camera)


STREAM = SceneStream(draw, batch_pixels=3 * 96 * 64, pictures=((96, 64), (96, 40), (64, 64)))
SETTINGS = Settings(
    steps=8, batch_pixels=STREAM.batch_pixels, warmup_steps=2, workers=0, log_every=2, checkpoint_seconds=0.0
)


class Killed(Exception):
    pass


@dataclass(frozen=True)
class DyingStream(SceneStream):
    dies_at: int = 5

    def __getitem__(self, step: int) -> scene_stream.Batch:
        if step == self.dies_at:
            raise Killed
        return super().__getitem__(step)


def fresh() -> Any:
    torch.manual_seed(1)
    return new_model(imagenet=False)


def test_a_killed_run_resumes_to_the_same_parameters(tmp_path: Path) -> None:
    whole = fit(fresh(), STREAM, SETTINGS, tmp_path / "whole")
    dying = DyingStream(draw, batch_pixels=STREAM.batch_pixels, pictures=STREAM.pictures)
    with pytest.raises(Killed):
        fit(fresh(), dying, SETTINGS, tmp_path / "cut")
    assert json.loads((tmp_path / "cut/checkpoint.json").read_text())["step"] == 5
    torch.manual_seed(99)
    resumed = fit(new_model(imagenet=False), STREAM, SETTINGS, tmp_path / "cut", resume=True)
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    reloaded, record = load_averaged(tmp_path / "cut" / CHECKPOINT)
    assert record["step"] == 8
    for a, b in zip(whole.state_dict().values(), reloaded.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_it_learns_and_logs_and_leaves_the_encoder_alone(tmp_path: Path) -> None:
    model = new_model()
    before = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    scenes = draw_scenes(draw, None, 3)
    validate = validator(seen=[Scene(s.image, s.depth, s.focal_px) for s in scenes])
    settings = Settings(steps=60, warmup_steps=5, workers=0, log_every=5, validate_every=40)
    trained = fit(model, STREAM, settings, tmp_path, validate=validate)
    for k, v in trained.encoder.state_dict().items():
        assert torch.equal(v, before[k])
    lines = [json.loads(x) for x in (tmp_path / "log.jsonl").read_text().splitlines()]
    losses = [x["loss"] for x in lines if "loss" in x]
    assert losses[-1] < 0.7 * losses[0]
    assert [x["step"] for x in lines if "validation" in x] == [40, 60]
    assert lines[0]["images_per_s"] > 0


def test_workers_draw_the_same_batches_in_order() -> None:
    here = list(STREAM.batches(2, 5, workers=0))
    there = list(STREAM.batches(2, 5, workers=2))
    assert len(here) == len(there) == 3
    for a, b in zip(here, there, strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.target.nan_to_num(-1), b.target.nan_to_num(-1))


def test_batches_hold_canonical_log_depth_letterboxed() -> None:
    def flat(seed: int, width: int, height: int, style: str | None = None) -> Picture:
        depth = np.full((height, width), 12.0, np.float32)
        depth[:4] = np.inf
        camera = Camera(width, height, 250.0, 250.0, width / 2, height / 2)
        return Picture(np.full((height, width, 3), 33, np.uint8), depth, camera)

    batch = SceneStream(flat, batch_pixels=2 * 96 * 40, pictures=((96, 40),))[0]
    assert batch.image.shape == (2, 64, 96, 3) and batch.target.shape == (2, 1, 32, 48)
    assert (batch.image[:, 12:52] == 33).all()
    assert (batch.image[:, :12] == 127).all() and (batch.image[:, 52:] == 127).all()
    assert torch.isnan(batch.target[:, :, :6]).all() and torch.isnan(batch.target[:, :, 26:]).all()
    assert torch.isposinf(batch.target[:, :, 6:8]).all()
    expected = math.log(12.0 * FOCAL_CANONICAL_PX / 250.0)
    assert float(batch.target[:, :, 8:26].sub(expected).abs().max()) < 1e-5


def test_flip_keeps_image_and_truth_together() -> None:
    def halves(seed: int, width: int, height: int, style: str | None = None) -> Picture:
        image = np.zeros((height, width, 3), np.uint8)
        image[:, : width // 2] = 255
        depth = np.where(image[..., 0] > 0, 5.0, 50.0).astype(np.float32)
        return Picture(image, depth, Camera(width, height, 500.0, 500.0, 1.0, 1.0))

    stream = SceneStream(halves, batch_pixels=16 * 64 * 64, pictures=((64, 64),))
    batch = stream[0]
    bright = batch.image[:, ::2, ::2, 0][:, None] > 0
    near = batch.target < math.log(20.0)
    assert torch.equal(bright, near)
    flipped = int((~near[:, 0, 0, 0]).sum())
    assert 0 < flipped < len(near)


def test_prediction_scales_with_the_focal_length() -> None:
    model = new_model(imagenet=False).eval()
    image = np.full((64, 96, 3), 90, np.uint8)
    depth = np.ones((64, 96), np.float32)
    one, two = (predict(model, Scene(image, depth, f)) for f in (300.0, 600.0))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5)


def test_the_average_follows_quickly_at_first_then_slowly() -> None:
    state = start(new_model(imagenet=False), SETTINGS)
    name = "head.weight"
    with torch.no_grad():
        state.model.decoder.head.weight.add_(1.0)
    before = state.average[name].clone()
    state.step = 10
    move_average(state, 0.998)
    torch.testing.assert_close(state.average[name] - before, torch.full_like(before, 0.5))
    state.step, state.average[name] = 10**6, before.clone()
    move_average(state, 0.998)
    torch.testing.assert_close(state.average[name] - before, torch.full_like(before, 0.002))
    model = averaged(state)
    assert not model.training
    assert torch.equal(model.decoder.head.weight, state.average[name])


def test_learning_rate_warms_up_and_anneals() -> None:
    settings = Settings(steps=1000, warmup_steps=100, learning_rate=1e-3)
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5, rel=0.01)
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[-1] == pytest.approx(1e-5, rel=0.05)


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    held = open_log(tmp_path)
    with pytest.raises(CloudyPointsError, match="Another run is writing to"):
        open_log(tmp_path)
    held.close()
    open_log(tmp_path).close()


def test_a_run_is_resumed_with_its_own_settings_only(tmp_path: Path) -> None:
    fit(fresh(), STREAM, SETTINGS, tmp_path)
    assert read_record(tmp_path / CHECKPOINT)["settings"]["batch_pixels"] == STREAM.batch_pixels
    other = dataclasses.replace(SETTINGS, steps=16, batch_pixels=7, weight_decay=0.5, seed=3)
    with pytest.raises(CloudyPointsError) as caught:
        fit(fresh(), STREAM, other, tmp_path, resume=True)
    assert str(caught.value) == (
        f"The run in {tmp_path} was started with --steps 8 but now 16, --seed 0 but now 3, "
        "--batch-pixels 18432 but now 7, weight_decay 0.01 but now 0.5; "
        "repeat the flags of the run, or start another folder."
    )
    for name, value in {"learning_rate": 1.0, "warmup_steps": 3, "gradient_norm": 9.0, "average_decay": 0.5}.items():
        with pytest.raises(CloudyPointsError, match=f"{value:g}"):
            require_same(dataclasses.replace(SETTINGS, **{name: value}), tmp_path / CHECKPOINT)
    # How the work is spread and how often it is logged change no weight.
    require_same(dataclasses.replace(SETTINGS, workers=5, threads=2, log_every=7), tmp_path / CHECKPOINT)


def test_records_without_batch_pixels_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = dataclasses.asdict(SETTINGS)
    del recorded["batch_pixels"]
    with monkeypatch.context() as patch:
        patch.setattr(dataclasses, "asdict", lambda settings: recorded)
        save(start(fresh(), SETTINGS), SETTINGS, tmp_path / CHECKPOINT)
    _, record = load_averaged(tmp_path / CHECKPOINT)
    assert record["settings"] == recorded
    require_same(SETTINGS, tmp_path / CHECKPOINT)


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    model = fresh()
    with torch.no_grad():
        model.decoder.head.weight.fill_(torch.nan)
    with pytest.raises(CloudyPointsError, match=r"gradient is nan at step 0 .* lower --learning-rate"):
        fit(model, STREAM, SETTINGS, tmp_path)


def test_validation_leaves_out_scenes_without_truth() -> None:
    model = start(fresh(), SETTINGS).model.eval()
    known = draw_scenes(draw, None, 1)[0]
    sky = Scene(known.image, np.full_like(known.depth, np.inf), known.focal_px)
    scores = validator(a=[known], b=[sky, known])(model)
    assert scores["a_raw"] == scores["b_raw"] > 0


@pytest.mark.parametrize("size", [(640, 320), (569, 320), (640, 193), (427, 320)])
def test_letterbox_is_that_of_the_runtime(size: tuple[int, int]) -> None:
    width, height = size
    image, depth = letterbox(np.full((height, width, 3), 9, np.uint8), np.ones((height, width), np.float32))
    rows, columns = np.nonzero(np.isfinite(depth))
    placement = place(width, height, SIZE, "letterbox")
    assert image.shape[:2] == depth.shape == (placement.height, placement.width)
    assert (columns.min(), rows.min()) == (placement.left, placement.top)
    assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == (placement.image_width, placement.image_height)
    assert (placement.image_width, placement.image_height) == size
