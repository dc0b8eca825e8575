"""The private report of a matching: the pairs, the record, and what was left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deid.match.found import COPY, MATCH, NEAR_COPY, NEAREST, Found
from deid.match.run import Matching
from deid.match.trouble import MatchError
from deid.report.private import claimed
from deid.report.tables import cell
from mami_core.files import write_csv, write_text

TABLE, RECORD, LEFT_OUT, FEATURES = "matches.csv", "match.json", "left_out.csv", "features"

COLUMNS = (
    "a",
    "b",
    "patient_a",
    "patient_b",
    "modality",
    "found_as",
    "similarity",
    "probability",
    "false_match_rate",
)
_ORDER = (COPY, NEAR_COPY, MATCH, NEAREST)


def claim(name: str) -> Path:
    """The report's folder, made for its owner alone before an image is looked at.

    Raises
    ------
    MatchError
        Where it can not be made, or is another's.
    """
    return claimed(name, TABLE, COLUMNS, (RECORD, LEFT_OUT), MatchError)


def write(folder: Path, matching: Matching) -> None:
    """Write ``matches.csv`` (copies first, then by similarity), ``match.json``, ``left_out.csv``.

    Files and patients are named as the sets name them, but for what a spreadsheet would run and
    what is no text (see `deid.report.tables.cell`).
    """
    pairs = sorted(
        matching.found, key=lambda one: (_ORDER.index(one.found_as), -one.similarity, one.left.name)
    )
    write_csv(folder / TABLE, COLUMNS, map(_row, pairs))
    write_text(folder / RECORD, [json.dumps(matching.record, indent=1)])
    rows = [
        (letter, cell("file", name), why)
        for letter, one in zip("ab", matching.left_out, strict=False)
        for name, why in one
    ]
    write_csv(folder / LEFT_OUT, ("set", "file", "why"), rows)


def _row(pair: Found) -> Sequence[Any]:
    modalities = dict.fromkeys(one.modality or "unknown" for one in (pair.left, pair.right))
    names = (pair.left.name, pair.right.name, pair.left.patient, pair.right.patient)
    return (
        *(cell("name", name) for name in names),
        cell("modality", "/".join(modalities)),
        pair.found_as,
        f"{pair.similarity:.6f}",
        "" if pair.probability is None else f"{pair.probability:.6f}",
        "" if pair.rate is None else f"{pair.rate:.3g}",
    )
