"""The embedded model's ONNX file as a PyTorch module, for machines that have torch but no engine for the GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper
from torch import Tensor, nn

Operator = Callable[[list[Any], dict[str, Any]], Tensor]


def _conv(x: list[Any], a: dict[str, Any]) -> Tensor:
    image, weight, bias = (*x, None)[:3]
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    padding = [top, left]
    if (top, left) != (bottom, right):
        image, padding = F.pad(image, (left, right, top, bottom)), [0, 0]
    return F.conv2d(image, weight, bias, a.get("strides", 1), padding, a.get("dilations", 1), a.get("group", 1))


def _resize(x: list[Any], a: dict[str, Any]) -> Tensor:
    if (a["mode"], a["coordinate_transformation_mode"]) != (b"linear", b"half_pixel"):
        raise NotImplementedError(f"Resize by {a}")
    return F.interpolate(x[0], scale_factor=x[2][2:], mode="bilinear", align_corners=False)


def _slice(x: list[Any], _a: dict[str, Any]) -> Tensor:
    data, begin, end, axes, steps = x
    index = [slice(None)] * data.ndim
    for axis, first, last, step in zip(axes, begin, end, steps, strict=True):
        index[axis] = slice(first, last, step)
    return data[tuple(index)]


def _depth_to_space(x: list[Any], a: dict[str, Any]) -> Tensor:
    if a["mode"] != b"CRD":
        raise NotImplementedError(f"DepthToSpace by {a}")
    return F.pixel_shuffle(x[0], a["blocksize"])


OPERATORS: dict[str, Operator] = {
    "Conv": _conv,
    "Clip": lambda x, _: x[0].clamp(x[1], x[2]),
    "Add": lambda x, _: x[0] + x[1],
    "Relu": lambda x, _: F.relu(x[0]),
    "Cast": lambda x, _: x[0].float(),
    "Resize": _resize,
    "Slice": _slice,
    "DepthToSpace": _depth_to_space,
}


class OnnxModule(nn.Module):
    """Runs the nodes one after the other: image in, outputs by name. NotImplementedError for any other operator."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(str(path)).graph
        self._outputs = [output.name for output in graph.output]
        self._input = graph.input[0].name
        known: dict[str, Any] = {"": None}
        for each in graph.initializer:
            known[each.name] = torch.from_numpy(numpy_helper.to_array(each).copy())
        self._nodes: list[tuple[Operator, list[str], str, dict[str, Any]]] = []
        for node in graph.node:
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            if node.op_type == "Constant":
                known[node.output[0]] = torch.from_numpy(numpy_helper.to_array(attributes["value"]).copy())
                continue
            if node.op_type not in OPERATORS:
                raise NotImplementedError(f"the operator {node.op_type}")
            if node.op_type == "Cast" and node.input[0] in known:  # weights are stored as float16
                known[node.output[0]] = known[node.input[0]].float()
                continue
            self._nodes.append((OPERATORS[node.op_type], list(node.input), node.output[0], attributes))
        # Weights change type and device with the module; everything else that is constant is plain numbers.
        weights = {name for operator, names, _, _ in self._nodes if operator is _conv for name in names[1:]}
        self._keys = {name: f"w{i}" for i, name in enumerate(sorted(weights))}
        self._weights = nn.ParameterDict(
            {key: nn.Parameter(known[name], requires_grad=False) for name, key in self._keys.items()}
        )
        rest = {name for _, names, _, _ in self._nodes for name in names} & set(known) - weights
        self._constants = {name: None if known[name] is None else known[name].tolist() for name in rest}

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        values: dict[str, Any] = {self._input: image, **self._constants}
        values |= {name: self._weights[key] for name, key in self._keys.items()}
        for operator, names, output, attributes in self._nodes:
            values[output] = operator([values[name] for name in names], attributes)
        return {name: values[name] for name in self._outputs}
