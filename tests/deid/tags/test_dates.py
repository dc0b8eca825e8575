from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.tags.dates import shifted_date, shifted_datetime, shifted_pair, shifted_time
from deid.tags.pseudonyms import Shift

SHIFTS = st.builds(Shift, st.integers(1, 3650), st.integers(1, 86398))
FINE = st.builds(Shift, st.integers(1, 3650), st.integers(1, 86398), st.integers(1, 999_999))
MOMENTS = st.datetimes(datetime(1915, 1, 1), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0)
)


@given(MOMENTS, SHIFTS)
def test_a_date_and_its_time_move_together_by_the_shift(moment: datetime, shift: Shift) -> None:
    date, time = shifted_pair(moment.strftime("%Y%m%d"), moment.strftime("%H%M%S"), shift)
    assert datetime.strptime(date + time, "%Y%m%d%H%M%S") == moment - shift.delta()


@given(MOMENTS, MOMENTS, SHIFTS)
def test_intervals_are_kept(one: datetime, other: datetime, shift: Shift) -> None:
    moved = [
        datetime.strptime(shifted_datetime(when.strftime("%Y%m%d%H%M%S"), shift), "%Y%m%d%H%M%S")
        for when in (one, other)
    ]
    assert moved[1] - moved[0] == other - one


FRACTIONS = st.integers(0, 999_999)


def pair(moment: datetime, digits: int, shift: Shift) -> datetime:
    """Moved as a date and a time of so many digits."""
    text = moment.strftime("%H%M%S%f")
    time = text[:digits] if digits <= 6 else f"{text[:6]}.{text[6:digits]}"
    date, time = shifted_pair(moment.strftime("%Y%m%d"), time, shift)
    fraction = time[6:].removeprefix(".").ljust(6, "0")
    return datetime.strptime(date + time[:6].ljust(6, "0") + fraction, "%Y%m%d%H%M%S%f")


@given(MOMENTS, MOMENTS, FRACTIONS, FRACTIONS, FINE, st.sampled_from([4, 6, 7, 9, 12]))
def test_intervals_between_values_of_one_precision_are_kept_to_it(
    one: datetime, other: datetime, first: int, second: int, shift: Shift, digits: int
) -> None:
    unit = {
        4: timedelta(minutes=1),
        6: timedelta(seconds=1),
        7: timedelta(milliseconds=100),
        9: timedelta(milliseconds=1),
        12: timedelta(microseconds=1),
    }[digits]
    one, other = one.replace(microsecond=first), other.replace(microsecond=second)
    # As the file says it: cut to its precision.
    said = [when - (when - datetime(1900, 1, 1)) % unit for when in (one, other)]
    moved = [pair(when, digits, shift) for when in (one, other)]
    assert moved[1] - moved[0] == said[1] - said[0]
    assert timedelta(0) <= said[0] - moved[0] - shift.delta() < unit


@given(MOMENTS, FRACTIONS, FINE)
def test_what_was_not_later_by_less_than_a_second_is_not_later_afterwards(
    moment: datetime, fraction: int, shift: Shift
) -> None:
    later = moment.replace(microsecond=fraction)
    assert pair(moment, 6, shift) <= pair(later, 12, shift)


@given(FRACTIONS, FINE)
def test_no_fraction_of_a_second_survives(fraction: int, shift: Shift) -> None:
    digits = f"{fraction:06d}"
    for new in (
        shifted_pair("20200302", f"101112.{digits}", shift)[1],
        shifted_time(f"101112.{digits}", shift),
        shifted_datetime(f"20200302101112.{digits}", shift),
    ):
        assert len(new.split(".")[1]) == 6
        assert new.split(".")[1] != digits


@given(MOMENTS, FRACTIONS, FINE)
def test_a_date_time_moves_as_a_date_and_its_time(
    moment: datetime, fraction: int, shift: Shift
) -> None:
    date, time = moment.strftime("%Y%m%d"), f"{moment:%H%M%S}.{fraction:06d}"
    assert shifted_datetime(date + time, shift) == "".join(shifted_pair(date, time, shift))


@given(MOMENTS, SHIFTS)
def test_a_date_alone_moves_by_whole_days(moment: datetime, shift: Shift) -> None:
    new = datetime.strptime(shifted_date(moment.strftime("%Y%m%d"), shift), "%Y%m%d").date()
    assert moment.date() - new == timedelta(days=shift.days)


@given(MOMENTS, SHIFTS)
def test_a_time_alone_wraps(moment: datetime, shift: Shift) -> None:
    new = datetime.strptime(shifted_time(moment.strftime("%H%M%S"), shift), "%H%M%S")
    assert (moment - new).seconds == shift.seconds


@given(st.text(max_size=30), st.text(max_size=20), SHIFTS)
def test_whatever_the_text_it_is_a_moved_date_or_nothing(one: str, two: str, shift: Shift) -> None:
    for new in (*shifted_pair(one, two, shift), shifted_date(one, shift), shifted_time(two, shift)):
        assert new == "" or new[:2].isdigit()
    assert set(shifted_datetime(one, shift)) <= set("0123456789.+-")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2020", "2019"),
        ("202003", "202002"),
        ("20200301", "20200229"),
        ("2020030112", "2020022911"),
        ("20200301120000.5", "20200229115950.5"),
        ("2020030112.5", "2020022911"),
        ("20200301120000+0200", "20200229115950+0200"),
        ("20201301", ""),
        ("19000101", ""),
        ("Smith", ""),
        ("", ""),
    ],
)
def test_a_date_and_time_keeps_its_precision(old: str, new: str) -> None:
    assert shifted_datetime(old, Shift(1, 10)) == new


@pytest.mark.parametrize(
    ("date", "time", "new"),
    [
        ("20200302", "000010.25", ("20200229", "235950.25")),
        ("2020.03.02", "00:00:10", ("20200229", "235950")),
        ("20200302", "", ("20200301", "")),
        ("20200302", "noon", ("20200301", "")),
        ("", "000010", ("", "235950")),
        ("00000000", "000010", ("", "235950")),
        ("00010101", "120000", ("", "115940")),
        ("19000101", "120000", ("", "115940")),
        ("20200302", "1200", ("20200301", "1159")),
        ("٢٠٢٠٠٣٠٢", "", ("", "")),
    ],
)
def test_pairs_at_the_edges(date: str, time: str, new: tuple[str, str]) -> None:
    assert shifted_pair(date, time, Shift(1, 20)) == new
