from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from deid.tags import Pseudonyms

KEY, OTHER = b"k" * 32, b"o" * 32


def test_the_same_key_gives_the_same_pseudonyms_and_another_gives_others() -> None:
    one, same, other = (Pseudonyms(key, b"x") for key in (KEY, KEY, OTHER))
    for name in ("uid", "instance_uid"):
        assert getattr(one, name)("1.2.3") == getattr(same, name)("1.2.3")
        assert getattr(one, name)("1.2.3") != getattr(other, name)("1.2.3")
    assert one.patient("A", "1") == same.patient("A", "1") != other.patient("A", "1")
    assert one.shift("P") == same.shift("P") != other.shift("P")


def test_issuer_and_number_can_not_be_confused() -> None:
    names = Pseudonyms(KEY, b"")
    assert len({names.patient("A", "B1"), names.patient("AB", "1"), names.patient("", "AB1")}) == 3


def test_only_instances_depend_on_what_changes_pixels() -> None:
    one, other = Pseudonyms(KEY, b"strength 0.5"), Pseudonyms(KEY, b"strength 0.6")
    assert one.uid("1.2.3") == other.uid("1.2.3")
    assert one.instance_uid("1.2.3") != other.instance_uid("1.2.3")


@given(st.text(min_size=1))
def test_every_new_uid_is_valid_and_unlike_the_old_text(old: str) -> None:
    new = Pseudonyms(KEY, b"").uid(old)
    if new:
        assert UID(new).is_valid
        assert len(new) <= 64
        assert new.startswith("2.25.")
    else:
        assert not old.strip(" \0")


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.501.99"])
def test_uids_of_the_standard_stay(uid: str) -> None:
    assert Pseudonyms(KEY, b"").uid(uid) == uid


@pytest.mark.parametrize(
    "uid", ["1.2.840.10008.19700101.4711", "1.2.840.10008.5.1.4.1.1.19700101", "1.2.840.10008.A^B"]
)
def test_a_uid_that_only_begins_like_one_of_the_standard_goes(uid: str) -> None:
    assert Pseudonyms(KEY, b"").uid(uid).startswith("2.25.")


@given(st.text())
def test_a_shift_is_never_zero_and_into_the_past(patient: str) -> None:
    shift = Pseudonyms(KEY, b"").shift(patient.encode("utf-8", "ignore").decode())
    assert 1 <= shift.days <= 3650
    assert 1 <= shift.seconds < 86400


def test_a_patients_pseudonym_fits_a_code_string_alphabet() -> None:
    assert re.fullmatch(r"[A-Z2-7]{32}", Pseudonyms(KEY, b"").patient("", "4711"))
