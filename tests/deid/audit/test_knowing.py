"""Attackers who have more than others: several releases of an image, or pairs under its own key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deid.audit import AuditError, Options, audit
from deid.audit.attackers.outline import outline
from deid.audit.bench import Bench
from deid.audit.console import show
from deid.audit.linkages import ORIGINAL, PROTECTED
from deid.audit.release import built, keys, protected
from deid.audit.removers import Remover, called
from deid.audit.removers.registry import Edit
from deid.audit.report import pieces
from deid.audit.source import Source
from deid.audit.trials import plan
from deid.audit.words import last_line
from mami_core.data import Dataset, open_dataset
from mami_core.evaluation import auc

People = Callable[..., Path]


def tried(
    data: Dataset, edit: Edit, names: tuple[str, ...], releases: int = 1, **given: Dataset
) -> dict[tuple[str, bool], float]:
    """AUC of the outline by linkage and whether it adapts, over all fits."""
    source = Source(data, plan(data, "val"), Remover(edit), **given)
    asked = source.linkages(names, adaptive=True)
    forms = source.forms(asked, 0, 1.0, releases=releases, adaptive=True)
    attackers = {"outline": outline("cpu")}
    seen, own, _ = source.seen(attackers, attackers, forms, lambda done, total: None)
    bench = Bench(data.records, source.plan, attackers, seen, own)
    found = {}
    for one in asked:
        for adaptive in (True,) if one.learns else (False, True):
            compared = [fold.compared for fold in bench.tried("outline", one, adaptive=adaptive)]
            mated, impostor = (
                np.concatenate([getattr(fold, kind) for fold in compared])
                for kind in ("mated", "impostor")
            )
            found[one.name, adaptive] = auc(mated, impostor)
    return found


def test_the_mean_of_equal_releases_is_the_release_and_of_unequal_ones_has_less_noise(
    people: People,
) -> None:
    data = open_dataset(people(val=1))
    picture = data.picture(0)

    def mean(remover: str, count: int) -> np.ndarray:
        entry, parameter = called(remover)
        made = built(entry, parameter, data)
        return protected(made, data.records, keys(0, PROTECTED, count), 1.0)(0, picture)

    assert np.array_equal(mean("blur:8", 3), mean("blur:8", 1))
    assert keys(0, PROTECTED, 3)[0] == keys(0, PROTECTED)[0]
    assert len(set(keys(0, PROTECTED, 3))) == 3
    left = [float(np.abs(mean("noise:20", n) - mean("blur:4", 1)).mean()) for n in (1, 9)]
    assert left[1] < 0.5 * left[0]


def fixed(picture: np.ndarray, modality: str | None, code: bytes, strength: float) -> np.ndarray:
    return 0.5 * picture


def drawn(picture: np.ndarray, modality: str | None, code: bytes, strength: float) -> np.ndarray:
    """Coarse noise, drawn anew for every code."""
    random = np.random.default_rng(int.from_bytes(code, "big"))
    coarse = random.normal(0.0, 0.3, (picture.shape[0] // 4, picture.shape[1] // 4))
    noisy = 0.25 + 0.5 * picture + coarse.repeat(4, axis=0).repeat(4, axis=1)
    return np.clip(noisy, 0.0, 1.0).astype(np.float32)


@pytest.mark.parametrize(("edit", "many", "gained"), [(fixed, 12, 0.0), (drawn, 28, 0.02)])
def test_several_releases_find_as_much_as_one_and_behind_random_draws_more(
    people: People, edit: Edit, many: int, gained: float
) -> None:
    data = open_dataset(people(val=many, train=many, noise=40.0))
    found = tried(data, edit, ("outer", "inner", "outer_k", "inner_k"), releases=4)
    for name in ("outer", "inner"):
        for adaptive in (False, True):
            more = found[f"{name}_k", adaptive] - found[name, adaptive]
            assert more > gained if gained else more == 0.0, (name, adaptive)


def released(data: Dataset, folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> Dataset:
    folder.mkdir()
    for row, record in enumerate(data.records):
        grey = np.rint(255 * change(data.picture(row))).astype(np.uint8)
        Image.fromarray(grey).save(folder / record.name)
    return data.moved([record.name for record in data.records], folder)


def test_pairs_of_others_give_away_what_the_remover_does_not_teach(
    people: People, tmp_path: Path
) -> None:
    """The release is mirrored, which no image that was made darker teaches anybody to undo."""
    data = open_dataset(people(val=40))
    release = released(data, tmp_path / "mirrored", np.fliplr)
    found = tried(data, fixed, ("outer", "own_key"), release=release)
    assert found["outer", True] < 0.7
    assert found["own_key", True] > 0.9


def test_pairs_of_the_tested_patients_are_not_among_those_that_are_known(
    people: People, tmp_path: Path
) -> None:
    """Of pictures at random nothing is to be learnt but by heart."""
    random = np.random.default_rng(0)
    data = open_dataset(people(val=50))
    release = released(data, tmp_path / "random", lambda picture: random.random(picture.shape))
    found = tried(data, fixed, ("own_key",), release=release)
    assert found["own_key", True] == pytest.approx(0.5, abs=0.1)


def test_without_a_remover_all_that_is_known_is_the_releases_own(people: People) -> None:
    data = open_dataset(people(val=40))
    source = Source(data, plan(data, "val"), release=data)
    asked = source.linkages(("outer", "own_key", "outer_k"), adaptive=True)
    assert [one.name for one in asked] == ["outer", "own_key"]
    assert asked[0].roles == asked[1].roles
    assert set(source.forms(asked, 0, 1.0, releases=1, adaptive=True)[0]) == {ORIGINAL, PROTECTED}


def test_releases_add_their_linkages_to_the_default_and_what_is_known_is_said(
    people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    data = open_dataset(people(val=4))
    record = audit(data, Options(attackers=("pixels",), remover="blur:8", releases=2))
    linkages = set(record["sources"]["demo"]["linkages"])
    assert linkages == {"original", "outer", "inner", "outer_k", "inner_k"}
    show(record)
    said = "attacker of outer_k has 2 releases of each image, under as many keys"
    assert f"demo: the {said}" in capsys.readouterr().out
    assert said in "".join(pieces(record))
    assert "--releases" not in last_line(record)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"releases": 2}, "give a --remover"),
        ({"releases": 2, "remover": "blur", "linkages": ("outer",)}, "outer_k or inner_k and"),
        ({"remover": "blur", "linkages": ("outer_k",)}, "outer_k or inner_k and"),
        ({"remover": "blur", "linkages": ("own_key",)}, "give --adaptive and a release"),
        ({"adaptive": True, "linkages": ("own_key",)}, "give --adaptive and a release"),
    ],
)
def test_what_the_attacker_is_to_have_has_to_be_there(
    people: People, options: dict[str, object], words: str
) -> None:
    with pytest.raises(AuditError, match=words):
        audit(open_dataset(people(val=4)), Options(attackers=("pixels",), **options))  # type: ignore[arg-type]
