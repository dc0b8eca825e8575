"""Where the packets of a JPEG 2000 tile end: what stands behind them decodes to nothing.

Packet headers of ITU-T T.800 annex B (and of HTJ2K, T.814), read for the lengths in them; the coded
data themselves are stepped over (`deid.images.dicom_j2k_blocks` looks for what they do not need).

A header says most things in one way only, and in that way encoders say them: bits that fill a byte
are zero, an empty packet is spelt as the others are, a length has no more digits than the longest
needs, a node of a tag tree is the least of those below it, packets are counted from zero, a block
has no more passes than bit planes ask for. A stream that says them otherwise is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from deid.images.dicom_j2k_header import COC, COD, POC, QCC, QCD, SIZ, Segment, planes

#: Styles of code-blocks: raw passes, an end behind each pass, high throughput, a mixture with it.
_RAW, _ENDED, _HT, _MIXED = 0x01, 0x04, 0x40, 0x80
#: More packets and code-blocks no picture has.
_MOST = 1 << 20
#: Marks of SOP and EPH in COD's style.
_STARTED, _HEADED = 2, 4


class _OutOfData(Exception):  # noqa: N818 - no error: the data are all of the tile's
    """The data end before the packets do."""


@dataclass(frozen=True)
class _Style:
    """How a component is coded.

    Wavelet levels, code-block size (exponents), precinct sizes, bit planes of each subband.
    """

    levels: int
    block: tuple[int, int]
    flags: int
    precincts: bytes
    planes: list[int]

    @classmethod
    def of(cls, body: bytes, own_precincts: int, quantisation: bytes) -> _Style:
        levels, across, down, flags = body[:4]
        sizes = body[5:] if own_precincts & 1 else bytes([0xFF] * (levels + 1))
        if flags & _MIXED or across > 8 or down > 8:
            raise ValueError("a coding style that is not known")
        depth = planes(quantisation, levels)
        return cls(levels, (across + 2, down + 2), flags, sizes, depth)


class _Tree:
    """A tag tree (B.10.2)."""

    def __init__(self, across: int, down: int) -> None:
        self.widths, sizes = [across], [across * down]
        while sizes[-1] > 1:
            across, down = (across + 1) // 2, (down + 1) // 2
            self.widths.append(across)
            sizes.append(across * down)
        self.low = [[0] * size for size in sizes]
        self.known = [[False] * size for size in sizes]

    def below(self, leaf: int, threshold: int, packet: _Reader) -> bool:
        """Whether the value of a leaf is less than `threshold`."""
        row, column = divmod(leaf, self.widths[0])
        low = 0
        for depth in range(len(self.widths) - 1, -1, -1):
            node = (row >> depth) * self.widths[depth] + (column >> depth)
            low = max(low, self.low[depth][node])
            while low < threshold and not self.known[depth][node]:
                if packet.bit():
                    self.known[depth][node] = True
                else:
                    low += 1
            self.low[depth][node] = low
        return self.known[0][leaf] and low < threshold

    def is_least(self) -> bool:
        """Whether no node is less than all those below it, as far as they were read."""
        for depth in range(1, len(self.widths)):
            across = self.widths[depth - 1]
            least: dict[int, int] = {}
            for place, low in enumerate(self.low[depth - 1]):
                row, column = divmod(place, across)
                node = (row >> 1) * self.widths[depth] + (column >> 1)
                least[node] = min(low, least.get(node, low))
            for node, known in enumerate(self.known[depth]):
                if known and self.low[depth][node] < least[node]:
                    return False
        return True


@dataclass
class _Block:
    """What of a code-block came so far."""

    seen: bool = False
    bits: int = 3
    room: int = 0
    last: int = 0
    passes: int = 0

    def lengths(self, passes: int, flags: int, packet: _Reader) -> int:
        """The bytes of these coding passes."""
        self.passes -= passes
        if self.passes < 0:
            raise ValueError("more coding passes than bit planes have")
        before = self.bits
        while packet.bit():
            self.bits += 1
        parts = list(self._fast(passes) if flags & _HT else self._slow(passes, flags))
        widths = [self.bits + part.bit_length() - 1 for part in parts]
        lengths = [packet.bits(width) for width in widths]
        full = any(one >> width - 1 for one, width in zip(lengths, widths, strict=True))
        if self.bits > before and not full:
            raise ValueError("a length of more digits than it has")
        return sum(lengths)

    def _slow(self, passes: int, flags: int) -> Iterator[int]:
        """Passes of each segment that these go into."""
        while passes:
            if not self.room:
                self.room = self.last = self._capacity(flags)
            taken = min(passes, self.room)
            yield taken
            self.room -= taken
            passes -= taken

    def _capacity(self, flags: int) -> int:
        """Coding passes of the segment that begins now."""
        if flags & _ENDED:
            return 1
        if flags & _RAW:
            return {0: 10, 10: 2, 2: 1, 1: 2}[self.last]
        return _MOST

    def _fast(self, passes: int) -> Iterator[int]:
        """Of a high-throughput block: the clean-up pass, and up to two more."""
        if self.last:
            raise ValueError("a fast code-block in several layers")
        self.last = 1
        empty = (passes - 1) // 3 * 3
        yield empty + 1
        if passes > empty + 1:
            yield passes - empty - 1


@dataclass
class _Band:
    """The code-blocks of one subband within a precinct, and its bit planes."""

    included: _Tree
    empty: _Tree
    blocks: list[_Block]
    planes: int


@dataclass
class _Precinct:
    """One precinct: its place in the orders of progression, and its subbands once they are met.

    Attributes
    ----------
    areas
        Columns and rows of code-blocks of each subband.
    planes
        Bit planes of each subband.
    """

    resolution: int
    component: int
    number: int
    y: int
    x: int
    areas: list[tuple[int, int]]
    planes: list[int]
    bands: list[_Band] = field(default_factory=list)

    def met(self) -> list[_Band]:
        if not self.bands:
            self.bands = [
                _Band(
                    _Tree(*area), _Tree(*area), [_Block() for _ in range(area[0] * area[1])], most
                )
                for area, most in zip(self.areas, self.planes, strict=True)
            ]
        return self.bands


class _Reader:
    """The bits of packet headers, and the bytes between them.

    Attributes
    ----------
    empty
        With which bit packets without data begin: those that have code-blocks, those without any.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self.byte = self.left = 0
        self.empty: dict[bool, int] = {}

    def bit(self) -> int:
        if not self.left:
            if self.at >= len(self.data):
                raise _OutOfData
            full = self.byte == 0xFF
            self.left = 7 if full else 8
            self.byte = self.data[self.at]
            if full and self.byte > 0x7F:
                raise ValueError("a packet header with a marker inside")
            self.at += 1
        self.left -= 1
        return self.byte >> self.left & 1

    def bits(self, count: int) -> int:
        if count > 32:
            raise ValueError("a length of too many bits")
        value = 0
        for _ in range(count):
            value = value << 1 | self.bit()
        return value

    def passes(self) -> int:
        """The number of coding passes (B.10.6)."""
        if not self.bit():
            return 1
        if not self.bit():
            return 2
        for bits, first in ((2, 3), (5, 6)):
            value = self.bits(bits)
            if value < (1 << bits) - 1:
                return first + value
        return 37 + self.bits(7)

    def marker(self, expected: bytes) -> None:
        """Step over a marker that must stand here."""
        found = self.data[self.at : self.at + len(expected)]
        if found != expected:
            if expected.startswith(found):
                raise _OutOfData
            raise ValueError("no marker where a packet has one")
        self.at += len(expected)

    def filled(self) -> None:
        """Step to the end of a packet header, over bits that must be zero."""
        if self.byte & (1 << self.left) - 1:
            raise ValueError("a packet header whose last bits say something")
        if self.byte == 0xFF:
            self.marker(b"\0")

    def packet(self, bands: list[_Band], layer: int, flags: int, marked: int, number: int) -> None:
        """Step over one packet of a tile; `marked` says, as in COD, which markers it has."""
        if marked & _STARTED:
            self.marker(b"\xff\x91\0\4" + (number & 0xFFFF).to_bytes(2, "big"))
        self.byte = self.left = 0
        lengths = []
        first = self.bit()
        if first:
            for band in bands:
                for place, block in enumerate(band.blocks):
                    lengths += self._block(band, place, block, layer, flags)
        self.filled()
        if (
            not lengths
            and self.empty.setdefault(any(band.blocks for band in bands), first) != first
        ):
            raise ValueError("empty packets of two kinds")
        if marked & _HEADED:
            self.marker(b"\xff\x92")
        self.at += sum(lengths)
        if self.at > len(self.data):
            raise _OutOfData

    def _block(self, band: _Band, place: int, block: _Block, layer: int, flags: int) -> list[int]:
        """The bytes that a packet has of a block, none where it has nothing of it."""
        if block.seen:
            if not self.bit():
                return []
        elif not band.included.below(place, layer + 1, self):
            return []
        else:
            block.seen = True
            least = 1
            while not band.empty.below(place, least, self):
                least += 1
                if least > band.planes:
                    raise ValueError("no more bit planes than empty ones")
            block.passes = 3 * (band.planes - least + 1) - 2
        return [block.lengths(self.passes(), flags, self)]


class Packets:
    """The packets of a codestream's tiles.

    Parameters
    ----------
    header
        As `deid.images.dicom_j2k_header.needed` gives it.

    Raises
    ------
    ValueError
        Where the packets cannot be followed.
    """

    def __init__(self, header: list[Segment]) -> None:
        found = dict(header)
        if POC in found:
            raise ValueError("an order of progression that changes")
        style = found[COD]
        self._size = found[SIZ]
        self._marked, self._order = style[0], style[1]
        self._layers = int.from_bytes(style[2:4], "big")
        styles = {body[0]: (body[2:], body[1]) for marker, body in header if marker == COC}
        steps = {body[0]: body[1:] for marker, body in header if marker == QCC}
        self._styles = [
            _Style.of(*styles.get(number, (style[5:], self._marked)), steps.get(number, found[QCD]))
            for number in range(self._size[35])
        ]
        self._left = _MOST

    def length(self, data: bytes, tile: int) -> int:
        """How many bytes of a tile's data its packets take; all of them where they end early.

        Parameters
        ----------
        data
            Of all tile parts of the tile, in their order.

        Raises
        ------
        ValueError
            Where the packets cannot be followed.
        """
        precincts = []
        for precinct in _precincts(self._size, self._styles, tile):
            self._left -= self._layers + sum(across * down for across, down in precinct.areas)
            if self._left < 0:
                raise ValueError("more packets and code-blocks than can be followed")
            precincts.append(precinct)
        reader = _Reader(data)
        try:
            ordered = _ordered(precincts, self._layers, self._order)
            for number, (precinct, layer) in enumerate(ordered):
                flags = self._styles[precinct.component].flags
                reader.packet(precinct.met(), layer, flags, self._marked, number)
        except _OutOfData:
            reader.at = len(data)
        bands = [band for precinct in precincts for band in precinct.bands]
        if not all(tree.is_least() for band in bands for tree in (band.included, band.empty)):
            raise ValueError("a tag tree whose nodes say more than they need")
        return reader.at


def _ordered(
    precincts: list[_Precinct], layers: int, order: int
) -> Iterator[tuple[_Precinct, int]]:
    """Precincts and layers in the order of their packets (B.12)."""
    keys = (
        lambda p, layer: (layer, p.resolution, p.component, p.number),
        lambda p, layer: (p.resolution, layer, p.component, p.number),
        lambda p, layer: (p.resolution, p.y, p.x, p.component, p.number, layer),
        lambda p, layer: (p.y, p.x, p.component, p.resolution, p.number, layer),
        lambda p, layer: (p.component, p.y, p.x, p.resolution, p.number, layer),
    )
    if order >= len(keys):
        raise ValueError("an order of progression that is not known")
    pairs = [(precinct, layer) for precinct in precincts for layer in range(layers)]
    return iter(sorted(pairs, key=lambda pair: keys[order](*pair)))


def _precincts(size: bytes, styles: list[_Style], tile: int) -> Iterator[_Precinct]:
    """The precincts of a tile (B.3 to B.7)."""
    _, *fields, _ = struct.unpack(">H8IH", size[:36])
    end, start = fields[0:2], fields[2:4]
    width, first = fields[4:6], fields[6:8]
    if not all(width):
        raise ValueError("tiles without extent")
    tiles = [-(-(end[i] - first[i]) // width[i]) for i in (0, 1)]
    if tile >= tiles[0] * tiles[1]:
        raise ValueError("a tile outside of the image")
    down, across = divmod(tile, tiles[0])
    low = [max(first[i] + (across, down)[i] * width[i], start[i]) for i in (0, 1)]
    high = [min(first[i] + ((across, down)[i] + 1) * width[i], end[i]) for i in (0, 1)]
    for component, style in enumerate(styles):
        step = size[37 + 3 * component : 39 + 3 * component]
        if not all(step):
            raise ValueError("a component without samples")
        begin, stop = ([-(-bound[i] // step[i]) for i in (0, 1)] for bound in (low, high))
        for resolution in range(style.levels + 1):
            for precinct in _of_resolution(component, style, resolution, begin, stop):
                scale = style.levels - resolution
                # The place of its first sample on the reference grid.
                precinct.x, precinct.y = (
                    max(low[i], (precinct.x, precinct.y)[i] * step[i] << scale) for i in (0, 1)
                )
                yield precinct


def _of_resolution(
    component: int, style: _Style, resolution: int, begin: list[int], stop: list[int]
) -> Iterator[_Precinct]:
    """The precincts of a resolution, with the place of their corner in it."""
    both = (0, 1)
    scale = style.levels - resolution
    size = (style.precincts[resolution] & 15, style.precincts[resolution] >> 4)
    low, high = ([-(-bound[i] >> scale) for i in both] for bound in (begin, stop))
    if any(high[i] <= low[i] for i in both):
        return
    # Subbands have half the resolution, but for the one that is the lowest.
    half = int(resolution > 0)
    if any(side < half for side in size):
        raise ValueError("precincts without extent")
    bands = ((1, 0), (0, 1), (1, 1)) if half else ((0, 0),)
    lowest = 3 * resolution - 2 if half else 0
    planes = style.planes[lowest : lowest + len(bands)]
    depth = scale + half
    across, down = (range(low[i] >> size[i], -(-high[i] >> size[i])) for i in both)
    for number, (row, column) in enumerate((row, column) for row in down for column in across):
        areas = []
        for band in bands:
            counts = []
            for i, place in ((0, column), (1, row)):
                offset = band[i] << depth >> 1
                ends = [-(-(bound[i] - offset) >> depth) for bound in (begin, stop)]
                side = size[i] - half
                ends = [max(ends[0], place << side), min(ends[1], place + 1 << side)]
                block = min(style.block[i], side)
                whole = -(-ends[1] >> block) - (ends[0] >> block)
                counts.append(whole if ends[0] < ends[1] else 0)
            areas.append((counts[0], counts[1]) if all(counts) else (0, 0))
        y, x = row << size[1], column << size[0]
        yield _Precinct(resolution, component, number, y, x, areas, planes)
