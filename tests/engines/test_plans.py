"""Plans that TensorRT for RTX really builds, for a GPU that is not here, and the sentences for what it refuses."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import onnx
import pytest
from tiny_models import write_model
from typed_models import (
    Change,
    changed,
    half,
    of_opset,
    strange_domain,
    strange_operator,
    strange_shape,
    strange_wire,
    with_card,
)

from cloudypoints_ros.engines.build_progress import PhaseTree
from cloudypoints_ros.engines.gpu_probe import gpu_problem
from cloudypoints_ros.engines.plans import build_plan, sm_of, targets
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import InputSize
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX is not installed")

RTX = "tensorrt_rtx"
MAGIC = b"vtrt"  # of a plan of TensorRT for RTX


def refusal(model: Path, sm: str | None = "89", backend: str = RTX) -> str:
    with pytest.raises(CloudyPointsError) as caught:
        build_plan(backend, model, load_card(model), sm)
    text = str(caught.value)
    assert "\n" not in text and "/_src/" not in text and text.endswith("."), text
    return text


def test_the_embedded_model_becomes_a_plan_in_both_types(tmp_path: Path) -> None:
    card = load_card(DEFAULT_MODEL)
    told: list[tuple[str, float]] = []
    single = build_plan(RTX, DEFAULT_MODEL, card, "89", lambda phase, part: told.append((phase, part)))
    typed = half(DEFAULT_MODEL, tmp_path)
    double = build_plan(RTX, typed, card, "89")
    assert (single.precision, double.precision) == ("float32", "float16")
    assert single.data[:4] == double.data[:4] == MAGIC
    assert len(single.data) > 0.9 * DEFAULT_MODEL.stat().st_size
    assert len(double.data) < 0.65 * len(single.data)
    parts = [part for _, part in told]
    assert parts == sorted(parts) and parts[0] == 0 and parts[-1] == 1 and len(set(parts)) > 20
    assert len({phase for phase, _ in told}) > 3


def test_sizes_and_capabilities_make_different_plans(tmp_path: Path) -> None:
    free, fixed = write_model(tmp_path / "free"), write_model(tmp_path / "fixed", fixed=(64, 96))
    rays = write_model(tmp_path / "rays", kind="ray_angle")
    plans = [build_plan(RTX, model, load_card(model), "89").data for model in (free, fixed, rays)]
    plans.append(build_plan(RTX, free, load_card(free), "120").data)
    assert all(plan[:4] == MAGIC for plan in plans) and len(set(plans)) == 4
    assert {"86", "89", "120"} <= set(targets(RTX))


@pytest.mark.parametrize(
    ("change", "fixed", "expected"),
    [
        (strange_operator, None, "has no operator Det, which node 'odd_one' of .* needs; export the model without"),
        (strange_domain, None, "has no operator Fancy, which node number 1 of .* needs; export the model without"),
        (strange_wire, None, r"cannot take node number 1, Mul, of .* \(Node input was not registered\); export the"),
        (strange_shape, None, r"cannot build .* for images of \(32, 32\) to \(512, 1024\) \(.*not compatible"),
        (
            strange_shape,
            (64, 96),
            r"cannot take node number 1, Mul, of .* \(broadcast dimensions must be conformable\)",
        ),
        (of_opset(99), None, "is of ONNX opset 99, but TensorRT-RTX takes 9 to 24; export it again with opset 17"),
        (of_opset(8), None, "is of ONNX opset 8, but TensorRT-RTX takes 9 to 24"),
    ],
)
def test_a_network_it_cannot_take(tmp_path: Path, change: Change, fixed: tuple[int, int] | None, expected: str) -> None:
    text = refusal(changed(tmp_path, change, fixed))
    assert re.search(expected, text), text


def test_files_that_are_no_network(tmp_path: Path) -> None:
    card = load_card(write_model(tmp_path))
    whole = (tmp_path / "tiny.onnx").read_bytes()
    for name, content in {"cut": whole[:300], "empty": b"", "lfs": b"version https://git-lfs.github.com"}.items():
        model = tmp_path / f"{name}.onnx"
        model.write_bytes(content)
        with pytest.raises(CloudyPointsError, match="is not a complete ONNX file"):
            build_plan(RTX, model, card, "89")
    with pytest.raises(CloudyPointsError, match=r"no model file .*none\.onnx"):
        build_plan(RTX, tmp_path / "none.onnx", card, "89")


def test_a_card_that_does_not_fit(tmp_path: Path) -> None:
    model = write_model(tmp_path / "a", fixed=(64, 96))
    card = load_card(model)
    free = dataclasses.replace(card.input, size=InputSize((32, 32), (64, 96), (128, 128), 32))
    text = refusal(with_card(model, dataclasses.replace(card, input=free)))
    assert re.search(r"takes images of 64x96 .* its card allows \(32, 32\) to \(128, 128\)", text), text
    other = dataclasses.replace(card.input, tensor="picture")
    text = refusal(with_card(model, dataclasses.replace(card, input=other)))
    assert "names the inputs picture, but the model has image" in text, text
    rays = write_model(tmp_path / "b", kind="ray_angle")
    card = load_card(rays)
    plain = dataclasses.replace(card, input=dataclasses.replace(card.input, ray_angles=None))
    text = refusal(with_card(rays, plain))
    assert "has an input image that its card does not name" in text or "input rays that its card does not name" in text


def test_batches_are_refused(tmp_path: Path) -> None:
    def two(model: onnx.ModelProto) -> None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 2

    text = refusal(changed(tmp_path, two))
    assert "The input image of" in text and "expected (1, 3, height, width)" in text, text


def test_a_gpu_that_is_not_to_be_had(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    assert re.search("does not build for sm_90; it does for .*sm_89, ", refusal(model, "90"))
    assert refusal(model, "89", "tensorrt").startswith("TensorRT builds only for the GPU at hand, not for sm_89")
    assert refusal(model, "89", "nonsense").startswith("The backend 'nonsense' is not known")
    if gpu_problem():
        for backend in ("tensorrt", RTX):
            assert refusal(model, None, backend).startswith("There is no NVIDIA GPU")


def test_the_names_of_a_capability() -> None:
    assert [sm_of(text) for text in ("89", "8.9", "sm_89", "SM89", "sm_120", "12.0")] == ["89"] * 4 + ["120"] * 2
    for text in ("", "ampere", "9", "sm_"):
        with pytest.raises(CloudyPointsError, match="is no compute capability; expected one such as sm_89"):
            sm_of(text)


def test_progress_never_falls_back() -> None:
    tree = PhaseTree()
    parts = [tree.start("all", None, 2), tree.start("first", "all", 4), tree.step("first", 0), tree.step("first", 1)]
    assert parts == [0, 0, 0.125, 0.25]
    assert tree.finish("first") == 0.25  # its step of the whole is not yet said to be done
    assert [tree.step("all", 0), tree.start("second", "all", 2), tree.step("second", 0)] == [0.5, 0.5, 0.75]
    assert tree.finish("all") == 1
