from __future__ import annotations

import math

import pytest
import torch

from cloudypoints_training import losses
from cloudypoints_training.models import Output

ALL = torch.ones(1, 1, 4, 4, dtype=torch.bool)


def output(log_depth: torch.Tensor, sky: float = -5.0) -> Output:
    return Output(log_depth, torch.full_like(log_depth, sky), torch.zeros_like(log_depth))


def test_silog_of_a_known_pair() -> None:
    # Half the errors 1, half 3: mean square 5, squared mean 4.
    error = torch.tensor([1.0, 3.0]).repeat(8).reshape(1, 1, 4, 4)
    assert float(losses.silog(error, ALL)) == pytest.approx(math.sqrt(5 - 0.85 * 4), abs=1e-5)


def test_silog_forgives_scale_only_in_part() -> None:
    error = torch.full((1, 1, 4, 4), 0.5)
    assert float(losses.silog(error, ALL)) == pytest.approx(0.5 * math.sqrt(0.15), abs=1e-4)


def test_silog_is_per_image() -> None:
    # Opposite scales in two images must not cancel, nor count as spread.
    error = torch.stack([torch.full((1, 4, 4), 0.5), torch.full((1, 4, 4), -0.5)])
    assert float(losses.silog(error, ALL.expand(2, -1, -1, -1))) == pytest.approx(0.5 * math.sqrt(0.15), abs=1e-4)


def test_gradient_matching_is_zero_for_the_right_shape_and_known_for_a_slope() -> None:
    valid = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    assert float(losses.gradient_matching(torch.full((1, 1, 16, 16), 0.7), valid)) == 0
    slope = torch.arange(16.0).mul(0.1).expand(1, 1, 16, 16)
    # Neighbours at spacings 1, 2, 4, 8 differ by 0.1 to 0.8 across and by nothing down.
    assert float(losses.gradient_matching(slope, valid)) == pytest.approx(0.1 * 15 / 4)


def test_gradient_does_not_cross_unknown_pixels() -> None:
    error = torch.zeros(1, 1, 4, 4)
    error[..., 2] = 100.0
    valid = torch.ones_like(error, dtype=torch.bool)
    valid[..., 2] = False
    assert float(losses.gradient_matching(error, valid, scales=1)) == 0


def test_unknown_pixels_change_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 1, 16, 16, generator=generator) * 3
    target[:, :, :3] = math.inf
    target[:, :, 8:, :5] = math.nan
    predicted = torch.rand(2, 1, 16, 16, generator=generator, requires_grad=True)
    loss, terms = losses.total(output(predicted), target)
    loss.backward()
    assert torch.isfinite(loss) and all(math.isfinite(v) for v in terms.values())
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()
    assert (predicted.grad[torch.isnan(target)] == 0).all()
    elsewhere = torch.where(torch.isnan(target), 50.0, predicted.detach())
    again, _ = losses.total(output(elsewhere), target)
    assert float(again.detach()) == pytest.approx(float(loss.detach()))


def test_sky_is_learned_from_sky_and_not_from_unknown() -> None:
    target = torch.full((1, 1, 4, 4), 2.0)
    target[..., 0, :] = math.inf
    target[..., 1, :] = math.nan
    logit = torch.zeros(1, 1, 4, 4, requires_grad=True)
    depth = torch.full((1, 1, 4, 4), 2.0)
    losses.total(Output(depth, logit, torch.zeros_like(depth)), target)[0].backward()
    assert logit.grad is not None
    assert (logit.grad[..., 0, :] < 0).all()
    assert (logit.grad[..., 1, :] == 0).all()
    assert (logit.grad[..., 2:, :] > 0).all()


def test_sky_depth_may_only_be_too_near() -> None:
    target = torch.full((1, 1, 4, 4), math.inf)
    near = losses.total(output(torch.full((1, 1, 4, 4), 3.0)), target)[1]["sky_far"]
    far = losses.total(output(torch.full((1, 1, 4, 4), 9.0)), target)[1]["sky_far"]
    assert near == pytest.approx(math.log(150) - 3) and far == 0


def test_an_empty_batch_costs_nothing_but_stays_finite() -> None:
    predicted = torch.zeros(1, 1, 8, 8, requires_grad=True)
    loss, _ = losses.total(output(predicted), torch.full((1, 1, 8, 8), math.nan))
    loss.backward()
    assert float(loss.detach()) < 0.01 and predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_laplace_is_least_at_the_true_variance_and_leaves_depth_alone() -> None:
    error = torch.full((1, 1, 4, 4), 0.3, requires_grad=True)
    log_variance = torch.full((1, 1, 4, 4), math.log(2 * 0.3**2), requires_grad=True)
    losses.laplace(error, ALL, log_variance).backward()
    assert log_variance.grad is not None
    assert float(log_variance.grad.abs().max()) < 1e-6
    assert error.grad is None


def test_canonical_target_is_one_for_all_focal_lengths() -> None:
    # The same picture: twice the focal length shows a thing twice as far away at the same size.
    near = losses.canonical_log_depth(torch.tensor(10.0), 400.0)
    far = losses.canonical_log_depth(torch.tensor(20.0), 800.0)
    assert float(near) == pytest.approx(float(far))
    assert float(near) == pytest.approx(math.log(10 * 500 / 400))
    other = losses.canonical_log_depth(torch.tensor(10.0), 400.0, canonical_focal_px=800.0)
    assert float(other) == pytest.approx(math.log(20.0))
    kept = losses.canonical_log_depth(torch.tensor([math.inf, math.nan]), 400.0)
    assert torch.isposinf(kept[0]) and torch.isnan(kept[1])


def some_batch(images: int) -> tuple[Output, torch.Tensor]:
    """Outputs that learn, and targets of which each image knows another share."""
    generator = torch.Generator().manual_seed(images)
    predicted = [torch.randn(images, 1, 16, 16, generator=generator).requires_grad_() for _ in range(3)]
    target = torch.rand(images, 1, 16, 16, generator=generator) * 3
    for i in range(images):
        target[i, :, : 3 * i] = math.nan
        target[i, :, :, i : 2 * i] = math.inf
    return Output(*predicted), target


def test_equal_shares_of_a_batch_average_to_its_loss_and_gradient() -> None:
    whole, target = some_batch(4)
    loss, terms = losses.total(whole, target)
    loss.backward()
    shares = [losses.total(Output(*(t[rank::2] for t in whole)), target[rank::2]) for rank in range(2)]
    assert float(loss.detach()) == pytest.approx(sum(float(part.detach()) for part, _ in shares) / 2, rel=1e-6)
    for name, term in terms.items():
        assert float(term) == pytest.approx(sum(float(part[name]) for _, part in shares) / 2, rel=1e-6), name
    for output in whole:
        assert output is not None and output.grad is not None
        gradient, output.grad = output.grad, None
        (mean,) = torch.autograd.grad((shares[0][0] + shares[1][0]) / 2, output, retain_graph=True)
        torch.testing.assert_close(mean, gradient, rtol=1e-5, atol=1e-7)


def test_an_image_weighs_the_same_however_little_of_it_is_known() -> None:
    values = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 3.0)])
    mask = torch.ones_like(values, dtype=torch.bool)
    mask[1, :, 1:] = False
    assert float(losses.masked_mean(values, mask)) == pytest.approx(2.0)


def test_a_network_without_sky_or_variance_has_no_such_terms() -> None:
    (depth, sky, variance), target = some_batch(2)
    _, all_terms = losses.total(Output(depth, sky, variance), target)
    assert set(all_terms) == set(losses.WEIGHTS)
    loss, terms = losses.total(Output(depth, None, None), target)
    assert set(terms) == {"silog", "l1", "gradient", "sky_far"}
    expected = sum(losses.WEIGHTS[name] * float(all_terms[name]) for name in terms)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-6)
