"""Lines that native libraries write past Python, to the process's own stderr.

They may quote what a file holds.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_STDERR = 2


@contextmanager
def caught() -> Iterator[IO[bytes]]:
    """A file that takes, inside the block, all that this process writes to stderr."""
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        before = os.dup(_STDERR)
        os.dup2(file.fileno(), _STDERR)
        try:
            yield file
        finally:
            os.dup2(before, _STDERR)
            os.close(before)


def discard() -> None:
    """Let nothing of it appear for as long as the process lives."""
    with open(os.devnull, "wb") as nothing:
        os.dup2(nothing.fileno(), _STDERR)
