from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid.tags.dates import shifted_date, shifted_datetime, shifted_pair, shifted_time
from deid.tags.pseudonyms import Shift

SHIFTS = st.builds(Shift, st.integers(1, 3650), st.integers(1, 86399))
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
