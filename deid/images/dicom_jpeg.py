"""JPEG and JPEG-LS codestreams: the size they claim, and the stream without its comments.

Segments as in ITU-T T.81 annex B and T.87 annex C. Only what a decoder needs is copied: the start
of the image, its frame and scan headers, its tables, its entropy-coded data. Comments, application
segments, fill bytes between segments and all that stands behind the end of the image are not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SOI, _EOI, _SOS, _DQT, _DHT, _DRI, _DNL, _LSE, _APP8, _APP14 = (
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xC4,
    0xDD,
    0xDC,
    0xF8,
    0xE8,
    0xEE,
)
_DAC = 0xCC
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}

#: Where entropy-coded data end: a marker that is neither a stuffed zero nor a restart. In JPEG-LS
#: any byte below 0x80 may follow 0xFF inside the data.
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
_NEXT_MARKER_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]", re.DOTALL)


@dataclass(frozen=True)
class Segment:
    """A marker, its parameters, and of a scan the entropy-coded data behind them."""

    marker: int
    body: bytes
    coded: bytes = b""


def segments(stream: bytes) -> Iterator[Segment]:
    """The segments between the start and the end of the first image in `stream`.

    Raises
    ------
    ValueError
        Where the stream is no JPEG, or ends inside a segment.
    """
    if stream[:2] != b"\xff\xd8":
        raise ValueError("no start of image")
    pattern = _NEXT_MARKER
    position = 2
    while position < len(stream):
        if stream[position] != 0xFF:
            raise ValueError("no marker where one must stand")
        while position < len(stream) and stream[position] == 0xFF:
            position += 1
        if position >= len(stream):
            return
        marker = stream[position]
        position += 1
        if marker == _EOI:
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            continue
        length = _length(stream, position)
        body = stream[position + 2 : position + length]
        position += length
        if marker == 0xF7:
            pattern = _NEXT_MARKER_LS
        if marker == _SOS:
            end = pattern.search(stream, position)
            coded = stream[position : end.start() if end else len(stream)]
            position += len(coded)
            yield Segment(marker, body, coded)
        else:
            yield Segment(marker, body)


def _length(stream: bytes, position: int) -> int:
    if position + 2 > len(stream):
        raise ValueError("the stream ends inside a segment")
    length = int.from_bytes(stream[position : position + 2], "big")
    if length < 2 or position + length > len(stream):
        raise ValueError("the stream ends inside a segment")
    return length


def size(stream: bytes) -> tuple[int, int]:
    """Rows and columns of the image (rows are 0 where they follow the scan).

    Raises
    ------
    ValueError
        Where there is no frame header.
    """
    for segment in segments(stream):
        if segment.marker in _FRAMES and len(segment.body) >= 6:
            _, rows, columns, _ = struct.unpack(">BHHB", segment.body[:6])
            return rows, columns
    raise ValueError("no frame header")


def strip(stream: bytes) -> bytes:
    """The same image without comments, application segments and trailing bytes.

    Of the application segments two change what is decoded and stay, cut to the fields that do:
    Adobe's colour transform (APP14) and that of JPEG-LS (APP8 ``mrfx``).

    Raises
    ------
    ValueError
        Where the stream is no JPEG, or a table has room that no decoder reads.
    """
    out = [b"\xff\xd8"]
    scans = 0
    for segment in segments(stream):
        body = _kept(segment)
        if body is None:
            continue
        out += [struct.pack(">BBH", 0xFF, segment.marker, len(body) + 2), body, segment.coded]
        scans += segment.marker == _SOS
    if not scans:
        raise ValueError("no scan")
    out.append(b"\xff\xd9")
    return b"".join(out)


def _kept(segment: Segment) -> bytes | None:
    """The parameters that go into the output, None for a segment that does not."""
    marker, body = segment.marker, segment.body
    if marker == _APP14:
        adobe = body[:5] == b"Adobe" and len(body) >= 12
        return b"Adobe" + struct.pack(">HHHB", 100, 0, 0, body[11]) if adobe else None
    if marker == _APP8:
        return body if body[:4] == b"mrfx" and len(body) == 5 else None
    if marker in _FRAMES:
        exact = len(body) >= 6 and len(body) == 6 + 3 * body[5]
    elif marker == _SOS:
        exact = len(body) >= 1 and len(body) == 4 + 2 * body[0]
    elif marker == _DHT:
        exact = _fills(body, lambda at: 17 + sum(body[at + 1 : at + 17]))
    elif marker == _DQT:
        exact = _fills(body, lambda at: 1 + (128 if body[at] >> 4 else 64))
    elif marker in (_DRI, _DNL):
        exact = len(body) <= 4
    elif marker == _DAC:
        exact = len(body) % 2 == 0 and len(body) <= 64
    elif marker == _LSE:
        exact = bool(body) and (body[0] != 1 or len(body) == 11)
    else:
        return None
    if not exact:
        raise ValueError("a segment whose length does not fit its content")
    return body


def _fills(body: bytes, table_length: Callable[[int], int]) -> bool:
    """Whether whole tables fill `body` to its last byte."""
    at = 0
    while at < len(body):
        at += table_length(at)
    return at == len(body)
