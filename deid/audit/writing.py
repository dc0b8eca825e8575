"""The private report of an audit: the exact record, a table of it, and a page to read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path, PurePosixPath
from typing import Any

from deid.audit.exposure import Exposed
from deid.audit.pairing import Release
from deid.audit.report import pieces
from deid.audit.trouble import AuditError
from deid.report.private import claimed
from deid.report.tables import cell
from mami_core.files import write_csv, write_text

RECORD, TABLE, PAGE, FEATURES = "audit.json", "audit.csv", "audit.html", "features"
#: Names patients: it is written where a report is asked for, and nothing else names them.
NAMES = "most_exposed.csv"

#: Not every figure has all of them.
NUMBERS = ("value", "low", "high", "patients")
COLUMNS = (
    "source",
    "linkage",
    "basis",
    "attacker",
    "figure",
    "people",
    *NUMBERS,
    "guess",
    "reliable",
)

#: Of inference (see `deid.audit.inference`).
ATTACKS = ("main", "naive", "control", "added")


def claim(name: str, released: Path | None) -> Path:
    """The report's folder, for its owner alone; features stay, older figures are put aside.

    Parameters
    ----------
    released
        The folder of protected images, which must not come to hold anything private.

    Raises
    ------
    AuditError
        Where it can not be made, is another's, or lies inside the release.
    """
    return claimed(name, TABLE, COLUMNS, (RECORD, PAGE, NAMES), AuditError, shared=released)


def folder_of(table: Path, release: Release) -> Path:
    """The folder that holds the protected images of a table which says no folder for them."""
    rooms = [PurePosixPath(one.name).parent for one in release.protected.records]
    return table.parent / os.path.commonpath(rooms)


def write(folder: Path, record: Mapping[str, Any], exposed: Sequence[Exposed]) -> None:
    """Write ``audit.json``, ``audit.csv``, ``audit.html`` and ``most_exposed.csv``."""
    write_text(folder / RECORD, [json.dumps(record, indent=1)])
    _write(folder / TABLE, COLUMNS, rows(record))
    write_text(folder / PAGE, pieces(record))
    named = [column.name for column in fields(Exposed)]
    _write(folder / NAMES, named, (asdict(one).values() for one in exposed))


def _write(path: Path, columns: Sequence[str], lines: Iterable[Iterable[Any]]) -> None:
    """A table of which no name, of a patient, a source or a group, is run by a spreadsheet."""
    write_csv(path, columns, (map(cell, columns, line) for line in lines))


def rows(record: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    """One row a figure and number of people, with `COLUMNS`."""
    for source, audited in record["sources"].items():
        for linkage, linked in audited["linkages"].items():
            for basis, found in linked.items():
                for attacker, figures in found["attackers"].items():
                    for figure, people, guess, one in _points(figures):
                        numbers = (one.get(key, "") for key in NUMBERS)
                        reliable = one.get("reliable", "")
                        yield (
                            *(source, linkage, basis, attacker, figure, people, *numbers),
                            *(guess, reliable),
                        )
                for inferred in found.get("inference", {}).get("attributes", ()):
                    for figure in ATTACKS if "main" in inferred else ():
                        numbers = (inferred[figure].get(key, "") for key in NUMBERS)
                        label = f"inference {inferred['attribute']}, {figure}"
                        guess = inferred["naive"]["value"] if figure == "main" else ""
                        yield (
                            *(source, linkage, basis, found["inference"]["attacker"]),
                            *(label, inferred["records"], *numbers, guess, ""),
                        )
                if "subgroups" in found:
                    first = found["largest"]
                    for one in found["subgroups"]["groups"]:
                        figure = f"found_first {one['attribute']}={one['group']}"
                        numbers = (one[key] for key in NUMBERS)
                        yield (
                            *(source, linkage, basis, first["attacker"]),
                            *(figure, first["n"], *numbers, first["guess"], ""),
                        )


def _points(figures: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any, Mapping[str, Any]]]:
    yield "auc", "", 0.5, figures["auc"]
    yield "eer", "", 0.5, figures["eer"]
    for point in figures["tpr"]:
        if "value" in point:
            yield f"tpr_at_fpr_{point['fpr']}", "", point["fpr"], point
    told, patients = figures["d_sys"], {"patients": figures["patients"]}
    yield "d_sys", "", "", {"value": told["value"], **patients}
    null = {"low": told["null_low"], "high": told["null_high"]}
    yield "d_sys_null", "", "", null | patients
    if "value" in figures["c_llr"]:
        yield "c_llr", "", 1.0, figures["c_llr"] | patients
    if "fewer" in figures:
        yield "fewer", figures["fewer"]["n"], 0.0, figures["fewer"]
    for point in figures["cmc"]:
        yield f"rank_{point['n']}", figures["rank1"]["gallery"], point["guess"], point
    for point in figures["by_images"]:
        for figure in ("linkability", "singling_out"):
            if figure in point:
                of = point[figure]
                yield f"{figure}_by_{point['images']}_images", of["n"], of["guess"], of
    for figure in ("linkability", "singling_out"):
        for point in figures[figure]:
            yield figure, point["n"], point["guess"], point
