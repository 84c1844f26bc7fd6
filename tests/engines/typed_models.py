"""The models of tests/tiny_models.py as people spoil or convert them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from tiny_models import write_model

from cloudypoints_ros.model_card import METADATA_KEY, ModelCard, card_path
from cloudypoints_ros.model_files import load_card

Change = Callable[[onnx.ModelProto], None]


def changed(folder: Path, change: Change, fixed: tuple[int, int] | None = None) -> Path:
    """A tiny model after ``change``."""
    path = write_model(folder, fixed=fixed)
    model = onnx.load(str(path))
    change(model)
    onnx.save(model, str(path))
    return path


def node(model: onnx.ModelProto, operator: str) -> onnx.NodeProto:
    return next(each for each in model.graph.node if each.op_type == operator)


def strange_operator(model: onnx.ModelProto) -> None:
    """Det is standard ONNX that TensorRT lacks."""
    mul = node(model, "Mul")
    mul.op_type, mul.name = "Det", "odd_one"
    del mul.input[1:]


def strange_domain(model: onnx.ModelProto) -> None:
    mul = node(model, "Mul")
    mul.op_type, mul.domain = "Fancy", "my.company"
    model.opset_import.append(helper.make_opsetid("my.company", 1))


def strange_shape(model: onnx.ModelProto) -> None:
    """A factor of 2 x 7, which fits no allowed size."""
    slope = next(each for each in model.graph.initializer if each.name == "slope")
    slope.CopyFrom(helper.make_tensor("slope", TensorProto.FLOAT, [2, 7], [0.0] * 14))


def strange_wire(model: onnx.ModelProto) -> None:
    node(model, "Mul").input[0] = "nowhere"


def of_opset(number: int) -> Change:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = number

    return change


def half(source: Path, folder: Path) -> Path:
    """Weights and activations in float16, inputs and outputs in float32, as cloudypoints-train exports it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / source.name
    card = load_card(source)
    converted = convert_float_to_float16(onnx.load(str(source)), keep_io_types=True)
    helper.set_model_props(converted, {METADATA_KEY: card.to_json()})
    onnx.save(converted, str(path))
    return path


def with_card(model: Path, card: ModelCard) -> Path:
    """Another card, inside and beside."""
    proto = onnx.load(str(model))
    del proto.metadata_props[:]
    helper.set_model_props(proto, {METADATA_KEY: card.to_json()})
    onnx.save(proto, str(model))
    card_path(model).write_text(card.to_json())
    return model


def scaled(folder: Path, factor: float) -> Path:
    """A tiny model whose slope is ``factor`` times as steep."""

    def change(model: onnx.ModelProto) -> None:
        slope = next(each for each in model.graph.initializer if each.name == "slope")
        slope.float_data[:] = [factor * each for each in slope.float_data]

    return changed(folder, change)
