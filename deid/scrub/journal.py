"""What makes a run survive being killed: locks and an append-only journal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deid.reasons import REASONS
from deid.scrub.options import CannotStart

#: Folder under OUTPUT for files that are not finished; gone when the run ends.
PARTIAL = ".partial"


class Journal:
    """One JSON line for each input file that reached its end.

    A line is on disk before the output file gets its final name. A torn last line is dropped, and
    so is every line that is not as we write them.

    Attributes
    ----------
    entries
        By row number, what holds: at first nothing of an earlier try, see `standing`.
    """

    def __init__(self, path: Path, files: int) -> None:
        """Open the journal of a run over so many `files`."""
        self.entries: dict[int, dict[str, Any]] = {}
        self._earlier: list[dict[str, Any]] = []
        whole = 0
        if path.exists():
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            lines = map(_read, data[:whole].splitlines())
            self._earlier = [entry for entry in lines if _is_sound(entry, files)]
        self._stream = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")  # noqa: SIM115
        self._stream.truncate(whole)
        self._stream.seek(whole)

    def written(self) -> set[str]:
        """Every name under OUTPUT that an earlier try gave a file."""
        return {entry["output"] for entry in self._earlier if entry["output"]}

    def standing(
        self, output: Path, planned: Mapping[int, tuple[str, str]]
    ) -> dict[int, dict[str, Any]]:
        """What an earlier try ended and need not be done again; of several lines the last holds.

        A line is forgotten whose file is absent, a link, another file than was written, or not
        where it is `planned` (patient and name under OUTPUT by row number); and one that says no
        more than that a file could not be read, which may be mended since.
        """
        last = {entry["n"]: entry for entry in self._earlier}
        return {n: entry for n, entry in last.items() if _stands(entry, output, planned.get(n))}

    def append(self, entries: list[dict[str, Any]]) -> None:
        """Add lines and flush them to the disk before returning."""
        if not entries:
            return
        for entry in entries:
            self._stream.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            self.entries[entry["n"]] = entry
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def hashes(path: Path) -> dict[str, str]:
    """SHA-256 of every file that a run wrote, by its name under OUTPUT.

    Of several lines of one input file the last holds.

    Raises
    ------
    OSError
        Where there is no journal to be read.
    """
    last = {
        entry["n"]: entry
        for entry in map(_read, path.read_bytes().splitlines())
        if _is_sound(entry, sys.maxsize)
    }
    return {entry["output"]: entry["sha256"] for entry in last.values() if entry["output"]}


def _read(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_sound(entry: Any, files: int) -> bool:
    """Whether a line has the types and the sense of those that we write."""
    if not isinstance(entry, dict):
        return False
    n, row = entry.get("n"), entry.get("row")
    kept, uids = entry.get("kept", []), entry.get("uids", {})
    texts, cells = ["output"], ["detail"]
    if not (type(n) is int and 1 <= n <= files):
        return False
    if not (isinstance(row, dict) and isinstance(kept, list) and isinstance(uids, dict)):
        return False
    if row.get("status") == "done":
        texts += ["sha256", "patient"]
        sensible = bool(entry.get("output")) and row.get("reason") == ""
        cells += ["modality", "region", "edit", "text"]
    else:
        sensible = row.get("status") == "withheld" and entry.get("output") == ""
        sensible = sensible and row.get("reason") in REASONS
    return (
        sensible
        and all(isinstance(entry.get(name), str) for name in texts)
        and all(isinstance(row.get(name), str) for name in cells)
        and all(_is_cell(value) for value in row.values())
        and all(isinstance(pair, list) and len(pair) == 2 for pair in kept)
        and all(isinstance(value, str) for pair in kept for value in pair)
        and all(isinstance(value, str) for value in uids.values())
    )


def _is_cell(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)
    )


def _stands(entry: dict[str, Any], output: Path, planned: tuple[str, str] | None) -> bool:
    if not entry["output"]:
        return bool(entry["row"]["reason"] != "unreadable")
    if planned != (entry["patient"], entry["output"]):
        return False
    path = output.resolve() / entry["output"]
    try:
        if path.parent.resolve() != path.parent:
            return False
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                return False
            return hashlib.file_digest(stream, "sha256").hexdigest() == entry["sha256"]
    except (OSError, RuntimeError):  # absent, or links in a circle
        return False


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder for one process; the kernel drops the lock when its owner dies."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CannotStart(
                "another deid scrub is at work on OUTPUT or the run folder; wait for it to end"
            ) from error
        except OSError:  # a file system that knows no locks on folders
            pass
        yield
    finally:
        os.close(handle)
