"""``report.html``: one page, complete in itself, that is read before a release is signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deid.report import words
from deid.report.frame import render
from deid.report.inventory import attributes, flagged
from deid.report.tally import badness, first_sentence, last_line, tally
from deid.report.thumbnails import GAIN, Thumbnails, thumbnails
from mami_core.files import write_text

#: Rows whose pictures the page carries: the worst of what was released.
MOST_PICTURES = 500

#: Columns of the page's table: name, heading, and whether it is a figure.
_TABLE = (
    ("n", "#"),
    ("input", "input"),
    ("status", "status"),
    ("reason", "reason"),
    ("modality", "modality"),
    ("region", "region"),
    ("edit", "edit"),
    ("text", "text"),
    ("risk_before", "risk before"),
    ("risk", "risk"),
    ("risk_basis", "basis"),
    ("utility", "utility"),
    ("findings", "findings"),
    ("fidelity", "fidelity"),
    ("output", "output"),
)
NUMERIC = ("n", *words.FIGURES)


@dataclass(frozen=True)
class Cell:
    """A cell: its column, what is shown, and what it is sorted by (empty: unknown, always last)."""

    column: str
    text: str
    key: str


@dataclass(frozen=True)
class Line:
    """A row of the table."""

    n: int
    withheld: bool
    cells: tuple[Cell, ...]
    detail: str
    pictures: Thumbnails | None


def _cell(column: str, value: Any) -> Cell:
    if column in words.FIGURES:
        figure = words.number(value)
        return Cell(column, words.figure(column, value), "" if figure is None else repr(figure))
    text = words.visible(str(value))
    return Cell(column, text, "" if text == "unknown" else text)


def _lines(rows: Sequence[Mapping[str, Any]], folder: Path) -> Iterator[Line]:
    left = MOST_PICTURES
    for row in sorted(rows, key=badness):
        n = int(row["n"])
        pictures = thumbnails(folder, n) if left and row["status"] == "done" else None
        left -= pictures is not None
        yield Line(
            n,
            row["status"] != "done",
            tuple(_cell(name, row[name]) for name, _ in _TABLE),
            words.visible(str(row.get("detail", ""))),
            pictures,
        )


def _facts(values: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (words.visible(str(name)), "not given" if value is None else words.visible(str(value)))
        for name, value in values.items()
    ]


def write_html(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    inventory: Mapping[str, Counter[str]],
    thumbs_dir: Path,
) -> None:
    """Write the page, atomically, mode 0600.

    Parameters
    ----------
    rows
        The rows of the report (DESIGN section 9), with `detail`.
    summary
        ``options``, ``versions``, ``warnings``, ``images_per_second``, ``gallery_size`` and
        ``not_tested``; counts are taken from the rows.
    inventory
        Path of each kept attribute -> how often each value occurs.
    thumbs_dir
        Holds ``N_before.png`` and ``N_after.png``; the `MOST_PICTURES` worst are shown.

    Notes
    -----
    Whatever a header or a file name holds is shown as text: see `deid.report.frame`.
    """
    total = tally(rows)
    listed = attributes(inventory)
    pieces = render(
        "deid.report",
        "page.html.j2",
        script="page.js",
        sentence=first_sentence(total),
        last=last_line(summary),
        total=total,
        summary=summary,
        options=_facts(summary["options"]),
        versions=_facts(summary["versions"]),
        words=words.REASONS,
        headings=_TABLE,
        numeric=NUMERIC,
        lines=_lines(rows, thumbs_dir),
        most=MOST_PICTURES,
        gain=GAIN,
        attributes=listed,
        flagged=flagged(listed),
    )
    write_text(path, pieces)
