"""Scores: on drawn scenes while training, and of an exported model on measured depth.

Figures are raw metres first and median-scaled beside them; the two must never be mixed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.metrics import ConstantErrors, constant_errors, depth_metrics, mean_constant_errors
from cloudypoints_ros.pipeline import Pipeline
from cloudypoints_training.model import FOCAL_CANONICAL_PX, MEAN, SCALE, SKY_THRESHOLD, DepthNet
from cloudypoints_training.scene_stream import (
    VALIDATION_PICTURES,
    VALIDATION_SEED,
    Draw,
    letterbox,
)

Array = npt.NDArray[Any]

NEAR_M, FAR_M = 1.0, 80.0
SOURCES = ("cityscapes", "kitti_obj", "mmdet3d", "nusc", "sfnd")
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
    """A function from a model to AbsRel, raw and median-scaled, of each named set of scenes."""

    def validate(model: DepthNet) -> dict[str, float]:
        scores: dict[str, float] = {}
        for name, scenes in sets.items():
            predictions = [predict(model, scene) for scene in scenes]
            for kind, scaled in (("raw", False), ("scaled", True)):
                values = [
                    depth_metrics(p, s.depth, NEAR_M, FAR_M, median_scaled=scaled).abs_rel
                    for p, s in zip(predictions, scenes, strict=True)
                ]
                scores[f"{name}_{kind}"] = float(np.nanmean(values))
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


def read_pairs(root: Path) -> list[Pair]:
    """Every folder of `root` that holds image.jpg, depth.png (metres x 256, 0 unknown), camera.json."""
    pairs = []
    for file in sorted(root.rglob("depth.png")):
        folder = file.parent
        raw = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        image = cv2.imread(str(folder / "image.jpg"), cv2.IMREAD_COLOR)
        if raw is None or raw.dtype != np.uint16 or image is None:
            raise CloudyPointsError(
                f"{folder} holds no readable image.jpg and 16-bit depth.png; "
                "write depth as uint16 metres x 256, 0 = unknown."
            )
        truth = np.where(raw > 0, raw.astype(np.float32) / 256, np.float32(np.nan))
        fields = json.loads((folder / "camera.json").read_text())
        camera = Camera(*(fields[k] for k in ("width", "height", "fx", "fy", "cx", "cy")))
        pairs.append(Pair(folder.name, source_of(folder.name), image, truth, camera))
    if not pairs:
        raise CloudyPointsError(
            f"There is no depth.png under {root}; expected NAME/image.jpg, NAME/depth.png and NAME/camera.json."
        )
    return pairs


def source_of(name: str) -> str:
    """What a picture belongs to: a known data set, else its name without the last number."""
    for source in SOURCES:
        if name.startswith(source):
            return source
    return re.sub(r"_?\d+$", "", name)


def evaluate(model: Path, root: Path, threads: int = 1) -> dict[str, Any]:
    """Score an exported model on measured depth, through the pipeline that users run.

    Truth counts from 1 to 80 m and predictions are clipped to that, so sky is scored as 80 m.
    Totals are the mean over sources of the mean over a source's images.
    """
    pairs = read_pairs(root)
    pipeline = Pipeline.open(model, threads=threads)
    images = []
    for pair in pairs:
        depth = pipeline.depth(pair.image, pair.camera, order="bgr").depth
        images.append({"name": pair.name, "source": pair.source, **score(depth, pair.truth)})
    sources = {
        source: _mean([i for i in images if i["source"] == source])
        for source in sorted({pair.source for pair in pairs})
    }
    return {
        "model": str(model),
        "root": str(root),
        "range_m": [NEAR_M, FAR_M],
        "mean_over_sources": _mean(list(sources.values())),
        "sources": sources,
        "floors": floors(pairs),
        "images": images,
    }


def score(depth: Array, truth: Array) -> dict[str, Any]:
    """Raw and median-scaled figures of one image."""
    return {
        "images": 1,
        "raw": asdict(depth_metrics(depth, truth, NEAR_M, FAR_M)),
        "scaled": asdict(depth_metrics(depth, truth, NEAR_M, FAR_M, median_scaled=True)),
    }


def floors(pairs: list[Pair]) -> dict[str, float]:
    """What a constant depth scores on the same pixels: the best one raw, any one median-scaled."""
    by_source: dict[str, list[ConstantErrors]] = {}
    for pair in pairs:
        by_source.setdefault(pair.source, []).append(constant_errors(pair.truth, NEAR_M, FAR_M))
    floor = mean_constant_errors([mean_constant_errors(errors) for errors in by_source.values()])
    return {
        "best_constant_m": floor.best_m,
        "best_constant_raw_abs_rel": float(floor.raw.min()),
        "constant_scaled_abs_rel": floor.scaled,
    }


def table(result: dict[str, Any]) -> str:
    """The result as text for people."""
    head = f"{'':<18}{'N':>4} | {'AbsRel':>7}{'RMSE':>7}{'d1':>7} | {'AbsRel':>7}{'RMSE':>7}{'d1':>7} | {'none':>6}"
    lines = [f"{'':<22} | {'raw metres':^21} | {'median-scaled':^21} |", head]
    rows = {**result["sources"], "mean over sources": result["mean_over_sources"]}
    for name, row in rows.items():
        cells = [
            "".join(f"{row[kind][figure]:>7.3f}" for figure in ("abs_rel", "rmse", "delta1"))
            for kind in ("raw", "scaled")
        ]
        missing = row["raw"]["missing"]
        lines.append(f"{name:<18}{row['images']:>4} | {cells[0]} | {cells[1]} | {missing:>6.1%}")
    low = result["floors"]
    lines.append(
        f"floors: best constant ({low['best_constant_m']:.0f} m) raw AbsRel "
        f"{low['best_constant_raw_abs_rel']:.3f}, any constant median-scaled "
        f"{low['constant_scaled_abs_rel']:.3f}"
    )
    lines.append("truth 1 to 80 m; predictions clipped to it, so predicted sky counts as 80 m")
    return "\n".join(lines)


def _mean(rows: list[dict[str, Any]]) -> dict[str, Any]:
    figures = (*FIGURES, "missing")
    return {
        "images": sum(row["images"] for row in rows),
        **{kind: {f: float(np.nanmean([row[kind][f] for row in rows])) for f in figures} for kind in ("raw", "scaled")},
    }
