from __future__ import annotations

import numpy as np
import pytest
import torch

from mami_core.training.priors import Alignment, Priors, pooled


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_attention_pooling_is_the_papers() -> None:
    queries, keys, features = _random(2, 3, 4), _random(2, 5, 4, seed=1), _random(2, 5, 4, seed=2)
    found = pooled(queries, keys, features)
    for image in range(2):
        for n in range(3):
            scores = [float(queries[image, n] @ keys[image, o]) / 2.0 for o in range(5)]
            weights = np.exp(scores) / np.exp(scores).sum()
            expected = sum(weights[o] * features[image, o] for o in range(5))
            assert torch.allclose(found[image, n], expected.float(), atol=1e-6)


def _priors(how: Alignment, **more: bool) -> Priors:
    torch.manual_seed(0)
    return Priors(6, 8, {"xray": 10, "ct": 12}, how, **more)


def _loss(priors: Priors, images: int = 4) -> torch.Tensor:
    loss: torch.Tensor = priors(
        _random(images, 16, 8),
        _random(images, 6),
        _random(images, 49, 10, seed=1),
        "xray",
        np.random.default_rng(0),
    )
    return loss


def test_differences_do_not_see_what_all_images_share() -> None:
    priors = _priors(Alignment(features="global"))
    tokens, guide, m = _random(4, 16, 8), _random(4, 49, 10, seed=1), _random(4, 6)
    choice = np.random.default_rng(0)
    before = priors(tokens, m, guide, "xray", choice)
    after = priors(tokens + _random(8, seed=3), m, guide + _random(10, seed=4), "xray", choice)
    assert before.item() == pytest.approx(after.item(), rel=1e-4)
    single = _priors(Alignment(features="global", relation="none"))
    first = single(tokens, m, guide, "xray", choice).item()
    second = single(tokens + 5.0, m, guide, "xray", choice).item()
    assert first != pytest.approx(second, rel=1e-2)


def test_queries_follow_the_modality_or_are_free() -> None:
    bound, free = _priors(Alignment()), _priors(Alignment(), free=True)
    tokens, guide = _random(4, 16, 8), _random(4, 49, 10, seed=1)
    for priors, moves in ((bound, True), (free, False)):
        one, other = (
            priors(tokens, _random(4, 6, seed=seed), guide, "xray", np.random.default_rng(0)).item()
            for seed in (0, 5)
        )
        assert (abs(one - other) > 1e-6) == moves


def test_of_a_large_batch_a_bounded_number_of_pairs_is_drawn() -> None:
    # Chance level: the right one among all tokens of all pairs.
    with torch.no_grad():
        loss = _loss(_priors(Alignment(pairs=5, queries=3, temperature=1e6)), images=12)
    assert loss.item() == pytest.approx(np.log(5 * 3), rel=1e-4)


def test_a_word_that_names_no_switch_is_refused() -> None:
    with pytest.raises(ValueError, match="selected, local, global"):
        Alignment(features="some")
