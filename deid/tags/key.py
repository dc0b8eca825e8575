"""The secret of a release: 32 bytes that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

KEY_BYTES = 32


class KeyFileError(ValueError):
    """A key can not be made or used: one line that says what is wrong and what to do."""


def new_key(path: Path) -> None:
    """Write 32 random bytes, mode 0600, never over a file.

    Raises
    ------
    KeyFileError
        Something stands there already, or the folder can not be written.
    """
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        raise KeyFileError("the key file exists already; a key is never overwritten") from None
    except OSError as error:
        raise KeyFileError(f"the key file can not be written: {error.strerror}") from None
    with os.fdopen(handle, "wb") as stream:
        os.fchmod(stream.fileno(), 0o600)
        stream.write(secrets.token_bytes(KEY_BYTES))
        stream.flush()
        os.fsync(stream.fileno())


def read_key(path: Path) -> bytes:
    """The 32 bytes.

    Raises
    ------
    KeyFileError
        It is absent, no regular file, readable by others, or of another size.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise KeyFileError(f"the key file can not be read: {error.strerror}") from None
    try:
        state = os.fstat(handle)
        if not stat.S_ISREG(state.st_mode):
            raise KeyFileError("the key file is not a regular file; make one with deid key new")
        if state.st_mode & 0o077:
            raise KeyFileError("others can read the key file; chmod 600 it or make a new one")
        key = os.read(handle, KEY_BYTES + 1)
    finally:
        os.close(handle)
    if len(key) != KEY_BYTES:
        raise KeyFileError("the key file does not hold 32 bytes; make one with deid key new")
    return key
