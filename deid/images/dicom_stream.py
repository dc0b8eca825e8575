"""Streams that cost no more than they hold: of files, and of what a deflated file inflates to."""

from __future__ import annotations

import io
import zlib
from typing import IO

from deid.images.record import MAX_BYTES
from deid.reasons import Withheld

#: The elements before the pixel data of a deflated file may inflate to this much.
MAX_INFLATED_HEADER = 64 * 1024**2

#: What inflates to more than this, and to more than so many times its size, is a bomb; deflate
#: reaches 1032 times, with one value all through.
_BOMB_BYTES, _BOMB_RATIO = 256 * 1024**2, 500

#: Deflated bytes read at once, and inflated bytes made at once.
_PACKED, _INFLATED = 1 << 16, 1 << 20


def malformed(detail: str) -> Withheld:
    """The outcome of a file that is no readable Part 10 file."""
    return Withheld("malformed", detail)


class Stream:
    """A stream that allocates no more than it holds, and knows whether a read came short.

    `size` is what the whole has, `held` what of it can be read (less for an inflated header).
    """

    def __init__(self, raw: IO[bytes], size: int, held: int) -> None:
        self._read = raw.read
        self.seek = raw.seek
        self.tell = raw.tell
        self.size, self.held = size, held
        self.short = False

    def read(self, count: int = -1) -> bytes:
        if count < 0:
            count = self.size
        data = self._read(count if count < self.size else self.size)
        # Eight bytes are an element's start: where nothing stands there, the file ends in order.
        if len(data) < count and (data or count != 8):
            self.short = True
        return data


def inflate(file: IO[bytes], *, whole: bool) -> tuple[io.BytesIO, int, int]:
    """Inflate the rest of a stream, keeping all of it or just what a header may need.

    Returns
    -------
    tuple
        The stream, the number of bytes that the whole would have, and that of those kept.

    Raises
    ------
    Withheld
        ``malformed``, or ``too_large`` for what inflates beyond `MAX_BYTES` and for bombs.
    """
    keep = MAX_BYTES if whole else MAX_INFLATED_HEADER
    kept = io.BytesIO()
    total = taken = 0
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        while not inflater.eof:
            packed = inflater.unconsumed_tail
            if not packed:
                packed = file.read(_PACKED)
                taken += len(packed)
            if not packed:
                raise malformed("the deflated data end too early")
            piece = inflater.decompress(packed, _INFLATED)
            total += len(piece)
            bomb = total > _BOMB_BYTES and total > _BOMB_RATIO * taken
            if bomb or total > MAX_BYTES:
                raise Withheld("too_large", "the deflated data inflate beyond the limit")
            kept.write(piece[: max(0, keep - kept.tell())])
    except zlib.error:
        raise malformed("the deflated data cannot be inflated") from None
    held = kept.tell()
    kept.seek(0)
    return kept, total, held
