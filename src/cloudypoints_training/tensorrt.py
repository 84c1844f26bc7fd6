"""What TensorRT's ONNX parser takes.

The table of github.com/onnx/onnx-tensorrt, docs/operators.md, as of TensorRT 10.1, of opset 9 to 20; later versions
take all of it. Listed are the operators that depth networks become, not the whole table.
"""

from __future__ import annotations

import onnx
from onnx import numpy_helper

TABLE = """
    Abs Add And AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv ConvTranspose
    DepthToSpace DequantizeLinear Div Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND
    Gelu Gemm GlobalAveragePool Greater GreaterOrEqual HardSigmoid HardSwish Identity If InstanceNormalization
    LayerNormalization LeakyRelu Less LessOrEqual Log MatMul Max MaxPool Min Mod Mul Neg NonZero Not OneHot Or Pad
    Pow PRelu QuantizeLinear Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu
    Reshape Resize Round ScatterElements ScatterND Shape Sigmoid Sign Size Slice Softmax Softplus SpaceToDepth Split
    Sqrt Squeeze Sub Sum Tan Tanh Tile TopK Transpose Trilu Unsqueeze Where Xor
"""
OPERATORS = frozenset(TABLE.split())


def obstacles(model: onnx.ModelProto) -> list[str]:
    """What of the graph the parser refuses, in a few words each; empty where it takes all."""
    strange = {node.op_type for node in model.graph.node if node.domain or node.op_type not in OPERATORS}
    found = [f"the operator {name}" for name in sorted(strange)]
    if any(a.s == b"cubic" for n in model.graph.node if n.op_type == "Resize" for a in n.attribute):
        found.append("a cubic Resize")
    if any(n.op_type == "QuantizeLinear" for n in model.graph.node) and _shifted(model.graph):
        found.append("a quantisation zero point that is not 0")
    return found


def _shifted(graph: onnx.GraphProto) -> bool:
    points = {n.input[2] for n in graph.node if n.op_type == "QuantizeLinear" and len(n.input) > 2}
    return any(numpy_helper.to_array(i).any() for i in graph.initializer if i.name in points)
