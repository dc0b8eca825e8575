from __future__ import annotations

import numpy as np
import pytest

from deid.audit.closed_form import Choice, closed_form, ridges, weights
from deid.audit.matching import Training, linear
from mami_core.data import Record
from mami_core.evaluation import auc


def world(people: int, seed: int) -> tuple[np.ndarray, list[Record]]:
    """Two visits a person; the first 10 numbers are the person's, the others the visit's."""
    random = np.random.default_rng(seed)
    own = np.repeat(random.normal(size=(people, 10)), 2, axis=0)
    rows = np.hstack([own + 0.3 * random.normal(size=own.shape), 2 * random.normal(size=own.shape)])
    names = [(f"{seed}/{person}", str(visit)) for person in range(people) for visit in range(2)]
    return rows, [Record("", name, "set", subject=name, unit=visit) for name, visit in names]


def found(query: np.ndarray, gallery: np.ndarray) -> float:
    query, gallery = (r / np.linalg.norm(r, axis=1, keepdims=True) for r in (query, gallery))
    first, second = np.nonzero(~np.eye(len(query), dtype=bool))
    scores = (query @ gallery.T)[first, second]
    mates = first // 2 == second // 2
    return auc(scores[mates], scores[~mates])


def mixed(rows: np.ndarray) -> np.ndarray:
    """A fixed rotation: hides everything from whom it is not known to."""
    turn, _ = np.linalg.qr(np.random.default_rng(9).normal(size=(rows.shape[1],) * 2))
    return rows @ turn + 3.0


@pytest.mark.parametrize("roles", [("protected", "original"), ("original", "protected")])
def test_a_fixed_map_of_the_features_hides_nothing_from_an_attacker_that_adapts(
    roles: tuple[str, str],
) -> None:
    rows, records = world(120, 0)
    new, _ = world(60, 1)
    change = {"protected": mixed, "original": lambda rows: rows}
    query, gallery = (change[role] for role in roles)
    originals = closed_form(Training([rows], [rows], rows, ("original", "original"), records))
    adapted = closed_form(Training([query(rows)], [gallery(rows)], rows, roles, records))
    best = found(originals.of_queries(new), originals.of_gallery(new))
    blind = found(originals.of_queries(query(new)), originals.of_gallery(gallery(new)))
    seeing = found(adapted.of_queries(query(new)), adapted.of_gallery(gallery(new)))
    assert best > 0.95
    assert blind < 0.65
    assert seeing > best - 0.05


def test_two_releases_are_matched_with_one_map() -> None:
    rows, records = world(120, 0)
    new, _ = world(60, 1)
    fitted = closed_form(
        Training([mixed(rows)], [mixed(rows)], rows, ("protected", "second"), records)
    )
    assert found(fitted.of_queries(mixed(new)), fitted.of_gallery(mixed(new))) > 0.95


@pytest.mark.parametrize(("images", "width"), [(8, 30), (30, 8)])
def test_the_ridge_map_is_the_same_over_images_and_over_features(images: int, width: int) -> None:
    random = np.random.default_rng(0)
    features, targets = random.normal(size=(images, width)), random.normal(size=(images, 3))
    penalty = 0.3 * (features**2).sum() / min(images, width)
    slow = np.linalg.inv(features.T @ features + penalty * np.eye(width)) @ features.T @ targets
    (through,) = ridges(features, targets, (0.3,))
    assert through == pytest.approx(slow, abs=1e-9)


def test_equal_pictures_are_no_direction() -> None:
    """What rounding leaves of a constant release must not become a fingerprint."""
    rows, records = world(30, 0)
    constant = np.ones_like(rows) * (1 + 1e-8 * np.arange(len(rows))[:, None])
    fitted = closed_form(Training([constant], [rows], rows, ("protected", "original"), records))
    assert not fitted.of_queries(constant).any()


def test_noise_is_answered_with_a_stronger_penalty_and_with_more_draws() -> None:
    """Noise that is drawn anew hides the person only from whom trusts it."""
    random = np.random.default_rng(3)
    rows, records = world(80, 0)
    new, _ = world(60, 1)

    def drawn(rows: np.ndarray) -> np.ndarray:
        return mixed(rows) + 2.0 * random.normal(size=rows.shape)

    roles = ("protected", "original")
    some = [drawn(rows) for _ in range(6)]
    tested = drawn(new)
    figures = [
        found(fitted.of_queries(tested), fitted.of_gallery(new))
        for fitted in (
            closed_form(Training(some[:n], [rows], rows, roles, records)) for n in (1, 6)
        )
    ]
    assert figures[1] > figures[0]


def test_two_releases_under_noise_are_matched_by_what_of_them_is_in_their_originals() -> None:
    random = np.random.default_rng(3)
    (rows, records), (new, _) = world(80, 0), world(60, 1)

    def drawn(rows: np.ndarray) -> np.ndarray:
        return np.hstack([mixed(rows), random.normal(size=(len(rows), 200))])

    roles = ("protected", "second")
    training = Training([drawn(rows)], [drawn(rows)], rows, roles, records)
    tested = drawn(new), drawn(new)
    alone, chosen = (weights(training, choice) for choice in (Choice(None, whitened=True), None))
    assert chosen.choice is not None
    assert chosen.choice.penalty is not None
    by_themselves, carried = (
        found(*(linear(one.query)(form) for form in tested)) for one in (alone, chosen)
    )
    assert carried > by_themselves + 0.1
