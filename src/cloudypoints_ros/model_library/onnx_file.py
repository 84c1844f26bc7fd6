"""What an ONNX file is made of, read without the onnx package and without its weights.

The field numbers are those of onnx.proto3 (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_files import fields, onnx_metadata, varint

# TensorProto.DataType
TYPES = {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
TYPES |= {16: "bfloat16"}


@dataclass(frozen=True)
class Tensor:
    """An input or output; a dimension is a number, or the name of one that is free ("?" without a name)."""

    name: str
    type: str
    shape: tuple[int | str, ...]

    def __str__(self) -> str:
        return f"{self.name}: {self.type} ({', '.join(map(str, self.shape))})"


@dataclass(frozen=True)
class OnnxFile:
    """``operators`` counts nodes by type, subgraphs and functions included; ``parameters`` counts stored numbers.

    ``readers`` are the types of the operators that read the inputs. ``weights`` are the files that hold tensors kept
    outside, relative to the ONNX file.
    """

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    opset: int
    operators: Counter[str]
    readers: frozenset[str]
    parameters: int
    weights: tuple[str, ...]
    producer: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class _Message:
    """A protobuf message in [start, end) of a file; a scalar field is a message that is its bytes."""

    file: BinaryIO
    start: int
    end: int

    def all(self, number: int) -> Iterator[_Message]:
        for field, start, length in fields(self.file, self.start, self.end):
            if field == number:
                yield _Message(self.file, start, start + length)

    def text(self, number: int) -> str:
        """The last of a string field; "" without one."""
        found = list(self.all(number))
        return found[-1].bytes().decode("utf-8") if found else ""

    def number(self, number: int) -> int | None:
        found = list(self.all(number))
        return found[-1].value() if found else None

    def numbers(self, number: int) -> list[int]:
        """A repeated integer field, packed or not."""
        values = []
        for each in self.all(number):
            self.file.seek(each.start)
            while self.file.tell() < each.end:
                values.append(varint(self.file))
        return values

    def value(self) -> int:
        self.file.seek(self.start)
        return varint(self.file)

    def bytes(self) -> bytes:
        self.file.seek(self.start)
        return self.file.read(self.end - self.start)


def read_onnx(model: Path) -> OnnxFile:
    """The contents of a file; CloudyPointsError when it is missing or no ONNX."""
    if not model.is_file():
        raise CloudyPointsError(f"There is no model file {model}; give the path of an .onnx file.")
    try:
        metadata = onnx_metadata(model)
        with model.open("rb") as file:
            return _contents(_Message(file, 0, model.stat().st_size), metadata)
    except (ValueError, StopIteration) as error:
        raise CloudyPointsError(
            f"The model {model} is not a complete ONNX file ({error or 'it has no graph'}); copy or export it again."
        ) from error
    except OSError as error:
        raise CloudyPointsError(f"The model {model} cannot be read ({error}); give a readable file.") from error


def weight_files(model: Path) -> tuple[Path, ...]:
    """Every file that makes the model, the ONNX file first; CloudyPointsError when one is missing or not beside it."""
    paths = []
    for location in read_onnx(model).weights:
        relative = PurePosixPath(location)
        if relative.is_absolute() or ".." in relative.parts:
            raise CloudyPointsError(
                f"The model {model} keeps weights in {location}, which is not beside it; export it again with its "
                "weights inside or beside it."
            )
        path = model.parent / relative
        if not path.is_file():
            raise CloudyPointsError(
                f"The model {model} keeps weights in {location}, which is not beside it; put that file into "
                f"{model.parent}."
            )
        paths.append(path)
    return (model, *paths)


def digest(files: tuple[Path, ...]) -> str:
    """sha256 over the files one after another, in hexadecimal."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


def _contents(model: _Message, metadata: dict[str, str]) -> OnnxFile:
    graph = next(model.all(7))
    operators: Counter[str] = Counter()
    tensors: list[_Message] = []
    _walk(graph, operators, tensors)
    for function in model.all(25):
        operators.update(node.text(4) for node in function.all(7))
    initializers = list(graph.all(5))
    # Files of before IR version 4 list their weights among the inputs.
    stored = {each.text(8) for each in initializers}
    inputs = tuple(t for t in map(_tensor, graph.all(11)) if t.name not in stored)
    names = {t.name for t in inputs}
    readers = {n.text(4) for n in graph.all(1) if names & {i.bytes().decode() for i in n.all(1)}}
    opsets = {each.text(1): each.number(2) or 0 for each in model.all(8)}
    weights: dict[str, None] = {}
    for tensor in tensors:
        for entry in tensor.all(13):
            if entry.text(1) == "location":
                weights[entry.text(2)] = None
    return OnnxFile(
        inputs=inputs,
        outputs=tuple(map(_tensor, graph.all(12))),
        opset=opsets.get("", opsets.get("ai.onnx", 0)),
        operators=operators,
        readers=frozenset(readers),
        parameters=sum(math.prod(each.numbers(1)) for each in initializers),
        weights=tuple(weights),
        producer=f"{model.text(2)} {model.text(3)}".strip(),
        metadata=metadata,
    )


def _walk(graph: _Message, operators: Counter[str], tensors: list[_Message]) -> None:
    tensors.extend(graph.all(5))
    for node in graph.all(1):
        operators[node.text(4)] += 1
        for attribute in node.all(5):
            for number in (5, 10):
                tensors.extend(attribute.all(number))
            for number in (6, 11):
                for subgraph in attribute.all(number):
                    _walk(subgraph, operators, tensors)


def _tensor(value: _Message) -> Tensor:
    kind, shape = "unknown", []
    for of_type in value.all(2):
        for tensor in of_type.all(1):
            kind = TYPES.get(tensor.number(1) or 0, "other")
            for dimensions in tensor.all(2):
                for dimension in dimensions.all(1):
                    fixed = dimension.number(1)
                    shape.append(fixed if fixed is not None else dimension.text(2) or "?")
    return Tensor(value.text(1), kind, tuple(shape))
