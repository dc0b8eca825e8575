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
    modality = np.full((len(rows), 3), 1 / 3)
    found = whiten(rows, modality, persons, (10, 10), 20)
    mapped = rows @ found.weight.T + found.bias + modality @ found.centre.T
    assert _found(rows - rows.mean(axis=0)) < 0.3
    assert _found(mapped) > 0.7


def test_what_is_mapped_has_unit_variance_about_zero() -> None:
    rows, persons = _people(60, 3)
    modality = np.full((len(rows), 3), 1 / 3)
    found = whiten(rows + 5.0, modality, persons, (6,), 6)
    mapped = (rows + 5.0) @ found.weight.T + found.bias + modality @ found.centre.T
    assert np.allclose(mapped.mean(axis=0), 0.0, atol=1e-6)
    assert abs(mapped.std() - 1.0) < 0.05


def test_fewer_images_than_components_still_give_a_finite_map() -> None:
    rows, persons = _people(2, 3)
    found = whiten(rows, np.full((4, 3), 1 / 3), persons, (6,), 6)
    assert all(np.isfinite(part).all() for part in (found.weight, found.bias, found.centre))
    assert found.weight.any()


def test_nobody_with_two_images_leaves_pca() -> None:
    rows, _ = _people(20, 3)
    found = whiten(rows, np.full((40, 3), 1 / 3), [("set", str(i)) for i in range(40)], (6,), 3)
    assert found.weight.shape == (3, 6)
    assert np.isfinite(found.weight).all()


def test_each_modality_is_centred_by_its_own_pseudo_modality_and_scans_have_no_say() -> None:
    rows, persons = _people(60, 3)
    far = np.zeros_like(rows)
    far[40:80], far[80:] = 7.0, 100.0
    names = ["xray"] * 40 + ["fundus"] * 40 + [""] * 40
    modality = np.eye(3)[[0] * 40 + [1] * 40 + [2] * 40]
    sets = [(f"set {name}", person) for name, (_, person) in zip(names, persons, strict=True)]
    found = whiten(rows + far, modality, sets, (6,), 6, modalities=names)
    mapped = (rows + far) @ found.weight.T + found.bias + modality @ found.centre.T
    assert np.abs(mapped[:40].mean(axis=0)).max() < 0.01
    assert np.abs(mapped[40:80].mean(axis=0)).max() < 0.01
