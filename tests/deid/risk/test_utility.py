from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deid.risk import fidelity, findings, utility


def test_nothing_changed_is_one() -> None:
    generator = np.random.default_rng(0)
    keys, probabilities = generator.normal(size=(3, 49, 8)), generator.uniform(size=(3, 5))
    picture = generator.uniform(size=(2, 30, 40)).astype(np.float32)
    assert utility(keys, keys, 0.6) == pytest.approx(1.0)
    assert findings(probabilities, probabilities) == 1.0
    assert fidelity(picture, picture) == 1.0


def test_another_patients_picture_is_worth_nothing() -> None:
    keys = np.array([[1.0, 0.0]])
    other = np.array([[0.6, 0.8]])  # cosine 0.6
    assert utility(keys, other, 0.6) == pytest.approx(0.0)
    assert utility(keys, -keys, 0.6) == 0.0
    half = np.array([[0.8, 0.6]])
    assert utility(keys, half, 0.6) == pytest.approx(0.5)


def test_utility_is_the_mean_over_keys_and_frames() -> None:
    before = np.array([[[1.0, 0.0], [0.0, 2.0]]])
    after = np.array([[[3.0, 0.0], [1.0, 0.0]]])
    assert utility(before, after, 0.0) == pytest.approx(0.5)


@settings(max_examples=50)
@given(hnp.arrays(np.float64, (2, 3, 4), elements=st.floats(0, 1)))
def test_findings_is_the_worst_change(probabilities: np.ndarray) -> None:
    before, after = probabilities
    worst = max(abs(a - b) for a, b in zip(before.ravel(), after.ravel(), strict=True))
    assert findings(before, after) == pytest.approx(1 - worst)


def test_without_findings_none_has_changed() -> None:
    assert findings(np.empty((1, 0)), np.empty((1, 0))) == 1.0


@pytest.mark.parametrize("shape", [(2, 64, 48), (1, 64, 48, 3), (1, 5, 3), (1, 2, 9), (1, 1, 1)])
def test_fidelity_falls_with_noise_at_any_size(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    picture = generator.uniform(0.2, 0.8, size=shape).astype(np.float32)
    little, much = (
        np.clip(picture + spread * generator.normal(size=shape), 0, 1).astype(np.float32)
        for spread in (0.05, 0.3)
    )
    assert -1 <= fidelity(picture, much) <= 1
    assert fidelity(picture, little) < 1
    if shape[1] > 8:
        assert fidelity(picture, much) < fidelity(picture, little)


def test_fidelity_is_that_of_scikit_image() -> None:
    from skimage.metrics import structural_similarity

    generator = np.random.default_rng(0)
    before, after = generator.uniform(size=(2, 1, 40, 50))
    expected = structural_similarity(before[0], after[0], data_range=1.0)
    assert fidelity(before, after) == pytest.approx(expected, abs=1e-5)
