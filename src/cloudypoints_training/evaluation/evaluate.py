"""A model over a data set: the passes and what comes of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

from tqdm import tqdm  # type: ignore[import-untyped]

from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.metrics import DepthMetrics, depth_metrics
from cloudypoints_training.datasets import DepthDataset
from cloudypoints_training.evaluation.corruptions import CORRUPTIONS, SEVERITIES, corrupted
from cloudypoints_training.evaluation.floors import Survey, floor_maps, survey
from cloudypoints_training.evaluation.predictors import Predictor
from cloudypoints_training.evaluation.protocols import Protocol
from cloudypoints_training.evaluation.score import ImageScore, score_image


@dataclass(frozen=True)
class Evaluation:
    """`images` in the order of `survey.indices`; `corruptions` by (name, severity), an entry per image."""

    protocol: Protocol
    survey: Survey
    images: list[ImageScore]
    corruptions: dict[tuple[str, int], list[DepthMetrics]] = field(default_factory=dict)


def evaluate(
    predictor: Predictor, samples: DepthDataset, protocol: Protocol, corruptions: bool = False, quiet: bool = False
) -> Evaluation:
    """Score a model on every sample that has truth.

    The first pass reads the truth for the floors, the second predicts, the third, if asked for, corrupts.
    """
    if corruptions and not predictor.reads_images:
        raise CloudyPointsError(
            "A folder of predictions knows no corrupted images; give the model itself, or leave out --corruptions."
        )
    with tqdm(range(len(samples)), "truth", unit="image", disable=quiet) as numbers:
        surveyed = survey(((i, samples[i]) for i in numbers), protocol)
    if not surveyed.indices:
        raise CloudyPointsError(
            f"None of the {len(samples)} images has a depth from {protocol.near_m:g} to {protocol.far_m:g} m "
            f"({protocol.words}); give truth in metres, or choose another --protocol."
        )
    constant = surveyed.best_constant().best_m
    images = []
    with tqdm(surveyed.indices, "scoring", unit="image", disable=quiet) as numbers:
        for at, index in enumerate(numbers):
            sample = samples[index]
            floors = floor_maps(sample, at, surveyed, constant)
            images.append(score_image(sample, predictor(sample), floors, protocol))
    spoilt = _corruptions(predictor, samples, surveyed.indices, protocol, quiet) if corruptions else {}
    return Evaluation(protocol, surveyed, images, spoilt)


def _corruptions(
    predictor: Predictor, samples: DepthDataset, indices: Sequence[int], protocol: Protocol, quiet: bool
) -> dict[tuple[str, int], list[DepthMetrics]]:
    found: dict[tuple[str, int], list[DepthMetrics]] = {(c, s): [] for c in CORRUPTIONS for s in SEVERITIES}
    with tqdm(indices, "corruptions", unit="image", disable=quiet) as numbers:
        for index in numbers:
            sample = samples[index]
            truth = protocol.region(sample.depth)
            for name, severity in found:
                image = corrupted(sample.image, name, severity, index)
                depth = predictor(dataclasses.replace(sample, image=image)).depth
                found[name, severity].append(depth_metrics(depth, truth, protocol.near_m, protocol.far_m))
    return found
