"""Dates and times moved into the past by one shift, a date and its time together.

The shift has a fraction of a second, so that fractions move too. A value keeps its precision: what
is finer is cut off after the move. So all values of one precision move by the same amount, and the
intervals between them stay as they were; between two precisions, to the coarser of them, and in
their order.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

from deid.tags.pseudonyms import Shift

#: With the dots and colons of ACR-NEMA, which the standard lets readers accept.
_DATE = re.compile(r"(\d{4})(\.?)(\d{2})\2(\d{2})", re.ASCII)
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(\.\d{1,6})?)?)?", re.ASCII)
_DATETIME = re.compile(
    r"(\d{4})(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\d{2})?(\.\d{1,6})?([+-]\d{4})?",
    re.ASCII,
)
#: What lies before is no date but a word for "unknown"; moved, it would tell the shift.
_FIRST_YEAR = 1901


def _day(value: str) -> datetime | None:
    match = _DATE.fullmatch(value.strip())
    if not match:
        return None
    return _moment(int(match[1]), int(match[3]), int(match[4]))


def _moment(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime | None:
    if year < _FIRST_YEAR:
        return None
    try:
        return datetime(year, month, day, hour, minute)
    except ValueError:
        return None


def _clock(value: str) -> tuple[timedelta, int] | None:
    """Time of day, and how many digits of it were given, at most six and six of the fraction."""
    match = _TIME.fullmatch(value.strip())
    if not match:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    if hours > 23 or minutes > 59 or seconds > 60:
        return None
    digits = 2 * sum(part is not None for part in match.groups()[:3])
    fraction = (match.group(4) or ".")[1:]
    time = timedelta(
        hours=hours,
        minutes=minutes,
        seconds=min(seconds, 59),
        microseconds=int(fraction.ljust(6, "0")),
    )
    return time, digits + len(fraction)


def _spelt(moment: datetime, digits: int) -> str:
    """The time of day as TM, cut to so many digits."""
    text = moment.strftime("%H%M%S%f")[:digits]
    return text if digits <= 6 else f"{text[:6]}.{text[6:]}"


def shifted_pair(date: str, time: str, shift: Shift) -> tuple[str, str]:
    """A date and the time that belongs to it, moved with carry; "" for what is no date or time.

    >>> shifted_pair("20200302", "000010", Shift(1, 20))
    ('20200229', '235950')
    """
    day, clock = _day(date), _clock(time)
    if clock is None:
        return shifted_date(date, shift), ""
    if day is None:
        return "", shifted_time(time, shift)
    time_of_day, digits = clock
    moved = _moved(day + time_of_day, shift)
    if moved is None:
        return "", ""
    return moved.strftime("%Y%m%d").zfill(8), _spelt(moved, digits)


def shifted_date(date: str, shift: Shift) -> str:
    """A date without its time, moved by whole days; "" for what is no date."""
    day = _day(date)
    moved = None if day is None else _moved(day, Shift(shift.days, 0))
    return "" if moved is None else moved.strftime("%Y%m%d").zfill(8)


def shifted_time(time: str, shift: Shift) -> str:
    """A time without its date wraps around midnight; "" for what is no time."""
    clock = _clock(time)
    if clock is None:
        return ""
    time_of_day, digits = clock
    moved = datetime(2000, 1, 2) + time_of_day - replace(shift, days=0).delta()
    return _spelt(moved, digits)


def shifted_datetime(value: str, shift: Shift) -> str:
    """A DT value, at the precision given, offset kept; "" for what is no date and time."""
    match = _DATETIME.fullmatch(value.strip())
    if not match:
        return ""
    year, *parts = match.groups()[:6]
    given = 4 + 2 * sum(part is not None for part in parts)
    month, day, hour, minute, second = (
        int(part) if part else low for part, low in zip(parts, (1, 1, 0, 0, 0), strict=True)
    )
    moment = _moment(int(year), month, day, hour, minute)
    if moment is None or second > 60:
        return ""
    # A fraction of anything but a second says nothing.
    fraction = (match.group(7) or ".")[1:] if given == 14 else ""
    moment += timedelta(seconds=min(second, 59), microseconds=int(fraction.ljust(6, "0")))
    moved = _moved(moment, shift if given > 8 else Shift(shift.days, 0))
    if moved is None:
        return ""
    date = f"{moved.year:04d}{moved:%m%d}"[:given]
    return date + _spelt(moved, max(0, given - 8) + len(fraction)) + (match.group(8) or "")


def _moved(moment: datetime, shift: Shift) -> datetime | None:
    try:
        return moment - shift.delta()
    except OverflowError:
        return None
