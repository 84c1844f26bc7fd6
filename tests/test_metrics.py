"""Metrics against hand-computed numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cloudypoints_ros.metrics import (
    CONSTANTS_M,
    constant_errors,
    depth_metrics,
    distance_groups,
    grouped_errors,
    mean_constant_errors,
    row_groups,
)


def test_by_hand() -> None:
    truth = np.array([[2.0, 4.0, 10.0, np.nan, 100.0]])
    prediction = np.array([[3.0, 4.0, 8.0, 5.0, 5.0]])
    m = depth_metrics(prediction, truth)
    assert m.n == 3 and m.missing == 0
    assert m.abs_rel == pytest.approx((0.5 + 0 + 0.2) / 3)
    assert m.sq_rel == pytest.approx((1 / 2 + 0 + 4 / 10) / 3)
    assert m.rmse == pytest.approx(math.sqrt((1 + 0 + 4) / 3))
    logs = [math.log(1.5), 0.0, math.log(0.8)]
    assert m.rmse_log == pytest.approx(math.sqrt(sum(v * v for v in logs) / 3))
    mean = sum(logs) / 3
    assert m.silog == pytest.approx(100 * math.sqrt(sum((v - mean) ** 2 for v in logs) / 3))
    assert (m.delta1, m.delta2, m.delta3) == pytest.approx((1 / 3, 1.0, 1.0))  # ratios 1.5, 1, 1.25


def test_median_scaling_forgives_scale_and_only_scale() -> None:
    truth = np.linspace(2, 40, 50)
    assert depth_metrics(truth * 0.5, truth, median_scaled=True).abs_rel == pytest.approx(0, abs=1e-12)
    assert depth_metrics(truth * 0.5, truth).abs_rel == pytest.approx(0.5, abs=1e-2)


def test_predicted_sky_counts_as_the_far_end_and_nan_as_missing() -> None:
    m = depth_metrics(np.array([np.inf, np.nan, 20.0]), np.array([40.0, 20.0, 20.0]))
    assert m.n == 2 and m.missing == pytest.approx(1 / 3)
    assert m.abs_rel == pytest.approx(0.5)


def test_sky_over_most_of_the_truth_still_has_a_median() -> None:
    m = depth_metrics(np.array([np.inf, np.inf, 20.0]), np.array([40.0, 40.0, 20.0]), median_scaled=True)
    assert m.abs_rel == pytest.approx((1.0 + 1.0 + 0.5) / 3)  # scaled by 40 / 80, and sky stays the far end


def test_no_truth_and_wrong_shapes() -> None:
    assert math.isnan(depth_metrics(np.ones(3), np.full(3, np.nan)).abs_rel)
    with pytest.raises(ValueError, match="must be equal"):
        depth_metrics(np.ones(3), np.ones(4))


def test_the_floor_is_what_depth_metrics_gives_a_constant() -> None:
    truth = np.random.default_rng(0).uniform(0.5, 90, (40, 50))
    errors = constant_errors(truth)
    for metres, error in zip(CONSTANTS_M, errors.raw, strict=True):
        assert error == pytest.approx(depth_metrics(np.full(truth.shape, metres), truth).abs_rel)
    scaled = depth_metrics(np.full(truth.shape, 9.0), truth, median_scaled=True).abs_rel
    assert errors.scaled == pytest.approx(scaled)
    assert errors.raw.min() == errors.raw[int(errors.best_m) - 3]


def test_floors_are_averaged_by_group() -> None:
    ten, twenty = constant_errors(np.full((4, 4), 10.0)), constant_errors(np.full((4, 4), 20.0))
    mean = mean_constant_errors([mean_constant_errors([ten, ten, ten]), twenty])
    assert mean.best_m == 10 and mean.raw.min() == pytest.approx(0.25) and mean.scaled == 0


def test_errors_by_distance_by_hand() -> None:
    truth = np.array([[0.5, 2.0, 4.0, 5.0, 9.0, np.nan, np.inf, 40.0]])
    prediction = np.array([[9.0, 3.0, 4.0, 10.0, np.nan, 7.0, 7.0, 10.0]])
    groups = distance_groups(truth, (1, 5, 10, 20))
    assert groups.tolist() == [[-1, 0, 0, 1, 1, -1, -1, -1]]
    errors = grouped_errors(prediction, truth, groups, 3)
    assert errors.n.tolist() == [2, 1, 0]
    assert errors.abs_rel[:2] == pytest.approx([0.25, 1.0]) and math.isnan(errors.abs_rel[2])
    assert errors.ratio[:2] == pytest.approx([math.sqrt(1.5), 2.0]) and math.isnan(errors.ratio[2])


def test_groups_put_together_are_the_whole() -> None:
    rng = np.random.default_rng(1)
    truth, prediction = rng.uniform(0.5, 90, (2, 40, 50))
    prediction[rng.random(truth.shape) < 0.1] = np.nan
    for scaled in (False, True):
        whole = depth_metrics(prediction, truth, median_scaled=scaled)
        for groups, count in ((row_groups(truth.shape, 7), 7), (distance_groups(truth, (0, 10, 50, 100)), 3)):
            parts = grouped_errors(prediction, truth, groups, count, median_scaled=scaled)
            assert parts.n.sum() == whole.n and (parts.n > 0).all()
            assert (parts.n * parts.abs_rel).sum() / whole.n == pytest.approx(whole.abs_rel)


def test_rows_are_divided_from_the_top() -> None:
    assert row_groups((5, 2), 2)[:, 0].tolist() == [0, 0, 0, 1, 1]
    assert np.bincount(row_groups((100, 1), 10)[:, 0]).tolist() == [10] * 10
