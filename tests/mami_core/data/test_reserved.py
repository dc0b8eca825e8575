from __future__ import annotations

import hashlib
from dataclasses import replace

from mami_core.data import Record, reserved


def _record(patient: str, source: str = "nih", **more: object) -> Record:
    return replace(Record(f"{source}/{patient}", patient, source), **more)  # type: ignore[arg-type]


def test_about_half_of_the_people_with_one_image_stay_out_of_training() -> None:
    records = [_record(str(number)) for number in range(400)]
    out = reserved(records)
    assert 150 < sum(out) < 250
    first = hashlib.sha256(b"cohort/nih/0").digest()[0] % 2 == 0
    assert out[0] == first


def test_people_with_two_images_and_people_of_other_sets_are_never_left_out() -> None:
    records = [_record(str(number)) for number in range(50)] * 2
    assert not any(reserved(records))
    assert not any(reserved([_record(str(number), "site") for number in range(50)]))


def test_nobody_of_val_or_test_is_reserved() -> None:
    people = [_record(str(number), split="val") for number in range(50)]
    assert not any(reserved(people))
