"""What stops a matching, and what stops one image of it."""

from __future__ import annotations


class MatchError(ValueError):
    """Nothing can be matched: one line that says what is wrong and what to do.

    The text names options and counts, never a path and never a value out of a file.
    """


class LeftOutError(ValueError):
    """One image can not be looked at; `str` of it is why, in static words."""
