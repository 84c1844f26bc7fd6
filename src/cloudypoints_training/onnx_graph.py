"""PyTorch networks as ONNX graphs, and what makes those graphs faster."""

from __future__ import annotations

import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

OPSET = 17  # the lowest with LayerNormalization as one operator
TRACED_SIZE = (64, 96)  # where height and width stay free


def to_onnx(
    module: nn.Module, outputs: tuple[str, ...], size: tuple[int, int] | None = None, batch: bool = False
) -> onnx.ModelProto:
    """The graph of a module from `image`, N x 3 x H x W, to its outputs.

    size: the only (H, W) that it takes; none leaves both free. batch: N is free, else 1.
    """
    axes: dict[int, str] = {} if size else {2: "height", 3: "width"}
    axes |= {0: "batch"} if batch else {}
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated, not broken
        torch.onnx.export(
            module,
            (torch.zeros(1, 3, *(size or TRACED_SIZE)),),
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
    name_constants(graph.graph)
    fold_pads(graph)
    return folded(graph) if size else graph


def session(model: onnx.ModelProto, threads: int = 1) -> onnxruntime.InferenceSession:
    """On the CPU, as the runtime's engine runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def folded(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph without what does not depend on its input: shapes of a fixed size, resized position embeddings."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard operators only
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "folded.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        small = onnx.load(options.optimized_model_filepath)
    used = {node.domain for node in small.graph.node}
    for unused in [o for o in small.opset_import if o.domain not in used]:
        small.opset_import.remove(unused)
    return small


def name_constants(graph: onnx.GraphProto) -> None:
    """Turn Constant nodes into initializers, which is where TensorRT and converters look for scales and limits."""
    for node in [n for n in graph.node if n.op_type == "Constant" and n.attribute[0].name == "value"]:
        tensor = graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        graph.node.remove(node)


def onnx_features(encoder: nn.Module, count: int, threads: int) -> Callable[[Tensor], list[Tensor]]:
    """A module that gives `count` feature maps, through ONNX Runtime; without gradients."""
    names = tuple(f"feature{i}" for i in range(count))
    runtime = session(to_onnx(encoder, names, batch=True), threads)

    def run(image: Tensor) -> list[Tensor]:
        features = runtime.run(None, {"image": image.float().contiguous().numpy()})
        return [torch.from_numpy(f).contiguous(memory_format=torch.channels_last) for f in features]

    return run


def fold_pads(model: onnx.ModelProto) -> None:
    """Move zero padding before a Conv into the Conv's own `pads`.

    PyTorch's Conv2d cannot pad asymmetrically, ONNX's can. A separate Pad costs ONNX Runtime 9 of 30 ms at 640 x 320,
    because it leaves the blocked layout around every one of them.
    """
    graph = model.graph
    producer = {out: node for node in graph.node for out in node.output}
    for conv in [n for n in graph.node if n.op_type == "Conv"]:
        pad = producer.get(conv.input[0])
        if pad is None or pad.op_type != "Pad":
            continue
        given = {a.name: a for a in conv.attribute}
        mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
        amounts, value = (constant(model, name, producer) for name in (*pad.input, "")[1:3])
        zero = value is None or value.size == 0 or not value.any()
        own = given["auto_pad"].s if "auto_pad" in given else b"NOTSET"
        if mode != b"constant" or amounts is None or not zero or own != b"NOTSET" or "pads" not in given:
            continue
        n = amounts.size // 2  # begins of all axes, then ends
        if amounts[:2].any() or amounts[n : n + 2].any() or amounts.min() < 0:
            continue
        more = np.concatenate([amounts[2:n], amounts[n + 2 :]])
        given["pads"].ints[:] = [int(a + b) for a, b in zip(given["pads"].ints, more, strict=True)]
        conv.input[0] = pad.input[0]
    drop_unused(graph)


def constant(model: onnx.ModelProto, name: str, producer: dict[str, onnx.NodeProto]) -> npt.NDArray[Any] | None:
    """The value of a tensor that depends on no input of the graph, else None."""
    initial = {i.name: i for i in model.graph.initializer}
    nodes: dict[str, onnx.NodeProto] = {}
    open_names = [name]
    while open_names:
        at = open_names.pop()
        if at in initial or at == "":
            continue
        if at not in producer:
            return None
        node = producer[at]
        if node.output[0] not in nodes:
            nodes[node.output[0]] = node
            open_names.extend(node.input)
    if not name:
        return None
    ordered = [n for n in model.graph.node if n.output and n.output[0] in nodes]
    needed = {i for n in ordered for i in n.input} | {name}
    part = onnx.helper.make_graph(
        ordered,
        "constant",
        [],
        [onnx.ValueInfoProto(name=name)],
        [initial[i] for i in needed if i in initial],
    )
    small = onnx.helper.make_model(part, opset_imports=model.opset_import)
    small.ir_version = model.ir_version
    values: Any = ReferenceEvaluator(small).run(None, {})
    return np.asarray(values[0])


def drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes and initializers that lead nowhere."""
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
