"""Private files that are taken as they are only where they are what was written under their name.

One that was cut short, overwritten or put under another name is as good as none: figures that were
made from it would be wrong, and nobody would see it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from mami_core.files import atomic

#: Length of what stands behind the body, which is left a file that others can open.
SEAL = hashlib.sha256().digest_size


def read(path: Path, name: str) -> bytes | None:
    """The body; None where nothing is there, or not what was written under this name."""
    try:
        whole = path.read_bytes()
    except OSError:
        return None
    body, seal = whole[:-SEAL], whole[-SEAL:]
    return body if seal == _seal(name, body) else None


def write(path: Path, name: str, body: bytes) -> None:
    """Write it with its seal, whole or not at all."""
    with atomic(path) as stream:
        stream.write(body)
        stream.write(_seal(name, body))


def _seal(name: str, body: bytes) -> bytes:
    found = hashlib.sha256(name.encode())
    found.update(body)
    return found.digest()
