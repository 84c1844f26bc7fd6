"""Which frames a folder holds, before any is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import KINDS, SPLITS, find_frames, folders
from cloudypoints_training.datasets.layouts import KINDS as LAYOUT_NAMES
from cloudypoints_training.datasets.layouts import LAYOUTS, recognise
from cloudypoints_training.exploration.looks import Look, look_at_frame, look_at_item

NO_SPLIT = "all"


@dataclass(frozen=True)
class Entry:
    """One frame. source: what figures are given for: a city, a drive, a style. kinds: the files that it has."""

    split: str
    source: str
    name: str
    kinds: frozenset[str]
    read: Callable[[], Look]


@dataclass(frozen=True)
class Tree:
    """layout: one of the data sets' kinds. kinds: the files that a frame may have, in the order of a table.

    strays: by kind, files (SPLIT/SOURCE/NAME) that belong to no frame.
    """

    layout: str
    kinds: tuple[str, ...]
    entries: list[Entry]
    strays: dict[str, list[str]]


def find(root: Path, layout: str = "auto", split: str | None = None) -> Tree:
    """The frames below `root`, ordered by split (train first), source and name; CloudyPointsError if there are none."""
    if not root.is_dir():
        raise CloudyPointsError(f"There is no folder {root}; give the root of a data set.")
    if layout not in LAYOUT_NAMES:
        raise CloudyPointsError(
            f"There is no kind of data set called '{layout}'; expected one of {', '.join(LAYOUT_NAMES)}."
        )
    layout = recognise(root) if layout == "auto" else layout
    return _cityscapes(root, split) if layout == "cityscapes" else _other(root, layout, split)


def sampled(entries: Sequence[Entry], limit: int | None, seed: int) -> list[Entry]:
    """At most `limit` of the entries in their order: one drawn from each of as many equal parts."""
    if limit is None or limit >= len(entries):
        return list(entries)
    parts = np.linspace(0, len(entries), limit + 1).astype(int)
    return [entries[i] for i in np.random.default_rng(seed).integers(parts[:-1], parts[1:])]


def _cityscapes(root: Path, split: str | None) -> Tree:
    frames = sorted(find_frames(root, split), key=lambda frame: SPLITS.index(frame.split))
    names = {(frame.split, frame.city, frame.name) for frame in frames}
    files = {kind: _files(root, kind, split) for kind in KINDS}
    entries = []
    for frame in frames:
        key = (frame.split, frame.city, frame.name)
        kinds = frozenset(kind for kind in KINDS if key in files[kind])
        entries.append(Entry(frame.split, frame.city, frame.name, kinds, partial(look_at_frame, frame)))
    strays = {kind: sorted("/".join(key) for key in found - names) for kind, found in files.items()}
    return Tree("cityscapes", tuple(KINDS), entries, {kind: found for kind, found in strays.items() if found})


def _files(root: Path, kind: str, split: str | None) -> set[tuple[str, str, str]]:
    """Split, city and name of every file of a kind: one listing is faster than to ask for each frame's files."""
    ending = KINDS[kind][1]
    found = (path for folder in folders(root, kind) for path in folder.glob(f"{split or '*'}/*/*{ending}"))
    return {(path.parent.parent.name, path.parent.name, path.name.removesuffix(ending)) for path in found}


def _other(root: Path, layout: str, split: str | None) -> Tree:
    known = LAYOUTS[layout]
    if split is not None and split not in known.splits:
        expected = f"one of {', '.join(known.splits)}" if known.splits else "none: leave it away"
        raise CloudyPointsError(f"There is no split '{split}' in {root} ({layout}); expected {expected}.")
    entries = []
    for each in (split,) if split else known.splits or (None,):
        for item in sorted(known.find(root, each), key=lambda item: (item.source, item.name)):
            kinds = frozenset(("image", "depth"))
            entries.append(Entry(each or NO_SPLIT, item.source, item.name, kinds, partial(look_at_item, item)))
    if not entries:
        of_split = f" of split {split}" if split else ""
        raise CloudyPointsError(f"There is no image with depth{of_split} under {root}; expected {known.looks}.")
    return Tree(layout, ("image", "depth"), entries, {})
