"""The bundled cohort on real X-rays: what is reported is what an attacker finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from deid.risk import Cohort, residual_risk
from deid.risk.build import SOURCES
from deid.risk.calibration import calibrate
from mami_core.data import open_dataset
from mami_core.evaluation.embed import Embedder, embedder
from mami_core.weights import WeightsError, bundled, checked


@pytest.fixture(scope="module")
def encoder() -> Embedder:
    try:
        return embedder("mami_tiny", "cpu")
    except WeightsError:
        pytest.skip("no encoder is bundled")


@pytest.fixture(scope="module")
def cohort(encoder: Embedder) -> Cohort:
    path = bundled() / "cohort_xray.safetensors"
    if not path.is_file():
        pytest.skip("no cohort is bundled")
    checked(path)
    return Cohort.load(path)


def test_the_cohort_belongs_to_the_bundled_encoder(cohort: Cohort, encoder: Embedder) -> None:
    assert cohort.encoder == encoder.sha256
    assert cohort.patients >= 30
    assert len(cohort.people) <= 1000


def test_over_the_val_rows_mean_risk_is_the_measured_rank_one(
    cohort: Cohort, encoder: Embedder, shared: Path
) -> None:
    val = open_dataset(shared / "data").select(
        lambda record: record.source in SOURCES["xray"] and record.split == "val"
    )
    found = calibrate(cohort, encoder.embed(val.squares(encoder.size)), val.records)
    assert len(found.risks) == 783
    assert all(risk.value is not None for risk in found.risks)
    assert found.holds, (found.mean, found.measured)


def test_noise_has_the_risk_of_chance(cohort: Cohort, encoder: Embedder) -> None:
    """Noise of sorts that the cohort's own pictures of nobody do not hold."""
    generator = np.random.default_rng(77)
    size = encoder.size
    fine = generator.integers(0, 256, (2, 1, size, size))
    salt = 255 * (generator.uniform(size=(2, 1, size, size)) > 0.5)
    faint = 120 + generator.integers(-4, 5, (2, 1, size, size))
    pictures = np.repeat(np.concatenate([fine, salt, faint]), 3, axis=1).astype(np.uint8)
    embedded = encoder.embed(pictures)
    for index in range(len(embedded)):
        others = embedded[[index ^ 1]]  # another picture of the same noise
        for seen in (None, others):
            found = residual_risk(embedded[index], embedded[index], cohort, others=seen)
            assert found.value == 1 / 1000
