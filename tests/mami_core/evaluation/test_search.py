from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mami_core.evaluation import search
from mami_core.evaluation.search import above, nearest


def brute(queries: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Every cosine by itself, a row of zeros scoring 0."""

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        length = np.sqrt(np.sum(one**2) * np.sum(other**2))
        return float(np.sum(one * other) / length) if length > 0 else 0.0

    rows, held = queries.astype(np.float64), gallery.astype(np.float64)
    return np.round([[cosine(one, other) for other in held] for one in rows], search.DIGITS)


def in_order(scores: np.ndarray, k: int) -> np.ndarray:
    return np.stack([sorted(range(len(row)), key=lambda i: (-row[i], i))[:k] for row in scores])


@pytest.fixture(params=["torch", "faiss"])
def engine(request: pytest.FixtureRequest) -> str:
    if request.param == "faiss":
        pytest.importorskip("faiss", reason="the extra 'faiss' is not installed")
    return str(request.param)


#: Few values, so that rows repeat, point the same way, and tie.
few = st.integers(-1, 2).map(float)


@given(st.data())
@settings(max_examples=60)
def test_search_finds_what_looking_at_every_pair_finds_with_ties_by_index(
    data: st.DataObject,
) -> None:
    size, dimensions = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 5))
    gallery = data.draw(arrays(np.float32, (size, dimensions), elements=few))
    queries = data.draw(arrays(np.float32, (3, dimensions), elements=few))
    k = data.draw(st.integers(1, size))
    every = brute(queries, gallery)
    names = ["torch"]
    try:
        import faiss  # type: ignore[import-untyped]  # noqa: F401

        names.append("faiss")
    except ImportError:
        pass
    for name in names:
        scores, places = nearest(queries, gallery, k, engine=name)
        assert places.tolist() == in_order(every, k).tolist()
        assert np.array_equal(scores, np.take_along_axis(every, places, axis=1))
        least = float(every[0, 0])
        found = list(above(queries, gallery, least, engine=name))
        rows, columns = np.nonzero(every >= least)
        assert np.concatenate([part[0] for part in found]).tolist() == rows.tolist()
        assert np.concatenate([part[1] for part in found]).tolist() == columns.tolist()
        assert np.concatenate([part[2] for part in found]).tolist() == every[rows, columns].tolist()


def test_a_gallery_of_many_copies_gives_the_first_of_them(engine: str) -> None:
    """More of them tie than are proposed, in several chunks."""
    generator = np.random.default_rng(0)
    one = generator.normal(size=16).astype(np.float32)
    gallery = generator.normal(size=(search.GALLERY + 300, 16)).astype(np.float32)
    gallery[np.arange(7, len(gallery), 40)] = 3 * one
    scores, places = nearest(one[None], gallery, 60, engine=engine)
    assert places[0].tolist() == list(range(7, 7 + 60 * 40, 40))
    assert scores.tolist() == [[1.0] * 60]


def test_chunks_do_not_change_the_answer(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(1)
    queries = generator.normal(size=(70, 24)).astype(np.float32)
    gallery = generator.normal(size=(700, 24)).astype(np.float32)
    whole = nearest(queries, gallery, 5, engine=engine)
    pairs = [np.concatenate(part) for part in zip(*above(queries, gallery, 0.5), strict=True)]
    every = brute(queries, gallery)
    assert whole[1].tolist() == in_order(every, 5).tolist()
    for name, value in {"QUERIES": 9, "GALLERY": 50, "PAIRS": 13, "SPARE": 0}.items():
        monkeypatch.setattr(search, name, value)
    parts = nearest(queries, gallery, 5, engine=engine)
    assert np.array_equal(whole[0], parts[0])
    assert np.array_equal(whole[1], parts[1])
    again = [np.concatenate(part) for part in zip(*above(queries, gallery, 0.5), strict=True)]
    assert all(np.array_equal(one, other) for one, other in zip(pairs, again, strict=True))
    assert len(pairs[0]) == int((every >= 0.5).sum()) > 0


def test_what_differs_less_than_single_precision_tells_is_ordered_rightly(engine: str) -> None:
    """Rows nearer to one another than a matrix product in single precision can tell."""
    generator = np.random.default_rng(2)
    one = generator.normal(size=128)
    gallery = one + 1e-4 * generator.normal(size=(200, 128))
    scores, places = nearest(one[None], gallery, 10, engine=engine)
    assert places.tolist() == in_order(brute(one[None], gallery), 10).tolist()
    assert scores[0].tolist() == sorted(scores[0].tolist(), reverse=True)


def test_more_than_there_is_can_not_be_asked_for() -> None:
    with pytest.raises(ValueError, match="3 rows, and 4 were asked for"):
        nearest(np.eye(3), np.eye(3), 4)
