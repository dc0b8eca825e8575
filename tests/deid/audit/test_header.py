"""What is found by a table alone."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deid.audit import Options, audit
from deid.audit.attackers.header import attributes
from deid.audit.words import first_sentence, last_line
from mami_core.data import Record, open_dataset

People = Callable[..., Path]


def told(folder: Path, change: Callable[[int, dict[str, str]], dict[str, str]]) -> None:
    """Write more into the table of a folder."""
    table = folder / "manifest.csv"
    with table.open(newline="") as file:
        rows = [row | change(index // 2, row) for index, row in enumerate(csv.DictReader(file))]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def run(folder: Path, **options: object) -> dict[str, Any]:
    asked: dict[str, Any] = {"attackers": ("pixels", "header")} | options
    return audit(open_dataset(folder), Options(**asked))


def test_age_and_sex_find_people_whose_pictures_say_nothing(people: People) -> None:
    folder = people(val=32, train=20, noise=1e6)
    told(folder, lambda person, _: {"age": str(5 + 10 * (person % 8)), "sex": "MF"[person % 2]})
    demo = run(folder)["sources"]["demo"]
    found = demo["linkages"]["original"]["fixed"]["attackers"]
    assert found["header"]["auc"]["value"] > 0.85
    assert abs(found["pixels"]["auc"]["value"] - 0.5) < 0.15
    # Four people are alike in all of it, and chance is between them.
    assert found["header"]["rank1"]["value"] == pytest.approx(0.25, abs=0.01)
    assert demo["linkages"]["original"]["fixed"]["largest"]["control"] == pytest.approx(
        0.25, abs=0.01
    )


def test_where_a_table_says_nothing_it_is_absent_and_the_last_line_says_so(people: People) -> None:
    record = run(people(val=32, train=12))
    assert set(record["sources"]["demo"]["absent"]) == {"header"}
    assert "header (it reads the same of every image)" in last_line(record)
    assert "--attacker header" not in last_line(record)


def test_a_table_that_says_nothing_of_anybody_in_particular_finds_nobody(people: People) -> None:
    folder = people(val=40, train=20)
    random = np.random.default_rng(0)
    told(folder, lambda person, _: {"view": ("AP", "PA", "LL")[random.integers(3)]})
    found = run(folder)["sources"]["demo"]["linkages"]["original"]["fixed"]["attackers"]["header"]
    assert abs(found["auc"]["value"] - 0.5) < 0.15
    assert found["rank1"]["low"] <= 2 / 40


def test_no_edit_of_pixels_hides_it_and_it_makes_no_blank_release_useful(people: People) -> None:
    folder = people(val=32, train=20)
    told(folder, lambda person, _: {"age": str(5 + 10 * (person % 8))})
    record = run(folder, remover="constant", adaptive=True, linkages=("original", "outer"))
    linkages = record["sources"]["demo"]["linkages"]
    aucs = {
        linkages[name]["adaptive"]["attackers"]["header"]["auc"]["value"]
        for name in ("original", "outer")
    }
    assert max(aucs) - min(aucs) < 0.05
    assert record["sources"]["demo"]["useless"]


def test_a_size_is_that_of_the_copy_and_an_unknown_age_is_no_age() -> None:
    record = Record("a", "p", "demo", age=None, sex="F")
    small, large = (np.zeros((side, 2 * side, 1), np.float32) for side in (8, 16))
    rows = attributes([record, record], [small, large])
    assert rows[:, :2].tolist() == [[3, 4], [4, 5]]
    assert rows[0, 2:].sum() == 2


def test_it_is_not_in_the_power_control_and_without_an_encoder_that_is_too_weak(
    people: People,
) -> None:
    """It breaks every plant, for it never looks at what a plant changes."""
    folder = people(val=32, train=20, noise=1e6)
    told(folder, lambda person, _: {"age": str(5 + 10 * (person % 8))})
    asked = {"remover": "blur:8", "adaptive": True, "control": True}
    asked["linkages"] = ("original", "outer")
    record = run(folder, **asked, attackers=("outline", "header"))
    (said,) = record["sources"]["demo"]["power"].values()
    assert set(record["sources"]["demo"]["power"]) == {"outline"}
    assert set(said["planted"]) == {"identity", "warp", "tone", "shuffle"}
    assert said["planted"]["identity"]["outer"] > said["auc"] - 0.05
    assert not said["passes"]
    assert "too weak to tell" in first_sentence(record)
    assert "pass the power control" in last_line(record)
