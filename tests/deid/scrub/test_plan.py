"""Whose each file is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from deid.images.record import Found, Header
from deid.scrub.plan import plan
from deid.tags import Pseudonyms


def test_a_number_that_two_hospitals_gave_stands_for_two_people() -> None:
    first = Header("dicom", 1, 1, 1, 1, 1, patient="7", issuer="north", study="1", instance="1")
    files = [(1, first), (2, replace(first, issuer="south", study="2", instance="2"))]
    found = [(n, Found(Path(str(n)), str(n)), header) for n, header in files]
    planned = plan(found, {}, Pseudonyms(bytes(32), b""))
    assert planned.identities == tuple(("7", one.pseudonym) for one in planned.patients)
    assert len(planned.patients) == 2
