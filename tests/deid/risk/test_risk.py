"""Risk on a made-up world: people are random patterns, visits are noisy pictures of them."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deid.risk import Cohort, Risk, largest, residual_risk
from deid.risk.build import build_cohort
from deid.risk.calibration import calibrate, of_the_largest
from deid.risk.edits import EDITS, empty_pictures
from deid.risk.residual import FARTHEST
from mami_core.data import Dataset, open_dataset, reserved
from mami_core.evaluation import found_within, gallery, linkability
from mami_core.evaluation.embed import Embedder

SIDE = 24


def _embed(pictures: np.ndarray) -> np.ndarray:
    flat = pictures.astype(np.float32).mean(axis=1).reshape(len(pictures), -1)
    return flat - flat.mean(axis=1, keepdims=True)


ENCODER = Embedder(_embed, SIDE, "made up")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two X-ray sets: people with one visit in train and val, people with two or three in val."""
    folder = tmp_path_factory.mktemp("world")
    generator = np.random.default_rng(0)
    rows = []
    for number in range(400):
        source = "nih" if number % 3 == 0 else "kermany"
        split = "val" if number < 160 else "train"
        visits = (2 + number % 2) if number < 80 else 1
        pattern = generator.normal(size=(6, 6))
        for visit in range(visits):
            coarse = pattern + 1.6 * generator.normal(size=pattern.shape)
            pixels = np.clip(128 + 30 * np.kron(coarse, np.ones((4, 4))), 0, 255).astype(np.uint8)
            name = f"{number}_{visit}.png"
            Image.fromarray(pixels).save(folder / name)
            rows.append(
                {
                    "file": name,
                    "patient": str(number),
                    "source": source,
                    "modality": "DX",
                    "visit": str(visit),
                    "split": split,
                }
            )
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return open_dataset(folder)


@pytest.fixture(scope="module")
def cohort(world: Dataset) -> Cohort:
    return build_cohort(ENCODER, world, "xray")


@pytest.fixture(scope="module")
def val(world: Dataset) -> Dataset:
    return world.select(lambda record: record.split == "val")


@pytest.fixture(scope="module")
def embedded(val: Dataset) -> np.ndarray:
    return _embed(val.squares(SIDE))


def _searched(cohort: Cohort, people: np.ndarray) -> Cohort:
    """The cohort with these people, an image each."""
    owner = np.arange(len(people), dtype=np.int32)
    return replace(cohort, images=people, owner=owner, shown=owner >= 0)


def test_the_cohort_has_the_proportions_of_val_and_nobody_that_training_saw(
    world: Dataset, cohort: Cohort
) -> None:
    assert cohort.patients == 80
    assert cohort.kinds == {"visit": 80}
    assert cohort.sources["kermany"] == pytest.approx(2 * cohort.sources["nih"], abs=2)
    single = np.bincount(cohort.owner) == 1
    assert single.mean() == pytest.approx(0.5, abs=0.02)
    trained_on = [
        index
        for index, (record, out) in enumerate(
            zip(world.records, reserved(world.records), strict=True)
        )
        if record.split == "train" and not out
    ]
    embedded = _embed(world.squares(SIDE))[trained_on]
    embedded /= np.linalg.norm(embedded, axis=1, keepdims=True)
    assert (embedded @ cohort.images.T).max() < 0.9


def test_reported_risk_is_what_an_attacker_finds(
    cohort: Cohort, val: Dataset, embedded: np.ndarray
) -> None:
    found = calibrate(cohort, embedded, val.records)
    assert found.gallery == 160
    assert 0.1 < found.measured.value < 0.9  # else the test could not fail
    assert found.holds
    bases = {risk.basis for risk in found.risks}
    assert bases == {"visit", "model"}
    together = of_the_largest([found, found])
    assert (together.mean, together.measured) == (found.mean, found.measured)
    assert together.risks == found.risks


def test_risk_by_the_model_is_on_average_risk_by_one_other_visit(
    cohort: Cohort, val: Dataset, embedded: np.ndarray
) -> None:
    searched = gallery(embedded, val.records)
    measured, modelled = [], []
    for index in searched.query:
        record = val.records[index]
        others = [
            i
            for i, other in enumerate(val.records)
            if other.person == record.person and other.unit != record.unit
        ]
        image = embedded[index]
        one = embedded[[next((i for i in others if i > index), others[0])]]
        visit = residual_risk(image, image, cohort, others=one, gallery_size=100)
        # The person's own mean must not stand among the impostors here either.
        strangers = cohort.impostors(_unit(embedded[[index, *others]]))
        alone = _searched(cohort, cohort.people[strangers])
        model = residual_risk(image, image, alone, gallery_size=100)
        assert model.basis == "model"
        measured.append(visit.value)
        modelled.append(model.value)
    assert np.mean(modelled) == pytest.approx(np.mean(measured), abs=0.06)


def test_a_larger_gallery_is_extrapolated_and_agrees_with_counting(
    cohort: Cohort, val: Dataset, embedded: np.ndarray
) -> None:
    """A fifth of the people, extrapolated to 120, against the whole cohort, counted."""
    generator = np.random.default_rng(0)
    searched = gallery(embedded, val.records)
    counted = linkability(searched.own, searched.impostors, 120).mean()
    means = []
    for _ in range(4):
        few = generator.permutation(len(cohort.people))[:60]
        small = _searched(cohort, cohort.people[few])
        values = []
        for index in searched.query:
            record = val.records[index]
            others = [
                i
                for i, other in enumerate(val.records)
                if other.person == record.person and other.unit != record.unit
            ]
            image = embedded[index]
            risk = residual_risk(image, image, small, others=embedded[others], gallery_size=120)
            assert risk.extrapolated
            assert str(risk) == "visit, extrapolated, fixed only"
            values.append(risk.value)
        means.append(np.mean(values))
    assert np.mean(means) == pytest.approx(counted, abs=0.08)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _any(cohort: Cohort) -> np.ndarray:
    """An image of somebody outside the cohort, of its own kind."""
    return cohort.people[0] * 0.7 + 0.3 * cohort.people[1]


def test_a_release_that_shows_noise_has_nearly_the_risk_of_chance(
    cohort: Cohort, embedded: np.ndarray
) -> None:
    generator = np.random.default_rng(5)
    # Near to it, that is: residuals of edits that kept a little are counted in, and beyond the
    # cohort's 160 people a fitted tail speaks. Both err upwards.
    for size, most in ((50, 3 / 50), (1000, 4 / 1000)):
        values = []
        for image in embedded:
            noise = generator.normal(size=image.shape)
            values.append(residual_risk(noise, image, cohort, gallery_size=size).value)
        assert min(values) >= 1 / size
        assert np.mean(values) < most


def test_a_picture_of_nobody_has_the_risk_of_chance_exactly(cohort: Cohort) -> None:
    generator = np.random.default_rng(9)
    noise = np.clip(100 + 50 * generator.normal(size=(6, 1, SIDE, SIDE)), 0, 255)
    noise = _embed(np.repeat(noise, 3, axis=1).astype(np.uint8))
    close = replace(cohort, empty=np.vstack([cohort.empty, _unit(noise)]))
    for image in noise:
        found = residual_risk(image, image, close, others=noise[:1] + 0.01, gallery_size=500)
        assert found.value == 1 / 500
    assert not any(cohort.shows_nobody(person) for person in cohort.people)


def test_without_a_cohort_or_with_few_patients_nothing_is_claimed(cohort: Cohort) -> None:
    image = _any(cohort)
    for weak in (None, replace(cohort, patients=29)):
        found = residual_risk(image, image, weak, others=image[None])
        assert found == Risk(None, "unknown", 1000)
        assert str(found) == "unknown"
    few = _searched(cohort, cohort.people[:20])
    assert residual_risk(image, image, few).value is None


def test_a_person_of_the_cohort_is_no_impostor_of_himself(cohort: Cohort) -> None:
    """Else data that the cohort came from would look safe: the person ties with himself."""
    for index in (0, 7):
        image = cohort.images[np.flatnonzero(cohort.owner == index)[0]]
        assert index not in cohort.impostors(image[None])
        found = residual_risk(image, image, cohort, others=image[None], gallery_size=100)
        assert found.value == 1.0


def test_the_risk_of_an_untouched_image_is_the_risk_before(cohort: Cohort) -> None:
    image = _any(cohort)
    assert residual_risk(image, image, cohort) == residual_risk(image.copy(), image, cohort)
    scaled = residual_risk(5 * image, image, cohort)
    assert scaled.value == pytest.approx(residual_risk(image, image, cohort).value)


def test_the_more_of_somebody_else_is_mixed_in_the_lower_the_risk(
    cohort: Cohort, embedded: np.ndarray
) -> None:
    generator = np.random.default_rng(3)
    means = []
    for share in (0.0, 0.3, 0.6, 0.9):
        values = []
        for image in _unit(embedded[:80]):
            query = (1 - share) * image + share * _unit(generator.normal(size=image.shape))
            values.append(residual_risk(query, image, cohort, gallery_size=100).value)
        means.append(np.mean(values))
    assert means == sorted(means, reverse=True)
    assert means[-1] < means[0] / 3


def test_a_tie_with_impostors_is_shared(cohort: Cohort) -> None:
    # Everybody is as near to the query as its mate, and nobody is the same as another.
    query, *alike = np.eye(42)
    near = 0.6 * query + 0.8 * np.array(alike)
    even = _searched(cohort, near[:40])
    even = replace(even, empty=-query[None])
    found = residual_risk(query, query, even, others=near[40:], gallery_size=41)
    assert found.value == pytest.approx(1 / 41)


@settings(max_examples=60)
@given(size=st.integers(1, 10**7), seed=st.integers(0, 99), visit=st.booleans())
def test_risk_is_a_probability_not_below_chance(
    cohort: Cohort, size: int, seed: int, visit: bool
) -> None:
    generator = np.random.default_rng(seed)
    query, original, other = generator.normal(size=(3, cohort.people.shape[1]))
    others = other[None] if visit else None
    found = residual_risk(query, original, cohort, others=others, gallery_size=size)
    # None of these images is anybody's of the cohort.
    assert (found.value is None) == (size > FARTHEST * len(cohort.people) + 1)
    if found.value is None:
        assert str(found) == "unknown"
        return
    assert 1 / size <= found.value <= 1
    assert found.basis == ("visit" if visit else "model")
    assert found.extrapolated == (size > len(cohort.people) + 1)


@pytest.mark.parametrize("size", [10**9, 10**400])
def test_of_a_gallery_far_larger_than_the_cohort_nothing_is_claimed(
    cohort: Cohort, size: int
) -> None:
    for others in (None, _any(cohort)[None]):
        found = residual_risk(_any(cohort), _any(cohort), cohort, others=others, gallery_size=size)
        assert found == Risk(None, "unknown", size)


def test_a_gallery_of_nobody_is_refused(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="at least one person"):
        residual_risk(_any(cohort), _any(cohort), cohort, gallery_size=0)


def test_the_strongest_attacker_is_reported() -> None:
    risks = [Risk(0.1, "visit", 10), Risk(None, "unknown", 10), Risk(0.4, "model", 10)]
    assert largest(risks) == risks[2]
    assert largest([risks[1]]).value is None


def test_a_cohort_is_read_as_it_was_written(
    cohort: Cohort, embedded: np.ndarray, tmp_path: Path
) -> None:
    cohort.save(tmp_path / "cohort_xray.safetensors")
    again = Cohort.load(tmp_path / "cohort_xray.safetensors")
    assert (again.patients, again.sources, again.encoder) == (80, cohort.sources, "made up")
    before, after = (
        residual_risk(embedded[0], embedded[0], held, gallery_size=1000).value
        for held in (cohort, again)
    )
    assert after == pytest.approx(before, rel=0.05)
    assert (tmp_path / "cohort_xray.safetensors").stat().st_size < 2_000_000


def test_edits_and_pictures_of_nobody_are_pictures() -> None:
    empty = empty_pictures(64)
    assert empty.shape[1:] == (3, 64, 64)
    assert empty.dtype == np.uint8
    for edit in EDITS:
        edited = edit(empty)
        assert edited.shape == empty.shape
        assert edited.dtype == np.uint8
        assert not np.array_equal(edited, empty)


def test_a_set_without_such_people_makes_no_cohort(val: Dataset) -> None:
    with pytest.raises(ValueError, match="no people for the cohort"):
        build_cohort(ENCODER, val, "fundus")


def test_the_made_up_world_is_neither_trivial_nor_impossible(
    val: Dataset, embedded: np.ndarray
) -> None:
    searched = gallery(embedded, val.records)
    assert 0.2 < found_within(searched.own, searched.impostors).mean() < 0.8


def test_two_names_for_one_picture_do_not_hide_a_person_from_himself(cohort: Cohort) -> None:
    twice = replace(
        cohort,
        images=np.vstack([cohort.images, cohort.images[:1]]),
        owner=np.append(cohort.owner, np.int32(cohort.owner.max())),
        shown=np.append(cohort.shown, True),
    )
    assert twice.reach < 1
    assert cohort.owner[0] not in twice.impostors(cohort.images[:1])
