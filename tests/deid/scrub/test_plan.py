"""Whose each file is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deid.images.record import Found, Header
from deid.scrub.options import CannotStart
from deid.scrub.plan import manifest_patients, plan
from deid.tags import Pseudonyms


def test_a_number_that_two_hospitals_gave_stands_for_two_people() -> None:
    first = Header("dicom", 1, 1, 1, 1, 1, patient="7", issuer="north", study="1", instance="1")
    files = [(1, first), (2, replace(first, issuer="south", study="2", instance="2"))]
    found = [(n, Found(Path(str(n)), str(n)), header) for n, header in files]
    planned = plan(found, {}, Pseudonyms(bytes(32), b""))
    assert planned.identities == tuple(("7", one.pseudonym) for one in planned.patients)
    assert len(planned.patients) == 2


def test_a_table_that_nobody_may_read_stops_the_start_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.csv").write_text("file,patient\n")

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", refused)
    with pytest.raises(CannotStart, match=r"manifest\.csv in INPUT can not be read \(Permission"):
        manifest_patients(tmp_path)
