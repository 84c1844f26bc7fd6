"""A Cityscapes tree as image, metric depth and camera per frame, ready for training.

`OUT/SPLIT/CITY/NAME/{image.png|jpg, depth.png|npy, camera.json[, sky.png]}` and `OUT/manifest.json`. Every frame uses
its own camera.json. Depth is NaN (0 in a PNG) wherever stereo measured nothing: nothing is filled in. sky.png is 255
where the labels have sky or the disparity says infinitely far; a frame for which neither is known has none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.cityscapes import Frame, find_frames
from cloudypoints_training.conversion import Settings, convert, input_hashes, output_hashes, write
from cloudypoints_training.manifest import note, opened


@dataclass(frozen=True)
class Outcome:
    """How a tree came out: frames made now, frames that were there, frames without disparity, and a sentence for each
    that could not be made."""

    made: int
    kept: int
    without: int
    broken: dict[str, str]


@dataclass(frozen=True)
class Broken:
    why: str


def prepare(
    root: Path,
    out: Path,
    settings: Settings,
    split: str | None = None,
    jobs: int = 1,
    limit: int | None = None,
    folds: int = 5,
) -> Outcome:
    """Prepare every frame of `root` that has a disparity; what an earlier call finished, of the same files, is kept.

    A frame that cannot be read is left out and named in the outcome and the manifest. CloudyPointsError where there
    is nothing to do, where `out` was made with other settings, or where it cannot be written.
    """
    found = find_frames(root, split)
    frames = [frame for frame in found if frame.path("disparity")]
    if not frames:
        raise CloudyPointsError(
            f"No frame under {root} has a disparity; unpack disparity_trainvaltest.zip (and camera_trainvaltest.zip) "
            "there."
        )
    without, frames = len(found) - len(frames), frames[:limit]
    made: list[str] = []
    broken: dict[str, str] = {}
    with opened(out, settings, folds) as (manifest, journal), tqdm(total=len(frames), unit="frame") as progress:
        for key, result in _results(frames, out, settings, manifest.frames, jobs):
            manifest.broken.pop(key, None)
            if isinstance(result, Broken):
                manifest.frames.pop(key, None)
                manifest.broken[key] = broken[key] = result.why
                progress.write(result.why, file=sys.stderr)
            elif result is not None:
                made.append(key)
                manifest.frames[key] = result
                note(journal, key, result)
            progress.update()
    return Outcome(len(made), len(frames) - len(made) - len(broken), without, broken)


def key_of(frame: Frame) -> str:
    """Where a frame's folder lies below OUT."""
    return f"{frame.split}/{frame.city}/{frame.name}"


def _results(
    frames: list[Frame], out: Path, settings: Settings, records: dict[str, dict[str, Any]], jobs: int
) -> Iterator[tuple[str, dict[str, Any] | Broken | None]]:
    """What became of each frame, as they are finished. Threads: what takes long happens outside of Python."""
    with ThreadPoolExecutor(jobs) as pool:
        keys = {pool.submit(_bring, f, out / key_of(f), settings, records.get(key_of(f))): key_of(f) for f in frames}
        try:
            for future in as_completed(keys):
                yield keys[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)  # those that are being made are finished, no other is begun


def _bring(
    frame: Frame, folder: Path, settings: Settings, record: dict[str, Any] | None
) -> dict[str, Any] | Broken | None:
    """Make a frame's files: their record, or None if they are already there, made from these very inputs.

    CloudyPointsError only where they cannot be written, which ends the run.
    """
    try:
        inputs = input_hashes(frame)
        if (
            record
            and record["inputs"] == inputs
            and output_hashes(folder, list(record["outputs"])) == record["outputs"]
        ):
            return None
        converted = convert(frame, settings)
    except CloudyPointsError as error:
        return Broken(str(error))
    return {"known": round(converted.known, 4), "inputs": inputs, "outputs": write(converted, folder)}
