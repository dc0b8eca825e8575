from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mami_core.data import Record, open_dataset
from mami_core.evaluation import figures, found_within, gallery, pairs, pixel_floor, verification
from mami_core.evaluation.metrics import auc
from mami_core.evaluation.protocol import by_source, pooled, usable


def record(patient: int, unit: int, *, subject: str = "", source: str = "set") -> Record:
    return Record(
        name="",
        patient=str(patient),
        source=source,
        subject=subject or str(patient),
        unit=str(unit),
    )


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def unit_length(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[np.ndarray, list[Record]]:
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from("LR")),
            min_size=2,
            max_size=12,
        )
    )
    records = [record(patient, unit, subject=f"{patient}{eye}") for patient, unit, eye in rows]
    seed = draw(st.integers(0, 1000))
    return np.random.default_rng(seed).normal(size=(len(records), 5)), records


@settings(max_examples=120)
@given(worlds())
def test_the_gallery_is_what_the_rules_say_image_by_image(
    world: tuple[np.ndarray, list[Record]],
) -> None:
    embeddings, records = world
    found = gallery(embeddings, records)
    expected = {}
    for index, query in enumerate(records):
        mates = [
            unit_length(embeddings[i])
            for i, other in enumerate(records)
            if (other.person, other.subject) == (query.person, query.subject)
            and other.unit != query.unit
        ]
        if not mates:
            continue
        others: dict[tuple[object, str], list[np.ndarray]] = {}
        for i, other in enumerate(records):
            if other.person != query.person:
                others.setdefault((other.person, other.subject), []).append(
                    unit_length(embeddings[i])
                )
        scores = [cosine(embeddings[index], np.mean(v, axis=0)) for v in others.values()]
        expected[index] = (cosine(embeddings[index], np.mean(mates, axis=0)), sorted(scores))
    assert list(found.query) == list(expected)
    for place, index in enumerate(found.query):
        own, scores = expected[int(index)]
        assert found.own[place] == pytest.approx(own, abs=1e-9)
        seen = found.impostors[place]
        assert sorted(seen[~np.isnan(seen)]) == pytest.approx(scores, abs=1e-9)


@settings(max_examples=80)
@given(worlds())
def test_pairs_weigh_one_a_patient_and_one_a_pair_of_patients(
    world: tuple[np.ndarray, list[Record]],
) -> None:
    embeddings, records = world
    found = pairs(embeddings, records)
    mated: dict[object, list[float]] = {}
    impostor: dict[object, list[float]] = {}
    for i, first in enumerate(records):
        for j in range(i + 1, len(records)):
            second = records[j]
            score = cosine(embeddings[i], embeddings[j])
            if first.person != second.person:
                impostor.setdefault(frozenset((first.person, second.person)), []).append(score)
            elif first.subject == second.subject and first.unit != second.unit:
                mated.setdefault(first.person, []).append(score)
    assert sorted(found.mated) == pytest.approx(sorted(s for v in mated.values() for s in v))
    if not mated or not impostor:
        return
    slow = np.mean(
        [
            np.mean([[a > b for b in theirs] for a in own])
            for own in mated.values()
            for theirs in impostor.values()
        ]
    )
    fast = auc(found.mated, found.impostor, found.mated_weight, found.impostor_weight)
    assert fast == pytest.approx(slow)


def people(count: int, images: int, spread: float) -> tuple[np.ndarray, list[Record]]:
    generator = np.random.default_rng(0)
    centres = np.repeat(generator.normal(size=(count, 16)), images, axis=0)
    records = [record(p, unit) for p in range(count) for unit in range(images)]
    return centres + spread * generator.normal(size=centres.shape), records


def test_a_good_encoder_finds_everybody_and_noise_finds_chance() -> None:
    good = figures(*people(40, 3, 0.1))
    assert good is not None
    assert good.auc.value > 0.99
    assert good.rank1.value == 1.0
    assert (good.rank1.patients, good.gallery) == (40, 40)
    _, records = people(40, 3, 0.0)
    noise = np.random.default_rng(3).normal(size=(120, 16))
    bad = figures(noise, records)
    assert bad is not None
    assert bad.auc.low < 0.5 < bad.auc.high
    assert bad.rank1.low < 1 / 40 < bad.rank1.high
    constant = figures(np.ones((120, 4)), records)
    assert constant is not None
    assert constant.auc.value == pytest.approx(0.5)
    assert constant.auc.high - constant.auc.low > 0.2
    assert constant.rank1.value == pytest.approx(1 / 40)


def test_one_picture_for_everybody_finds_chance_whatever_rounding_does() -> None:
    _, records = people(20, 2, 1.0)
    for seed in range(5):
        one = np.random.default_rng(seed).normal(size=512).astype(np.float32)
        found = figures(np.tile(one, (len(records), 1)), records)
        assert found is not None
        assert found.auc.value == pytest.approx(0.5)
        assert found.rank1.value == pytest.approx(1 / 20)


def test_the_scale_of_an_embedding_says_nothing() -> None:
    embeddings, records = people(20, 2, 1.0)
    scaled = embeddings * np.random.default_rng(0).uniform(0.1, 10, size=(40, 1))
    assert np.allclose(gallery(embeddings, records).own, gallery(scaled, records).own)


def test_the_interval_of_auc_resamples_patients_and_not_pairs() -> None:
    """Ten copies of every image tell nothing new, and the interval knows."""
    embeddings, records = people(25, 2, 1.5)
    many = [replace(r, unit=f"{r.unit}") for r in records for _ in range(6)]
    once = verification(pairs(embeddings, records), resamples=300)
    often = verification(pairs(np.repeat(embeddings, 6, axis=0), many), resamples=300)
    assert often.value == pytest.approx(once.value)
    assert often.high - often.low == pytest.approx(once.high - once.low, rel=0.05)
    assert once.low < once.value < once.high


def test_nobody_to_match_gives_no_figure() -> None:
    embeddings, records = people(5, 1, 0.1)
    assert figures(embeddings, records) is None
    doubtful = [replace(r, reid=False) for r in people(5, 2, 0.1)[1]]
    assert figures(np.ones((10, 3)), doubtful) is None
    assert by_source(records, lambda members: embeddings[members]) == {}


def test_rows_with_a_doubtful_id_are_left_out_and_slices_are_pooled() -> None:
    records = [record(0, 0, source="nih"), replace(record(1, 0, source="nih"), reid=False)]
    assert list(usable(records)) == [0]
    scan = [record(0, unit, source="openkbp") for unit in (0, 0, 1, 1)]
    rows, kept = pooled(np.eye(4), scan)
    assert len(kept) == 2
    assert np.allclose(rows[0], [np.sqrt(0.5), np.sqrt(0.5), 0, 0])


def test_the_pixel_floor_is_the_published_one(shared: Path) -> None:
    """AUC of the data's README (val and test, thumbnails only: nothing is chosen by it)."""
    for name, value in {"nih": 0.734, "kermany": 0.595, "odir": 0.739}.items():
        part = open_dataset(shared / "data" / name).select(lambda r: r.split != "train" and r.reid)
        found = pairs(pixel_floor(part), part.records)
        measured = auc(found.mated, found.impostor, found.mated_weight, found.impostor_weight)
        assert measured == pytest.approx(value, abs=0.01)


def test_rank_one_of_the_figures_is_that_of_the_gallery() -> None:
    embeddings, records = people(30, 2, 2.0)
    searched = gallery(embeddings, records)
    found = figures(embeddings, records)
    assert found is not None
    assert found.rank1.value == pytest.approx(found_within(searched.own, searched.impostors).mean())


def test_pairs_of_two_forms_are_those_of_each_query_with_each_image() -> None:
    embeddings, records = people(6, 2, 1.0)
    queries = embeddings + np.random.default_rng(1).normal(size=embeddings.shape)
    found = pairs(embeddings, records, queries=queries)
    slow = {
        (i, j): cosine(queries[i], embeddings[j])
        for i in range(len(records))
        for j in range(len(records))
    }
    mated = [s for (i, j), s in slow.items() if i // 2 == j // 2 and i != j]
    impostor = [s for (i, j), s in slow.items() if i // 2 != j // 2]
    assert sorted(found.mated) == pytest.approx(sorted(mated))
    assert sorted(found.impostor) == pytest.approx(sorted(impostor))
    copies = pairs(embeddings, records, queries=queries, copies=True)
    assert sorted(copies.mated) == pytest.approx(sorted(slow[i, i] for i in range(len(records))))
    searched = gallery(embeddings, records, queries=queries, copies=True)
    assert searched.own == pytest.approx([slow[i, i] for i in range(len(records))])
    assert (~np.isnan(searched.impostors)).sum(axis=1).tolist() == [5] * len(records)
