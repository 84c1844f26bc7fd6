"""Every figure of one depth map against one truth."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.errors import CloudyPointsError
from cloudypoints_ros.metrics import GroupErrors, depth_metrics, distance_groups, grouped_errors, row_groups
from cloudypoints_training.evaluation.boundary import boundary_f1
from cloudypoints_training.evaluation.calibration import Calibration, calibration
from cloudypoints_training.evaluation.points import THRESHOLDS_M, point_scores
from cloudypoints_training.evaluation.predictors import Prediction
from cloudypoints_training.evaluation.protocols import Protocol
from cloudypoints_training.evaluation.road import fit_road, near_objects
from cloudypoints_training.sample import Sample

Array = npt.NDArray[np.float32]

EDGES_M = (1.0, 5.0, 10.0, 20.0, 40.0, 80.0)  # of the distance bins
BANDS = 10  # of rows


@dataclass(frozen=True)
class Truth:
    """What of a sample counts under a protocol: `depth` as `Protocol.region` gives it.

    `near` (H, W) bool marks objects nearer than 10 m, `road_fitted` whether they were told from a fitted road.
    """

    depth: Array
    camera: Camera
    near: npt.NDArray[np.bool_]
    road_fitted: bool


@dataclass(frozen=True)
class MapScore:
    """Of one depth map: `figures` by name ("raw/abs_rel", see `figures.py`; NaN undefined), and errors by group."""

    figures: dict[str, float]
    distance: GroupErrors
    rows: GroupErrors


@dataclass(frozen=True)
class ImageScore:
    name: str
    source: str
    pixels: int  # with truth and an answer
    near_pixels: int
    road_fitted: bool
    model: MapScore
    floors: dict[str, MapScore]
    calibration: Calibration | None


def truth_of(sample: Sample, protocol: Protocol) -> Truth:
    """The road is looked for in all of the truth, whatever part of it the protocol counts."""
    road = fit_road(sample.depth, sample.camera)
    depth = protocol.region(sample.depth)
    near = near_objects(depth, sample.camera, road) & (depth >= EDGES_M[0])
    return Truth(depth, sample.camera, near, road.fitted)


def score_image(sample: Sample, prediction: Prediction, floors: dict[str, Array], protocol: Protocol) -> ImageScore:
    """The model's figures and, of the same pixels, those of each floor."""
    if prediction.depth.shape != sample.depth.shape:
        raise ValueError(f"the prediction is {prediction.depth.shape}, the truth {sample.depth.shape}")
    truth = truth_of(sample, protocol)
    measured = np.isfinite(truth.depth)
    pixels = int((measured & ~np.isnan(prediction.depth)).sum())
    if pixels == 0:
        raise CloudyPointsError(
            f"The model has no depth for any measured pixel of {sample.name}; check its camera and the validity mask "
            "in the model's card, or take it out of the tree."
        )
    model = score_map(prediction.depth, truth, protocol)
    known = None
    if prediction.log_variance is not None:
        known = calibration(prediction.depth, prediction.log_variance, truth.depth)
    if known is not None:
        model.figures.update({"calibration/ause": known.ause, "calibration/aurg": known.aurg})
    return ImageScore(
        name=sample.name,
        source=sample.source,
        pixels=pixels,
        near_pixels=int(truth.near.sum()),
        road_fitted=truth.road_fitted,
        model=model,
        floors={name: score_map(depth, truth, protocol) for name, depth in floors.items()},
        calibration=known,
    )


def score_map(depth: Array, truth: Truth, protocol: Protocol) -> MapScore:
    """Every figure of a depth map, float32 (H, W) metres."""
    near_m, far_m = protocol.near_m, protocol.far_m
    raw = depth_metrics(depth, truth.depth, near_m, far_m)
    scaled = depth_metrics(depth, truth.depth, near_m, far_m, median_scaled=True)
    points = point_scores(depth, truth.depth, truth.camera, near_m, far_m)
    objects = grouped_errors(depth, truth.depth, truth.near.astype(int) - 1, 1, near_m, far_m)
    figures = {f"raw/{name}": value for name, value in asdict(raw).items() if name not in ("n", "missing")}
    figures |= {f"scaled/{name}": value for name, value in asdict(scaled).items() if name not in ("n", "missing")}
    figures |= {f"points/f_{t:g}m": value for t, value in zip(THRESHOLDS_M, points.fscore, strict=True)}
    figures |= {
        "points/chamfer_m": points.chamfer_m,
        "boundary/f1": boundary_f1(depth, truth.depth, far_m),
        "near/abs_rel": float(objects.abs_rel[0]),
        "near/ratio": float(objects.ratio[0]),
        "missing": raw.missing,
    }
    distance = distance_groups(truth.depth, EDGES_M)
    rows = row_groups(truth.depth.shape, BANDS)
    return MapScore(
        figures,
        grouped_errors(depth, truth.depth, distance, len(EDGES_M) - 1, near_m, far_m),
        grouped_errors(depth, truth.depth, rows, BANDS, near_m, far_m),
    )
