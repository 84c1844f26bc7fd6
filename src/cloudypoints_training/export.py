"""A trained network as ONNX with its card, checked against PyTorch."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
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
from cloudypoints_training.models.efficientnet_lite import (
    FOCAL_CANONICAL_PX,
    MEAN,
    SCALE,
    SKY_THRESHOLD,
    STRIDE,
    DepthNet,
    Encoder,
)

OPSET = 17
SIZE = InputSize(min=(64, 64), opt=(320, 640), max=(512, 1024), multiple=STRIDE)
RANGE_M = (0.5, 150.0)
PARITY_SIZES = ((320, 640), (224, 640), (96, 160))
PARITY_TOLERANCE = 1e-3  # of each output, on log depths of about 3 and logits of about 10


def make_card(name: str, provenance: dict[str, Any]) -> ModelCard:
    """The card of a `DepthNet`."""
    return ModelCard(
        name=name,
        input=ModelInput(
            tensor="image",
            size=SIZE,
            resize="letterbox",
            colour="rgb",
            scale=1.0,
            mean=(MEAN, MEAN, MEAN),
            std=(SCALE, SCALE, SCALE),
        ),
        output=ModelOutput(
            tensor="log_depth",
            quantity="log_depth",
            unit="metre",
            range_m=RANGE_M,
            canonical_focal_px=FOCAL_CANONICAL_PX,
            sky=Mask(tensor="sky", sense="above", threshold=SKY_THRESHOLD),
            log_variance="log_variance",
        ),
        licence="MIT AND Apache-2.0",  # ours, and that of the ImageNet weights
        provenance=provenance,
    )


def export(model: DepthNet, path: Path, name: str, provenance: dict[str, Any]) -> float:
    """Write NAME.onnx (card in its metadata) and NAME.card.json; return the parity error.

    The files appear only after ONNX Runtime has given PyTorch's numbers at several sizes.
    """
    model = model.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    graph = to_onnx(model, ("log_depth", "sky", "log_variance"))
    text = make_card(name, provenance).to_json()
    onnx.helper.set_model_props(graph, {METADATA_KEY: text})
    onnx.checker.check_model(graph, full_check=True)
    error = parity(model, graph)
    if not error < PARITY_TOLERANCE:
        raise CloudyPointsError(
            f"ONNX Runtime differs from PyTorch by {error:.2g}, expected less than {PARITY_TOLERANCE:g}: {path} was "
            "not written; try the versions of torch, onnx and onnxruntime that the tests pass with."
        )
    with replacing(path) as temporary:
        onnx.save(graph, str(temporary))
    with replacing(card_path(path)) as temporary:
        temporary.write_text(text)
    return error


def to_onnx(module: nn.Module, outputs: tuple[str, ...], batch: bool = False) -> onnx.ModelProto:
    """The graph of a network or encoder with free height and width (and batch)."""
    axes = {2: "height", 3: "width"} | ({0: "batch"} if batch else {})
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, not broken
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, 64, 96),),
            buffer,  # type: ignore[arg-type]
            dynamo=False,  # the newer one needs the onnxscript package
            opset_version=OPSET,
            input_names=["image"],
            output_names=list(outputs),
            dynamic_axes={
                "image": axes,
                **{name: {k: f"{name}_{v}" for k, v in axes.items()} for name in outputs},
            },
        )
    graph = onnx.load_from_string(buffer.getvalue())
    fold_pads(graph)
    return graph


def onnx_encoder(encoder: Encoder, threads: int) -> Callable[[Tensor], list[Tensor]]:
    """The frozen encoder through ONNX Runtime: twice as fast as PyTorch on a CPU."""
    names = tuple(f"stride{2 << i}" for i in range(len(Encoder.channels)))
    runtime = session(to_onnx(encoder, names, batch=True), threads)

    def run(image: Tensor) -> list[Tensor]:
        features = runtime.run(None, {"image": image.contiguous().numpy()})
        return [torch.from_numpy(f).contiguous(memory_format=torch.channels_last) for f in features]

    return run


def fold_pads(model: onnx.ModelProto) -> None:
    """Turn the explicit Pad before each `SameConv` of stride 2 into the Conv's own `pads`.

    PyTorch's Conv2d cannot pad asymmetrically, ONNX's can. A separate Pad costs ONNX Runtime
    9 of 30 ms at 640 x 320, because it leaves the blocked layout around every one of them.
    The amounts follow from SAME padding; `parity` would show it if they did not.
    """
    graph = model.graph
    producer = {out: node for node in graph.node for out in node.output}
    for conv in [n for n in graph.node if n.op_type == "Conv"]:
        pad = producer.get(conv.input[0])
        if pad is None or pad.op_type != "Pad":
            continue
        given = {a.name: a for a in conv.attribute}
        kernel, stride = given["kernel_shape"].ints[0], given["strides"].ints[0]
        before = (kernel - stride) // 2
        after = kernel - stride - before
        given["pads"].ints[:] = [before, before, after, after]
        conv.input[0] = pad.input[0]
    _drop_unused(graph)


def _drop_unused(graph: onnx.GraphProto) -> None:
    while True:
        used = {name for node in graph.node for name in node.input}
        used |= {o.name for o in graph.output}
        unused = [n for n in graph.node if not used.intersection(n.output)]
        if not unused:
            break
        for node in unused:
            graph.node.remove(node)
    for initializer in [i for i in graph.initializer if i.name not in used]:
        graph.initializer.remove(initializer)


def session(model: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@torch.no_grad()
def parity(model: DepthNet, graph: onnx.ModelProto) -> float:
    """The largest absolute difference of any output between PyTorch and ONNX Runtime."""
    runtime = session(graph)
    rng = np.random.default_rng(0)
    worst = 0.0
    for height, width in PARITY_SIZES:
        coarse = rng.integers(0, 256, (1, 3, height // 32, width // 32)).astype(np.float32)
        pixels = coarse.repeat(32, 2).repeat(32, 3) + rng.normal(0, 12, (1, 3, height, width))
        image = ((pixels - MEAN) / SCALE).astype(np.float32)
        expected = model(torch.from_numpy(image))
        for ours, theirs in zip(expected, runtime.run(None, {"image": image}), strict=True):
            worst = max(worst, float(np.abs(ours.numpy() - theirs).max()))
    return worst
