"""A trained network as ONNX with its card, checked against PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_ros.model_card import (
    METADATA_KEY,
    InputSize,
    Mask,
    ModelCard,
    ModelInput,
    ModelOutput,
    card_path,
)
from cloudypoints_training.models.base import DepthModel
from cloudypoints_training.onnx_graph import session, to_onnx
from cloudypoints_training.precision import half, stored_half

Array = npt.NDArray[Any]
Size = tuple[int, int]  # height, width

# Least, preferred, most; each becomes the nearest multiple of what the network takes.
SIZES = ((64, 64), (320, 640), (512, 1024))
PARITY_SIZES = ((320, 640), (224, 640), (96, 160))
LARGEST_FILE = 2**31 - 2**20  # bytes: of protobuf, less some for the structure


@dataclass(frozen=True)
class Difference:
    """Absolute differences between two outputs."""

    largest: float
    mean: float


@dataclass(frozen=True)
class Precision:
    """How a float32 graph is converted, and how far its log depths may then be from PyTorch's.

    A sky logit or log variance may be as far as ten times that: they are of order 10, and only compared with
    thresholds.
    """

    convert: Callable[[onnx.ModelProto], onnx.ModelProto]
    largest: float
    mean: float


PRECISIONS = {
    "float32": Precision(lambda graph: graph, 1e-3, 1e-4),
    # 11 bits of a log depth of 3 are steps of 0.002, that is 0.2 % of the metres; where an inverse depth comes near
    # 0 the logarithm makes more of them.
    "half": Precision(half, 1e-1, 5e-3),
    "small": Precision(stored_half, 1e-1, 5e-3),
}


@dataclass(frozen=True)
class Exported:
    """What was written: `size` is the only one it takes, or None; differences from PyTorch by output."""

    path: Path
    size: Size | None
    megabytes: float
    differences: dict[str, Difference]

    def __str__(self) -> str:
        taken = f"{self.size[1]}x{self.size[0]} only" if self.size else "any size"
        far = ", ".join(f"{name} {d.largest:.1e} (mean {d.mean:.1e})" for name, d in self.differences.items())
        return f"{self.path}: {self.megabytes:.1f} MB, {taken}; largest difference from PyTorch: {far}"


def export(
    model: DepthModel,
    path: Path,
    name: str,
    provenance: dict[str, Any],
    precision: str = "float32",
    fixed: Size | None = None,
    licence: str | None = None,
) -> Exported:
    """Write NAME.onnx (card in its metadata) and NAME.card.json.

    precision: one of PRECISIONS. fixed: the only (height, width) that it takes; a network without `free_size` takes
    the preferred one if none is given. licence: if not that of the model. The files appear only after ONNX Runtime
    has given PyTorch's numbers.
    """
    graph, fixed = trace(model, fixed)
    limits = PRECISIONS[precision]
    graph = limits.convert(graph)
    differences = parity(model, graph, fixed)
    require_parity(differences, limits, path)
    card = make_card(model, name, {**provenance, "precision": precision}, names_of(graph), fixed, licence)
    return write(graph, card, path, fixed, differences)


def taken_size(model: DepthModel, fixed: Size | None = None) -> Size | None:
    """The only size that the graph of a network takes, if there is one: what is asked for, or all it can."""
    multiple = model.input.multiple
    if fixed is None:
        return None if model.free_size else multiples(SIZES[1], multiple)
    near = multiples(fixed, multiple)
    if fixed != near:
        raise CloudyPointsError(
            f"The size {fixed[0]}x{fixed[1]} was given, but height and width must be multiples of {multiple}; "
            f"the nearest is {near[0]}x{near[1]}."
        )
    return fixed


def trace(model: DepthModel, fixed: Size | None = None) -> tuple[onnx.ModelProto, Size | None]:
    """The float32 graph of a network, and the only size that it takes, if it is so."""
    fixed = taken_size(model, fixed)
    size_bytes = sum(p.numel() * 4 for p in model.parameters())
    if size_bytes > LARGEST_FILE:
        raise CloudyPointsError(
            f"The network has {size_bytes / 1e9:.1f} GB of weights, an ONNX file holds 2.1; choose a smaller variant."
        )
    model = model.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    names = tuple(named_outputs(model, *(multiples((64, 64), model.input.multiple))))
    return to_onnx(_Listed(model).eval(), names, fixed), fixed  # the exporter gives it back as it was


def make_card(
    model: DepthModel,
    name: str,
    provenance: dict[str, Any],
    outputs: Iterable[str],
    fixed: Size | None = None,
    licence: str | None = None,
) -> ModelCard:
    """The card of any network, with those of the outputs of `Output` that it has."""
    outputs = set(outputs)
    multiple = model.input.multiple
    least, preferred, most = (fixed or multiples(size, multiple) for size in SIZES)
    return ModelCard(
        name=name,
        input=ModelInput(
            tensor="image",
            size=InputSize(least, preferred, most, multiple),
            resize="letterbox",
            colour="rgb",
            scale=1.0,
            mean=model.input.mean,
            std=model.input.std,
        ),
        output=ModelOutput(
            tensor="log_depth",
            quantity="log_depth",
            unit="metre",
            range_m=model.range_m,
            canonical_focal_px=model.canonical_focal_px,
            sky=Mask(tensor="sky", sense="above", threshold=model.sky_threshold) if "sky" in outputs else None,
            log_variance="log_variance" if "log_variance" in outputs else None,
        ),
        licence=licence or model.licence,
        provenance=provenance,
    )


def multiples(size: Size, multiple: int) -> Size:
    """The nearest size whose sides are multiples of `multiple`."""
    height, width = (max(1, round(side / multiple)) * multiple for side in size)
    return height, width


@torch.no_grad()
def named_outputs(model: DepthModel, height: int, width: int) -> dict[str, Tensor]:
    """What a network answers to zeros, without what it has not."""
    output = model(torch.zeros(1, 3, height, width))
    return {name: value for name, value in output._asdict().items() if value is not None}


class _Listed(nn.Module):
    """A network whose outputs are a tuple without gaps, as the exporter needs it."""

    def __init__(self, model: DepthModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(value for value in self.model(image) if value is not None)


def names_of(graph: onnx.ModelProto) -> list[str]:
    return [output.name for output in graph.graph.output]


@torch.no_grad()
def parity(model: DepthModel, graph: onnx.ModelProto, fixed: Size | None = None) -> dict[str, Difference]:
    """How ONNX Runtime's outputs differ from PyTorch's, worst over several sizes."""
    runtime, names = session(graph), names_of(graph)
    found = {name: Difference(0.0, 0.0) for name in names}
    for image in test_images(model, (fixed,) if fixed else PARITY_SIZES):
        expected = model(torch.from_numpy(image))._asdict()
        for name, ours in zip(names, runtime.run(names, {"image": image}), strict=True):
            gap = np.abs(expected[name].numpy() - ours)
            worst = float(gap.max()) if np.isfinite(gap).all() else np.inf
            found[name] = Difference(max(found[name].largest, worst), max(found[name].mean, float(gap.mean())))
    return found


def test_images(model: DepthModel, sizes: Sequence[Size]) -> Iterator[Array]:
    """Blocks of colour under noise as network input, float32 1 x 3 x H x W, near `sizes`."""
    rng = np.random.default_rng(0)
    mean, std = (np.array(v)[:, None, None] for v in (model.input.mean, model.input.std))
    for size in sizes:
        height, width = multiples(size, model.input.multiple)
        coarse = rng.integers(0, 256, (1, 3, -(-height // 32), -(-width // 32))).astype(np.float32)
        blocks = coarse.repeat(32, 2).repeat(32, 3)[:, :, :height, :width]
        yield ((blocks + rng.normal(0, 12, blocks.shape) - mean) / std).astype(np.float32)


def require_parity(differences: Mapping[str, Difference], limits: Precision, path: Path) -> None:
    for name, found in differences.items():
        slack = 1 if name == "log_depth" else 10
        if found.largest < slack * limits.largest and found.mean < slack * limits.mean:
            continue
        raise CloudyPointsError(
            f"ONNX Runtime differs from PyTorch by {found.largest:.2g} (mean {found.mean:.2g}) in {name}, expected "
            f"less than {slack * limits.largest:g} (mean {slack * limits.mean:g}): {path} was not written; export as "
            "float32, or try the versions of torch, onnx and onnxruntime that the tests pass with."
        )


def write(
    graph: onnx.ModelProto, card: ModelCard, path: Path, fixed: Size | None, differences: dict[str, Difference]
) -> Exported:
    """The graph with its card inside and beside."""
    text = card.to_json()
    onnx.helper.set_model_props(graph, {METADATA_KEY: text})
    onnx.checker.check_model(graph, full_check=True)
    with replacing(path) as temporary:
        onnx.save(graph, str(temporary))
    with replacing(card_path(path)) as temporary:
        temporary.write_text(text)
    return Exported(path, fixed, path.stat().st_size / 1e6, differences)
