"""What the raster formats share: a decoded picture and what may be kept beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from deid.images.record import MAX_BYTES
from deid.reasons import Withheld

#: A picture that decodes to more than this, and to more than so many times its file, is a bomb.
_BOMB_BYTES = 256 * 1024**2
_BOMB_RATIO = 500


@dataclass(frozen=True)
class Size:
    """What a raster file's header says."""

    rows: int
    columns: int
    samples: int
    item_bytes: int


@dataclass(frozen=True)
class Kept:
    """What is written beside the pixels; numbers and a standard profile, never text.

    Attributes
    ----------
    icc
        A standard colour profile.
    orientation
        As in EXIF, 1 to 8.
    density
        Dots per unit across and down, and the unit in the format's own code.
    gamma
        PNG's gAMA, of the two values in common use.
    srgb
        PNG's rendering intent.
    opaque_alpha
        The file has an alpha channel, which is opaque everywhere.
    inverted
        Zero is white (TIFF).
    deflated
        The file was compressed (TIFF).
    stream
        The file without metadata (JPEG), written as it is when nothing is edited.
    """

    icc: bytes | None = None
    orientation: int = 1
    density: tuple[float, float, int] | None = None
    gamma: int | None = None
    srgb: int | None = None
    opaque_alpha: bool = False
    inverted: bool = False
    deflated: bool = False
    stream: bytes = b""


@dataclass(frozen=True)
class Picture:
    """Stored values, ``(R, C)`` or ``(R, C, 3)``, uint8 or uint16, and what is kept beside them."""

    pixels: NDArray[Any]
    kept: Kept


def check_size(size: Size, file_bytes: int) -> None:
    """Refuse what is empty or decodes to too much.

    Raises
    ------
    Withheld
        ``malformed`` or ``too_large``.
    """
    if size.rows < 1 or size.columns < 1:
        raise Withheld("malformed", "a picture without rows or columns")
    decoded = size.rows * size.columns * size.samples * size.item_bytes
    if decoded > MAX_BYTES:
        raise Withheld("too_large", "the picture decodes beyond the limit")
    if decoded > _BOMB_BYTES and decoded > _BOMB_RATIO * file_bytes:
        raise Withheld("too_large", "the picture claims to decode to too many times its size")
