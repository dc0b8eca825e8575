"""A release and its originals, image by image: by the private run folder, or by a table."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from deid.audit.copies import of_others
from deid.audit.trouble import AuditError
from deid.audit.written import not_as_written
from mami_core.data import Dataset
from mami_core.data.store import is_inside
from mami_core.weights import WeightsError, checked, facts_of, locate

FILES, RUN, PAIRS = "files.csv", "run.json", "--pairs"
#: The bundled weights that a run edits with.
BUNDLED = "remover"
#: Why a file of the release is not compared.
CHANGED = "not as the run wrote it"


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
        Where it can not be paired with the data set (see `of_run` and `of_table`), or a protected
        image is a copy of another original than its own.
    """
    release = _asked(dataset, protected, run_dir, table)
    if release is None:
        return None
    wrong = of_others(dataset, release.originals, release.protected)
    if wrong:
        raise AuditError(
            f"{FILES if table is None else PAIRS} pairs {wrong} of {len(release.protected)} "
            "protected images wrongly: they are copies of other originals; correct the table"
        )
    return release


def _asked(
    dataset: Dataset, protected: Path | None, run_dir: Path | None, table: Path | None
) -> Release | None:
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

    A file that is not as the run wrote it is left out.

    Raises
    ------
    AuditError
        Where the tables can not be used, no image of the data set is in the release, or many files
        are not as the run wrote them (see `deid.audit.written.not_as_written`).
    """
    rows = _rows(run_dir / FILES, FILES, ("input", "output"))
    pairs = {row["input"]: (row["output"], number) for number, row in rows}
    remover, strength = _remover(run_dir / RUN)
    release = _paired(dataset, pairs, protected, FILES)
    names = [record.name for record in release.protected.records]
    changed = not_as_written(names, protected, run_dir)
    return replace(_without(release, changed), remover=remover, strength=strength)


def _without(release: Release, names: Collection[str]) -> Release:
    """The release less the protected files of these names."""
    gone = [record.name in names for record in release.protected.records]
    if not any(gone):
        return release
    whose = {id(record) for record, out in zip(release.originals.records, gone, strict=True) if out}
    return replace(
        release,
        originals=release.originals.select(lambda record: id(record) not in whose),
        protected=release.protected.select(lambda record: record.name not in names),
        left_out=release.left_out | {CHANGED: sum(gone)},
    )


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
    rows = _rows(table, PAIRS, ("original", "protected"))
    pairs = {row["original"]: (row["protected"], number) for number, row in rows}
    return _paired(dataset, pairs, protected or table.parent, PAIRS)


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
    original, protected = columns
    seen: set[str] = set()
    copies: set[PurePosixPath] = set()
    for number, row in rows:
        if row[original] in seen:
            raise AuditError(
                f"{what}, line {number}: names an original that an earlier line names; "
                "keep one line an original"
            )
        seen.add(row[original])
        if row[protected]:
            # However a path is spelt: a picture that stands for several people finds none of them.
            copy = PurePosixPath(row[protected])
            if copy in copies:
                raise AuditError(
                    f"{what}, line {number}: names a protected file that an earlier line names; "
                    "give each original a file of its own"
                )
            copies.add(copy)
    return rows


def _paired(
    dataset: Dataset, pairs: dict[str, tuple[str, int]], folder: Path, what: str
) -> Release:
    if not folder.is_dir():
        raise AuditError("the folder of protected images does not exist; name another")
    names: dict[int, str] = {}
    owners: dict[Path, tuple[str, str]] = {}
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
            # Frames of one file share its name. A table that names no set fits several, and links
            # may lead to one file.
            own = record.source, record.name
            if owners.setdefault((folder / name).resolve(), own) != own:
                raise AuditError(
                    f"{what}, line {number}: its protected file is that of another original too; "
                    "give each a file of its own, and name originals of several sets as SET/FILE"
                )
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
