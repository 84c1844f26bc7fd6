"""The training loop: that it learns, what it writes, and that nothing is lost when it breaks off."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tiny_run import IMAGES, Tiny, draw, fresh, same
from torch import nn

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training import scenes
from cloudypoints_training.checkpoint import CHECKPOINT, load_averaged, read_record, restore, save
from cloudypoints_training.evaluation.validation import Scene, validator
from cloudypoints_training.fit import fit
from cloudypoints_training.journal import forget_after, open_log
from cloudypoints_training.look import FAR_M, NEAR_M, coloured, viewer
from cloudypoints_training.models.efficientnet_lite import new_model
from cloudypoints_training.scenes import HELD_OUT_STYLES
from cloudypoints_training.settings import Settings, require_same
from cloudypoints_training.state import averaged, learning_rate, move_average, start
from cloudypoints_training.stream import VALIDATION_SEED, Stream

SETTINGS = Settings(steps=8, warmup_steps=2, log_every=2, checkpoint_seconds=0.0)


def log_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def boxes(count: int) -> list[Scene]:
    """Pictures that training never sees."""
    drawn = [draw(10**6 + i, 96, 64) for i in range(count)]
    return [Scene(s.image, s.depth, s.camera.fx) for s in drawn]


# What comes out


def test_it_learns_and_leaves_the_encoder_alone(tmp_path: Path) -> None:
    model = new_model()
    before = {k: v.clone() for k, v in model.encoder.state_dict().items()}
    validate, look = validator(seen=boxes(6)), viewer({"seen": boxes(2)})
    untrained = validate(start(fresh(), SETTINGS).model.eval())["seen_raw"]
    settings = Settings(steps=60, log_every=5, validate_every=40)
    trained = fit(model, Tiny(), settings, tmp_path, validate=validate, look=look)
    for k, v in trained.encoder.state_dict().items():
        assert torch.equal(v, before[k])
    lines = log_of(tmp_path)
    losses = [x["loss"] for x in lines if "loss" in x]
    assert losses[-1] < 0.7 * losses[0]
    scores = {x["step"]: x["validation"]["seen_raw"] for x in lines if "validation" in x}
    assert list(scores) == [40, 60]
    assert scores[60] == pytest.approx(validate(trained)["seen_raw"], rel=1e-4)
    assert scores[60] < 0.7 * untrained
    assert lines[0]["images_per_s"] > 0 and lines[-2]["images"] == 60 * IMAGES


def test_a_short_run_on_drawn_streets_lessens_the_error_on_styles_it_never_saw(tmp_path: Path) -> None:
    width, height = 128, 96
    streets = [scenes.draw(seed, width, height) for seed in range(48)]
    stream = Stream(lambda seed, *_: streets[seed % len(streets)], 8 * width * height, ((width, height),))
    unseen = [scenes.draw(VALIDATION_SEED + i, width, height, style) for i in range(2) for style in HELD_OUT_STYLES]
    validate = validator(unseen=[Scene(s.image, s.depth, s.camera.fx) for s in unseen])
    torch.manual_seed(0)
    model = new_model()
    before = validate(model.eval())
    settings = Settings(steps=60, learning_rate=4e-3, workers=0, average_decay=0.9, log_every=60)
    after = validate(fit(model, stream, settings, tmp_path))
    assert after["unseen_scaled"] < 0.85 * before["unseen_scaled"], (before, after)
    assert after["unseen_raw"] < before["unseen_raw"]


def test_the_encoder_learns_at_its_own_rate(tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, steps=3, encoder_rate=0.1, average_decay=0.0)
    before = fresh()
    state = start(fresh(), settings)
    rates = {group["factor"] for group in state.optimizer.param_groups}
    assert rates == {0.1, 1.0}
    trained = fit(fresh(), Tiny(), settings, tmp_path)
    changed = same(before, trained)
    assert any(name.startswith("encoder.stem") for name in changed)
    # AdamW's step is about as long as the learning rate.
    encoder, decoder = (
        float((trained.get_parameter(name) - before.get_parameter(name)).detach().abs().max())
        for name in ("encoder.stem.weight", "decoder.head.weight")
    )
    assert 0 < encoder < 0.3 * decoder


def test_matrices_decay_and_vectors_do_not() -> None:
    state = start(fresh(), SETTINGS)
    names = {id(p): name for name, p in state.model.named_parameters()}
    decays = {names[id(p)]: g["weight_decay"] for g in state.optimizer.param_groups for p in g["params"]}
    assert decays["decoder.head.weight"] == SETTINGS.weight_decay and decays["decoder.head.bias"] == 0
    assert decays.keys() == {name for name, _ in state.model.learned()}
    assert not any(name.startswith("encoder") for name in decays)


def test_frozen_norms_keep_their_statistics_and_learn_their_weights(tmp_path: Path) -> None:
    before = fresh()
    for frozen in (True, False):
        settings = dataclasses.replace(SETTINGS, steps=3, frozen_norm=frozen)
        changed = same(before, fit(fresh(), Tiny(), settings, tmp_path / str(frozen)))
        norms = [name for name, m in before.named_modules() if isinstance(m, nn.BatchNorm2d)]
        assert norms
        assert any(f"{name}.running_mean" in changed for name in norms) is not frozen
        assert any(f"{name}.weight" in changed for name in norms)


def test_bf16_trains_nearly_the_same(tmp_path: Path) -> None:
    curves = {}
    for precision in ("32-true", "bf16-mixed"):
        fit(fresh(), Tiny(), dataclasses.replace(SETTINGS, precision=precision), tmp_path / precision)
        curves[precision] = [x["loss"] for x in log_of(tmp_path / precision)]
    exact, coarse = curves.values()
    assert coarse != exact
    assert coarse == pytest.approx(exact, rel=0.05)
    assert read_record(tmp_path / "bf16-mixed" / CHECKPOINT)["settings"]["precision"] == "bf16-mixed"


def test_the_average_follows_quickly_at_first_then_slowly() -> None:
    state = start(fresh(), SETTINGS)
    name = "decoder.head.weight"
    assert name in state.average and not any(n.startswith("encoder") for n in state.average)
    assert "decoder.lateral.0.1.running_mean" in state.average
    with torch.no_grad():
        state.model.decoder.head.weight.add_(1.0)  # type: ignore[union-attr]
    before = state.average[name].clone()
    state.step = 10
    move_average(state, 0.998)
    torch.testing.assert_close(state.average[name] - before, torch.full_like(before, 0.5))
    state.step = 10**6
    state.average[name].copy_(before)
    move_average(state, 0.998)
    torch.testing.assert_close(state.average[name] - before, torch.full_like(before, 0.002))
    model = averaged(state)
    assert not model.training
    assert torch.equal(model.get_parameter(name), state.average[name])
    assert not torch.equal(state.model.get_parameter(name), state.average[name])


def test_learning_rate_warms_up_and_anneals() -> None:
    settings = Settings(steps=1000, warmup_steps=200, learning_rate=1e-3)  # which is cut to a tenth of the run
    rates = [learning_rate(step, settings) for step in range(1000)]
    assert rates[0] == pytest.approx(1e-5, rel=0.01)
    assert max(rates) == pytest.approx(1e-3, rel=0.05)
    assert rates[-1] == pytest.approx(1e-5, rel=0.05)


# What it tells


def test_tensorboard_reads_what_the_log_says(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = dataclasses.replace(SETTINGS, validate_every=4)
    look = viewer({"box": boxes(2)})
    trained = fit(fresh(), Tiny(), settings, tmp_path, validate=validator(box=boxes(2)), look=look)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    lines = log_of(tmp_path)
    steps = [x for x in lines if "loss" in x]
    for tag, name in {
        "loss/loss": "loss",
        "loss/silog": "silog",
        "loss/sky": "sky",
        "optimizer/learning_rate": "learning_rate",
        "optimizer/norm": "norm",
        "speed/images_per_s": "images_per_s",
    }.items():
        told = [(e.step, e.value) for e in events.Scalars(tag)]
        assert [step for step, _ in told] == [2, 4, 6, 8]
        assert [value for _, value in told] == pytest.approx([x[name] for x in steps], rel=1e-3, abs=1e-6), tag
    assert [e.value for e in events.Scalars("optimizer/learning_rate")] == pytest.approx(
        [learning_rate(step - 1, settings) for step in (2, 4, 6, 8)]
    )
    scores = [x["validation"]["box_raw"] for x in lines if "validation" in x]
    assert [e.value for e in events.Scalars("validation/box_raw")] == pytest.approx(scores, rel=1e-4)
    pictures = events.Images("validation/box")
    assert [picture.step for picture in pictures] == [4, 8]
    shown = cv2.imdecode(np.frombuffer(pictures[-1].encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(shown[..., ::-1], look(trained)["box"])


def test_a_validation_picture_shows_image_truth_and_prediction() -> None:
    (scene,) = boxes(1)
    model = start(fresh(), SETTINGS).model.eval()
    picture = viewer({"a": [scene]})(model)["a"]
    assert picture.dtype == np.uint8 and picture.shape == (64, 3 * 96, 3)
    np.testing.assert_array_equal(picture[:, :96], scene.image)
    np.testing.assert_array_equal(picture[:, 96:192], coloured(scene.depth))
    near, far, sky = coloured(np.array([[NEAR_M, FAR_M, np.inf]]))[0].astype(int)
    assert near[0] > near[2] and far[2] > far[0] and not sky.any()


def test_the_curves_are_a_picture(tmp_path: Path) -> None:
    fit(fresh(), Tiny(), SETTINGS, tmp_path, validate=validator(box=boxes(1)))
    picture = cv2.imread(str(tmp_path / "curves.png"))
    assert picture is not None and picture.shape[:2] == (800, 1200)
    # Curves in colour in the panels of loss, validation, images/s and learning rate.
    for rows, columns in ((0, 0), (0, 1), (1, 0), (1, 1)):
        panel = picture[400 * rows : 400 * rows + 400, 600 * columns : 600 * columns + 600].astype(int)
        assert (np.ptp(panel, axis=2) > 60).sum() > 20


def test_the_record_beside_a_checkpoint_says_what_was_trained(tmp_path: Path) -> None:
    model = fresh()
    fit(model, Tiny(), SETTINGS, tmp_path, data=["somewhere:cityscapes", 0.5])
    record = json.loads((tmp_path / "checkpoint.json").read_text())
    assert record == read_record(tmp_path / CHECKPOINT)
    assert record["step"] == 8 and record["images"] == 8 * IMAGES and record["seconds"] > 0
    assert record["model"] == model.config and record["data"] == ["somewhere:cityscapes", 0.5]
    assert record["settings"] == dataclasses.asdict(SETTINGS)
    assert record["versions"]["torch"] == torch.__version__
    assert (tmp_path / CHECKPOINT).stat().st_mode & 0o444 == 0o444


# That nothing is lost


def test_what_was_logged_beyond_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    lines = [json.dumps({"step": step, "loss": 1.0}) + "\n" for step in (1, 2, 3)]
    for text, kept in (("".join(lines), lines[:2]), ("".join(lines[:1]) + '{"st', lines[:1]), ("", [])):
        (tmp_path / "log.jsonl").write_text(text)
        log = open_log(tmp_path)
        forget_after(log, 2)
        log.write("more\n")
        log.close()
        assert (tmp_path / "log.jsonl").read_text() == "".join(kept) + "more\n"


def test_two_runs_never_share_a_folder(tmp_path: Path) -> None:
    held = open_log(tmp_path)
    with pytest.raises(CloudyPointsError, match="Another run is writing to"):
        fit(fresh(), Tiny(), SETTINGS, tmp_path)
    held.close()
    open_log(tmp_path).close()


def test_a_run_is_resumed_with_its_own_settings_only(tmp_path: Path) -> None:
    model = fresh()
    save(start(model, SETTINGS), SETTINGS, "streets", tmp_path / CHECKPOINT)
    record = read_record(tmp_path / CHECKPOINT)
    other = dataclasses.replace(SETTINGS, steps=16, batch_pixels=7, weight_decay=0.5, seed=3)
    with pytest.raises(CloudyPointsError) as caught:
        fit(model, Tiny(), other, tmp_path, resume=True, data="woods")
    assert str(caught.value) == (
        f"The run in {tmp_path} was started with --steps 8 but now 16, --seed 0 but now 3, "
        f"--batch-pixels {SETTINGS.batch_pixels} but now 7, weight_decay 0.01 but now 0.5, "
        "--data streets but now woods; repeat the flags of the run, or start another folder."
    )
    changes = {
        "learning_rate": 1.0,
        "encoder_rate": 0.5,
        "warmup_steps": 3,
        "gradient_norm": 9.0,
        "average_decay": 0.5,
        "frozen_norm": True,
        "precision": "bf16-mixed",
        "batch_multiple": 3,
    }
    for name, value in changes.items():
        with pytest.raises(CloudyPointsError, match=re.escape(f"but now {value}")):
            require_same(record, dataclasses.replace(SETTINGS, **{name: value}), model.config, "streets", tmp_path)
    with pytest.raises(CloudyPointsError, match=r"--model .* but now \{'kind': 'other'\}"):
        require_same(record, SETTINGS, {"kind": "other"}, "streets", tmp_path)
    # How the work is spread and how often it is logged change no weight.
    spread = dataclasses.replace(SETTINGS, workers=5, threads=2, log_every=7)
    require_same(record, spread, model.config, "streets", tmp_path)
    # What a record of an older version does not have cannot differ.
    del record["settings"]["precision"]
    require_same(record, dataclasses.replace(SETTINGS, precision="bf16-mixed"), model.config, "streets", tmp_path)


def test_a_state_comes_back_whole(tmp_path: Path) -> None:
    fit(fresh(), Tiny(), dataclasses.replace(SETTINGS, steps=3), tmp_path)
    states = [start(fresh(seed), SETTINGS) for seed in (5, 6)]
    for state in states:
        assert restore(state, tmp_path / CHECKPOINT)["step"] == state.step == 3
    one, other = states
    assert same(one.model, other.model) == [] and same(averaged(one), averaged(other)) == []
    moments = one.optimizer.state_dict()["state"]
    assert len(moments) == len(list(one.model.learned()))
    assert all(float(m["step"]) == 3 and m["exp_avg_sq"].abs().sum() > 0 for m in moments.values())


def test_files_that_are_no_checkpoints_are_a_sentence(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"broken")
    with pytest.raises(CloudyPointsError, match="does not say which model it holds; give a checkpoint"):
        load_averaged(tmp_path / "other.safetensors")
    for name in ("broken.safetensors", "missing.safetensors"):
        with pytest.raises(CloudyPointsError, match=f"{name} cannot be read as a checkpoint .* give the checkpoint"):
            load_averaged(tmp_path / name)


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    model = fresh()
    with torch.no_grad():
        model.decoder.head.weight.fill_(torch.nan)  # type: ignore[union-attr]
    with pytest.raises(CloudyPointsError, match=r"gradient is nan at step 0 .* lower --learning-rate"):
        fit(model, Tiny(), SETTINGS, tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()
