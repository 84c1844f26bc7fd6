"""What a prepared tree was made from and holds: manifest.json, and a journal while it is being made.

manifest.json: `notice`, `settings`, `folds`, `frames` {SPLIT/CITY/NAME: {known, inputs, outputs, fold}} with SHA-256
hashes, and `broken` {SPLIT/CITY/NAME: why it could not be made}. Rewriting it after every frame would take longer than
the frames; so each adds a line to manifest.jsonl, which the next start folds in.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing
from cloudypoints_training.cityscapes import fold_of
from cloudypoints_training.conversion import Settings

MANIFEST, JOURNAL = "manifest.json", "manifest.jsonl"
NOTICE = "Made from Cityscapes: non-commercial use only, not to be redistributed (cityscapes-dataset.com/license)."


@dataclass
class Manifest:
    """`frames` and `broken` by the frame's folder, SPLIT/CITY/NAME."""

    frames: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


@contextmanager
def opened(out: Path, settings: Settings, folds: int) -> Iterator[tuple[Manifest, TextIO]]:
    """The manifest of `out` and the journal that `note` adds to; written when the block ends without an error.

    CloudyPointsError where `out` was made with other settings, or is being written by somebody else.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        journal = (out / JOURNAL).open("a+", encoding="utf-8", buffering=1)
    except OSError as error:
        raise CloudyPointsError(
            f"{out} cannot be written ({error.strerror or error}); make room there or choose another folder."
        ) from error
    with journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CloudyPointsError(
                f"Another run is writing to {out}; wait for it, stop it, or choose another folder."
            ) from error
        manifest = _read(out, settings)
        _save(out, manifest, settings, folds)  # the settings are on disk before the first frame is
        journal.truncate(0)
        yield manifest, journal
        _save(out, manifest, settings, folds)
        (out / JOURNAL).unlink()


def note(journal: TextIO, frame: str, record: dict[str, Any]) -> None:
    """A frame was made."""
    journal.write(json.dumps({"frame": frame, **record}) + "\n")


def _read(out: Path, settings: Settings) -> Manifest:
    manifest = Manifest()
    if (out / MANIFEST).is_file():
        try:
            data = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
            then, frames, broken = data["settings"], dict(data["frames"]), dict(data["broken"])
        except (ValueError, KeyError, TypeError) as error:
            raise CloudyPointsError(
                f"{out / MANIFEST} is no manifest of a prepared tree ({type(error).__name__}: {error}); delete it to "
                "prepare every frame anew, or choose another folder."
            ) from error
        _check(out, then, settings)
        manifest = Manifest(frames, broken)
    for line in (out / JOURNAL).read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # the line that was being written when the run was killed
            continue
        manifest.frames[record.pop("frame")] = record
    return manifest


def _check(out: Path, then: dict[str, Any], settings: Settings) -> None:
    now = _plain(settings)
    different = [f"{name} {then.get(name)} but now {now[name]}" for name in now if then.get(name) != now[name]]
    if different:
        raise CloudyPointsError(
            f"{out} was prepared with {', '.join(different)}; repeat those settings or choose another folder."
        )


def _save(out: Path, manifest: Manifest, settings: Settings, folds: int) -> None:
    data = {
        "notice": NOTICE,
        "settings": _plain(settings),
        "folds": folds,
        "frames": {frame: _folded(frame, record, folds) for frame, record in sorted(manifest.frames.items())},
        "broken": dict(sorted(manifest.broken.items())),
    }
    with replacing(out / MANIFEST) as temporary:
        temporary.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


def _folded(frame: str, record: dict[str, Any], folds: int) -> dict[str, Any]:
    """The record with its fold, where it has one: the official splits stay as they are, folds divide train."""
    split, city, _ = frame.split("/")
    rest = {key: value for key, value in record.items() if key != "fold"}
    return {**rest, "fold": fold_of(city, folds)} if split == "train" and folds else rest


def _plain(settings: Settings) -> dict[str, Any]:
    """As JSON gives it back: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain
