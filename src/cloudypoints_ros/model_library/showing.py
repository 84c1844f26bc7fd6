"""What is in the library, and what is in a model."""

from __future__ import annotations

import argparse
import json
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from cloudypoints_ros.engines.cache_key import ANY
from cloudypoints_ros.engines.engine_cache import entries
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import InputSize, Mask, ModelCard
from cloudypoints_ros.model_files import DEFAULT_MODEL, library_folder, library_names, load_card, resolve
from cloudypoints_ros.model_library.catalogue import CATALOGUE
from cloudypoints_ros.model_library.onnx_file import digest, read_onnx, weight_files

_PIPE_WIDTH = 240  # columns; what is piped into a file or another program is not to be wrapped


def list_models(args: argparse.Namespace) -> int:
    """Print the embedded model and those of the library, or the catalogue."""
    if args.catalogue:
        records = [{"name": name, **_entry(name)} for name in CATALOGUE]
    else:
        records = [record(name) for name in (DEFAULT_MODEL.stem, *library_names())]
    if args.json:
        print(json.dumps(records, indent=1))
    else:
        show(records)
        if not args.catalogue:
            print(f"Library: {library_folder()}")
    return 0


def record(name: str) -> dict[str, Any]:
    """What a list says of a model; ``problem`` instead when it cannot be read."""
    path = resolve(name)
    try:
        card, files = load_card(path), weight_files(path)
    except CloudyPointsError as error:
        return {"name": name, "path": str(path), "problem": str(error)}
    return {
        "name": name,
        "depth": f"{card.output.quantity}, {card.output.unit}",
        "input": size_text(card.input.size),
        "MB": round(sum(file.stat().st_size for file in files) / 1e6, 1),
        "licence": card.licence,
        "accuracy": accuracy(card),
        "engines": ", ".join(
            f"{each.key.backend} {each.key.tensorrt} for {each.key.gpu if each.key.gpu != ANY else f'SM {each.key.sm}'}"
            for each in entries()
            if each.key.onnx == digest(files)
        ),
        "path": str(path),
    }


def show(records: list[dict[str, Any]]) -> None:
    """A table; its columns are all keys but the path."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_PIPE_WIDTH)
    columns = list(dict.fromkeys(key for each in records for key in each if key != "path"))
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for each in records:
        table.add_row(*(str(each.get(column, "")) for column in columns))
    console.print(table)


def inspect(args: argparse.Namespace) -> int:
    """Print the card in words and the contents of the file."""
    path = resolve(args.model)
    files, onnx = weight_files(path), read_onnx(path)
    print("\n".join(card_lines(load_card(path))))
    print(f"file       {path}, {sum(file.stat().st_size for file in files) / 1e6:.1f} MB, sha256 {digest(files)}")
    for extra in files[1:]:
        print(f"weights    {extra}")
    for tensor in onnx.inputs:
        print(f"input      {tensor}")
    for tensor in onnx.outputs:
        print(f"output     {tensor}")
    counted = ", ".join(f"{name} {count}" for name, count in onnx.operators.most_common())
    print(f"graph      opset {onnx.opset}, {onnx.parameters} parameters, by {onnx.producer or 'nobody named'}")
    print(f"operators  {sum(onnx.operators.values())}: {counted}")
    for key, value in onnx.metadata.items():
        print(f"metadata   {key}: {' '.join(value.split())[:80]}")
    return 0


def card_lines(card: ModelCard) -> list[str]:
    """A card in words."""
    eats, gives = card.input, card.output
    meaning = f"{gives.quantity} in {'metres' if gives.unit == 'metre' else 'relative units'}"
    if gives.canonical_focal_px:
        meaning += f" of a camera with a focal length of {gives.canonical_focal_px:g} px at the network"
    masks = {"sky": gives.sky, "valid": gives.validity}
    marked = [f"{name} where {_mask(mask)}" for name, mask in masks.items() if mask]
    return [
        f"name       {card.name}",
        f"image      {eats.tensor}, {size_text(eats.size)}, {eats.resize}, {eats.colour}, (pixel x {eats.scale:.6g} - "
        f"{_triple(eats.mean)}) / {_triple(eats.std)}",
        f"depth      {gives.tensor}: {meaning}, {gives.range_m[0]:g} to {gives.range_m[1]:g}",
        *(["masks      " + ", ".join(marked)] if marked else []),
        f"licence    {card.licence}",
        f"accuracy   {accuracy(card) or 'the card says nothing'}",
        *(f"from       {key}: {value}" for key, value in card.provenance.items() if isinstance(value, str)),
    ]


def accuracy(card: ModelCard) -> str:
    """Errors named in the provenance: numbers under keys with abs_rel, or the range of those in an object there."""
    parts = []
    for key, value in card.provenance.items():
        if "abs_rel" not in key:
            continue
        if isinstance(value, dict):
            scores = [v for k, v in value.items() if k != "step" and isinstance(v, int | float)]
            if scores:
                parts.append(f"{key} {min(scores):.3f} to {max(scores):.3f}")
        elif isinstance(value, int | float):
            parts.append(f"{key} {value:.3f}")
    return ", ".join(parts)


def size_text(size: InputSize) -> str:
    """Width x height, as people say it."""
    (low, middle, high) = (f"{width}x{height}" for height, width in (size.min, size.opt, size.max))
    return middle if size.fixed else f"{middle} ({low} to {high}, multiples of {size.multiple})"


def _entry(name: str) -> dict[str, str]:
    entry = CATALOGUE[name]
    return {
        "title": entry.title,
        "depth": f"{entry.quantity}, {entry.unit}",
        "licence": entry.licence,
        "from": entry.sources[0],
    }


def _mask(mask: Mask) -> str:
    return f"{mask.tensor} is {mask.sense} {mask.threshold:g}"


def _triple(values: tuple[float, float, float]) -> str:
    return "[" + ", ".join(f"{value:g}" for value in values) + "]"
