"""The page's tables: a row an attacker, and what each is sorted by."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deid.audit.words import MARK
from deid.evaluation_report.table import interval
from deid.report.page import Cell
from deid.report.words import visible
from mami_core.evaluation.detection import RATES

#: Ranks of the CMC that have a column.
RANKS = (1, 5, 10, 20)
#: Columns that say which figures stand in a row.
NAMES = ("source", "linkage", "basis", "attacker")
#: Columns with figures, by what they are sorted by and what stands above them.
FIGURES = {
    "auc": "AUC",
    "eer": "EER",
    **{f"tpr_{column}": f"TPR at FPR {rate:g}" for column, rate in enumerate(RATES)},
    "d_sys": "D_sys (unlinked)",
    "c_llr": "C_llr",
    **{f"rank_{rank}": f"rank-{rank}" for rank in RANKS},
    "among": "among",
    "guess": "a guess",
    "patients": "patients",
}
NOT_DECIDABLE = "not decidable"


@dataclass(frozen=True)
class Table:
    """A table that sorts by each of its columns.

    Attributes
    ----------
    name
        Of which there is one on a page, in letters, digits and underscores.
    headings
        By column, what stands above it.
    numeric
        Columns with numbers.
    row_name
        The column that names a row.
    """

    name: str
    headings: Mapping[str, str]
    numeric: Collection[str]
    row_name: str
    lines: Sequence[Sequence[Cell]]

    def column(self, name: str) -> str:
        """The name of a column, which no other table of the page has."""
        return name if self.name == "table" else f"{self.name}_{name}"


def figures_table(record: Mapping[str, Any]) -> Table:
    """The table of all figures."""
    headings = {**{name: name for name in NAMES}, **FIGURES}
    return Table("table", headings, FIGURES.keys(), "attacker", list(lines(record)))


def changes_table(record: Mapping[str, Any]) -> Table:
    """Before and after."""
    numbers = {
        "among": "among",
        "before": "before",
        "after": "after",
        "fewer": "fewer (95 %)",
    }
    headings = {**{name: name for name in NAMES}, **numbers}
    return Table("before_after", headings, numbers.keys(), "attacker", list(changes(record)))


def power_table(number: int, said: Mapping[str, Any]) -> Table:
    """The power control of the source of that number."""
    headings = {
        "attacker": "attacker",
        "auc": "AUC on originals",
        "best": "best of any",
        "planted": "behind planted removers, at least",
        "verdict": "verdict",
    }
    rows = list(power(said))
    return Table(f"power{number}", headings, ("auc", "best", "planted"), "attacker", rows)


def subgroups_table(number: int, told: Mapping[str, Any]) -> Table:
    """The subgroups of the source of that number."""
    headings = {
        "of": "of",
        "subgroup": "subgroup",
        "found": "found first (95 %)",
        "patients": "patients",
    }
    rows = list(subgroups(told["groups"]))
    return Table(f"subgroups{number}", headings, ("found", "patients"), "subgroup", rows)


def inference_table(number: int, told: Mapping[str, Any]) -> Table:
    """The attributes of the source of that number that are decided."""
    numbers = {
        "linked": "by linking (95 %)",
        "alone": "own image alone",
        "guess": "a guess",
        "adds": "the release adds (95 %)",
        "patients": "patients",
    }
    rows = list(inference([one for one in told["attributes"] if "main" in one]))
    headings = {"attribute": "attribute", **numbers}
    return Table(f"inference{number}", headings, numbers.keys(), "attribute", rows)


def attackers(
    record: Mapping[str, Any],
) -> Iterator[tuple[tuple[str, str, str, str], Mapping[str, Any]]]:
    """Every attacker's figures, with their `NAMES`."""
    for source, audited in record["sources"].items():
        for linkage, linked in audited["linkages"].items():
            for basis, found in linked.items():
                for attacker, figures in found["attackers"].items():
                    yield (source, linkage, basis, attacker), figures


def lines(record: Mapping[str, Any]) -> Iterator[list[Cell]]:
    """Rows of the table of all figures."""
    for names, figures in attackers(record):
        rank1 = figures["rank1"]
        yield [
            *_names(names),
            _figure("auc", figures["auc"]),
            _figure("eer", figures["eer"]),
            *(_figure(f"tpr_{column}", one) for column, one in enumerate(figures["tpr"])),
            _linkable(figures["d_sys"]),
            _worth(figures["c_llr"]),
            *(_figure(f"rank_{rank}", _at(figures["cmc"], rank)) for rank in RANKS),
            _number("among", rank1["gallery"], "{:,}"),
            _number("guess", rank1["chance"]),
            _number("patients", figures["patients"], "{:,}"),
        ]


def changes(record: Mapping[str, Any]) -> Iterator[list[Cell]]:
    """What each attacker finds before and after the edit, where there is one."""
    for names, figures in attackers(record):
        if fewer := figures.get("fewer"):
            told = f"{fewer['value']:.3f} ({fewer['low']:.3f} to {fewer['high']:.3f})"
            yield [
                *_names(names),
                _number("among", fewer["n"], "{:,}"),
                _number("before", fewer["before"]),
                _number("after", fewer["after"]),
                Cell("fewer", told, repr(fewer["value"])),
            ]


def power(said: Mapping[str, Any]) -> Iterator[list[Cell]]:
    """What the power control says of each attacker (see `deid.audit.power.verdicts`)."""
    for attacker, one in said.items():
        least = {plant: min(found.values()) for plant, found in one["planted"].items() if found}
        told = ", ".join(f"{plant} {auc:.3f}" for plant, auc in least.items())
        best = one["best"]
        yield [
            _word("attacker", attacker),
            _number("auc", one["auc"]),
            Cell("best", NOT_DECIDABLE, "") if best is None else _number("best", best),
            Cell("planted", told, repr(min(least.values())) if least else ""),
            _word("verdict", "passes" if one["passes"] else "too weak to tell"),
        ]


def subgroups(groups: Sequence[Mapping[str, Any]]) -> Iterator[list[Cell]]:
    """Patients found first, by subgroup (see `deid.audit.exposure.subgroups`)."""
    for one in groups:
        yield [
            _word("of", one["attribute"]),
            _word("subgroup", one["group"]),
            _figure("found", one),
            _number("patients", one["patients"], "{:,}"),
        ]


def inference(attributes: Sequence[Mapping[str, Any]]) -> Iterator[list[Cell]]:
    """What linking tells of each attribute (see `deid.audit.inference.inference`)."""
    for one in attributes:
        added = one["added"]
        told = f"{added['value']:.3f} ({added['low']:.3f} to {added['high']:.3f})"
        yield [
            _word("attribute", one["attribute"]),
            _figure("linked", one["main"]),
            _number("alone", one["control"]["value"]),
            _number("guess", one["naive"]["value"]),
            Cell("adds", "too weak to tell", "")
            if one["weak"]
            else Cell("adds", told, repr(added["value"])),
            _number("patients", one["main"]["patients"], "{:,}"),
        ]


def _names(names: Sequence[str]) -> list[Cell]:
    return [_word(name, text) for name, text in zip(NAMES, names, strict=True)]


def _word(column: str, text: str) -> Cell:
    return Cell(column, visible(text), text)


def _number(column: str, value: float, form: str = "{:.3f}") -> Cell:
    return Cell(column, form.format(value), repr(value))


def _at(points: Sequence[Mapping[str, Any]], rank: int) -> Mapping[str, Any]:
    """The point of a rank; there is none beyond the number of people."""
    return next((one for one in points if one["n"] == rank), {"undecidable": "fewer people"})


def _figure(column: str, figure: Mapping[str, Any]) -> Cell:
    """A figure that is not decidable has no key: it stays last, whichever way rows are sorted."""
    if "undecidable" in figure:
        return Cell(column, NOT_DECIDABLE, "")
    mark = "" if figure.get("reliable", True) else MARK
    return Cell(column, f"{interval(figure)}{mark}", repr(figure["value"]))


def _linkable(figure: Mapping[str, Any]) -> Cell:
    null = f"{figure['null_low']:.3f} to {figure['null_high']:.3f}"
    return Cell("d_sys", f"{figure['value']:.3f} ({null})", repr(figure["value"]))


def _worth(figure: Mapping[str, Any]) -> Cell:
    if "undecidable" in figure:
        return Cell("c_llr", NOT_DECIDABLE, "")
    return Cell("c_llr", f"{figure['value']:.3f}", repr(figure["value"]))
