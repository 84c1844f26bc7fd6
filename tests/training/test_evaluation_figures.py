"""Figures against implementations that share no code with them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torchmetrics
from scipy.integrate import quad

from cloudypoints_ros.camera import Camera
from cloudypoints_ros.metrics import depth_metrics
from cloudypoints_training.evaluation.boundary import THRESHOLDS, boundary_f1, dense
from cloudypoints_training.evaluation.calibration import LEVELS, REMOVED, calibration, sparsified
from cloudypoints_training.evaluation.corruptions import CORRUPTIONS, corrupted
from cloudypoints_training.evaluation.points import THRESHOLDS_M, point_scores

CAMERA = Camera(24, 16, 30.0, 32.0, 11.5, 7.5)


def maps(seed: int = 0, shape: tuple[int, int] = (16, 24)) -> tuple[np.ndarray, np.ndarray]:
    """A prediction and a truth with holes, sky, and depths outside 1 to 80 m."""
    rng = np.random.default_rng(seed)
    truth = np.exp(rng.uniform(math.log(0.6), math.log(120), shape)).astype(np.float32)
    prediction = (truth * np.exp(rng.normal(0.1, 0.3, shape))).astype(np.float32)
    truth[rng.random(shape) < 0.1] = np.nan
    truth[:2] = np.inf
    prediction[:3] = np.inf
    prediction[rng.random(shape) < 0.05] = np.nan
    return prediction, truth


@pytest.mark.parametrize("scaled", [False, True])
def test_depth_metrics_agree_with_torchmetrics(scaled: bool) -> None:
    prediction, truth = maps(3, (80, 120))
    ours = depth_metrics(prediction, truth, median_scaled=scaled)
    counts = (truth >= 1) & (truth <= 80) & ~np.isnan(prediction)
    t = torch.from_numpy(truth[counts]).double()
    p = torch.from_numpy(prediction[counts]).double()
    if scaled:
        p = p * (np.median(t) / np.median(p.clip(1, 80)))
    p = p.clip(1, 80)
    assert ours.n == len(t) > 3000
    theirs = {
        "abs_rel": torchmetrics.MeanAbsolutePercentageError().set_dtype(torch.float64)(p, t),
        "rmse": torchmetrics.MeanSquaredError(squared=False).set_dtype(torch.float64)(p, t),
        "rmse_log": torchmetrics.MeanSquaredError(squared=False).set_dtype(torch.float64)(p.log(), t.log()),
        "sq_rel": torchmetrics.MeanMetric().set_dtype(torch.float64)((p - t) ** 2, weight=1 / t) * (1 / t).mean(),
        "silog": 100 * (p / t).log().std(correction=0),
    }
    for name, value in theirs.items():
        assert getattr(ours, name) == pytest.approx(float(value), rel=1e-6), name


def test_points_against_every_pair() -> None:
    prediction, truth = maps(1)
    ours = point_scores(prediction, np.where(truth <= 80, truth, np.nan), CAMERA, 1, 80)
    clouds: tuple[list[tuple[float, ...]], ...] = ([], [])
    for v in range(16):
        for u in range(24):
            z, t = float(prediction[v, u]), float(truth[v, u])
            if math.isnan(z) or not t <= 80:
                continue
            for cloud, depth in zip(clouds, (z, t), strict=True):
                depth = min(max(depth, 1.0), 80.0)
                cloud.append(((u - 11.5) / 30 * depth, (v - 7.5) / 32 * depth, depth))
    there = [min(math.dist(a, b) for b in clouds[1]) for a in clouds[0]]
    back = [min(math.dist(a, b) for b in clouds[0]) for a in clouds[1]]
    assert ours.chamfer_m == pytest.approx((np.mean(there) + np.mean(back)) / 2, rel=1e-5)
    for score, threshold in zip(ours.fscore, THRESHOLDS_M, strict=True):
        precision = sum(d < threshold for d in there) / len(there)
        recall = sum(d < threshold for d in back) / len(back)
        assert score == pytest.approx(2 * precision * recall / (precision + recall))
    assert ours.fscore[0] < ours.fscore[1] < 1


def test_points_that_lie_on_each_other() -> None:
    truth = np.full((200, 300), 7.0, np.float32)  # more pixels than are looked at
    camera = Camera(300, 200, 200.0, 200.0, 149.5, 99.5)
    same = point_scores(truth, truth, camera, 1, 80)
    assert same.fscore == (1, 1) and same.chamfer_m == 0
    behind = point_scores(truth + 0.3, truth, camera, 1, 80)
    assert behind.fscore == pytest.approx((0, 1)) and 0.25 < behind.chamfer_m < 0.35
    assert math.isnan(point_scores(truth, truth * np.nan, camera, 1, 80).chamfer_m)


def plain_loop_f1(prediction: np.ndarray, truth: np.ndarray, t: float) -> float:
    """Depth Pro's F1 at one threshold, pixel by pixel."""
    height, width = truth.shape
    precision, recall = [], []
    for dv, du in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        both = ours = theirs = 0
        for v in range(height):
            for u in range(width):
                if not (0 <= v + dv < height and 0 <= u + du < width):
                    continue
                here, there = (v, u), (v + dv, u + du)
                if any(math.isnan(m[at]) for m in (prediction, truth) for at in (here, there)):
                    continue
                a, b = (min(float(m[there]), 80) / min(float(m[here]), 80) > t for m in (prediction, truth))
                both, ours, theirs = both + (a and b), ours + a, theirs + b
        precision.append(both / max(ours, 1))
        recall.append(both / max(theirs, 1))
    p, r = np.mean(precision), np.mean(recall)
    return float(2 * p * r / (p + r)) if p + r else 0.0


def test_boundaries_against_a_plain_loop() -> None:
    prediction, truth = maps(2)
    expected = sum(plain_loop_f1(prediction, truth, t) * t for t in THRESHOLDS) / THRESHOLDS.sum()
    assert dense(truth) and 0.3 < expected < 0.95
    assert boundary_f1(prediction, truth, 80) == pytest.approx(expected, rel=1e-12)
    assert boundary_f1(prediction * 3, np.minimum(truth, 20), 1e9) == pytest.approx(
        boundary_f1(prediction, np.minimum(truth, 20), 1e9)
    )  # whatever the scale


def test_boundaries_want_a_dense_truth_with_edges() -> None:
    truth = np.full((20, 20), 10.0)
    assert math.isnan(boundary_f1(truth, truth, 80))
    truth[:, 10:] = 20
    assert boundary_f1(truth, truth, 80) == pytest.approx(
        0.25
    )  # as Depth Pro's code: three of four directions have none
    truth[1::2] = np.nan  # as a LiDAR's rows
    assert not dense(truth) and math.isnan(boundary_f1(truth, truth, 80))


def test_laplace_errors_of_the_predicted_scale_are_covered() -> None:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.05, 0.5, (300, 400))
    truth = np.full(scale.shape, 10.0)
    prediction = truth * np.exp(rng.laplace(0, scale))
    known = calibration(prediction, np.log(2 * scale**2), truth)
    assert known is not None
    assert known.coverage == pytest.approx(LEVELS, abs=0.005)
    # The interval really holds that share of a Laplace density.
    for level in LEVELS:
        half = -math.log(1 - level)
        assert quad(lambda x: math.exp(-abs(x)) / 2, -half, half, points=[0])[0] == pytest.approx(level)
    proud = calibration(prediction, np.log(2 * (scale / 3) ** 2), truth)
    assert proud is not None and (proud.coverage < np.array(LEVELS) - 0.1).all()
    assert proud.curve == pytest.approx(known.curve)  # the order is the same
    assert known.aurg > 0.1 and known.ause > 0.02
    blind = calibration(prediction, np.log(rng.uniform(1, 2, scale.shape)), truth)
    assert blind is not None and abs(blind.aurg) < 0.005 < known.aurg
    assert calibration(prediction, np.log(scale), truth * np.nan) is None


def test_sparsification_by_hand() -> None:
    curve = sparsified(np.array([1.0, 2.0, 3.0, 6.0]), np.array([1, 2, 4, 3]))
    expected = {0.0: 3.0, 0.25: 3.0, 0.5: 1.5, 0.75: 1.0, 0.95: 1.0}
    at = {round(float(share), 2): value for share, value in zip(REMOVED, curve, strict=True)}
    assert {share: at[share] for share in expected} == pytest.approx(expected)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_corruptions_grow_and_repeat(name: str) -> None:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (12, 18, 3)).astype(np.uint8)
    image = coarse.repeat(32, 0).repeat(32, 1)
    before = image.copy()
    off = []
    for severity in range(1, 6):
        spoilt = corrupted(image, name, severity, 7)
        assert spoilt.shape == image.shape and spoilt.dtype == np.uint8
        np.testing.assert_array_equal(spoilt, corrupted(image, name, severity, 7))
        off.append(float(np.abs(spoilt.astype(int) - image).mean()))
    np.testing.assert_array_equal(image, before)
    assert off[0] > 0.5 and all(a < b for a, b in itertools.pairwise(off))
    with pytest.raises(ValueError, match="1 to 5"):
        corrupted(image, name, 6, 0)


def test_fog_whitens_and_dark_darkens_and_colours_stay_in_order() -> None:
    blue = np.zeros((64, 96, 3), np.uint8)
    blue[..., 2] = 200
    assert corrupted(blue, "fog", 5, 0).mean() > 140 > blue.mean()
    assert corrupted(blue, "dark", 5, 0)[..., 2].mean() == pytest.approx(20, abs=3)
    assert corrupted(blue, "jpeg", 5, 0)[..., 2].mean() > 180
