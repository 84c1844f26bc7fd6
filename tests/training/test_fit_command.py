"""`cloudypoints-train fit`, as people call it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_run import draw, same

from cloudypoints_ros.camera import save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import write_png
from cloudypoints_training import cli
from cloudypoints_training.checkpoint import CHECKPOINT, load_averaged
from cloudypoints_training.commands import fit as command
from cloudypoints_training.models import create
from cloudypoints_training.provenance import data_used, licence
from cloudypoints_training.scenes import HELD_OUT_STYLES
from cloudypoints_training.scenes import draw as draw_scene
from cloudypoints_training.stream import DatasetDraw, Mixture

SMALL = [
    "--batch-pixels",
    "1",
    "--workers",
    "0",
    "--accelerator",
    "cpu",
    "--validation-scenes",
    "1",
    "--validate-every",
    "99",
]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """The exit status and what is said in the end."""
    status = cli.main([str(a) for a in arguments])
    said = capsys.readouterr()
    return status, (said.out if status == 0 else said.err).strip().splitlines()[-1]


def parsed(*arguments: object) -> Any:
    return cli.parser().parse_args(["fit", *map(str, arguments)])


def write_pairs(root: Path, count: int) -> None:
    for i in range(count):
        sample = draw(i, 96, 64)
        raw = np.where(np.isfinite(sample.depth), np.clip(sample.depth * 256, 1, 65535), 0).astype(np.uint16)
        write_png(np.ascontiguousarray(sample.image[..., ::-1]), root / f"street_{i}/image.png")
        write_png(raw, root / f"street_{i}/depth.png")
        save_camera(sample.camera, root / f"street_{i}/camera.json")


def test_a_run_on_streets_and_measured_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, pairs = tmp_path / "run", tmp_path / "pairs"
    write_pairs(pairs, 3)
    given = ("fit", out, *SMALL, "--data", pairs, "--synthetic-share", "0.25", "--seed", 4)
    assert run(capsys, *given, "--steps", 2) == (0, f"done: cloudypoints-train export {out / CHECKPOINT} MODEL.onnx")
    model, record = load_averaged(out / CHECKPOINT)
    assert record["step"] == 2 and record["model"] == model.config
    assert record["data"] == {
        "drawn_share": 0.25,
        "trees": [{"root": str(pairs), "kind": "pairs", "images": 3}],
    }
    assert record["settings"]["learning_rate"] == 2e-3 and record["settings"]["seed"] == 4
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert set(lines[-1]["validation"]) == {f"{s}_{k}" for s in ("seen", *HELD_OUT_STYLES) for k in ("raw", "scaled")}

    status, said = run(capsys, *given, "--steps", 2)
    assert status == 2 and said.endswith(f"{out} already holds a checkpoint; add --resume or name another folder.")
    write_pairs(pairs, 4)
    status, said = run(capsys, *given, "--steps", 3, "--resume")
    assert status == 2
    assert (
        "was started with --steps 2 but now 3, --data {" in said and "'images': 3}" in said and "'images': 4}" in said
    )


def test_what_is_drawn_from(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a", 3)
    write_pairs(tmp_path / "b:b", 1)
    source, data = command.open_data(parsed("out"))
    assert source is draw_scene and data == {"drawn_share": 1.0, "trees": []}
    source, data = command.open_data(parsed("out", "--data", tmp_path / "a", f"{tmp_path / 'b:b'}:pairs"))
    assert isinstance(source, Mixture)
    assert [weight for _, weight in source.parts] == pytest.approx([0.5, 0.375, 0.125])
    assert source.parts[0][0] is draw_scene
    trees = [part for part, _ in source.parts[1:]]
    assert all(isinstance(tree, DatasetDraw) for tree in trees)
    assert [tree["images"] for tree in data["trees"]] == [3, 1] and data["trees"][1]["root"].endswith("b:b")
    with pytest.raises(CloudyPointsError, match=r"--synthetic-share 0.5 leaves 0.5 for measured .* with --data"):
        command.open_data(parsed("out", "--synthetic-share", "0.5"))
    with pytest.raises(CloudyPointsError, match=r"There is no folder .*/missing; give the root"):
        command.open_data(parsed("out", "--data", tmp_path / "missing"))


def test_folds_are_asked_only_of_trees_that_have_them(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a", 1)
    with pytest.raises(CloudyPointsError, match=r"--without-fold 1 was given, but .*/a \(pairs\) has no folds"):
        command.open_data(parsed("out", "--data", tmp_path / "a", "--without-fold", 1))
    with pytest.raises(CloudyPointsError, match="--without-fold 1 needs --data"):
        command.open_data(parsed("out", "--without-fold", 1))


def test_weights_that_are_gone_on_from_bring_their_licence(tmp_path: Path) -> None:
    city = {"root": "/data/cityscapes", "kind": "cityscapes", "images": 2975}
    before = {"drawn_share": 0.5, "trees": [city]}
    data = {"drawn_share": 1.0, "trees": [], "weights_of": "a", "before": {**before, "before": None}}
    assert licence("MIT", data) == "MIT AND non-commercial (trained on Cityscapes)"
    assert data_used(data).startswith("cityscapes (cityscapes, 2975 images); 100% procedural")
    assert licence("MIT", {"drawn_share": 1.0, "trees": []}) == "MIT"
    assert data_used(None, "glpn-kitti").endswith(
        "the weights it began with are glpn-kitti's, whose card says what they were trained on"
    )


def test_a_file_that_breaks_while_training_costs_no_step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of six pairs one is unreadable: the steps before it is drawn are kept."""
    out, pairs = tmp_path / "run", tmp_path / "pairs"
    write_pairs(pairs, 6)
    (pairs / "street_1/depth.png").write_bytes(b"broken")
    given = ("fit", out, *SMALL, "--data", pairs, "--synthetic-share", "0", "--steps", 40, "--seed", 0)
    status, said = run(capsys, *given)
    step = json.loads((out / "checkpoint.json").read_text())["step"]
    assert status == 2 and 1 <= step < 40
    assert "street_1/depth.png" in said and said.endswith(
        f"The checkpoint of step {step} is whole: go on from there with the same command and --resume."
    )


def test_shares_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--synthetic-share", "--encoder-rate"):
        for value in ("1.5", "-0.1", "some", "nan"):
            with pytest.raises(SystemExit):
                parsed("out", f"{flag}={value}")
            assert f"'{value}' was given; expected a number from 0 to 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parsed("out", "--learning-rate=0")
    assert "'0' was given; expected a number greater than 0" in capsys.readouterr().err


def save_depth_anything(folder: Path) -> None:
    """A Depth Anything V2 that answers metres, of the real classes, with few channels and random weights."""
    import transformers

    backbone = transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = transformers.DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type="metric",
        max_depth=80,
    )
    transformers.AutoModelForDepthEstimation.from_config(config).save_pretrained(folder)
    transformers.DPTImageProcessor(ensure_multiple_of=14).save_pretrained(folder)


def test_a_network_of_transformers_is_tuned_by_the_same_loop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_depth_anything(tmp_path / "tiny")
    out, more = tmp_path / "run", tmp_path / "more"
    given = ("fit", out, *SMALL, "--model", f"hf:{tmp_path / 'tiny'}", "--encoder-rate", "0.1")
    assert run(capsys, *given, "--steps", 2)[0] == 0
    model, record = load_averaged(out / CHECKPOINT)
    assert record["model"]["kind"] == "huggingface" and record["model"]["source"] == "tiny"
    assert record["settings"]["learning_rate"] == 1e-4 and record["settings"]["encoder_rate"] == 0.1
    before = create(f"hf:{tmp_path / 'tiny'}")
    changed = same(before, model)
    assert any(".backbone." in name for name in changed) and any(".head." in name for name in changed)
    size = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert size[-1]["step"] == 2 and np.isfinite(list(size[-1]["validation"].values())).all()

    # And on from there: the checkpoint's network and weights, with the encoder at rest.
    assert run(capsys, "fit", more, *SMALL, "--init", out / CHECKPOINT, "--steps", 1)[0] == 0
    tuned, record = load_averaged(more / CHECKPOINT)
    assert (
        record["data"]["weights_of"] == str(out / CHECKPOINT)
        and record["data"]["before"]["trees"] == []
        and record["model"] == model.config
    )
    changed = same(model, tuned)
    assert changed and not any(".backbone." in name for name in changed)
