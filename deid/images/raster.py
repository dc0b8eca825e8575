"""PNG, JPEG and TIFF pictures: one frame, grey or RGB."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from deid.images import raster_jpeg, raster_png, raster_tiff
from deid.images.extent import extent, hides
from deid.images.find import sniff
from deid.images.raster_picture import Kept, Picture, Size, check_size
from deid.images.record import MAX_BYTES, Geometry, Header, Image, Meaning
from deid.reasons import Withheld

if TYPE_CHECKING:
    from pydicom import FileDataset

# Pillow's own limit lies far below ours, which `check_size` holds before anything is decoded.
PIL.Image.MAX_IMAGE_PIXELS = None

#: How far an edited JPEG may be from what was asked for: root mean square, of 255.
_LOSSY_RMS = 6.0


@dataclass(frozen=True)
class _Codec:
    size: Callable[[bytes], Size]
    decode: Callable[[bytes], Picture]
    encode: Callable[[NDArray[Any], Kept], bytes]


_CODECS = {
    "png": _Codec(raster_png.size, raster_png.decode, raster_png.encode),
    "jpeg": _Codec(raster_jpeg.size, raster_jpeg.decode, raster_jpeg.encode),
    "tiff": _Codec(raster_tiff.size, raster_tiff.decode, raster_tiff.encode),
}


def _bytes(path: Path) -> bytes:
    if os.path.getsize(path) > MAX_BYTES:
        raise Withheld("too_large", "the file is larger than the limit")
    return path.read_bytes()


def inspect(path: Path) -> Header:
    """What the file's header says; nothing is decoded.

    Raises
    ------
    Withheld
        ``malformed``, ``undecodable`` or ``too_large``.
    """
    kind = sniff(path)
    data = _bytes(path)
    size = _CODECS[kind].size(data)
    check_size(size, len(data))
    return Header(kind, size.rows, size.columns, 1, size.samples, size.item_bytes)


def read(path: Path, header: Header) -> Image:
    """Decode to ``(1, R, C)`` or ``(1, R, C, 3)``, as stored: not turned as EXIF says.

    Raises
    ------
    Withheld
        ``undecodable``.
    """
    picture = _CODECS[header.format].decode(_bytes(path))
    pixels = picture.pixels[None]
    grey = "MONOCHROME1" if picture.kept.inverted else "MONOCHROME2"
    meaning = Meaning(
        photometric="RGB" if pixels.ndim == 4 else grey,
        bits=8 * pixels.itemsize,
        signed=False,
    )
    return Image(header, pixels, meaning, Geometry(), native=picture.kept)


def view(image: Image) -> NDArray[np.float32]:
    """What the models see, in 0..1.

    16 bits are stretched over the middle 99.8 % of the values, and so are 8 that show next to
    nothing as they are.
    """
    values = image.pixels.astype(np.float32)
    eight = image.pixels.dtype == np.uint8
    if eight and not hides(values / np.float32(255), image.pixels):
        low, high = 0.0, 255.0
    else:
        low, high = (float(value) for value in np.percentile(values, (0.1, 99.9)))
    shown = np.clip((values - np.float32(low)) / np.float32(max(high - low, 1.0)), 0, 1)
    return 1 - shown if image.meaning.photometric == "MONOCHROME1" else shown


def plain(image: Image) -> NDArray[np.uint8]:
    """What the text search sees: 8 bits as they are, 16 over their range (`extent`)."""
    pixels = image.pixels
    if pixels.dtype == np.uint8:
        return pixels
    low, high = extent(pixels)
    scale = 255.0 / max(high - low, 1)
    scaled = (pixels.astype(np.float32) - np.float32(low)) * np.float32(scale)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def supports_edit(image: Image) -> bool:
    """Whether changed pixels can be written; a TIFF of 16 bits can not yet."""
    return not (image.header.format == "tiff" and image.pixels.dtype == np.uint16)


def encode(image: Image, *, edited: bool, dataset: FileDataset | None = None) -> bytes:
    """The whole file to write: the picture, and beside it what `Kept` lists.

    Raises
    ------
    Withheld
        ``unsupported_edit``.
    """
    kept: Kept = image.native
    if not edited and kept.stream:
        return kept.stream
    if edited and not supports_edit(image):
        raise Withheld("unsupported_edit", "a TIFF of 16 bits can not be edited yet")
    return _CODECS[image.header.format].encode(image.pixels[0], kept)


def agrees(image: Image, data: bytes, *, edited: bool) -> bool:
    """Read `data` anew: the same pixels (an edited JPEG: nearly), and the same things beside?"""
    kept: Kept = image.native
    try:
        found = _CODECS[image.header.format].decode(data)
    except Withheld:
        return False
    beside = ("icc", "orientation", "density", "gamma", "srgb", "opaque_alpha", "inverted")
    if any(getattr(found.kept, name) != getattr(kept, name) for name in beside):
        return False
    wanted = image.pixels[0]
    if found.pixels.shape != wanted.shape or found.pixels.dtype != wanted.dtype:
        return False
    if edited and image.header.format == "jpeg":
        difference = found.pixels.astype(np.float32) - wanted
        return float(np.sqrt(np.mean(difference**2))) <= _LOSSY_RMS
    return np.array_equal(found.pixels, wanted)
