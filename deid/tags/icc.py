"""Colour profiles inside data sets: the numbers that map colours stay, every text goes.

Section numbers are those of ICC.1:2022.
"""

from __future__ import annotations

import struct
from itertools import pairwise

_HEADER = 128
_MOST_TAGS = 64
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
_POINTS = (b"wtpt", b"bkpt", b"rXYZ", b"gXYZ", b"bXYZ", b"lumi")
_CURVES = (b"rTRC", b"gTRC", b"bTRC", b"kTRC")
#: Parameters of each function of a parametric curve (10.18).
_PARAMETERS = (1, 3, 4, 5, 7)
_SOME_DATE = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)


def rebuilt(profile: bytes) -> bytes | None:
    """A profile with the same matrix and curves, and texts of our own.

    Returns
    -------
    bytes or None
        None for what is not a matrix or grey profile whose curves rise: look-up tables and the
        tags of makers could hold anything.
    """
    head = profile[:_HEADER]
    if (
        len(head) < _HEADER
        or head[36:40] != b"acsp"
        or head[12:16] not in _CLASSES
        or head[16:20] not in (b"RGB ", b"GRAY")
        or head[20:24] != b"XYZ "
    ):
        return None
    tags = {name: _numbers(name, body) for name, body in _tags(profile).items()}
    kept = {name: body for name, body in tags.items() if body is not None}
    wanted = _CURVES[:3] + _POINTS[2:5] if head[16:20] == b"RGB " else _CURVES[3:]
    if not all(name in kept for name in (b"wtpt", *wanted)):
        return None
    version = b"\x04\x30\0\0" if head[8] >= 4 else b"\x02\x10\0\0"
    kept[b"desc"] = _described(version, "colour profile")
    kept[b"cprt"] = _text(version, "none")
    intent = struct.pack(">I", head[67] % 4)
    fields = (bytes(8), version, head[12:24], _SOME_DATE, b"acsp", bytes(24), intent, head[68:80])
    return _assembled(b"".join(fields).ljust(_HEADER, b"\0"), kept)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Bodies by name; those that lie outside of the profile are left out (7.3)."""
    count = int.from_bytes(profile[_HEADER : _HEADER + 4], "big")
    found = {}
    for index in range(min(count, _MOST_TAGS)):
        entry = profile[_HEADER + 4 + 12 * index :][:12]
        if len(entry) < 12:
            break
        name, start, size = struct.unpack(">4sII", entry)
        if size >= 12 and start + size <= len(profile):
            found[name] = profile[start : start + size]
    return found


def _numbers(name: bytes, body: bytes) -> bytes | None:
    """The body as far as its numbers go; None for what is no table of numbers that is known."""
    kind = body[:4]
    size = 0
    if name in _POINTS and kind == b"XYZ ":
        size = 20
    elif name == b"chad" and kind == b"sf32":
        size = 44
    elif name in _CURVES and kind == b"para":
        function = int.from_bytes(body[8:10], "big")
        if function < len(_PARAMETERS) and body[10:12] == b"\0\0":
            size = 12 + 4 * _PARAMETERS[function]
    elif name in _CURVES and kind == b"curv":
        count = int.from_bytes(body[8:12], "big")
        size = 12 + 2 * count
        if len(body) < size:
            return None
        points = struct.unpack(f">{count}H", body[12:size])
        if any(after < before for before, after in pairwise(points)):
            return None
    return kind + bytes(4) + body[8:size] if size and len(body) >= size else None


def _text(version: bytes, text: str) -> bytes:
    if version[0] >= 4:
        coded = text.encode("utf-16-be")
        return b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(coded), 28) + coded
    return b"text" + bytes(4) + text.encode() + b"\0"


def _described(version: bytes, text: str) -> bytes:
    if version[0] >= 4:
        return _text(version, text)
    coded = text.encode() + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(coded)) + coded + bytes(78)


def _assembled(head: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Header with its size, table and bodies, each at a multiple of 4."""
    start = _HEADER + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in sorted(tags.items()):
        table += struct.pack(">4sII", name, start + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    size = struct.pack(">I", start + len(bodies))
    return size + head[4:] + table + bodies
