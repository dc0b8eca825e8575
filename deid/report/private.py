"""Files that only their owner can read, and that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path


def write(path: Path, chunks: Iterable[str]) -> None:
    """Write text beside the final name with mode 0600, flush it to the disk, rename.

    Parameters
    ----------
    chunks
        Pieces of the text, taken one by one: the whole is never in memory.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with open(handle, "w", encoding="utf-8", newline="") as out:
            out.writelines(chunks)
            out.flush()
            os.fsync(out.fileno())
        os.replace(name, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise
