"""Where the entropy-coded data of a JPEG scan end: what stands behind them decodes to nothing.

Huffman-coded scans of ITU-T T.81, sequential (annex F), progressive (G) and lossless (H). Nothing
is decoded to values; codes and the bits that follow them are stepped over until the scan has all of
its blocks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil

#: A restart marker, with the fill bytes that may stand before it.
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])", re.DOTALL)
#: A byte of data that is 0xFF, as it is written, with the fill bytes that may stand before it.
_STUFFED = re.compile(rb"\xff+\x00", re.DOTALL)
#: Read behind the end of data; a scan that comes here has none left over.
_ZEROS = bytes(8)


class _OutOfData(Exception):  # noqa: N818 - no error: the data are all of the scan's
    """The data end before the scan does."""


@dataclass(frozen=True)
class Component:
    """A component of the frame: its sampling factors and its quantisation table."""

    across: int
    down: int
    table: int


@dataclass
class Frame:
    """The frame header, and what progressive scans have made of its blocks so far.

    Attributes
    ----------
    rows, columns
        Samples of the whole picture.
    unit
        Samples along the side of a data unit: 8, or 1 of a lossless frame.
    components
        By identifier, in the order of the header.
    nonzero
        By component, a bit mask a block: which of its coefficients are not zero.
    """

    progressive: bool
    lossless: bool
    rows: int
    columns: int
    components: dict[int, Component]
    nonzero: dict[int, list[int]] = field(default_factory=dict)

    @property
    def unit(self) -> int:
        return 1 if self.lossless else 8

    def units(self, of: list[int]) -> tuple[int, int, list[tuple[int, int]]]:
        """Columns and rows of MCUs in a scan of components, and (component, unit) of one MCU."""
        across = max(one.across for one in self.components.values())
        down = max(one.down for one in self.components.values())
        if len(of) == 1:
            only = self.components[of[0]]
            columns = ceil(ceil(self.columns * only.across / across) / self.unit)
            rows = ceil(ceil(self.rows * only.down / down) / self.unit)
            return columns, rows, [(of[0], 0)]
        columns = ceil(self.columns / (self.unit * across))
        rows = ceil(self.rows / (self.unit * down))
        layout = [
            (name, number)
            for name in of
            for number in range(self.components[name].across * self.components[name].down)
        ]
        return columns, rows, layout


@dataclass(frozen=True)
class Scan:
    """A scan header and the Huffman tables that its components use, by (class, destination)."""

    components: list[tuple[int, int, int]]
    first: int
    last: int
    high: int
    low: int

    @classmethod
    def of(cls, body: bytes) -> Scan:
        """Of the parameters of an SOS segment whose length fits."""
        count = body[0]
        components = [
            (body[at], body[at + 1] >> 4, body[at + 1] & 15) for at in range(1, 1 + 2 * count, 2)
        ]
        first, last, bits = body[1 + 2 * count :]
        return cls(components, first, last, bits >> 4, bits & 15)

    def needs(self, frame: Frame) -> set[tuple[int, int]]:
        """Class (0 DC or lossless, 1 AC) and destination of each table that the scan uses."""
        dc = {(0, dc) for _, dc, _ in self.components}
        ac = {(1, ac) for _, _, ac in self.components}
        if frame.lossless:
            return dc
        if not frame.progressive:
            return dc | ac
        if self.first:
            return ac
        return set() if self.high else dc


#: By 16 bits of data: 256 * bits of the code + its symbol; 0 where no code begins so.
Table = list[int]


def table_of(counts: bytes, symbols: bytes) -> Table:
    """The decoding table of a Huffman table's counts (by length 1 to 16) and symbols.

    Raises
    ------
    ValueError
        Where there are more codes than their lengths allow.
    """
    table: Table = []
    start = 0
    for length, count in enumerate(counts, 1):
        for symbol in symbols[start : start + count]:
            table += [length << 8 | symbol] * (1 << (16 - length))
            if len(table) > 1 << 16:
                raise ValueError("a Huffman table with too many codes")
        start += count
    return table + [0] * ((1 << 16) - len(table))


def cut(
    coded: bytes,
    frame: Frame,
    scan: Scan,
    tables: dict[tuple[int, int], Table],
    restart: int,
) -> bytes:
    """The entropy-coded data without what no decoder reads.

    Parameters
    ----------
    coded
        With stuffed zeros and restart markers.
    restart
        MCUs of a restart interval, 0 for none.

    Raises
    ------
    ValueError
        Where the data do not follow the tables, so that their end cannot be told.
    """
    names = [name for name, _, _ in scan.components]
    columns, rows, layout = frame.units(names)
    total = columns * rows
    each = restart or total
    out = []
    done = 0
    parts = _RESTART.split(coded)
    for marker, interval in zip([b"", *parts[1::2]], parts[::2], strict=True):
        if done >= total:
            break
        if marker:
            out.append(b"\xff" + marker)
        data = _STUFFED.sub(b"\xff", interval)
        walk = _Walk(data, frame, scan, tables)
        used = walk.mcus(done, min(each, total - done), columns, layout)
        out.append(data[:used].replace(b"\xff", b"\xff\x00"))
        done += each
    return b"".join(out)


class _Walk:
    """Steps over one restart interval."""

    def __init__(
        self, data: bytes, frame: Frame, scan: Scan, tables: dict[tuple[int, int], Table]
    ) -> None:
        self.data = data + _ZEROS
        self.end = 8 * len(data)
        self.at = 0
        self.frame, self.scan = frame, scan
        self.tables = {
            name: (tables.get((0, dc), []), tables.get((1, ac), []))
            for name, dc, ac in scan.components
        }
        self.run = 0

    def mcus(self, first: int, count: int, columns: int, layout: list[tuple[int, int]]) -> int:
        """Step over MCUs `first` and on; the number of bytes that they take, or all there are."""
        try:
            if self.frame.lossless:
                self._lossless([self.tables[name][0] for name, _ in layout], count)
            elif not self.frame.progressive:
                self._sequential([self.tables[name] for name, _ in layout], count)
            else:
                step = self._progressive()
                for name, place in self._blocks(first, count, columns, layout):
                    step(name, place)
        except _OutOfData:
            return len(self.data) - len(_ZEROS)
        return (self.at + 7) // 8

    def _symbol(self, table: Table) -> int:
        at, data = self.at, self.data
        if at >= self.end:
            raise _OutOfData
        byte = at >> 3
        window = data[byte] << 16 | data[byte + 1] << 8 | data[byte + 2]
        found = table[window >> 8 - (at & 7) & 0xFFFF]
        if not found:
            self._no_code(at)
        self.at = at + (found >> 8)
        return found & 0xFF

    def _lossless(self, tables: list[Table], count: int) -> None:
        """A difference a sample: its category, and as many bits (none of category 16)."""
        # Bits of code and difference together, looked up once a sample: there are millions.
        steps = [
            [
                (found >> 8) + (found & 0xFF) % 16 if found and found & 0xFF <= 16 else 0
                for found in table
            ]
            for table in tables
        ]
        data, at, end = self.data, self.at, self.end
        for _ in range(count):
            for table in steps:
                if at >= end:
                    raise _OutOfData
                byte = at >> 3
                window = data[byte] << 16 | data[byte + 1] << 8 | data[byte + 2]
                step = table[window >> 8 - (at & 7) & 0xFFFF]
                if not step:
                    self._no_code(at)
                at += step
        self.at = at
        self._check()

    def _sequential(self, tables: list[tuple[Table, Table]], count: int) -> None:
        data, at, end = self.data, self.at, self.end
        for _ in range(count):
            for dc, ac in tables:
                place = 0
                table = dc
                while place < 64:
                    if at >= end:
                        raise _OutOfData
                    byte = at >> 3
                    window = data[byte] << 16 | data[byte + 1] << 8 | data[byte + 2]
                    found = table[window >> 8 - (at & 7) & 0xFFFF]
                    if not found:
                        self._no_code(at)
                    size = found & 15
                    at += (found >> 8) + size
                    if not place:
                        table, place = ac, 1
                    elif size:
                        place += (found >> 4 & 15) + 1
                    elif found & 0xFF == 0xF0:
                        place += 16
                    else:
                        break
        self.at = at
        self._check()

    def _no_code(self, at: int) -> None:
        if at + 16 > self.end:
            raise _OutOfData
        raise ValueError("entropy-coded data that are no codes")

    def _check(self) -> None:
        if self.at > self.end:
            raise _OutOfData

    # -- progressive -----------------------------------------------------------------------------

    def _progressive(self) -> Callable[[int, int], None]:
        if self.scan.first == 0:
            return self._bit if self.scan.high else self._dc
        if self.scan.last < self.scan.first or self.scan.last > 63 or len(self.tables) != 1:
            raise ValueError("a scan of coefficients that do not exist")
        return self._refined if self.scan.high else self._spectrum

    def _blocks(
        self, first: int, count: int, columns: int, layout: list[tuple[int, int]]
    ) -> Iterator[tuple[int, int]]:
        """Component and number of each block; the numbers matter of single components only."""
        for mcu in range(first, first + count):
            for name, _ in layout:
                yield name, mcu
        self._check()

    def _dc(self, name: int, place: int) -> None:
        size = self._symbol(self.tables[name][0]) & 15
        self.at += size

    def _bit(self, name: int, place: int) -> None:
        self._take()

    def _take(self) -> int:
        at = self.at
        if at >= self.end:
            raise _OutOfData
        self.at = at + 1
        return self.data[at >> 3] >> 7 - (at & 7) & 1

    def _ends(self, code: int) -> None:
        """Note a run of blocks without further coefficients, this one among them."""
        run = code >> 4
        more = 0
        for _ in range(run):
            more = more << 1 | self._take()
        self.run = (1 << run) + more

    def _masks(self, name: int, place: int) -> list[int]:
        masks = self.frame.nonzero.setdefault(name, [])
        if place >= len(masks):
            masks += [0] * (place + 1 - len(masks))
        return masks

    def _spectrum(self, name: int, place: int) -> None:
        """The first scan of some coefficients of a block."""
        masks = self._masks(name, place)
        if self.run:
            self.run -= 1
            return
        at = self.scan.first
        while at <= self.scan.last:
            code = self._symbol(self.tables[name][1])
            size = code & 15
            if size:
                at += code >> 4
                masks[place] |= 1 << at
                self.at += size
                at += 1
            elif code == 0xF0:
                at += 16
            else:
                self._ends(code)
                self.run -= 1
                return

    def _refined(self, name: int, place: int) -> None:
        """A further bit of some coefficients, one for each that is not zero by now."""
        masks = self._masks(name, place)
        at, last = self.scan.first, self.scan.last
        while at <= last and not self.run:
            code = self._symbol(self.tables[name][1])
            zeros, size = code >> 4, code & 15
            if size == 0 and zeros < 15:
                self._ends(code)
                break
            if size:
                self._take()
            while at <= last:
                if masks[place] >> at & 1:
                    self._take()
                elif zeros:
                    zeros -= 1
                else:
                    break
                at += 1
            if size and at <= last:
                masks[place] |= 1 << at
            at += 1
        if self.run:
            while at <= last:
                if masks[place] >> at & 1:
                    self._take()
                at += 1
            self.run -= 1
