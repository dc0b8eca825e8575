from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import Ridge

from deid.audit import Options, audit
from deid.audit.console import show
from deid.audit.inference import attributes
from deid.audit.matching import part_of
from deid.audit.reading import PENALTIES, classified
from deid.audit.words import inferences, last_line
from mami_core.data import Record, open_dataset

People = Callable[..., Path]


def known(folder: Path, column: str, values: Callable[[int], str]) -> Path:
    """The folder's table with a column more, a value a person."""
    table = folder / "manifest.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    place: dict[str, int] = {}
    for row in rows:
        row[column] = values(place.setdefault(row["patient"], len(place)))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def inferred(folder: Path, attackers: tuple[str, ...] = ("outline",)) -> tuple[dict, str]:
    record = audit(open_dataset(folder), Options(attackers=attackers))
    found = inferences(record["sources"]["demo"])
    assert found is not None
    return {one["attribute"]: one for one in found["attributes"]}, last_line(record)


def coin(person: int) -> str:
    return "MF"[np.random.default_rng(person).integers(2)]


def test_who_is_found_gives_away_what_no_image_shows(people: People) -> None:
    """Sex drawn by a coin: linking knows it, an image or a guess does not."""
    found, last = inferred(known(people(val=40, train=14), "sex", coin))
    sex = found["sex"]
    assert sex["main"]["value"] == 1.0
    assert sex["main"]["patients"] == 40
    assert sex["control"]["value"] < 0.75
    assert sex["added"]["value"] == 1.0
    assert not sex["weak"]
    assert sex["records"] == 79
    assert "inference" not in last


def test_a_linker_that_guesses_is_too_weak_and_adds_nothing(people: People) -> None:
    """Noise: what is found first is anybody's, two of three of whom are women."""
    folder = people(val=60, train=14, noise=1e6)
    sex = inferred(known(folder, "sex", lambda person: "FFM"[person % 3]))[0]["sex"]
    assert sex["main"]["value"] == pytest.approx(5 / 9, abs=0.12)
    assert sex["naive"]["value"] == pytest.approx(2 / 3)
    assert sex["weak"]


def test_pictures_without_information_give_nothing_away(
    people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is tested together is of one sex: any record has it, and no other patient told it."""

    def by_part(person: int) -> str:
        return "MF"[part_of(Record("", f"val{person}", "demo")) % 2]

    folder = known(people(val=40), "sex", by_part)
    for path in folder.glob("*.png"):
        Image.new("L", (40, 36), 90).save(path)
    record = audit(open_dataset(folder), Options(attackers=("pixels", "outline")))
    linked = record["sources"]["demo"]["linkages"]["original"]["fixed"]
    (sex,) = linked["inference"]["attributes"]
    assert linked["largest"]["low"] < linked["largest"]["guess"]
    # Without a look at whether anybody is found these would be a claim.
    assert sex["main"]["value"] > sex["naive"]["value"]
    assert sex["added"]["low"] > 0.0
    assert sex["weak"]
    show(record)
    said = capsys.readouterr().out
    assert "gives away the sex" not in said
    assert "linking is no better than a guess" in said
    assert f"own image alone: {100 * sex['control']['value']:.0f})" in said


def test_an_age_band_is_one_of_ten_years(people: People) -> None:
    found = inferred(known(people(val=40, train=14), "age", lambda person: str(30 + person % 20)))
    assert found[0]["age band"]["main"]["value"] == 1.0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (lambda person: "M" if person % 20 == 1 else "F", "fewer than 10 patients differ"),
        (lambda person: "" if person > 20 else coin(person), "it is known of"),
    ],
)
def test_what_too_few_have_is_not_decidable(
    people: People, values: Callable[[int], str], words: str
) -> None:
    found, last = inferred(known(people(val=40, train=14), "sex", values))
    assert found["sex"]["undecidable"].startswith(words)
    assert set(found["sex"]) == {"attribute", "undecidable"}
    assert "inference (no attribute" in last


def test_without_an_attacker_that_learns_nobody_reads_an_image(people: People) -> None:
    found = inferred(known(people(val=40, train=14), "sex", coin), ("pixels",))[0]
    assert "nobody could learn" in found["sex"]["undecidable"]


def test_the_last_line_says_when_nobody_held_an_image_of_the_released_people(
    people: People,
) -> None:
    options = Options(attackers=("pixels",), remover="identity", linkages=("outer",))
    said = last_line(audit(open_dataset(people(val=32)), options))
    assert "inference: what a found record gives away (--linkage reverse)" in said


def test_attributes_are_those_that_differ_and_are_known() -> None:
    some = [
        Record("", "a", "set", sex="F", age=4.0, findings={"Mass": 1, "Edema": 0}),
        Record("", "b", "set", sex="", age=17.5, findings={"Mass": 0, "Edema": 0}),
        Record("", "c", "set", sex="M"),
    ]
    told = {name: codes.tolist() for name, codes in attributes(some)}
    assert told == {"sex": [0, -1, 1], "age band": [0, 1, -1], "Mass": [1, 0, -1]}


def test_the_classifier_is_a_ridge_that_patients_choose_the_penalty_of() -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 3, 240)
    features = np.eye(3)[values] @ generator.normal(size=(3, 20)) + generator.normal(size=(240, 20))
    records = [Record("", str(number // 2), "set") for number in range(240)]
    said = classified(features[:180], values[:180], np.ones(180), records[:180], features[180:])
    fits = []
    for penalty in PENALTIES:
        mine = features[:180] - features[:180].mean(axis=0)
        alpha = penalty * (mine**2).sum() / 20
        plain = Ridge(alpha=alpha).fit(features[:180], np.eye(3)[values[:180]])
        fits.append((plain.predict(features[180:]).argmax(axis=1) == said).all())
    assert any(fits)
    assert (said == values[180:]).mean() > 0.7
