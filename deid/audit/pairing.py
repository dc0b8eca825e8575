"""A release and its originals, image by image: by the private run folder, or by a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deid.audit.trouble import AuditError
from mami_core.data import Dataset
from mami_core.data.store import is_inside
from mami_core.weights import WeightsError, checked, facts_of, locate

FILES, RUN = "files.csv", "run.json"
#: The bundled weights that a run edits with.
BUNDLED = "remover"


@dataclass(frozen=True)
class Release:
    """Originals that are in a release, and their protected copies in the same order.

    Attributes
    ----------
    left_out
        How many images of the data set are not compared, by why.
    remover
        The remover that made it, where this installation has the same; else None.
    strength
        Of that remover.
    """

    originals: Dataset
    protected: Dataset
    left_out: dict[str, int] = field(default_factory=dict)
    remover: str | None = None
    strength: float = 1.0


def paired(
    dataset: Dataset, protected: Path | None, run_dir: Path | None, table: Path | None
) -> Release | None:
    """The release that is asked about; None where there is none.

    Raises
    ------
    AuditError
        Where it can not be paired with the data set (see `of_run` and `of_table`).
    """
    if table is not None and run_dir is not None:
        raise AuditError("--pairs and --run-dir both say which image is which; give one")
    if table is not None:
        return of_table(dataset, table, protected)
    if protected is not None and run_dir is not None:
        return of_run(dataset, protected, run_dir)
    if protected is not None or run_dir is not None:
        raise AuditError("--protected needs --run-dir (or --pairs), and --run-dir --protected")
    return None


def of_run(dataset: Dataset, protected: Path, run_dir: Path) -> Release:
    """Pair by ``files.csv`` of the run folder of `deid scrub`.

    Raises
    ------
    AuditError
        Where the tables can not be used, or no image of the data set is in the release.
    """
    rows = _rows(run_dir / FILES, FILES, ("input", "output"))
    pairs = {row["input"]: (row["output"], number) for number, row in rows}
    remover, strength = _remover(run_dir / RUN)
    release = _paired(dataset, pairs, protected, FILES)
    return replace(release, remover=remover, strength=strength)


def of_table(dataset: Dataset, table: Path, protected: Path | None) -> Release:
    """Pair by a table with the columns ``original`` and ``protected``.

    Parameters
    ----------
    protected
        Where its files lie; by default the folder of the table.

    Raises
    ------
    AuditError
        Where the table can not be used, or names no image of the data set.
    """
    rows = _rows(table, "--pairs", ("original", "protected"))
    pairs = {row["original"]: (row["protected"], number) for number, row in rows}
    return _paired(dataset, pairs, protected or table.parent, "--pairs")


def _rows(path: Path, what: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="", errors="surrogateescape") as file:
            reader = csv.DictReader(file, strict=True, restval="")
            rows = list(enumerate(reader, start=2))
            there = reader.fieldnames or []
    except OSError as error:
        raise AuditError(f"{what} can not be read ({error.strerror}); name another") from None
    except csv.Error:
        raise AuditError(f"{what} is not well-formed CSV; save it again as CSV") from None
    for column in columns:
        if column not in there:
            raise AuditError(f"{what} has no column '{column}'; add it to the first line")
    first: dict[str, int] = {}
    for number, row in rows:
        if row[columns[0]] in first:
            raise AuditError(
                f"{what}, line {number}: names an original that an earlier line names; "
                "keep one line an original"
            )
        first[row[columns[0]]] = number
    return rows


def _paired(
    dataset: Dataset, pairs: dict[str, tuple[str, int]], folder: Path, what: str
) -> Release:
    if not folder.is_dir():
        raise AuditError("the folder of protected images does not exist; name another")
    names: dict[int, str] = {}
    unnamed = withheld = 0
    for record in dataset.records:
        # A folder of sets has its parts below; their names begin with the part's.
        name, number = pairs.get(record.name) or pairs.get(
            f"{record.source}/{record.name}", ("", 0)
        )
        if number and name and not (is_inside(name) and (folder / name).is_file()):
            raise AuditError(
                f"{what}, line {number}: names a protected file that is not there; "
                "name the folder of that release"
            )
        unnamed += not number
        withheld += bool(number) and not name
        if name:
            names[id(record)] = name
    if not names:
        raise AuditError(f"{what} names no image of the data set; name the one it was made from")
    originals = dataset.select(lambda record: id(record) in names)
    left_out = {"not in the release": unnamed, "withheld from the release": withheld}
    return Release(
        originals,
        originals.moved([names[id(record)] for record in originals.records], folder),
        {reason: count for reason, count in left_out.items() if count},
    )


def _remover(path: Path) -> tuple[str | None, float]:
    """The remover and strength of a run that used the one strength, with these very weights."""
    try:
        run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = run["weights"][BUNDLED] == checked(locate(BUNDLED))
        options = run["options"]
        plain = not options["metadata_only"] and options["max_risk"] is None
        given = options["strength"]
        strength = float(facts_of(BUNDLED)["strength"] if given is None else given)
    except (OSError, ValueError, KeyError, TypeError, WeightsError):
        return None, 1.0
    return (BUNDLED, strength) if same and plain and strength > 0.0 else (None, 1.0)
