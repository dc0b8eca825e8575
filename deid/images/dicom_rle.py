"""DICOM's run-length encoding (PS3.5 annex G): the frame without bytes that decode to nothing."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def strip(frame: bytes, plane: int, segments: int, values: Sequence[bytes | None] = ()) -> bytes:
    """The same frame with nothing between, inside or behind its segments that is not needed.

    Parameters
    ----------
    frame
        Header and segments.
    plane
        Bytes that each segment decodes to: rows times columns.
    segments
        Bytes a sample times samples a pixel.
    values
        By segment a translation of the bytes that it decodes to (`bytes.translate`), None for none.

    Raises
    ------
    ValueError
        Where the header does not fit, or a segment decodes to less than `plane` bytes.
    """
    offsets = _offsets(frame, segments)
    header = [segments]
    out: list[bytes] = []
    position = 64
    tables = values or [None] * segments
    for start, end, table in zip(offsets, [*offsets[1:], len(frame)], tables, strict=True):
        segment = _segment(frame[start:end], plane)
        if table is not None:
            segment = _translated(segment, table)
        segment += b"\0" * (len(segment) % 2)
        header.append(position)
        position += len(segment)
        out.append(segment)
    header += [0] * (16 - len(header))
    return struct.pack("<16I", *header) + b"".join(out)


def _offsets(frame: bytes, segments: int) -> list[int]:
    if len(frame) < 64:
        raise ValueError("no RLE header")
    count, *offsets = struct.unpack("<16I", frame[:64])
    if count != segments or not 1 <= count <= 15:
        raise ValueError("another number of RLE segments than the header says")
    offsets = offsets[:count]
    if offsets[0] < 64 or sorted(offsets) != offsets or offsets[-1] > len(frame):
        raise ValueError("RLE segments out of order")
    return offsets


def _segment(data: bytes, plane: int) -> bytes:
    """`data` up to the run that completes the plane; that run cut to what the plane still takes."""
    position = 0
    left = plane
    end = len(data)
    while left > 0:
        if position >= end:
            raise ValueError("an RLE segment that is too short")
        control = data[position]
        if control < 128:
            count = control + 1
            if count > left:
                literal = data[position + 1 : position + 1 + left]
                return _whole(data[:position] + bytes([left - 1]) + literal, len(literal) == left)
            position += 1 + count
        elif control > 128:
            count = 257 - control
            if count > left:
                run = bytes([257 - left if left > 1 else 0]) + data[position + 1 : position + 2]
                return _whole(data[:position] + run, len(run) == 2)
            position += 2
        else:
            # A control byte without meaning: it stays, being no room for a message.
            count = 0
            position += 1
        left -= count
    return _whole(data[:position], position <= end)


def _translated(segment: bytes, table: bytes) -> bytes:
    """A segment without surplus whose values are others."""
    out = []
    position = 0
    while position < len(segment):
        control = segment[position]
        end = position + 1 + (control + 1 if control < 128 else int(control > 128))
        out += [segment[position : position + 1], segment[position + 1 : end].translate(table)]
        position = end
    return b"".join(out)


def _whole(segment: bytes, complete: bool) -> bytes:
    if not complete:
        raise ValueError("an RLE segment that is too short")
    return segment
