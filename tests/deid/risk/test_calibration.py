"""The bundled cohorts on real X-rays: what is reported is what an attacker finds."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from deid.risk import Cohort, residual_risk
from deid.risk.build import SOURCES
from deid.risk.calibration import calibrate
from deid.scrub.models import ATTACKERS, JUDGE
from mami_core.data import Record, open_dataset
from mami_core.evaluation.embed import Embedder, embedder
from mami_core.weights import bundled, checked

SEARCHING = (*ATTACKERS, JUDGE)


@pytest.fixture(scope="module")
def attackers() -> dict[str, tuple[Embedder, Cohort]]:
    found = {}
    for name in SEARCHING:
        path = bundled() / f"cohort_xray_{name}.safetensors"
        checked(path)
        found[name] = (embedder(name, "cpu"), Cohort.load(path))
    return found


def test_each_cohort_belongs_to_a_bundled_encoder_and_all_hold_the_same_people(
    attackers: dict[str, tuple[Embedder, Cohort]],
) -> None:
    for encoder, cohort in attackers.values():
        assert cohort.encoder == encoder.sha256
        assert cohort.patients >= 30
        assert len(cohort.people) <= 1000
    cohorts = [cohort for _, cohort in attackers.values()]
    assert len({(tuple(one.owner), *sorted(one.sources.items())) for one in cohorts}) == 1


def _some(record: Record) -> bool:
    """A quarter of the people; all, and all attackers, are measured by ``python -m deid.risk``."""
    return hashlib.sha256("/".join(record.person).encode()).digest()[0] < 64


def test_mean_risk_is_the_measured_rank_one(
    attackers: dict[str, tuple[Embedder, Cohort]], shared: Path
) -> None:
    encoder, cohort = attackers[ATTACKERS[0]]
    val = open_dataset(shared / "data").select(
        lambda one: one.source in SOURCES["xray"] and one.split == "val" and _some(one)
    )
    assert len(val) > 150
    found = calibrate(cohort, encoder.embed(val.squares(encoder.size)), val.records)
    assert all(risk.value is not None for risk in found.risks)
    assert found.holds, (found.mean, found.measured)


@pytest.mark.parametrize("name", SEARCHING)
def test_noise_has_the_risk_of_chance(
    name: str, attackers: dict[str, tuple[Embedder, Cohort]]
) -> None:
    """Noise of sorts that the cohort's own pictures of nobody do not hold."""
    encoder, cohort = attackers[name]
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
