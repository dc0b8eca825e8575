"""``report.csv`` for spreadsheets and ``report.jsonl`` for programs.

The JSON lines are the exact record. The CSV is for reading: its text can not act as a formula
and a row is always one line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deid.report.words import FIGURES, number, visible
from mami_core import files

#: Columns of the report (DESIGN section 9) and `detail`; others that rows have follow.
COLUMNS = (
    "n",
    "input",
    "output",
    "status",
    "reason",
    "modality",
    "region",
    "edit",
    "text",
    "risk_before",
    "risk",
    "risk_basis",
    "utility",
    "findings",
    "fidelity",
    "detail",
)

Rows = Sequence[Mapping[str, Any]]


def columns(rows: Rows) -> list[str]:
    """`COLUMNS`, then what else the first row has."""
    extra = [name for name in (rows[0] if rows else {}) if name not in COLUMNS]
    return [*COLUMNS, *extra]


def plain(column: str, value: Any) -> Any:
    """A cell as JSON holds it: a figure is a number or the word unknown."""
    if column in FIGURES:
        figure = number(value)
        return "unknown" if figure is None else figure
    return "" if value is None else value


def cell(column: str, value: Any) -> str:
    """A cell as the CSV holds it.

    A spreadsheet runs what begins with ``= + - @``; such text gets an apostrophe in front, the
    spreadsheets' own mark for text (OWASP, "CSV injection"). Figures are left alone.
    """
    value = plain(column, value)
    if not isinstance(value, str):
        return str(value)
    text = visible(value)
    return "'" + text if text.lstrip()[:1] in ("=", "+", "-", "@", "\uff1d", "\uff0b") else text


def write_csv(path: Path, rows: Rows) -> None:
    """Write the report as CSV, atomically, mode 0600.

    Control characters in names are written out (``\\n``) and text that begins like a formula
    gets an apostrophe: see the JSON lines for the exact value.
    """
    names = columns(rows)
    files.write_csv(path, names, ([cell(name, row.get(name)) for name in names] for row in rows))


def write_jsonl(path: Path, rows: Rows) -> None:
    """Write the report as JSON lines, atomically, mode 0600; any file name survives exactly."""
    names = columns(rows)
    files.write_text(
        path,
        (json.dumps({name: plain(name, row.get(name)) for name in names}) + "\n" for row in rows),
    )
