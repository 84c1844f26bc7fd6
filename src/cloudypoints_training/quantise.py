"""A graph in 8-bit integers for CPUs that multiply them fast (VNNI), and whether it is still the same network.

On x86 without VNNI the sums of 8-bit products saturate: the scores are those of the machine that exports.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.evaluation.validation import Scene, validator
from cloudypoints_training.export import Exported, Size, make_card, names_of, parity, trace, write
from cloudypoints_training.models.base import DepthModel, Output
from cloudypoints_training.onnx_graph import session

Array = npt.NDArray[Any]

# Quantised together, so that values stay in 8 bits from one convolution to the next.
OPERATORS = ("Conv", "MatMul", "Gemm", "Add", "Clip", "Relu")
# Stay in float32: the first convolutions, whose few channels hold the whole image and whose error every later layer
# inherits (8 bits there moved log depth by 4 %), and the last, whose steps would be steps of the depth.
FIRST, LAST = 3, 1
MAX_CHANGE = 0.02  # of AbsRel


def quantised(model: onnx.ModelProto, images: Iterable[Array]) -> onnx.ModelProto:
    """Static QDQ quantisation, weights per channel; activations calibrated on `images`, float32 1 x 3 x H x W."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.images: Iterator[Array] = iter(images)

        def get_next(self) -> dict[str, Array] | None:
            image = next(self.images, None)
            return None if image is None else {"image": image}

    with tempfile.TemporaryDirectory() as folder:
        source, prepared, done = (Path(folder) / f"{name}.onnx" for name in ("source", "prepared", "done"))
        onnx.save(model, str(source))
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(done),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=in_float(onnx.load(prepared)),
            # Extremes averaged over the images: one glaring image does not widen the steps of all.
            extra_options={"CalibMovingAverage": True},
        )
        return onnx.load(done)


def in_float(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that are not quantised: up to the third convolution, and the last one."""
    nodes = list(model.graph.node)
    at = [i for i, node in enumerate(nodes) if node.op_type == "Conv"]
    if len(at) <= FIRST + LAST:
        raise CloudyPointsError(
            f"The network has {len(at)} convolutions and {FIRST + LAST} of them stay in float32, which leaves none "
            "to quantise; export it as float32."
        )
    return [node.name for node in (*nodes[: at[FIRST - 1] + 1], *(nodes[i] for i in at[-LAST:]))]


class OnnxModel(DepthModel):
    """A graph of `model` where a network is expected."""

    def __init__(self, graph: onnx.ModelProto, model: DepthModel, threads: int) -> None:
        super().__init__()
        self.config, self.input = model.config, model.input
        self.output_stride, self.canonical_focal_px = model.output_stride, model.canonical_focal_px
        self.sky_threshold = model.sky_threshold
        self._session = session(graph, threads)
        self._names = [o.name for o in graph.graph.output]

    def forward(self, image: Tensor) -> Output:
        given = self._session.run(self._names, {"image": image.contiguous().numpy()})
        named = {name: torch.from_numpy(value) for name, value in zip(self._names, given, strict=True)}
        return Output(named["log_depth"], named.get("sky"), named.get("log_variance"))


@dataclass(frozen=True)
class Change:
    """AbsRel (raw) on drawn scenes, mean over the sets, before and after."""

    scenes: int
    before: float
    after: float

    @property
    def share(self) -> float:
        return self.after / self.before - 1

    def __str__(self) -> str:
        return f"AbsRel on {self.scenes} drawn scenes from {self.before:.4f} to {self.after:.4f} ({self.share:+.1%})"


def change(
    model: DepthModel,
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    scenes: Mapping[str, list[Scene]],
    threads: int = 1,
) -> Change:
    """How the scores of two graphs of `model` differ."""
    score = validator(**scenes)
    one, other = (score(OnnxModel(graph, model, threads)) for graph in (before, after))
    raw = [name for name in one if name.endswith("_raw")]
    total = sum(len(each) for each in scenes.values())
    return Change(total, float(np.mean([one[n] for n in raw])), float(np.mean([other[n] for n in raw])))


def export_int8(
    model: DepthModel,
    path: Path,
    name: str,
    provenance: dict[str, Any],
    images: Iterable[Array],
    scenes: Mapping[str, list[Scene]],
    fixed: Size | None = None,
    licence: str | None = None,
    threads: int = 1,
) -> tuple[Exported, Change]:
    """Write a model quantised with `images` if its scores on `scenes`, of the size it takes, hardly move."""
    graph, fixed = trace(model, fixed)
    small = quantised(graph, images)
    found = change(model, graph, small, scenes, threads)
    require_little(found)
    said = {**provenance, "precision": "int8", "int8": str(found)}
    card = make_card(model, name, said, names_of(small), fixed, licence)
    return write(small, card, path, fixed, parity(model, small, fixed)), found


def require_little(found: Change) -> None:
    if not abs(found.share) < MAX_CHANGE:
        raise CloudyPointsError(
            f"Quantisation moves {found}; less than {MAX_CHANGE:.0%} is allowed, so nothing was written: export "
            "float32, or try again with more --calibration scenes."
        )
