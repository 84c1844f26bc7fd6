"""The same graph in 16-bit floats: computed in them for TensorRT, or only stored in them for a smaller file."""

from __future__ import annotations

import copy

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

# Kept in float32: their results leave the range or the precision of 16 bits in ordinary networks.
SENSITIVE = ("Exp", "InstanceNormalization", "Log", "Pow", "ReduceMean", "ReduceSum", "Softplus")
STORED = 256  # smaller tensors are not worth a node


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights and activations in float16, inputs and outputs in float32: for TensorRT's strongly typed networks.

    On a CPU such a graph is slower than float32.
    """
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    converted = OnnxModel(
        convert_float_to_float16(
            copy.deepcopy(model), keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *SENSITIVE]
        )
    )
    converted.topological_sort()
    result: onnx.ModelProto = converted.model
    return result


def stored_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Weights stored in float16, each behind a Cast to float32 that ONNX Runtime folds when it loads the file.

    It then computes in float32, as fast as before, with weights rounded to 11 bits.
    """
    model = copy.deepcopy(model)
    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < STORED:
            continue
        name = tensor.name
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
