"""The official KITTI depth packages (www.cvlibs.net/datasets/kitti/eval_depth.php).

Annotated depth: `{train,val}/DRIVE/proj_depth/groundtruth/image_02/0000000005.png`; its images come from the raw
data, `DATE/DRIVE/image_02/data/0000000005.png` (or .jpg), its cameras from `DATE/calib_cam_to_cam.txt`. Both may lie
directly below the root or one folder deeper. DRIVE is such as 2011_09_26_drive_0001_sync; both colour cameras, 02 and
03, are used.

The selection for validation: `val_selection_cropped/{image,groundtruth_depth,intrinsics}`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training.datasets.items import Item
from cloudypoints_training.datasets.pairs import read_files

SPLITS = ("train", "val")
CAMERAS = ("02", "03")
SELECTION = "val_selection_cropped"


def is_annotated(root: Path) -> bool:
    return next(_drives(root, None), None) is not None


def annotated_in(root: Path, split: str | None) -> list[Item]:
    """The annotated frames whose raw image is there; a drive is a source."""
    items, missing = [], ""
    for drive in _drives(root, split):
        date = drive.name[:10]
        for number in CAMERAS:
            depths = sorted((drive / "proj_depth" / "groundtruth" / f"image_{number}").glob("*.png"))
            days = [base / date for base in _bases(root) if (base / date / drive.name / f"image_{number}").is_dir()]
            if not days:
                missing = missing or (f"{date}/{drive.name}/image_{number}/data" if depths else "")
                continue
            images = {p.stem: p for p in sorted((days[0] / drive.name / f"image_{number}" / "data").iterdir())}
            camera = partial(raw_camera, days[0] / "calib_cam_to_cam.txt", number)
            for depth in depths:
                if depth.stem in images:
                    read = partial(read_files, images[depth.stem], depth, camera)
                    items.append(Item(f"{drive.name}/image_{number}/data/{depth.stem}", drive.name, read))
    if not items and missing:
        raise CloudyPointsError(
            f"{root} holds annotated depth but not the images; unpack the raw data of the same drives there, such as "
            f"{missing}."
        )
    return items


def selection_folder(root: Path) -> Path | None:
    """Where the selection lies: at `root` itself or up to two folders deeper."""
    for folder in (root, root / SELECTION, *sorted(root.glob(f"*/{SELECTION}"))):
        if (folder / "groundtruth_depth").is_dir() and (folder / "intrinsics").is_dir():
            return folder
    return None


def selection_in(root: Path) -> list[Item]:
    """The frames of val_selection_cropped; a drive is a source."""
    folder = selection_folder(root)
    if folder is None:
        return []
    items = []
    for depth in sorted((folder / "groundtruth_depth").glob("*.png")):
        name = depth.stem.replace("_groundtruth_depth_", "_image_")
        camera = partial(matrix_camera, folder / "intrinsics" / f"{name}.txt")
        read = partial(read_files, folder / "image" / f"{name}.png", depth, camera)
        items.append(Item(name, name.split("_image_")[0], read))
    return items


def raw_camera(path: Path, number: str, width: int, height: int) -> Camera:
    """The rectified camera `number` of a calib_cam_to_cam.txt: P_rect, for images of the size S_rect."""
    lines = _calibration(path)
    p, size = _numbers(lines, path, f"P_rect_{number}", 12), _numbers(lines, path, f"S_rect_{number}", 2)
    if (round(size[0]), round(size[1])) != (width, height):
        raise CloudyPointsError(
            f"{path} is of {size[0]:.0f}x{size[1]:.0f} images (S_rect_{number}) but the image is {width}x{height}; put "
            "the calibration of its own date there."
        )
    return Camera(width, height, p[0], p[5], p[2], p[6])


def matrix_camera(path: Path, width: int, height: int) -> Camera:
    """The camera of a text file with the nine numbers of K, row by row."""
    k = _numbers({"K": _read(path)}, path, "K", 9)
    return Camera(width, height, k[0], k[4], k[2], k[5])


def _bases(root: Path) -> tuple[Path, ...]:
    return (root, *sorted(p for p in root.iterdir() if p.is_dir()))


def _drives(root: Path, split: str | None) -> Iterator[Path]:
    """Folders with annotated depth, by split and name."""
    for each in SPLITS if split is None else (split,):
        for base in _bases(root):
            for drive in sorted((base / each).glob("*_drive_*_sync")):
                if (drive / "proj_depth" / "groundtruth").is_dir():
                    yield drive


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CloudyPointsError(f"The camera file {path} cannot be read ({error}); put it there again.") from error


@lru_cache(maxsize=64)
def _calibration(path: Path) -> dict[str, str]:
    """The lines of a calibration file by what stands before the colon."""
    pairs = (line.partition(":") for line in _read(path).splitlines())
    return {key.strip(): values for key, colon, values in pairs if colon}


def _numbers(lines: dict[str, str], path: Path, key: str, count: int) -> list[float]:
    text = lines.get(key, "")
    try:
        numbers = [float(word) for word in text.split()]
    except ValueError:
        numbers = []
    if len(numbers) != count:
        found = repr(text.strip()) if text.strip() else "nothing"
        raise CloudyPointsError(
            f"The camera file {path} has {found} for {key}; expected {count} numbers: replace the file."
        )
    return numbers
