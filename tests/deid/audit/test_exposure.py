from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deid.audit import Options, audit
from deid.audit.exposure import (
    FEWEST,
    MOST_EXPOSED,
    Exposed,
    age_band,
    groups_of,
    most_exposed,
    subgroups,
)
from deid.audit.figures import Scores, score
from deid.audit.linkages import LINKAGES
from deid.audit.writing import NAMES as FILE
from deid.audit.writing import write
from mami_core.data import Record, open_dataset

NAMES = ("set", "original", "fixed", "pixels")


def person(number: int, visit: int, **known: object) -> Record:
    plain = Record("", f"p{number}", "set", subject=str(number), unit=str(visit))
    return replace(plain, **known)  # type: ignore[arg-type]


def scored(records: list[Record], found: list[bool]) -> Scores:
    """Everybody who is `found` looks the same on both visits, the others like nobody."""
    generator = np.random.default_rng(0)
    faces = np.repeat(generator.normal(size=(len(records) // 2, 64)), 2, axis=0)
    noise = generator.normal(size=faces.shape)
    rows = np.where(np.repeat(found, 2)[:, None], faces, noise)
    result = score(rows, rows, records, LINKAGES["original"])
    assert result is not None
    return result


def test_an_image_is_of_every_subgroup_that_is_known_of_it() -> None:
    told = person(0, 0, view="AP", age=69.0, sex="F", findings={"Edema": 1, "Mass": 1, "Hernia": 0})
    assert list(groups_of(told)) == [
        ("view", "AP"),
        ("age", "60-69"),
        ("sex", "F"),
        ("finding", "Edema"),
        ("finding", "Mass"),
    ]
    assert list(groups_of(person(0, 0, findings={"Edema": 0}))) == [("finding", "none")]
    assert list(groups_of(person(0, 0))) == []
    assert [age_band(age) for age in (0.0, 9.5, 10.0, 100.0)] == ["0-9", "0-9", "10-19", "100-109"]


def test_a_subgroup_is_told_from_twenty_patients_on_and_each_weighs_the_same() -> None:
    """Of 20 women 5 are found; 19 men are too few; visits of both views count in each."""
    records, found = [], []
    for number in range(39):
        sex = "F" if number < 20 else "M"
        records += [person(number, v, sex=sex, view=("AP", "PA")[v]) for v in (0, 1)]
        found.append(number < 5)
    told = subgroups([scored(records, found)], 39)
    by_name = {(one["attribute"], one["group"]): one for one in told["groups"]}
    assert set(by_name) == {("sex", "F"), ("view", "AP"), ("view", "PA")}
    assert told["too_few"] == 1
    assert by_name["sex", "F"]["patients"] == FEWEST == 20
    assert by_name["sex", "F"]["value"] == pytest.approx(5 / 20, abs=0.051)
    assert by_name["view", "AP"]["patients"] == 39


def test_folds_are_told_together_and_no_name_is_among_the_figures() -> None:
    folds = [
        scored([person(n, v, sex="F") for n in numbers for v in (0, 1)], [True] * len(numbers))
        for numbers in (range(12), range(12, 24))
    ]
    told = subgroups(folds, 12)
    assert [(one["value"], one["patients"]) for one in told["groups"]] == [(1.0, 24)]
    assert not any(f'"p{number}"' in json.dumps(told) for number in range(24))


def test_the_most_exposed_come_first_of_equals_those_with_more_images() -> None:
    records = [person(n, v) for n in range(30) for v in (0, 1)]
    found = [n in (3, 7) for n in range(30)]
    named = most_exposed([scored(records, found)], 30, NAMES)
    assert [one.patient for one in named[:2]] == ["p3", "p7"]
    assert named[0].found == 1.0
    assert named[0].images == 2
    assert len(named) == MOST_EXPOSED
    assert [one.found for one in named] == sorted((one.found for one in named), reverse=True)
    more = [*records, person(7, 2), person(7, 3)]
    rows = np.repeat(np.eye(30), 2, axis=0)
    result = score(
        np.vstack([rows, rows[[14, 15]]]),
        np.vstack([rows, rows[[14, 15]]]),
        more,
        LINKAGES["original"],
    )
    assert result is not None
    first = most_exposed([result], 30, NAMES)[0]
    assert (first.patient, first.images, first.found) == ("p7", 4, 1.0)


def test_whom_an_attacker_finds_is_in_one_private_file_and_is_no_formula(
    people: Callable[..., Path], tmp_path: Path
) -> None:
    data = open_dataset(people(val=12))
    data.records[:] = [replace(one, patient=f"=SECRET{one.patient}") for one in data.records]
    exposed: list[Exposed] = []
    record = audit(data, Options(attackers=("pixels",)), name_exposed=exposed.append)
    write(tmp_path, record, exposed)
    naming = [path.name for path in tmp_path.iterdir() if b"SECRET" in path.read_bytes()]
    assert naming == [FILE]
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0
    with (tmp_path / FILE).open(newline="") as file:
        assert all(row["patient"].startswith("'=SECRET") for row in csv.DictReader(file))
