"""Tiny ONNX models whose answer is known: depth is linear in the red channel, blue marks sky, green validity.

Each carries its card, beside the file and in the metadata, as real models do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from cloudypoints_ros.model_card import (
    METADATA_KEY,
    InputSize,
    Mask,
    ModelCard,
    ModelInput,
    ModelOutput,
    card_path,
)

NEAR_M = 2.0
SLOPE_M = 40.0
RANGE_M = (0.5, 100.0)
DYNAMIC_SIZE = InputSize(min=(32, 32), opt=(64, 96), max=(512, 1024), multiple=8)


def expected_depth(red: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """What the tiny model answers for red values 0 to 255, in metres (before any focal-length factor)."""
    return (NEAR_M + SLOPE_M * red.astype(np.float32) / 255.0).astype(np.float32)


def write_model(
    folder: Path,
    kind: str = "depth",
    fixed: tuple[int, int] | None = None,
    sky: bool = True,
    validity: bool = False,
    canonical_focal_px: float | None = None,
    unit: str = "metre",
    resize: str = "stretch",
    colour: str = "rgb",
    name: str = "tiny",
) -> Path:
    """Write ``NAME.onnx`` and its card into ``folder``; returns the path of the ONNX file.

    ``kind`` is the output quantity (depth, log_depth, inverse_depth) or ray_angle, a depth made of a second input.
    ``fixed`` is a (height, width) or None for a
    dynamic size. Sky is where blue > 127.5, valid is where green > 127.5 (each only when asked for).
    """
    red, green, blue = (0, 1, 2) if colour == "rgb" else (2, 1, 0)
    nodes = [
        *_channel("image", "red", red),
        helper.make_node("Mul", ["red", "slope"], ["scaled"]),
        helper.make_node("Add", ["scaled", "near"], ["metres"]),
    ]
    if kind == "log_depth":
        nodes.append(helper.make_node("Log", ["metres"], ["answer"]))
    elif kind == "inverse_depth":
        nodes.append(helper.make_node("Reciprocal", ["metres"], ["answer"]))
    elif kind == "ray_angle":  # metres = NEAR_M + atan(x / z)
        nodes = [*_channel("rays", "angle", 0), helper.make_node("Add", ["angle", "near"], ["answer"])]
    elif kind == "depth":
        nodes.append(helper.make_node("Identity", ["metres"], ["answer"]))
    else:
        raise ValueError(f"kind is '{kind}'")
    outputs = ["answer"]
    if sky:
        nodes += _channel("image", "sky", blue)
        outputs.append("sky")
    if validity:
        nodes += _channel("image", "validity", green)
        outputs.append("validity")

    height, width = fixed or ("height", "width")
    ray_angles = "rays" if kind == "ray_angle" else None
    rays = [helper.make_tensor_value_info("rays", TensorProto.FLOAT, [1, 2, height, width])] if ray_angles else []
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width]), *rays],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, [1, 1, height, width]) for output in outputs],
        [
            helper.make_tensor("slope", TensorProto.FLOAT, [], [SLOPE_M]),
            helper.make_tensor("near", TensorProto.FLOAT, [], [NEAR_M]),
            *(helper.make_tensor(f"c{i}", TensorProto.INT64, [1], [i]) for i in range(4)),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    card = ModelCard(
        name=name,
        input=ModelInput(
            tensor="image",
            size=InputSize(fixed, fixed, fixed) if fixed else DYNAMIC_SIZE,
            resize=resize,
            colour=colour,
            scale=1 / 255,
            mean=(0.0, 0.0, 0.0),
            std=(1.0, 1.0, 1.0),
            ray_angles=ray_angles,
        ),
        output=ModelOutput(
            tensor="answer",
            quantity="depth" if ray_angles else kind,
            unit=unit,
            range_m=RANGE_M,
            canonical_focal_px=canonical_focal_px,
            validity=Mask("validity", "above", 0.5) if validity else None,
            sky=Mask("sky", "above", 0.5) if sky else None,
        ),
        licence="test",
        provenance={"made_by": "tests/tiny_models.py"},
    )
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.onnx"
    onnx.save(model, str(path))
    card_path(path).write_text(card.to_json(), encoding="utf-8")
    return path


def _channel(source: str, target: str, index: int) -> list[Any]:
    """Nodes that copy one channel of (1, 3, H, W) to (1, 1, H, W)."""
    return [helper.make_node("Slice", [source, f"c{index}", f"c{index + 1}", "c1"], [target])]
