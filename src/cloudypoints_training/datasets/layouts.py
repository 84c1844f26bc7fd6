"""Which layouts of images with depth there are, and which one a folder has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_training import cityscapes
from cloudypoints_training.datasets import kitti, pairs, stereo
from cloudypoints_training.datasets.items import DepthDataset, Item, Items, source_of
from cloudypoints_training.manifest import MANIFEST


@dataclass(frozen=True)
class Layout:
    """`looks`: the files that it is recognised by, for people."""

    looks: str
    fits: Callable[[Path], bool]
    find: Callable[[Path, str | None], list[Item]]  # in a fixed order
    splits: tuple[str, ...] = ()  # (): any folder of the root is one


def _is_clip(root: Path) -> bool:
    return all((root / name).is_dir() for name in ("image", "depth")) and (root / "camera.json").is_file()


def _has_pairs(root: Path) -> bool:
    return any(next(root.rglob(name), None) is not None for name in pairs.DEPTHS)


def _pairs(root: Path, split: str | None) -> list[Item]:
    return pairs.pairs_in(root / split if split else root, root)


# In this order a folder is tried.
LAYOUTS: dict[str, Layout] = {
    "cityscapes": Layout(
        "leftImg8bit/SPLIT/CITY/*_leftImg8bit.png with disparity and camera",
        stereo.is_cityscapes,
        stereo.frames_in,
        cityscapes.SPLITS,
    ),
    "prepared": Layout(
        "the manifest.json of cloudypoints-train prepare",
        lambda root: (root / MANIFEST).is_file(),
        pairs.prepared_in,
        cityscapes.SPLITS,
    ),
    "kitti": Layout(
        "{train,val}/DRIVE/proj_depth/groundtruth with the raw DATE/DRIVE/image_02/data and DATE/calib_cam_to_cam.txt",
        kitti.is_annotated,
        kitti.annotated_in,
        kitti.SPLITS,
    ),
    "kitti-selection": Layout(
        "val_selection_cropped/{image,groundtruth_depth,intrinsics}",
        lambda root: kitti.selection_folder(root) is not None,
        lambda root, split: kitti.selection_in(root),
        ("val",),
    ),
    "clip": Layout("image/, depth/ and camera.json", _is_clip, lambda root, split: pairs.clip_in(root)),
    "pairs": Layout("NAME/{image.jpg|png, depth.png|npy, camera.json}", _has_pairs, _pairs),
}
KINDS = ("auto", *LAYOUTS)


def open_dataset(
    root: Path | str,
    kind: str = "auto",
    split: str | None = None,
    sources: Sequence[str] = (),
    fold: int | None = None,
    without_fold: int | None = None,
) -> DepthDataset:
    """The images with depth below `root`; each is read when it is asked for, and always has the same number.

    kind: one of KINDS; `auto` recognises the layout. sources: starts of names; a sample's source is the one that fits,
    else what the layout says. fold, without_fold: of a prepared tree, only the training cities of this fold, or all
    but those. CloudyPointsError where there is nothing of the kind.
    """
    root = Path(root)
    if not root.is_dir():
        raise CloudyPointsError(f"There is no folder {root}; give the root of a data set.")
    if kind not in KINDS:
        raise CloudyPointsError(f"There is no kind of data set called '{kind}'; expected one of {', '.join(KINDS)}.")
    kind = recognise(root) if kind == "auto" else kind
    layout = LAYOUTS[kind]
    _require_split(root, kind, split)
    items = layout.find(root, split)
    if not items:
        of_split = f" of split {split}" if split else ""
        raise CloudyPointsError(f"There is no image with depth{of_split} under {root}; expected {layout.looks}.")
    items = [dataclasses.replace(item, source=_source(item, sources)) for item in items]
    return Items(_of_folds(items, root, fold, without_fold))


def recognise(root: Path) -> str:
    """The kind whose layout a folder has."""
    for kind, layout in LAYOUTS.items():
        if layout.fits(root):
            return kind
    looked = "; ".join(f"{kind}: {layout.looks}" for kind, layout in LAYOUTS.items())
    raise CloudyPointsError(f"{root} has no layout that is known; looked for {looked}.")


def _require_split(root: Path, kind: str, split: str | None) -> None:
    if split is None:
        return
    known = LAYOUTS[kind].splits or tuple(sorted(p.name for p in root.iterdir() if p.is_dir()))
    if split not in known or kind == "clip":
        expected = "none: leave it away" if kind == "clip" else f"one of {', '.join(known[:20]) or 'none'}"
        raise CloudyPointsError(f"There is no split '{split}' in {root} ({kind}); expected {expected}.")


def _source(item: Item, prefixes: Sequence[str]) -> str:
    chosen = source_of(item.name, prefixes)
    return chosen if chosen in prefixes else item.source


def _of_folds(items: list[Item], root: Path, fold: int | None, without: int | None) -> list[Item]:
    if fold is None and without is None:
        return items
    folds = sorted({item.fold for item in items if item.fold is not None})
    for number in (fold, without):
        if number is not None and number not in folds:
            found = f"folds {', '.join(map(str, folds))}" if folds else "no folds"
            raise CloudyPointsError(
                f"Fold {number} was asked for but {root} has {found}; make them with cloudypoints-train prepare "
                "--folds N, from the split train."
            )
    kept = [item for item in items if item.fold is not None and item.fold != without]
    return [item for item in kept if fold is None or item.fold == fold]
