"""Scores on drawn scenes while a network trains."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from cloudypoints_ros.metrics import depth_metrics
from cloudypoints_training.evaluation.protocols import PROTOCOLS
from cloudypoints_training.models import DepthModel
from cloudypoints_training.sample import Sample
from cloudypoints_training.stream import VALIDATION_PICTURES, VALIDATION_SEED

Array = npt.NDArray[Any]

# `scenes.draw`: a seed, width, height and style to a sample.
DrawStyle = Callable[[int, int, int, str | None], Sample]

PLAIN = PROTOCOLS["plain"]


@dataclass(frozen=True)
class Scene:
    """A drawn scene at the size at which the network sees it."""

    image: Array  # uint8 H x W x 3 RGB
    depth: Array  # float32 H x W metres, NaN unknown, +inf sky
    focal_px: float


def draw_scenes(draw: DrawStyle, style: str | None, count: int) -> list[Scene]:
    """The same `count` scenes at every call, of seeds that training never sees."""
    scenes = []
    for i in range(count):
        width, height = VALIDATION_PICTURES[i % len(VALIDATION_PICTURES)]
        drawn = draw(VALIDATION_SEED + i, width, height, style)
        scenes.append(Scene(drawn.image, drawn.depth, drawn.camera.fx))
    return scenes


@torch.no_grad()
def predict(model: DepthModel, scene: Scene) -> Array:
    """float32 H x W metres at the scene's size, +inf where the model sees sky.

    As in the runtime, the scene is centred in sides that are multiples of what the network takes.
    """
    height, width = scene.image.shape[:2]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    image = model.normalise(torch.from_numpy(np.ascontiguousarray(scene.image))[None].to(device))
    multiple = model.input.multiple
    down, across = (math.ceil(side / multiple) * multiple - side for side in (height, width))
    top, left = down // 2, across // 2
    image = F.pad(image, (left, across - left, top, down - top))
    output = model(image)

    def full(t: torch.Tensor) -> torch.Tensor:
        return F.interpolate(t.float(), image.shape[2:], mode="bilinear")[0, 0, top : top + height, left : left + width]

    depth = full(torch.exp(output.log_depth.float()) * (scene.focal_px / model.canonical_focal_px))
    if output.sky is not None:
        depth = torch.where(full(output.sky) > model.sky_threshold, torch.inf, depth)
    return np.asarray(depth.cpu().numpy())


def validator(**sets: list[Scene]) -> Callable[[DepthModel], dict[str, float]]:
    """A function from a model to AbsRel, raw and median-scaled, of each named set of scenes.

    Scenes without truth in the range are left out.
    """
    sets = {name: [s for s in scenes if PLAIN.counts(s.depth)] for name, scenes in sets.items()}

    def validate(model: DepthModel) -> dict[str, float]:
        scores: dict[str, float] = {}
        for name, scenes in sets.items():
            predictions = [predict(model, scene) for scene in scenes]
            for kind, scaled in (("raw", False), ("scaled", True)):
                values = [
                    depth_metrics(p, s.depth, PLAIN.near_m, PLAIN.far_m, median_scaled=scaled).abs_rel
                    for p, s in zip(predictions, scenes, strict=True)
                ]
                scores[f"{name}_{kind}"] = float(np.mean(values))
        return scores

    return validate
