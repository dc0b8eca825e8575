"""JPEG and JPEG-LS codestreams: the size they claim, and the stream without its comments.

Segments as in ITU-T T.81 annex B and T.87 annex C. Only what a decoder needs is copied: the start
of the image, its frame and scan headers, the tables that its scans use, its entropy-coded data as
far as the picture needs them. Comments, application segments, tables that no scan uses, bytes
between segments and all that stands behind the end of the image are not.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from deid.images.dicom_jpeg_scan import Component, Frame, Scan, Table, cut, table_of

_SOI, _EOI, _SOS, _DQT, _DHT, _DRI, _DNL, _LSE, _APP0, _APP8, _APP14 = (
    0xD8,
    0xD9,
    0xDA,
    0xDB,
    0xC4,
    0xDD,
    0xDC,
    0xF8,
    0xE0,
    0xE8,
    0xEE,
)
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}
_PROGRESSIVE, _LOSSLESS, _LS = 0xC2, 0xC3, 0xF7
#: Frames whose scans can be followed: Huffman coded and not hierarchical, and JPEG-LS.
_FOLLOWED = frozenset((0xC0, 0xC1, _PROGRESSIVE, _LOSSLESS, _LS))
#: More scans no encoder writes: progressive ones are about ten, of colour.
_MOST_SCANS = 32

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


def is_jfif(stream: bytes) -> bool:
    """Whether a JFIF segment says that three components are YCbCr.

    Raises
    ------
    ValueError
        Where the stream is no JPEG, or ends inside a segment.
    """
    return any(part.marker == _APP0 and part.body[:4] == b"JFIF" for part in segments(stream))


def strip(stream: bytes) -> bytes:
    """The same image without comments, application segments, unused tables and trailing bytes.

    Of the application segments two change what is decoded and stay, cut to the fields that do:
    Adobe's colour transform (APP14) and that of JPEG-LS (APP8 ``mrfx``). A table is written before
    the first scan that uses it. Components are numbered from 1, whatever their names: readers guess
    colours by those. What a scan header says to nobody is zero.

    Raises
    ------
    ValueError
        Where the stream is no JPEG or cannot be followed to its end: a segment has room that no
        decoder reads, the data are no codes of their tables, the frame is of a kind that DICOM
        does not have, or there are more scans than encoders write.
    """
    kept = _Kept()
    parts = list(segments(stream))
    if sum(part.marker == _SOS for part in parts) > _MOST_SCANS:
        raise ValueError("more scans than encoders write")
    for segment, following in zip(parts, [*parts[1:], None], strict=True):
        kept.take(segment, following)
    if not kept.scans:
        raise ValueError("no scan")
    return b"".join([*kept.out, b"\xff\xd9"])


def _insist(fits: bool) -> None:
    if not fits:
        raise ValueError("a segment whose length does not fit its content")


def _written(scan: Scan, frame: Frame, ending: bytes | None) -> bytes:
    """The header of a scan without what no decoder reads; `ending` is its last three bytes."""
    numbers = {name: number for number, name in enumerate(frame.components, 1)}
    used = {kind for kind, _ in scan.needs(frame)}
    out = [len(scan.components)]
    for name, dc, ac in scan.components:
        out += [numbers[name], (dc if 0 in used else 0) << 4 | (ac if 1 in used else 0)]
    if ending is None and frame.lossless:
        ending = bytes([scan.first, 0, scan.low])
    elif ending is None and frame.progressive:
        ending = bytes([scan.first, scan.last, scan.high << 4 | scan.low])
    return bytes(out) + (ending or b"\0\x3f\0")


@dataclass
class _Kept:
    """What goes into the output, and what may have to.

    Attributes
    ----------
    tables
        By marker and the number of its destination (0 where there is one): the tables, restart
        interval and preset parameters as they stand now.
    known
        The same, as the output has them.
    quantised
        By component, the quantisation table of its first scan.
    bits
        By component and coefficient (0 where a scan codes all), down to which bit it was coded.
    header
        Marker and parameters of the frame, until they are written.
    """

    out: list[bytes] = field(default_factory=lambda: [b"\xff\xd8"])
    tables: dict[tuple[int, int], bytes] = field(default_factory=dict)
    known: dict[tuple[int, int], bytes] = field(default_factory=dict)
    quantised: dict[int, bytes] = field(default_factory=dict)
    bits: dict[tuple[int, int], int] = field(default_factory=dict)
    header: tuple[int, bytes] = (0, b"")
    frame: Frame | None = None
    scans: int = 0

    def take(self, segment: Segment, following: Segment | None) -> None:
        """One segment, and the one behind it."""
        marker, body = segment.marker, segment.body
        if marker == _APP14 and body[:5] == b"Adobe" and len(body) >= 12:
            self._write(marker, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, body[11]))
        elif marker == _APP8 and body[:4] == b"mrfx" and len(body) == 5:
            self._write(marker, body)
        elif marker == _DQT:
            self._tables(marker, body, lambda at: 1 + (128 if body[at] >> 4 else 64))
        elif marker == _DHT:
            self._tables(marker, body, lambda at: 17 + sum(body[at + 1 : at + 17]))
        elif marker == _DRI:
            _insist(2 <= len(body) <= 4)
            self.tables[_DRI, 0] = body
        elif marker == _LSE:
            self._parameters(body)
        elif marker in _FRAMES:
            self._frame(marker, body)
        elif marker == _SOS:
            self._scan(segment, following)

    def _write(self, marker: int, body: bytes, coded: bytes = b"") -> None:
        self.out += [struct.pack(">BBH", 0xFF, marker, len(body) + 2), body, coded]

    def _tables(self, marker: int, body: bytes, length: Callable[[int], int]) -> None:
        """Note the tables that fill `body` to its last byte."""
        at = 0
        while at < len(body):
            end = at + length(at)
            _insist(end <= len(body))
            # The upper half is the precision of a quantisation table, the class of another.
            name = body[at] & 15 if marker == _DQT else body[at]
            self.tables[marker, name] = body[at:end]
            at = end

    def _parameters(self, body: bytes) -> None:
        """Of JPEG-LS: what a decoder needs; palettes and oversize it does not, or is refused."""
        kind = body[:1]
        _insist((kind == b"\1" and len(body) == 11) or kind in (b"\2", b"\3", b"\4"))
        if kind == b"\1":
            self.tables[_LSE, 0] = body

    def _frame(self, marker: int, body: bytes) -> None:
        _insist(len(body) >= 6 and len(body) == 6 + 3 * body[5])
        if marker not in _FOLLOWED or self.frame is not None:
            raise ValueError("a kind of frame whose data cannot be followed, or a second one")
        _, rows, columns, count = struct.unpack(">BHHB", body[:6])
        components = {
            body[at]: Component(body[at + 1] >> 4, body[at + 1] & 15, body[at + 2])
            for at in range(6, len(body), 3)
        }
        sound = all(1 <= one.across <= 4 and 1 <= one.down <= 4 for one in components.values())
        if not sound or len(components) != count or not columns:
            raise ValueError("a frame header that contradicts itself")
        written = bytearray(body)
        written[6::3] = range(1, count + 1)
        self.header = (marker, bytes(written))
        self.frame = Frame(marker == _PROGRESSIVE, marker == _LOSSLESS, rows, columns, components)

    def _once(self, scan: Scan, names: list[int]) -> None:
        """Refuse a scan of what another has coded: one of them is not seen, and may be a text."""
        progressive = self.frame is not None and self.frame.progressive
        for name in names:
            for place in range(scan.first, scan.last + 1) if progressive else (0,):
                before = self.bits.get((name, place))
                follows = progressive and before is not None and scan.high == before == scan.low + 1
                if not (follows or (before is None and not (progressive and scan.high))):
                    raise ValueError("a scan of what was coded before")
                self.bits[name, place] = scan.low

    def _scan(self, segment: Segment, following: Segment | None) -> None:
        body, frame = segment.body, self.frame
        _insist(len(body) >= 1 and len(body) == 4 + 2 * body[0])
        scan = Scan.of(body)
        names = [name for name, _, _ in scan.components]
        if frame is None or not names or not set(names) <= set(frame.components):
            raise ValueError("a scan of no component of the frame")
        late = not frame.rows and following is not None and following.marker == _DNL
        if late and following is not None:
            frame.rows = int.from_bytes(following.body[:2], "big")
        if not frame.rows:
            raise ValueError("an image without rows")
        marker = self.header[0]
        self._once(scan, names)
        if marker == _LS:
            # Of a mapping table nothing is known: where one is used, the scan refers to it.
            if any(dc or ac for _, dc, ac in scan.components):
                raise ValueError("a palette inside JPEG-LS")
            self._need([(_LSE, 0)] if (_LSE, 0) in self.tables else [])
        elif marker != _LOSSLESS:
            self._quantise(frame, names)
        if not self.scans:
            self._write(*self.header)
        coded = segment.coded if marker == _LS else self._followed(segment.coded, frame, scan)
        if self.tables.get((_DRI, 0), b"").strip(b"\0") or (_DRI, 0) in self.known:
            self._need([(_DRI, 0)])
        self._write(_SOS, _written(scan, frame, body[-3:] if marker == _LS else None), coded)
        self.scans += 1
        if late and following is not None:
            _insist(len(following.body) == 2)
            self._write(_DNL, following.body)

    def _quantise(self, frame: Frame, names: list[int]) -> None:
        """The quantisation tables of a scan; decoders take that of a component's first scan."""
        for name in names:
            place = (_DQT, frame.components[name].table)
            table = self.tables.get(place)
            if table is None or self.quantised.setdefault(name, table) != table:
                raise ValueError("a quantisation table that is absent, or changes")
            self._need([place])

    def _followed(self, coded: bytes, frame: Frame, scan: Scan) -> bytes:
        """The data as far as the scan reaches, behind the tables that it needs."""
        needed = sorted(scan.needs(frame))
        places = [(_DHT, kind << 4 | number) for kind, number in needed]
        self._need(places)
        tables: dict[tuple[int, int], Table] = {}
        for name, place in zip(needed, places, strict=True):
            table = self.tables[place]
            tables[name] = table_of(table[1:17], table[17:])
        restart = self.tables.get((_DRI, 0), b"\0\0")
        _insist(len(restart) == 2)
        return cut(coded, frame, scan, tables, int.from_bytes(restart, "big"))

    def _need(self, places: list[tuple[int, int]]) -> None:
        """Write what stands at these places, where the output has something else there."""
        for place in places:
            table = self.tables.get(place)
            if table is None:
                raise ValueError("a table that the scan needs is absent")
            if self.known.get(place) != table:
                self._write(place[0], table)
                self.known[place] = table
