"""Whether an engine's depth is ONNX Runtime's, in figures."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from tiny_models import write_model
from typed_models import half, scaled

from cloudypoints_ros.engines.onnxruntime import OnnxRuntimeEngine
from cloudypoints_ros.engines.parity import LARGEST, MEAN, Difference, differences, fixed_inputs, require_parity
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import Mask, ModelCard
from cloudypoints_ros.model_files import DEFAULT_MODEL, load_card


@pytest.fixture
def card(tmp_path: Path) -> ModelCard:
    return load_card(write_model(tmp_path, sky=False))


def of_quantity(card: ModelCard, quantity: str, unit: str = "metre") -> ModelCard:
    return dataclasses.replace(card, output=dataclasses.replace(card.output, quantity=quantity, unit=unit))


def metres() -> np.ndarray:
    return np.linspace(2, 40, 48, dtype=np.float32).reshape(1, 1, 6, 8)


def test_a_factor_is_the_same_difference_in_every_quantity(card: ModelCard) -> None:
    ways = {"depth": lambda z: z, "log_depth": np.log, "inverse_depth": lambda z: 1 / z}
    for quantity, way in ways.items():
        found = differences(
            {"answer": way(metres())}, {"answer": way(metres() * np.float32(1.02))}, of_quantity(card, quantity)
        )
        assert found.largest == pytest.approx(math.log(1.02), abs=1e-5), quantity
        assert found.mean == pytest.approx(math.log(1.02), abs=1e-5), quantity
    assert differences({"answer": metres()}, {"answer": metres()}, card) == Difference(0, 0, {})


def test_the_largest_is_one_pixel_and_the_mean_is_of_all(card: ModelCard) -> None:
    ours = np.log(metres())
    ours[0, 0, 3, 3] += 0.3
    found = differences({"answer": np.log(metres())}, {"answer": ours}, of_quantity(card, "log_depth"))
    assert found.largest == pytest.approx(0.3, abs=1e-5) and found.mean == pytest.approx(0.3 / 48, abs=1e-5)
    assert not found.small


def test_what_the_range_cuts_off_does_not_count(card: ModelCard) -> None:
    """The card ends at 100 m: 200 m and 2000 m are published alike."""
    far, farther = (np.full((1, 1, 2, 2), value, np.float32) for value in (200, 2000))
    assert differences({"answer": far}, {"answer": farther}, card) == Difference(0, 0, {})


@pytest.mark.parametrize("value", [np.nan, -1.0])
def test_a_pixel_without_depth_in_one_only_is_no_parity(card: ModelCard, value: float) -> None:
    ours = metres()
    ours[0, 0, 0, 0] = value
    assert differences({"answer": metres()}, {"answer": ours}, card).largest == math.inf
    assert differences({"answer": ours}, {"answer": ours}, card) == Difference(0, 0, {})
    assert differences({"answer": metres()}, {"answer": metres()[..., :4]}, card).mean == math.inf


def test_relative_depth_is_measured_by_its_spread(card: ModelCard) -> None:
    relative = of_quantity(card, "inverse_depth", "relative")
    found = differences({"answer": 1000 * metres()}, {"answer": 1000 * metres() + 380}, relative)
    assert found.largest == pytest.approx(0.01, rel=1e-3) and found.small is False  # on average, too
    flat = np.zeros((1, 1, 2, 2), np.float32)
    assert differences({"answer": flat}, {"answer": flat}, relative) == Difference(0, 0, {})


def test_masks_are_compared_at_their_threshold(card: ModelCard) -> None:
    masked = dataclasses.replace(card, output=dataclasses.replace(card.output, sky=Mask("sky", "above", 0.5)))
    reference = {"answer": metres(), "sky": np.zeros((1, 1, 6, 8), np.float32)}
    near = {"answer": metres(), "sky": np.full((1, 1, 6, 8), 0.4, np.float32)}
    other = {"answer": metres(), "sky": np.zeros((1, 1, 6, 8), np.float32)}
    other["sky"][0, 0, 0, :3] = 1
    assert differences(reference, near, masked).masks == {"sky": 0.0}
    found = differences(reference, other, masked)
    assert found.masks == {"sky": 3 / 48} and found.largest == 0 and not found.small


def test_the_fixed_image_is_always_the_same_and_in_range() -> None:
    card = load_card(DEFAULT_MODEL)
    (image,) = fixed_inputs(card).values()
    assert image.shape == (1, 3, *card.input.size.opt) and image.dtype == np.float32
    mean, std = (np.array(each)[None, :, None, None] for each in (card.input.mean, card.input.std))
    pixels = (image * std + mean) / card.input.scale
    assert pixels.min() > -0.01 and pixels.max() < 255.01 and pixels.std() > 50
    (again,) = fixed_inputs(card).values()
    assert np.array_equal(image, again)


def test_a_model_with_rays_gets_them(tmp_path: Path) -> None:
    inputs = fixed_inputs(load_card(write_model(tmp_path, kind="ray_angle")), (64, 96))
    assert {name: value.shape for name, value in inputs.items()} == {"image": (1, 3, 64, 96), "rays": (1, 2, 64, 96)}
    edge = inputs["rays"][0, 0, 0, -1]
    assert edge == pytest.approx(math.atan(47.5 / 48), abs=1e-4)


def test_half_precision_is_within_and_a_wrong_engine_is_refused(tmp_path: Path) -> None:
    card = load_card(DEFAULT_MODEL)
    single, double = (OnnxRuntimeEngine(model, card) for model in (DEFAULT_MODEL, half(DEFAULT_MODEL, tmp_path)))
    found = require_parity("half", DEFAULT_MODEL, card, double.infer, single.infer)
    assert 1e-5 < found.mean < MEAN and found.mean < found.largest < LARGEST
    assert require_parity("itself", DEFAULT_MODEL, card, single.infer, single.infer).largest == 0

    right, wrong = write_model(tmp_path / "right"), scaled(tmp_path / "wrong", 1.5)
    card = load_card(right)
    reference, engine = OnnxRuntimeEngine(right, card), OnnxRuntimeEngine(wrong, card)
    with pytest.raises(CloudyPointsError) as caught:
        require_parity("TensorRT", right, card, engine.infer, reference.infer)
    text = str(caught.value)
    assert text.startswith(f"TensorRT differs from ONNX Runtime on {right} at 64x96 by 0.3")
    assert "in log depth" in text and "expected at most 0.1 and 0.005" in text and "it is not used" in text
