"""An audit laid out as table 4 of the paper: who is found before and after the edit.

The paper has an attacker a column and one data set; here an attacker is a row, so that each data
set has columns of its own. It tests attackers that do not adapt.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

#: What stands below each data set: linkage, basis, and in words.
COLUMNS = (
    ("original", "fixed", "original"),
    ("outer", "fixed", "protected"),
    ("outer", "adaptive", "adaptive"),
)


@dataclass(frozen=True)
class Row:
    """An attacker.

    Attributes
    ----------
    name
        Ours, or as the paper calls it.
    cells
        By data set and column ours, `Estimate.as_dict` with ``gallery``; None where there is none.
    paper
        What the paper found on originals and protected images, in per cent; None where nothing.
    """

    name: str
    cells: dict[str, list[Mapping[str, Any] | None]]
    paper: tuple[float, float] | None


def rows(record: Mapping[str, Any]) -> Iterator[Row]:
    """The paper's attackers in its order, then the others of the audit."""
    text = resources.files(__package__).joinpath("table4.toml").read_text(encoding="utf-8")
    theirs = tomllib.loads(text)["rows"]
    for row in theirs:
        mine = row.get("attacker", "")
        name = f"{mine} ({row['paper']})" if mine else row["paper"]
        yield Row(name, _cells(record, mine), (row["original"], row["protected"]))
    known = {row.get("attacker") for row in theirs}
    for attacker in record["options"]["attackers"]:
        if attacker not in known:
            yield Row(attacker, _cells(record, attacker), None)


def _cells(record: Mapping[str, Any], attacker: str) -> dict[str, list[Mapping[str, Any] | None]]:
    return {
        name: [
            source["linkages"]
            .get(linkage, {})
            .get(basis, {})
            .get("attackers", {})
            .get(attacker, {})
            .get("rank1")
            for linkage, basis, _ in COLUMNS
        ]
        for name, source in record["sources"].items()
    }
