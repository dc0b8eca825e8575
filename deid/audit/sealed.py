"""Private files that are taken as they are only where they are what was written under their name.

One that was cut short, overwritten or put under another name is as good as none: figures that were
made from it would be wrong, and nobody would see it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mami_core.files import atomic

#: Length of the seal.
SEAL = hashlib.sha256().digest_size


def read(path: Path, name: str, *, behind: bool) -> bytes | None:
    """The body; None where nothing is there, or not what was written under this name.

    Parameters
    ----------
    behind
        Whether the seal stands behind the body, which others can open then, and not before it.
    """
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    body, seal = (whole[:-SEAL], whole[-SEAL:]) if behind else (whole[SEAL:], whole[:SEAL])
    return body if seal == _seal(name, body) else None


def write(path: Path, name: str, body: bytes, *, behind: bool) -> None:
    """Write the body and its seal, both or nothing."""
    parts = [_seal(name, body), body]
    with atomic(path) as stream:
        stream.writelines(reversed(parts) if behind else parts)


def _seal(name: str, body: bytes) -> bytes:
    found = hashlib.sha256(name.encode())
    found.update(body)
    return found.digest()
