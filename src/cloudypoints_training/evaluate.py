"""Scores: on drawn scenes while training, and of an exported model on measured depth.

Figures are raw metres first and median-scaled beside them; the two must never be mixed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from cloudypoints_ros.camera import Camera, load_calibration
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.metrics import ConstantErrors, constant_errors, depth_metrics, mean_constant_errors
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_ros.sources import read_image, read_truth
from cloudypoints_training.models.efficientnet_lite import FOCAL_CANONICAL_PX, MEAN, SCALE, SKY_THRESHOLD, DepthNet
from cloudypoints_training.scene_stream import (
    VALIDATION_PICTURES,
    VALIDATION_SEED,
    Draw,
    letterbox,
)

Array = npt.NDArray[Any]

NEAR_M, FAR_M = 1.0, 80.0
FIGURES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "silog", "delta1", "delta2", "delta3")


@dataclass(frozen=True)
class Scene:
    """A drawn scene at its network size."""

    image: Array  # uint8 H x W x 3
    depth: Array  # float32 H x W metres, NaN unknown, +inf sky
    focal_px: float


def draw_scenes(draw: Draw, style: str | None, count: int) -> list[Scene]:
    """The same `count` scenes at every call, of seeds that training never sees."""
    scenes = []
    for i in range(count):
        width, height = VALIDATION_PICTURES[i % len(VALIDATION_PICTURES)]
        drawn = draw(VALIDATION_SEED + i, width, height, style)
        image, depth = letterbox(drawn.image, drawn.depth)
        scenes.append(Scene(image, depth, drawn.camera.fx))
    return scenes


def has_truth(depth: Array) -> bool:
    """Whether some pixel counts in a score."""
    return bool(((depth >= NEAR_M) & (depth <= FAR_M)).any())


@torch.no_grad()
def predict(model: DepthNet, scene: Scene) -> Array:
    """float32 H x W metres at the scene's size, +inf where the model sees sky."""
    image = torch.from_numpy(scene.image).permute(2, 0, 1)[None].float()
    output = model((image - MEAN) / SCALE)
    depth = torch.exp(output.log_depth) * (scene.focal_px / FOCAL_CANONICAL_PX)
    size = scene.depth.shape
    depth = F.interpolate(depth, size, mode="bilinear")
    sky = F.interpolate(output.sky, size, mode="bilinear") > SKY_THRESHOLD
    return torch.where(sky, torch.inf, depth)[0, 0].numpy()


def validator(**sets: list[Scene]) -> Callable[[DepthNet], dict[str, float]]:
    """A function from a model to AbsRel, raw and median-scaled, of each named set of scenes.

    Scenes without truth in the range are left out.
    """
    sets = {name: [s for s in scenes if has_truth(s.depth)] for name, scenes in sets.items()}

    def validate(model: DepthNet) -> dict[str, float]:
        scores: dict[str, float] = {}
        for name, scenes in sets.items():
            predictions = [predict(model, scene) for scene in scenes]
            for kind, scaled in (("raw", False), ("scaled", True)):
                values = [
                    depth_metrics(p, s.depth, NEAR_M, FAR_M, median_scaled=scaled).abs_rel
                    for p, s in zip(predictions, scenes, strict=True)
                ]
                scores[f"{name}_{kind}"] = float(np.mean(values))
        return scores

    return validate


@dataclass(frozen=True)
class Pair:
    """One measured image: uint8 BGR, float32 metres (NaN unknown), its camera."""

    name: str
    source: str
    image: Array
    truth: Array
    camera: Camera


def read_pairs(root: Path, prefixes: Sequence[str] = ()) -> list[Pair]:
    """Every folder of `root` that holds image.jpg, depth.png (metres x 256, 0 unknown), camera.json."""
    folders = sorted(file.parent for file in root.rglob("depth.png"))
    if not folders:
        raise CloudyPointsError(
            f"There is no depth.png under {root}; expected NAME/image.jpg, NAME/depth.png and NAME/camera.json."
        )
    return [read_pair(folder, source_of(folder.name, prefixes)) for folder in folders]


def read_pair(folder: Path, source: str) -> Pair:
    image, truth = read_image(folder / "image.jpg"), read_truth(folder / "depth.png")
    height, width = image.shape[:2]
    if truth.shape != (height, width):
        raise CloudyPointsError(
            f"{folder / 'depth.png'} is {truth.shape[1]}x{truth.shape[0]} but image.jpg is {width}x{height}; "
            "give a depth for every pixel of the image, 0 where unknown."
        )
    calibration = load_calibration(folder / "camera.json")
    try:
        calibration.require_image(width, height)
    except CloudyPointsError as error:
        raise CloudyPointsError(
            f"{folder / 'camera.json'} is of a {calibration.width}x{calibration.height} image but image.jpg is "
            f"{width}x{height}; give the intrinsics of this image size."
        ) from error
    return Pair(folder.name, source, image, truth, calibration.camera())


def source_of(name: str, prefixes: Sequence[str] = ()) -> str:
    """What a picture belongs to: the first of `prefixes` that fits, else its name up to the first digit."""
    for prefix in prefixes:
        if name.startswith(prefix):
            return prefix
    return re.split(r"[_-]*\d", name)[0]


def evaluate(model: Path, root: Path, threads: int = 1, prefixes: Sequence[str] = ()) -> dict[str, Any]:
    """Score an exported model on measured depth, through the pipeline that users run.

    Truth counts from 1 to 80 m and predictions are clipped to that, so sky is scored as 80 m.
    Totals are the mean over sources of the mean over a source's images; images without truth are left out.
    """
    found = read_pairs(root, prefixes)
    pairs = [pair for pair in found if has_truth(pair.truth)]
    if not pairs:
        raise CloudyPointsError(
            f"No depth.png under {root} has a pixel from {NEAR_M:g} to {FAR_M:g} m; "
            "write uint16 metres x 256, 0 = unknown."
        )
    pipeline = Pipeline.open(model, threads=threads)
    images = [
        {"name": pair.name, "source": pair.source, **score(pair, pipeline.depth(pair.image, pair.camera, "bgr").depth)}
        for pair in pairs
    ]
    low = floors(pairs)
    sources = {
        source: {**_mean([i for i in images if i["source"] == source]), "floor": _floor(errors)}
        for source, errors in sorted(low.items())
    }
    return {
        "model": str(model),
        "root": str(root),
        "range_m": [NEAR_M, FAR_M],
        "mean_over_sources": {
            **_mean(list(sources.values())),
            "floor": _floor(mean_constant_errors(list(low.values()))),
        },
        "sources": sources,
        "images": images,
        "without_truth": [pair.name for pair in found if not has_truth(pair.truth)],
    }


def score(pair: Pair, depth: Array) -> dict[str, Any]:
    """Raw and median-scaled figures of one image."""
    raw = depth_metrics(depth, pair.truth, NEAR_M, FAR_M)
    if raw.n == 0:
        raise CloudyPointsError(
            f"The model has no depth for any measured pixel of {pair.name}; check its camera.json and the validity "
            "mask in the model's card, or take it out of the tree."
        )
    scaled = depth_metrics(depth, pair.truth, NEAR_M, FAR_M, median_scaled=True)
    return {"images": 1, "raw": asdict(raw), "scaled": asdict(scaled)}


def floors(pairs: list[Pair]) -> dict[str, ConstantErrors]:
    """What a constant depth scores on the same pixels of each source."""
    by_source: dict[str, list[ConstantErrors]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(constant_errors(pair.truth, NEAR_M, FAR_M))
    return {source: mean_constant_errors(errors) for source, errors in by_source.items()}


def table(result: dict[str, Any]) -> str:
    """The result as text for people."""
    figures = f"{'AbsRel':>7}{'RMSE':>7}{'d1':>7}"
    lines = [
        f"{'':<26} | {'raw metres':^21} | {'median-scaled':^21} | {'':>6} | {'constant AbsRel':^15}",
        f"{'':<22}{'N':>4} | {figures} | {figures} | {'none':>6} | {'raw':>7}{'scaled':>8}",
    ]
    rows = {**result["sources"], "mean over sources": result["mean_over_sources"]}
    for name, row in rows.items():
        cells = [
            "".join(f"{row[kind][figure]:>7.3f}" for figure in ("abs_rel", "rmse", "delta1"))
            for kind in ("raw", "scaled")
        ]
        floor = f"{row['floor']['raw']:>7.3f}{row['floor']['scaled']:>8.3f}"
        lines.append(
            f"{name:<22}{row['images']:>4} | {cells[0]} | {cells[1]} | {row['raw']['missing']:>6.1%} | {floor}"
        )
    best = result["mean_over_sources"]["floor"]["best_constant_m"]
    lines.append(
        f"constant: the best depth for all pixels of a row ({best:.0f} m for all sources), and any median-scaled"
    )
    lines.append("truth 1 to 80 m; predictions clipped to it, so predicted sky counts as 80 m")
    if result["without_truth"]:
        lines.append(f"left out, without truth from 1 to 80 m: {', '.join(result['without_truth'])}")
    return "\n".join(lines)


def _floor(errors: ConstantErrors) -> dict[str, float]:
    return {"best_constant_m": errors.best_m, "raw": float(errors.raw.min()), "scaled": errors.scaled}


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    figures = (*FIGURES, "missing")
    return {
        "images": sum(row["images"] for row in rows),
        **{kind: {f: float(np.mean([row[kind][f] for row in rows])) for f in figures} for kind in ("raw", "scaled")},
    }
