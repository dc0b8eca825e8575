from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deid.audit import Options, audit
from deid.audit.exposure import Exposed, age_band, groups_of
from deid.audit.writing import EXPOSED, write
from mami_core.data import Record, open_dataset

IMAGE = Record("a.png", "p", "s", view="PA", age=60.0, sex="F", findings={"Mass": 0, "Edema": 1})


def test_an_image_is_of_the_subgroups_that_its_row_names() -> None:
    assert list(groups_of(IMAGE)) == [
        ("view", "PA"),
        ("age", "60-69"),
        ("sex", "F"),
        ("finding", "Edema"),
    ]
    well = replace(IMAGE, findings={"Mass": 0})
    assert list(groups_of(well))[-1] == ("finding", "none")
    assert not list(groups_of(Record("a.png", "p", "s")))


@pytest.mark.parametrize(
    ("age", "band"), [(0.0, "0-9"), (9.9, "0-9"), (10, "10-19"), (89, "80-89")]
)
def test_an_age_is_of_one_band(age: float, band: str) -> None:
    assert age_band(age) == band


def test_subgroups_add_up_and_small_ones_are_not_told(people: Callable[..., Path]) -> None:
    folder = people(val=44, noise=60.0)
    data = open_dataset(folder)
    # Ten men among women.
    whose = sorted({record.patient for record in data.records})
    data.records[:] = [
        replace(record, sex="M" if record.patient in whose[:10] else "F", view="PA")
        for record in data.records
    ]
    record = audit(data, Options(attackers=("pixels",)))
    found = record["sources"]["demo"]["linkages"]["original"]["fixed"]["largest"]
    assert found["subgroups"]["too_few"] == 1
    told = {one["group"]: one for one in found["subgroups"]["groups"]}
    assert set(told) == {"F", "PA"}
    assert told["F"]["patients"] == 34
    assert told["PA"]["value"] == pytest.approx(found["value"])


def test_whom_an_attacker_finds_is_in_one_private_file_and_nowhere_else(
    people: Callable[..., Path], tmp_path: Path
) -> None:
    data = open_dataset(people(val=12))
    data.records[:] = [replace(one, patient=f"=SECRET{one.patient}") for one in data.records]
    exposed: list[Exposed] = []
    record = audit(data, Options(attackers=("pixels",)), exposed=exposed)
    write(tmp_path, record, exposed)
    assert "SECRET" not in json.dumps(record)
    naming = [path.name for path in tmp_path.iterdir() if b"SECRET" in path.read_bytes()]
    assert naming == [EXPOSED]
    assert (tmp_path / EXPOSED).stat().st_mode & 0o077 == 0
    with (tmp_path / EXPOSED).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10
    shares = [float(row["found"]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert all(row["patient"].startswith("'=SECRET") for row in rows)
    assert rows[0]["people"] == "12"
