from __future__ import annotations

import numpy as np

from mami_core.closed_form import whiten


def _people(count: int, half: int, seed: int = 0) -> tuple[np.ndarray, list[tuple[str, str]]]:
    """`half` features of the person, and as many of the session, three times as strong."""
    random = np.random.default_rng(seed)
    rows, persons = [], []
    for person in range(count):
        own = random.normal(size=half)
        for _ in range(2):
            seen, mark = own + 0.3 * random.normal(size=half), 3.0 * random.normal(size=half)
            rows.append(np.concatenate([seen, mark]))
            persons.append(("set", str(person)))
    return np.array(rows), persons


def _found(rows: np.ndarray) -> float:
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -2.0)
    return float((scores.argmax(axis=1) == np.arange(len(rows)) ^ 1).mean())


def test_whitening_finds_people_whom_marks_of_sessions_hide() -> None:
    rows, persons = _people(60, 10)
    found = whiten(rows, persons, (10, 10), 20)
    mapped = rows @ found.weight.T + found.bias
    assert _found(rows - rows.mean(axis=0)) < 0.3
    assert _found(mapped) > 0.7


def test_what_is_mapped_has_unit_variance_about_zero() -> None:
    rows, persons = _people(60, 3)
    found = whiten(rows + 5.0, persons, (6,), 6)
    mapped = (rows + 5.0) @ found.weight.T + found.bias
    assert np.allclose(mapped.mean(axis=0), 0.0, atol=1e-6)
    assert abs(mapped.std() - 1.0) < 0.05


def test_fewer_images_than_components_still_give_a_finite_map() -> None:
    rows, persons = _people(2, 3)
    found = whiten(rows, persons, (6,), 6)
    assert all(np.isfinite(part).all() for part in (found.weight, found.bias))
    assert found.weight.any()


def test_nobody_with_two_images_leaves_pca() -> None:
    rows, _ = _people(20, 3)
    found = whiten(rows, [("set", str(i)) for i in range(40)], (6,), 3)
    assert found.weight.shape == (3, 6)
    assert np.isfinite(found.weight).all()


def test_where_a_picture_was_taken_does_not_make_people_alike() -> None:
    rows, persons = _people(80, 8)
    elsewhere = np.arange(len(rows)) >= 80
    rows += np.where(elsewhere[:, None], np.linspace(-4.0, 4.0, rows.shape[1]), 0.0)
    sets = [(f"set {there}", name) for there, (_, name) in zip(elsewhere, persons, strict=True)]
    found = whiten(rows, sets, (8, 8), 16)
    mapped = rows @ found.weight.T + found.bias
    assert np.abs(mapped[elsewhere].mean(axis=0) - mapped[~elsewhere].mean(axis=0)).max() < 1e-6
    assert np.abs(mapped.mean(axis=0)).max() < 1e-6
    assert _found(mapped) > 0.6
