"""What makes a run survive being killed: locks and an append-only journal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deid.scrub.options import CannotStart

#: Folder under OUTPUT for files that are not finished; gone when the run ends.
PARTIAL = ".partial"


class Journal:
    """One JSON line for each input file that reached its end.

    A line is on disk before the output file gets its final name. A line whose file is absent under
    `output`, or is not the one that was written, therefore means that the file is to be made again,
    and is forgotten; of several lines for a file the last one holds. A torn last line is dropped.
    """

    def __init__(self, path: Path, output: Path) -> None:
        self.path = path
        self.entries: dict[int, dict[str, Any]] = {}
        whole = 0
        if path.exists():
            data = path.read_bytes()
            whole = data.rfind(b"\n") + 1
            for line in data[:whole].splitlines():
                entry = json.loads(line)
                self.entries[entry["n"]] = entry
        self.entries = {n: entry for n, entry in self.entries.items() if _stands(entry, output)}
        self._stream = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")  # noqa: SIM115
        self._stream.truncate(whole)
        self._stream.seek(whole)

    def append(self, entries: list[dict[str, Any]]) -> None:
        """Add lines and flush them to the disk before returning."""
        for entry in entries:
            self._stream.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
            self.entries[entry["n"]] = entry
        self._stream.flush()
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._stream.close()


def _stands(entry: dict[str, Any], output: Path) -> bool:
    if not entry["output"]:
        return True
    try:
        with open(output / entry["output"], "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == entry["sha256"]
    except OSError:
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
