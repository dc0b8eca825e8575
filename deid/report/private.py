"""The private folder of a report: claimed before hours are spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from pathlib import Path

from mami_core.files import PART, private_folder, write_csv

#: Folder of the figures of an earlier run, with a number.
EARLIER = "earlier"


def claimed(
    name: str,
    table: str,
    columns: Sequence[str],
    others: Sequence[str],
    trouble: type[ValueError],
    *,
    shared: Path | None = None,
) -> Path:
    """Make a report's folder, for its owner alone, and put aside what an earlier run said there.

    Parameters
    ----------
    name
        As it was given: as a path an empty one would be the current folder.
    table, columns
        The file by which a folder is known to hold such a report; it stands there from now on.
    others
        Files that are written beside it at the end. Those of an earlier run, which had other
        options perhaps, lie in `EARLIER` from now on.
    shared
        A folder that must not come to hold anything private.

    Raises
    ------
    ValueError
        `trouble`, where nothing was touched: it holds something else, lies inside what is to be
        shared, or can not be made.
    """
    if not name:
        raise trouble("--report is empty; name a folder")
    folder = Path(name)
    try:
        if shared is not None and shared.resolve() in (folder.resolve(), *folder.resolve().parents):
            raise trouble(
                "--report lies inside --protected, or among the files of --pairs, which are to be "
                "shared; name another"
            )
        if folder.is_dir() and _is_used(folder) and not _is_such(folder / table, columns):
            raise trouble("--report is not empty and holds no such report; name another folder")
        private_folder(folder)
        _put_aside(folder, others, table)
        write_csv(folder / table, columns, ())
    except RuntimeError:
        raise trouble("--report can not be made (a link leads to itself); name another") from None
    except OSError as error:
        raise trouble(f"--report can not be written ({error.strerror}); name another") from None
    return folder


def _put_aside(folder: Path, others: Sequence[str], table: str) -> None:
    """Finished figures are nobody's to lose."""
    if not any((folder / one).exists() for one in others):
        return
    numbers = (number for number in count(1) if not (folder / f"{EARLIER}-{number}").exists())
    aside = folder / f"{EARLIER}-{next(numbers)}"
    private_folder(aside)
    for one in (*others, table):
        if (folder / one).exists():
            (folder / one).rename(aside / one)


def _is_used(folder: Path) -> bool:
    """Whether a folder holds more than what a killed process was about to write."""
    return any(not path.name.startswith(PART) for path in folder.iterdir())


def _is_such(table: Path, columns: Sequence[str]) -> bool:
    """Whether a table begins as ours do; later versions add columns at the end."""
    if not table.is_file():
        return False
    with table.open(encoding="utf-8", errors="replace") as file:
        return file.readline(1000).startswith(",".join(columns[:4]))
