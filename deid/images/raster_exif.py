"""EXIF, of which only the orientation is read and written."""

from __future__ import annotations

import struct

_ORIENTATION = 0x0112
_SHORT = 3
_HEADERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation(exif: bytes) -> int:
    """The orientation, 1 to 8, in an EXIF block (EXIF 4.6.2); 1 where it has none."""
    order = _HEADERS.get(exif[:4])
    if order is None or len(exif) < 10:
        return 1
    (start,) = struct.unpack_from(f"{order}I", exif, 4)
    if start + 2 > len(exif):
        return 1
    (entries,) = struct.unpack_from(f"{order}H", exif, start)
    for place in range(start + 2, min(start + 2 + 12 * entries, len(exif) - 11), 12):
        tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, place)
        if tag == _ORIENTATION:
            return value if kind == _SHORT and count == 1 and 1 <= value <= 8 else 1
    return 1


def build(value: int) -> bytes:
    """A block with one directory and one entry."""
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, value, 0)
    return b"MM\0*\0\0\0\x08\0\1" + entry + bytes(4)
