"""The page's tables: a row an attacker, and what each is sorted by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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
            *(Cell(name, visible(text), text) for name, text in zip(NAMES, names, strict=True)),
            _figure("auc", figures["auc"]),
            _figure("eer", figures["eer"]),
            *(_figure(f"tpr_{column}", one) for column, one in enumerate(figures["tpr"])),
            _linkable(figures["d_sys"]),
            _worth(figures["c_llr"]),
            *(_figure(f"rank_{rank}", _at(figures["cmc"], rank)) for rank in RANKS),
            Cell("among", f"{rank1['gallery']:,}", str(rank1["gallery"])),
            Cell("guess", f"{rank1['chance']:.3f}", repr(rank1["chance"])),
            Cell("patients", f"{figures['patients']:,}", str(figures["patients"])),
        ]


def changes(record: Mapping[str, Any]) -> list[tuple[tuple[str, str, str, str], dict[str, str]]]:
    """What each attacker finds before and after the edit, where there is one."""
    return [
        (
            names,
            {
                "among": f"{fewer['n']:,}",
                "before": f"{fewer['before']:.3f}",
                "after": f"{fewer['after']:.3f}",
                "fewer": f"{fewer['value']:.3f} ({fewer['low']:.3f} to {fewer['high']:.3f})",
            },
        )
        for names, figures in attackers(record)
        if (fewer := figures.get("fewer"))
    ]


def _at(points: Sequence[Mapping[str, Any]], rank: int) -> Mapping[str, Any]:
    """The point of a rank; there is none beyond the number of people."""
    return next((one for one in points if one["n"] == rank), {"undecidable": "fewer people"})


def _figure(column: str, figure: Mapping[str, Any]) -> Cell:
    """A figure that is not decidable has no key: it stays last, whichever way rows are sorted."""
    if "undecidable" in figure:
        return Cell(column, NOT_DECIDABLE, "")
    return Cell(column, interval(figure), repr(figure["value"]))


def _linkable(figure: Mapping[str, Any]) -> Cell:
    null = f"{figure['null_low']:.3f} to {figure['null_high']:.3f}"
    return Cell("d_sys", f"{figure['value']:.3f} ({null})", repr(figure["value"]))


def _worth(figure: Mapping[str, Any]) -> Cell:
    if "undecidable" in figure:
        return Cell("c_llr", NOT_DECIDABLE, "")
    return Cell("c_llr", f"{figure['value']:.3f}", repr(figure["value"]))
