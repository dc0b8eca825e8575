from __future__ import annotations

import math

import pytest
import torch
from pytorch_metric_learning.distances import LpDistance
from pytorch_metric_learning.losses import NTXentLoss, SupConLoss, TripletMarginLoss
from pytorch_metric_learning.miners import BatchHardMiner

from mami_core.training.losses import (
    alignment,
    info_nce,
    masked_bce,
    nearest_others,
    order_loss,
    soft_triplet,
)


def _vectors(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 7, generator=torch.Generator().manual_seed(seed))


def test_info_nce_over_pairs_is_that_of_pytorch_metric_learning() -> None:
    vectors, who = torch.cat([_vectors(5), _vectors(5, seed=1)]), torch.arange(5).repeat(2)
    expected = NTXentLoss(temperature=0.1)(vectors, who)
    assert info_nce(vectors, who, 0.1).item() == pytest.approx(expected.item(), rel=1e-5)


def test_info_nce_over_several_images_is_that_of_pytorch_metric_learning() -> None:
    vectors, who = _vectors(9), torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    expected = SupConLoss(temperature=0.1)(vectors, who)
    assert info_nce(vectors, who, 0.1).item() == pytest.approx(expected.item(), rel=1e-5)


def test_who_has_no_other_picture_has_nobody_to_find() -> None:
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    expected = math.log(1.0 + math.exp(-1.0))
    assert info_nce(vectors, torch.tensor([0, 0, 1]), 1.0).item() == pytest.approx(expected)


def test_the_nearest_others_are_those_who_are_most_alike_and_never_the_own_person() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.5, 0.3], [0.2, 0.8, 0.4, 0.6]])
    own = torch.tensor([[True, False, False, False], [False, True, True, False]])
    found = nearest_others(scores, own, most=2)
    assert found is not None
    assert found.tolist() == pytest.approx([(0.5 + 0.3) / 2, (0.6 + 0.2) / 2])
    assert nearest_others(scores, torch.ones(2, 4, dtype=torch.bool)) is None


def test_alignment_is_the_papers_sum_over_tokens_and_pairs() -> None:
    ours, theirs = _vectors(6).view(3, 2, 7), _vectors(6, seed=1).view(3, 2, 7)
    u, v = (one.flatten(0, 1) / one.flatten(0, 1).norm(dim=1)[:, None] for one in (ours, theirs))
    terms = []
    for n in range(6):
        own = math.exp(float(u[n] @ v[n]) / 0.07)
        others = sum(math.exp(float(u[n] @ v[k]) / 0.07) for k in range(6) if k != n)
        terms.append(-math.log(own / (own + others)))
    assert alignment(ours, theirs, 0.07).item() == pytest.approx(sum(terms) / 6, rel=1e-5)


def test_alignment_of_wide_and_of_equal_features_stays_a_number() -> None:
    wide = 1e3 * torch.randn(4, 2, 768, generator=torch.Generator().manual_seed(0))
    assert alignment(wide, wide, 0.07).item() == pytest.approx(0.0, abs=1e-3)
    nothing = torch.zeros(2, 3, 8, requires_grad=True)
    loss = alignment(nothing, torch.ones(2, 3, 8), 0.07)
    loss.backward()
    assert loss.item() == pytest.approx(math.log(6))
    assert nothing.grad is not None
    assert torch.isfinite(nothing.grad).all()


def test_the_soft_triplet_loss_is_that_of_pytorch_metric_learning() -> None:
    vectors, who = _vectors(9), torch.tensor([0, 0, 1, 1, 1, 2, 2, 3, 3])
    distance = LpDistance(normalize_embeddings=False)
    mined = BatchHardMiner(distance=distance)(vectors, who)
    expected = TripletMarginLoss(margin=0.0, smooth_loss=True, distance=distance)(
        vectors, who, mined
    )
    assert soft_triplet(vectors, who).item() == pytest.approx(expected.item(), rel=1e-5)


def test_who_has_no_other_picture_is_no_anchor_of_a_triplet() -> None:
    vectors = torch.tensor([[0.0], [1.0], [5.0]])
    # Hardest negatives of 0 and 1 are 5 and 4 away; the third is alone.
    expected = (math.log1p(math.exp(1 - 5)) + math.log1p(math.exp(1 - 4))) / 2
    assert soft_triplet(vectors, torch.tensor([0, 0, 1])).item() == pytest.approx(expected)


def test_a_batch_without_a_triplet_costs_nothing_and_has_a_gradient() -> None:
    vectors = _vectors(3).requires_grad_()
    loss = soft_triplet(vectors, torch.tensor([0, 1, 2]))
    loss.backward()
    assert loss.item() == 0.0
    assert vectors.grad is not None
    assert not vectors.grad.any()


def test_two_equal_pictures_give_a_finite_gradient() -> None:
    vectors = torch.zeros(4, 3, requires_grad=True)
    soft_triplet(vectors, torch.tensor([0, 0, 1, 1])).backward()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_masked_cross_entropy_is_the_mean_over_known_labels_only() -> None:
    logits = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    labels = torch.tensor([[1.0, float("nan")], [float("nan"), 0.0]])
    one = 2.0 * math.log1p(math.exp(-1.0))
    other = math.log1p(math.exp(3.0))
    found = masked_bce(logits, labels, torch.tensor([2.0, 1.0])).item()
    assert found == pytest.approx((one + other) / 2)


def test_unknown_labels_give_no_gradient_and_none_at_all_costs_nothing() -> None:
    logits = torch.ones(2, 2, requires_grad=True)
    loss = masked_bce(logits, torch.full((2, 2), float("nan")), torch.ones(2))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


def test_the_order_loss_sees_the_order_and_not_the_level() -> None:
    mated, nearest = torch.tensor([0.9, 0.2, 0.1]), torch.tensor([0.4, -0.3, 0.9])
    found = order_loss(mated, nearest)
    assert found[0].item() == pytest.approx(found[1].item(), rel=1e-5)
    assert found[0].item() == pytest.approx(2 * math.log1p(math.exp(12 * 0.55)) / 12, rel=1e-5)
    assert found[2].item() < 1e-3
