"""Into the library and out of it. A model is a folder of its own, as weights beside two models may share a name."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console

from cloudypoints_ros.camera import camera_from_hfov
from cloudypoints_ros.engines import open_engine
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.model_card import METADATA_KEY, ModelCard, card_path
from cloudypoints_ros.model_files import DEFAULT_MODEL, library_folder, library_names, load_card
from cloudypoints_ros.model_library.catalogue import CATALOGUE, card_of, looks_like
from cloudypoints_ros.model_library.onnx_file import OnnxFile, read_onnx, weight_files
from cloudypoints_ros.pipeline import Pipeline

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def add(args: argparse.Namespace) -> int:
    """Copy a model into the library once its card is known and one frame has given finite depth."""
    onnx, files = read_onnx(args.file), weight_files(args.file)
    card = find_card(args.file, onnx, args.card, args.entry)
    name = args.name or card.name
    target = _target(name)
    if target.exists() and not args.force:
        raise CloudyPointsError(
            f"The library has a model {name} ({target}); give another name with --name, or replace it with --force."
        )
    with Console(stderr=True).status(f"Copying {args.file.name} and running a frame"), _taking_place(target) as folder:
        model = folder / f"{name}.onnx"
        for path in files:
            copy = model if path == args.file else folder / path.relative_to(args.file.parent)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        card_path(model).write_text(card.to_json(), encoding="utf-8")
        nearest, farthest = try_out(model, card)
    unit = "m" if card.output.unit == "metre" else "relative units"
    print(f"{name} added to {library_folder()}: a frame gives depths from {nearest:.3g} to {farthest:.3g} {unit}.")
    if "note" in card.provenance:
        print(f"Note: {card.provenance['note']}")
    return 0


def remove(args: argparse.Namespace) -> int:
    """Remove a model after asking."""
    if args.name == DEFAULT_MODEL.stem:
        raise CloudyPointsError(f"The model {args.name} comes with the package and stays; name one that was added.")
    if args.name not in library_names():
        held = ", ".join(library_names()) or "nothing"
        raise CloudyPointsError(f"The library {library_folder()} has no model {args.name}; it holds {held}.")
    folder = _target(args.name)
    if not args.yes:
        if not sys.stdin.isatty():
            raise CloudyPointsError(f"Removing {folder} was not confirmed; answer in a terminal, or give --yes.")
        if input(f"Remove {folder}? [y/N] ").strip().lower() not in ("y", "yes"):
            print("Nothing was removed.")
            return 0
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise CloudyPointsError(f"{folder} cannot be removed ({error}); check who owns it.") from error
    print(f"{args.name} removed.")
    return 0


def find_card(file: Path, onnx: OnnxFile, given: Path | None, entry: str | None) -> ModelCard:
    """The card: the one given, of the catalogue entry named, the file's own, or of the entry that the user confirms."""
    if given is not None and entry is not None:
        raise CloudyPointsError("Both --card and --as were given; give one of them.")
    own = METADATA_KEY in onnx.metadata
    if own and (given or entry):
        raise CloudyPointsError(
            f"The model {file} has a card inside, which would win over --{'card' if given else 'as'}; leave the option "
            "out, or export the model again with the card that is right."
        )
    if given is not None:
        try:
            return ModelCard.from_json(given.read_text(encoding="utf-8"), f"The card {given}")
        except (OSError, UnicodeDecodeError) as error:
            raise CloudyPointsError(f"The card {given} cannot be read ({error}); give a readable file.") from error
    if entry is not None:
        return card_of(entry, onnx)
    if own or card_path(file).is_file():
        return load_card(file)
    return card_of(_confirmed(file, onnx), onnx)


def try_out(model: Path, card: ModelCard) -> tuple[float, float]:
    """Nearest and farthest finite depth of one frame of noise; CloudyPointsError when there is none.

    A card that allows several sizes is tried at the preferred and at the smallest.
    """
    pipeline = Pipeline(card, open_engine("onnxruntime", model, card))
    size = card.input.size
    found = []
    for height, width in dict.fromkeys((size.opt, size.min)):
        image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        depth = pipeline.depth(image, camera_from_hfov(width, height, 90.0)).depth
        if np.isnan(depth).all():
            raise CloudyPointsError(
                f"The model {card.name} gives no depth for an image of {width}x{height}; correct the quantity, masks "
                "and normalisation in its card, or export it again."
            )
        found.append(depth[np.isfinite(depth)])
    values = np.concatenate(found)
    if not values.size:
        raise CloudyPointsError(
            f"The model {card.name} takes every pixel for sky; correct the sense and threshold of sky in its card."
        )
    return float(values.min()), float(values.max())


def _confirmed(file: Path, onnx: OnnxFile) -> str:
    """The entry of the catalogue that the user says this is."""
    likely = looks_like(onnx)
    if not likely:
        tensors = "; ".join(map(str, (*onnx.inputs, *onnx.outputs)))
        raise CloudyPointsError(
            f"The model {file} has no card and looks like nothing in the catalogue ({tensors}; {onnx.parameters} "
            "parameters); write its card and give it with --card, or name an entry with --as."
        )
    if not sys.stdin.isatty():
        raise CloudyPointsError(
            f"The model {file} has no card and looks like {' or '.join(likely)}; if it is, say so with --as "
            f"{likely[0]}, else give its card with --card."
        )
    for name in likely:
        entry = CATALOGUE[name]
        print(f"{file.name} looks like {name}: {entry.title}, licence {entry.licence}.\n{entry.note}")
        if input("Is it? [y/N] ").strip().lower() in ("y", "yes"):
            return name
    raise CloudyPointsError(f"The model {file} was not recognised; give its card with --card.")


def _target(name: str) -> Path:
    if not NAME.fullmatch(name) or name == DEFAULT_MODEL.stem:
        raise CloudyPointsError(
            f"The name '{name}' cannot be given to a model; choose another with --name, of letters, digits, '.', '_' "
            "and '-'."
        )
    return library_folder() / name


@contextmanager
def _taking_place(target: Path) -> Iterator[Path]:
    """A folder that becomes ``target`` when the block ends without an error; what was there goes only then."""
    staged = target.with_name(f".{target.name}.{os.getpid()}.part")
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        staged.mkdir(parents=True)
        yield staged
        if target.exists():
            target.rename(old)
        staged.rename(target)
    except OSError as error:
        raise CloudyPointsError(
            f"The library cannot take the model ({error}); check that {target.parent} is writable and the disk has "
            "space, or set CLOUDYPOINTS_MODELS to another folder."
        ) from error
    finally:
        if old.exists() and not target.exists():
            old.rename(target)
        for leftover in (staged, old):
            shutil.rmtree(leftover, ignore_errors=True)
