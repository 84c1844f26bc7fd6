"""Find a model and its card on disk."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import METADATA_KEY, ModelCard, card_path

DEFAULT_MODEL = Path(__file__).parent / "models" / "cloudypoints_street.onnx"

# ModelProto and StringStringEntryProto of onnx.proto3.
_METADATA_PROPS = 14
_KEY, _VALUE = 1, 2
_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})

_log = logging.getLogger(__name__)


def library_folder() -> Path:
    """Where `cloudypoints models` keeps what was added, NAME/NAME.onnx each; ``CLOUDYPOINTS_MODELS`` sets it."""
    chosen = os.environ.get("CLOUDYPOINTS_MODELS")
    if chosen:
        return Path(chosen).expanduser()
    data = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification has relative paths ignored.
    root = Path(data) if data.startswith("/") else Path(os.path.expanduser("~/.local/share"))  # noqa: PTH111
    return root / "cloudypoints" / "models"


def library_names() -> list[str]:
    """What the library holds, sorted."""
    try:
        return sorted(each.name for each in library_folder().iterdir() if _in_library(each.name).is_file())
    except OSError:  # no library is an empty one
        return []


def resolve(model: str | Path | None) -> Path:
    """The ONNX file meant by a path, a name in the library, the embedded model's name, or nothing (embedded too)."""
    if not model or str(model) == DEFAULT_MODEL.stem:
        return DEFAULT_MODEL
    path = Path(model).expanduser()
    bare = path.name == str(model)
    if bare and not path.is_file() and _in_library(path.name).is_file():
        return _in_library(path.name)
    if path.is_file() or not bare or path.suffix == ".onnx":
        return path  # what is wrong with it is said by load_card
    held = ", ".join([DEFAULT_MODEL.stem, *library_names()])
    raise CloudyPointsError(
        f"There is no model file {model}, and no model of that name in the library {library_folder()}; give the path "
        f"of an .onnx file or one of the names {held}."
    )


def _in_library(name: str) -> Path:
    return library_folder() / name / f"{name}.onnx"


def load_card(model: Path) -> ModelCard:
    """The card of an ONNX file: the embedded one, else ``NAME.card.json``; the embedded one wins."""
    if not model.is_file():
        raise CloudyPointsError(
            f"There is no model file {model}; give the path of an .onnx file, or none for the default."
        )
    try:
        embedded = onnx_metadata(model).get(METADATA_KEY)
        beside = card_path(model)
        text = beside.read_text(encoding="utf-8") if beside.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise CloudyPointsError(
            f"The model {model} or its card cannot be read ({error}); give readable files."
        ) from error
    if embedded is not None:
        if text is not None and text.strip() != embedded.strip():
            _log.warning("%s differs from the card inside %s; the one inside is used.", beside, model.name)
        return ModelCard.from_json(embedded, f"The card inside {model}")
    if text is not None:
        return ModelCard.from_json(text, f"The card {beside}")
    raise CloudyPointsError(
        f"The model {model} has no card, so its input and its metres are unknown; write {beside.name} beside it "
        "or export it with cloudypoints-train."
    )


def onnx_metadata(model: Path) -> dict[str, str]:
    """The metadata_props of an ONNX file, read without loading its weights.

    Walks the protobuf fields of ModelProto (https://protobuf.dev/programming-guides/encoding) and skips all
    but the metadata, so that a card can be read from a model of any size by the standard library.
    """
    entries: dict[str, str] = {}
    try:
        with model.open("rb") as file:
            end = model.stat().st_size
            for field, start, length in fields(file, 0, end):
                if field not in _MODEL_FIELDS:
                    raise ValueError(f"field {field} is not in ModelProto")
                if field == _METADATA_PROPS:
                    entry = {}
                    for key, s, n in fields(file, start, start + length):
                        file.seek(s)
                        entry[key] = file.read(n).decode("utf-8")
                    entries[entry[_KEY]] = entry.get(_VALUE, "")
                file.seek(start + length)
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise CloudyPointsError(
            f"The model {model} is not a complete ONNX file ({error}); it may be truncated, a Git LFS pointer or "
            "another format: copy or export it again."
        ) from error
    return entries


def fields(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(field number, payload start, payload length) of the message in [start, end)."""
    position = start
    while position < end:
        file.seek(position)
        tag = varint(file)
        field, wire = tag >> 3, tag & 7
        if wire == 2:
            length = varint(file)
            payload = file.tell()
        elif wire == 0:
            payload = file.tell()
            varint(file)
            length = file.tell() - payload
        elif wire in (1, 5):
            payload, length = file.tell(), 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {position}")
        if payload + length > end:
            raise ValueError(f"{end} bytes, but a field reaches to {payload + length}")
        yield field, payload, length
        position = payload + length


def varint(file: BinaryIO) -> int:
    """The number at the file's position."""
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise ValueError("a number is cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
