from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.uid import UID

from deid.tags import Pseudonyms
from deid.tags.pseudonyms import is_standard

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


@pytest.mark.parametrize(
    ("uid", "kind"),
    [
        ("1.2.840.10008.1.2.1", "Transfer Syntax"),
        ("1.2.840.10008.5.1.4.1.1.2", "SOP Class"),
        ("1.2.840.10008.5.1.4.1.1.66.7", "SOP Class"),  # newer than pydicom's dictionary
        ("1.2.840.10008.1.4.1.1", "Well-known frame of reference"),
    ],
)
def test_uids_of_the_standard_are_known_as_what_they_name(uid: str, kind: str) -> None:
    assert is_standard(uid, {kind})
    assert not is_standard(uid, {"Well-known SOP Instance"})


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.19700101.4711",
        "1.2.840.10008.5.1.4.1.1.19700101",
        "1.2.840.10008.5.1.4.1.1.197.1.1.47.11",
        "1.2.840.10008.A^B",
    ],
)
def test_a_uid_that_only_begins_like_one_of_the_standard_is_none(uid: str) -> None:
    assert not is_standard(uid, {"SOP Class", "Transfer Syntax"})


def test_the_same_key_and_any_uid_give_a_new_one() -> None:
    assert Pseudonyms(KEY, b"").uid("1.2.840.10008.1.2.1").startswith("2.25.")


@given(st.text())
def test_a_shift_is_never_zero_and_into_the_past(patient: str) -> None:
    shift = Pseudonyms(KEY, b"").shift(patient.encode("utf-8", "ignore").decode())
    assert 1 <= shift.days <= 3650
    assert 1 <= shift.seconds < 86400
    assert 1 <= shift.microseconds < 1_000_000
    assert shift.delta() < timedelta(days=shift.days + 1)


def test_a_patients_pseudonym_fits_a_code_string_alphabet() -> None:
    assert re.fullmatch(r"[A-Z2-7]{32}", Pseudonyms(KEY, b"").patient("", "4711"))
