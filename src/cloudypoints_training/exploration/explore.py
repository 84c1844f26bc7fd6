"""What a data set of images with depth holds: OUT/explore.html for people and OUT/explore.json with every figure.

Frames are read a few at a time and added up as they come, so that memory does not grow with their number.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm  # type: ignore[import-untyped]

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_training.exploration.looks import Look
from cloudypoints_training.exploration.record import summary
from cloudypoints_training.exploration.tallies import Survey
from cloudypoints_training.exploration.trees import Entry, find, sampled

Record = dict[str, Any]

SAMPLES = 8  # pictures of a split
MAPS = 4  # maps of valid pixels, of the most frequent shapes
REPORT, FIGURES = "explore.html", "explore.json"


def explore(
    root: Path,
    out: Path,
    layout: str = "auto",
    split: str | None = None,
    limit: int | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> Record:
    """Look at the frames of `root` and write the report; its record (see `record.summary`).

    limit: read at most this many frames, drawn evenly with `seed`. A broken file is named in the report and on stderr.
    CloudyPointsError where there is no frame at all, or where `out` cannot be written.
    """
    tree = find(root, layout, split)
    _require_writable(out)
    entries = sampled(tree.entries, limit, seed)
    survey = _surveyed(entries, jobs)
    record = summary(tree, survey, str(root), limit, seed)
    _write(record, survey, out)
    return record


def _surveyed(entries: Sequence[Entry], jobs: int) -> Survey:
    survey, shown = Survey(), _shown(entries)
    with tqdm(total=len(entries), unit="frame") as progress:
        for i, look in enumerate(_looks(entries, jobs)):
            survey.add(entries[i], look, keep=i in shown)
            for problem in look.problems:
                progress.write(problem, file=sys.stderr)
            progress.update()
    return survey


def _shown(entries: Sequence[Entry]) -> set[int]:
    """The numbers of the entries that stand for their split, evenly over its sources."""
    of_split: dict[str, list[int]] = {}
    for i, entry in enumerate(entries):
        of_split.setdefault(entry.split, []).append(i)
    return {
        numbers[i]
        for numbers in of_split.values()
        for i in np.linspace(0, len(numbers) - 1, min(SAMPLES, len(numbers))).round().astype(int)
    }


def _looks(entries: Sequence[Entry], jobs: int) -> Iterator[Look]:
    """What is seen of each entry, in their order; few are read at a time.

    Threads: what takes long happens outside of Python.
    """
    waiting: deque[Future[Look]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for entry in entries:
                waiting.append(pool.submit(entry.read))
                if len(waiting) > 2 * jobs:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)  # those that are being read are finished, no other is begun


def _require_writable(out: Path) -> None:
    """It would be a pity to find out after an hour of reading."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise CloudyPointsError(
            f"{out} cannot be written ({error.strerror or error}); make room there or choose another folder."
        ) from error


def _write(record: Record, survey: Survey, out: Path) -> None:
    """Both files, each whole or not at all."""
    from cloudypoints_training.exploration import pictures
    from cloudypoints_training.exploration.page import page

    maps = sorted(survey.maps.values(), key=lambda m: -m.frames)[:MAPS]
    drawn = {
        "counts": pictures.counts(record),
        "validity": pictures.validity(record),
        "depth": pictures.depths(record),
        "maps": {_caption(m.frames): pictures.valid_map(m, record["layout"]) for m in maps},
        "sheets": {
            split: pictures.sheet([(entry, look) for entry, look in survey.samples if entry.split == split])
            for split in record["counts"]
        },
    }
    with replacing(out / FIGURES) as temporary:
        temporary.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(out / REPORT) as temporary:
        temporary.write_text(page(record, drawn), encoding="utf-8")


def _caption(frames: int) -> str:
    return f"{frames:,} frames"
