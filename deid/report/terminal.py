"""The closing table on the console. It names files by their number and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deid.report.tally import Tally, first_sentence, last_line, tally
from deid.report.words import files, risk, utility, visible

if TYPE_CHECKING:
    from rich.console import Console


def _table(total: Tally, summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [("done", f"{total.done:,}"), ("withheld", f"{total.withheld:,}")]
    for reason, numbers in total.reasons.items():
        lines.append((f"  {visible(reason)}", f"{len(numbers):,}  ({files(numbers)})"))
    known = f" (of {total.with_risk:,} released)" if total.with_risk else ""
    if total.measured > total.with_risk:
        # Means of what is released alone would hide who was exposed most and is withheld for it.
        lines.append(
            ("mean risk of all", f"{risk(total.exposed)} (of {total.measured:,} measured)")
        )
    lines += [
        ("mean risk before", f"{risk(total.risk_before)}{known}"),
        ("mean risk after", f"{risk(total.risk)}{known}"),
        ("mean utility", utility(total.utility)),
        ("images a second", f"{summary['images_per_second']:.3g}"),
    ]
    return lines


def console(
    summary: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], console: Console
) -> None:
    """Print what was done, the table, warnings, and last what was not tested.

    Parameters
    ----------
    summary
        ``images_per_second``, ``gallery_size``, ``options`` (`max_risk`), ``warnings`` and
        ``not_tested`` are read.
    """
    from rich.table import Table
    from rich.text import Text

    total = tally(rows)
    console.print(first_sentence(total), markup=False, highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column()
    table.add_column()
    for name, value in _table(total, summary):
        table.add_row(Text(name), Text(value))
    console.print(table)
    if total.with_risk:
        people = int(summary["gallery_size"])
        told = f"Risk: ranked first among {people:,} people; chance is {risk(1 / people)}"
        bounded = summary["options"].get("max_risk") is not None
        told += "; measured anew by an attacker that chose nothing." if bounded else "."
        console.print(told, markup=False, highlight=False)
    for warning in summary["warnings"]:
        console.print(f"Warning: {visible(warning)}", markup=False, highlight=False)
    page = "Before you sign, read report.html in the run folder."
    console.print(page, markup=False, highlight=False)
    console.print(visible(last_line(summary)), markup=False, highlight=False)
