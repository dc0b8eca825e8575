"""LZW as TIFF 6.0 (section 13) has it; tifffile would need a further package for it."""

from __future__ import annotations

_CLEAR, _END, _FIRST, _WIDEST = 256, 257, 258, 12


def decode(packed: bytes, limit: int) -> bytes:
    """Decode one strip, to at most `limit` bytes.

    Raises
    ------
    ValueError
        A code that was never made.
    """
    roots = [bytes([value]) for value in range(256)] + [b"", b""]
    table = list(roots)
    out: list[bytes] = []
    count = 0
    width, bits, held = 9, 0, 0
    previous = b""
    for byte in packed:
        held = held << 8 | byte
        bits += 8
        if bits < width:
            continue
        bits -= width
        code = held >> bits
        held &= (1 << bits) - 1
        if code == _END or count >= limit:
            break
        if code == _CLEAR:
            table, width, previous = list(roots), 9, b""
            continue
        if code < len(table):
            entry = table[code]
        elif code == len(table) and previous:
            entry = previous + previous[:1]
        else:
            raise ValueError("an LZW code that was never made")
        out.append(entry)
        count += len(entry)
        if previous and len(table) < 1 << _WIDEST:
            table.append(previous + entry[:1])
        previous = entry
        # TIFF widens its codes one entry early.
        if len(table) + 1 >= 1 << width and width < _WIDEST:
            width += 1
    return b"".join(out)[:limit]
