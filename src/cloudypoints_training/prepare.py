"""A Cityscapes tree as image, metric depth and camera per frame, ready for training.

`OUT/SPLIT/CITY/NAME/{image.png|jpg, depth.png|npy, camera.json[, sky.png]}` and `OUT/manifest.json`. Every frame uses
its own camera.json. Depth is NaN (0 in a PNG) wherever stereo measured nothing: nothing is filled in. sky.png (255)
says where labels have sky.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from tqdm import tqdm  # type: ignore[import-untyped]

from cloudypoints_ros.camera import Camera, save_camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.files import replacing, write_npy, write_png
from cloudypoints_ros.sources import KITTI_DEPTH_SCALE, read_image
from cloudypoints_training import masks
from cloudypoints_training.cityscapes import Frame, find_frames, read_rig
from cloudypoints_training.disparity import depth_from_disparity, read_disparity

Array = npt.NDArray[Any]

MANIFEST, JOURNAL = "manifest.json", "manifest.jsonl"
NOTICE = "Made from Cityscapes: non-commercial use only, not to be redistributed (cityscapes-dataset.com/license)."
JPEG_QUALITY = 95


@dataclass(frozen=True)
class Settings:
    """What decides the files' contents; `crop` is x, y, width, height in pixels of the original, before `size`."""

    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None  # width, height
    depth: str = "png"  # uint16 metres x 256, or "npy": float32 metres
    image: str = "png"  # or "jpg"
    strip: float = 0.0625  # share of the columns at the left that is masked: 128 of 2048
    folds: int = 0  # that the training cities are dealt into; 0: none


@dataclass(frozen=True)
class Outcome:
    """How a tree came out: frames made now, frames that were there, and a sentence for each that could not be made."""

    made: int
    kept: int
    broken: dict[str, str]


def prepare(
    root: Path, out: Path, settings: Settings, split: str | None = None, jobs: int = 1, limit: int | None = None
) -> Outcome:
    """Prepare every frame of `root` that has a disparity; what an earlier call finished is kept.

    A frame that cannot be read is left out and named in the outcome and the manifest. CloudyPointsError where there
    is nothing to do, where `out` was made with other settings, or where it cannot be written.
    """
    frames = [frame for frame in find_frames(root, split) if frame.path("disparity")][:limit]
    if not frames:
        raise CloudyPointsError(
            f"No frame under {root} has a disparity; unpack disparity_trainvaltest.zip (and camera_trainvaltest.zip) "
            "there."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / JOURNAL).open("a", encoding="utf-8") as journal:
            done = read_done(out, settings)
            if (out / JOURNAL).stat().st_size == 0:
                journal.write(json.dumps({"settings": _plain(settings)}) + "\n")
                journal.flush()
            todo = [frame for frame in frames if not _is_done(out, done.get(key_of(frame)), frame)]
            broken: dict[str, str] = {}
            progress = tqdm(total=len(frames), initial=len(frames) - len(todo), unit="frame")
            with progress:
                for frame, result in _results(todo, out, settings, jobs):
                    if isinstance(result, str):
                        broken[key_of(frame)] = result
                        progress.write(result)
                    else:
                        done[key_of(frame)] = result
                        journal.write(json.dumps({"frame": key_of(frame), **result}) + "\n")
                        journal.flush()
                    progress.update()
    except OSError as error:
        raise CloudyPointsError(
            f"{out} cannot be written ({error.strerror or error}); make room or choose another folder, then give the "
            "same command again: what is finished is kept."
        ) from error
    _write_manifest(out, settings, done, broken)
    (out / JOURNAL).unlink()
    return Outcome(len(todo) - len(broken), len(frames) - len(todo), broken)


def key_of(frame: Frame) -> str:
    """Where a frame's folder lies below OUT."""
    return f"{frame.split}/{frame.city}/{frame.name}"


def fold_of(city: str, folds: int) -> int:
    """The fold of a training city, by its name alone, so that a partial tree deals as the whole one."""
    return int.from_bytes(hashlib.sha256(city.encode()).digest()[:8], "big") % folds


def read_done(out: Path, settings: Settings) -> dict[str, Any]:
    """The records of what earlier calls finished, from the manifest and from the journal of a call that was cut off.

    CloudyPointsError where they were made with other settings.
    """
    done: dict[str, Any] = {}
    made_with: list[dict[str, Any]] = []
    if (out / MANIFEST).is_file():
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        made_with.append(manifest["settings"])
        done |= manifest["frames"]
    for line in (out / JOURNAL).read_text(encoding="utf-8").splitlines() if (out / JOURNAL).is_file() else ():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:  # the line that was being written
            continue
        if "settings" in record:
            made_with.append(record["settings"])
        else:
            done[record.pop("frame")] = record
    now = _plain(settings)
    for then in made_with:
        different = [
            f"{name} {then.get(name)} but now {value}" for name, value in now.items() if then.get(name) != value
        ]
        if different:
            raise CloudyPointsError(
                f"{out} was prepared with {', '.join(different)}; repeat those settings or choose another folder."
            )
    return done


def prepare_frame(frame: Frame, out: Path, settings: Settings) -> dict[str, Any]:
    """Write one frame's folder; return its record: hashes of what was read and written, share of known pixels."""
    image = read_image(frame.require("leftImg8bit"))
    raw = read_disparity(frame.require("disparity"))
    shape = raw.shape
    if image.shape[:2] != shape:
        raise CloudyPointsError(
            f"The disparity of {key_of(frame)} is {shape[1]}x{shape[0]} but its image is "
            f"{image.shape[1]}x{image.shape[0]}; unpack both packages again."
        )
    rig = read_rig(frame.require("camera"), (shape[1], shape[0]))
    labels_path = frame.path("labelIds")
    labels = None if labels_path is None else masks.read_labels(labels_path, shape)
    depth = depth_from_disparity(raw, rig)
    depth[masks.sky(shape, labels)] = np.inf
    for mask in (
        masks.unseen_by_stereo(raw),
        masks.left_strip(shape, settings.strip),
        masks.hood(shape, labels),
        masks.border(shape, labels),
    ):
        depth[mask] = np.nan
    image, depth, camera = cut(image, depth, rig.camera, settings.crop, settings.size)

    folder = out / key_of(frame)
    folder.mkdir(parents=True, exist_ok=True)
    _write_image(image, folder / f"image.{settings.image}")
    if settings.depth == "npy":
        write_npy(depth, folder / "depth.npy")
    else:
        write_png(_kitti(depth), folder / "depth.png")
    if labels is not None:
        write_png(np.where(np.isposinf(depth), 255, 0).astype(np.uint8), folder / "sky.png")
    with replacing(folder / "camera.json") as temporary:
        save_camera(camera, temporary)
    read = {kind: frame.path(kind) for kind in ("leftImg8bit", "disparity", "camera", "labelIds")}
    record: dict[str, Any] = {
        "known": round(float(np.isfinite(depth).mean()), 4),
        "inputs": {kind: _sha256(path) for kind, path in read.items() if path},
        "outputs": {path.name: _sha256(path) for path in sorted(folder.iterdir())},
        "sizes": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }
    if settings.folds and frame.split == "train":
        record["fold"] = fold_of(frame.city, settings.folds)
    return record


def cut(
    image: Array,
    depth: Array,
    camera: Camera,
    crop: tuple[int, int, int, int] | None,
    size: tuple[int, int] | None,
) -> tuple[Array, Array, Camera]:
    """Crop, then resize, an image, its depth and its camera. Depth is that of the nearest pixel, never a mixture."""
    if crop is not None:
        x, y, width, height = crop
        camera = camera.cropped(*crop)
        image, depth = image[y : y + height, x : x + width], depth[y : y + height, x : x + width]
    if size is not None and size != (camera.width, camera.height):
        shrinks = size[0] < camera.width
        camera = camera.resized(*size)
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        depth = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    return image, depth, camera


def _results(
    frames: list[Frame], out: Path, settings: Settings, jobs: int
) -> Iterator[tuple[Frame, dict[str, Any] | str]]:
    """Each frame with its record, or with the sentence that says why there is none."""
    if jobs == 1:
        for frame in frames:
            yield frame, _attempt(frame, out, settings)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        pending = {pool.submit(_attempt, frame, out, settings): frame for frame in frames}
        try:
            for future in as_completed(pending):
                yield pending[future], future.result()
        except BrokenProcessPool as error:
            raise CloudyPointsError(
                "A process that prepares frames was killed, by hand or for want of memory; give the same command "
                "again, with fewer --jobs if memory was short: what is finished is kept."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _attempt(frame: Frame, out: Path, settings: Settings) -> dict[str, Any] | str:
    """A broken frame is a sentence; a disk that cannot be written ends the run."""
    cv2.setNumThreads(1)
    try:
        return prepare_frame(frame, out, settings)
    except CloudyPointsError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno is not None and "written" in str(error):
            raise OSError(error.__cause__.errno, str(error.__cause__.strerror)) from error
        return str(error)


def _is_done(out: Path, record: dict[str, Any] | None, frame: Frame) -> bool:
    """Whether all that a record lists is still there, and was written after what it was made from."""
    if record is None:
        return False
    try:
        files = {name: (out / key_of(frame) / name).stat() for name in record["sizes"]}
        newest = max(frame.require(kind).stat().st_mtime_ns for kind in ("leftImg8bit", "disparity", "camera"))
    except (OSError, CloudyPointsError):
        return False
    return all(
        files[name].st_size == size and files[name].st_mtime_ns >= newest for name, size in record["sizes"].items()
    )


def _write_manifest(out: Path, settings: Settings, done: dict[str, Any], broken: dict[str, str]) -> None:
    manifest = {
        "notice": NOTICE,
        "settings": _plain(settings),
        "frames": dict(sorted(done.items())),
        "broken": dict(sorted(broken.items())),
    }
    with replacing(out / MANIFEST) as temporary:
        temporary.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


def _write_image(image: Array, path: Path) -> None:
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix == ".jpg" else []
    done, encoded = cv2.imencode(path.suffix, image, flags)
    assert done
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _kitti(depth: Array) -> Array:
    """uint16 metres x 256; 0 where there is none, or 256 m and more."""
    scaled = np.rint(np.where(np.isfinite(depth), depth, 0) * KITTI_DEPTH_SCALE)
    return np.where(scaled <= 65535, scaled, 0).astype(np.uint16)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _plain(settings: Settings) -> dict[str, Any]:
    """As JSON gives it back: lists for tuples."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(settings)))
    return plain
