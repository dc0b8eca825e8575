"""Every attribute that stayed in the release, with its values: what a curator signs for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from deid.report.words import visible

#: Longest value that is shown whole.
LONGEST = 160
#: An attribute with fewer distinct values than this is never flagged.
FEW = 10


@dataclass(frozen=True)
class Attribute:
    """One kept attribute.

    Attributes
    ----------
    values
        (value, how often), most frequent first.
    flagged
        So many distinct values that they may tell people apart: at least `FEW`, and on average
        in fewer than five files each.
    """

    path: str
    occurrences: int
    values: tuple[tuple[str, int], ...]
    flagged: bool

    @property
    def distinct(self) -> int:
        """Number of distinct values."""
        return len(self.values)


def _shown(value: str) -> str:
    text = visible(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def attributes(inventory: Mapping[str, Counter[str]]) -> list[Attribute]:
    """The attributes, flagged ones first, then by number of distinct values."""
    return sorted(
        (_attribute(path, values) for path, values in inventory.items()),
        key=lambda one: (not one.flagged, -one.distinct, one.path),
    )


def _attribute(path: str, values: Counter[str]) -> Attribute:
    total = values.total()
    ordered = sorted(values.items(), key=lambda item: (-item[1], item[0]))
    flagged = len(values) >= FEW and total < 5 * len(values)
    return Attribute(
        visible(path), total, tuple((_shown(value), count) for value, count in ordered), flagged
    )


def flagged(listed: Iterable[Attribute]) -> int:
    """How many attributes are flagged."""
    return sum(one.flagged for one in listed)
