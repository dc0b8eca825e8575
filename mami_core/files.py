"""Files that are whole or not there."""

from __future__ import annotations

import contextlib
import csv
import io
import os
import secrets
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

#: How the names of files begin that are being written; a killed process leaves them behind.
PART = ".new-"


@contextlib.contextmanager
def atomic(path: Path, *, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A stream to a file beside `path`, which gets its name when it is on the disk.

    Parameters
    ----------
    mode
        Of the file; the umask is taken from it.

    Raises
    ------
    OSError
        The folder is not there or can not be written; before the block is entered.
    """
    part = path.with_name(f"{PART}{secrets.token_hex(8)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def write_text(path: Path, chunks: Iterable[str], *, mode: int = 0o600) -> None:
    """Write a text atomically; its pieces are taken one by one.

    Names of files that are no UTF-8 come out as the bytes that they are.
    """
    with atomic(path, mode=mode) as stream:
        stream.writelines(map(as_bytes, chunks))


def write_csv(
    path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]], *, mode: int = 0o600
) -> None:
    """Write a table atomically; its rows are taken one by one."""
    write_text(path, _lines(chain([header], rows)), mode=mode)


def _lines(rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for row in rows:
        writer.writerow(row)
        yield line.getvalue()
        line.seek(0)
        line.truncate()


def as_bytes(name: str) -> bytes:
    """A name as the bytes that it is: a file's, and so a folder's and its patient's, may be no
    UTF-8.
    """
    return name.encode("utf-8", "surrogateescape")


def owner_only(path: str, flags: int) -> int:
    """An ``opener`` for `open`: what it creates is for its owner alone, whatever the umask."""
    return os.open(path, flags, 0o600)


def private_folder(path: Path) -> None:
    """Create a folder that only its owner can enter."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
