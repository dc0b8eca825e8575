"""Files to arrays and back: one way in for every format."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deid.images.find import find, sniff
from deid.images.record import MAX_BYTES, Found, Geometry, Header, Image, Meaning
from deid.reasons import Withheld

if TYPE_CHECKING:
    from pydicom import FileDataset

__all__ = [
    "MAX_BYTES",
    "Found",
    "Geometry",
    "Header",
    "Image",
    "Meaning",
    "agrees",
    "encode",
    "find",
    "inspect",
    "plain",
    "read",
    "sniff",
    "supports_edit",
    "view",
]

#: Which module reads and writes a format; imported when the first such file comes.
_READERS = {
    "dicom": "deid.images.dicom",
    "nifti": "deid.images.nifti",
    "png": "deid.images.raster",
    "jpeg": "deid.images.raster",
    "tiff": "deid.images.raster",
}


def _of(kind: str, name: str) -> Callable[..., Any]:
    return getattr(importlib.import_module(_READERS[kind]), name)


def inspect(path: Path, *, decode: bool = True) -> Header:
    """What the file says of itself; no pixel is decoded.

    Parameters
    ----------
    decode
        Whether the pixels will have to be decoded: False takes DICOM files that no decoder reads.

    Raises
    ------
    deid.reasons.Withheld
        The file is malformed, no image, not decodable by what its header says, or too large.
    OSError
        It can not be read.
    """
    stamp = _stamp(path)
    kind = sniff(path)
    header: Header = _of(kind, "inspect")(path, **_decoding(kind, decode))
    return replace(header, stamp=stamp)


def read(path: Path, header: Header, *, decode: bool = True) -> Image:
    """Decode the pixels, as stored values; those of DICOM stay as encoded without `decode`.

    Raises
    ------
    deid.reasons.Withheld
        The pixels do not decode, or to more than `MAX_BYTES`; or the file is another one than its
        `header` was read from, so that nothing that was decided by it holds.
    """
    image: Image = _of(header.format, "read")(path, header, **_decoding(header.format, decode))
    if header.stamp not in (None, _stamp(path)):
        raise Withheld("unreadable", "the file changed during the run; start again when none does")
    return image


def _stamp(path: Path) -> tuple[int, int]:
    """Size in bytes and time of the last change in ns: another file has others."""
    state = os.stat(path)
    return state.st_size, state.st_mtime_ns


def _decoding(kind: str, decode: bool) -> dict[str, bool]:
    """Only a DICOM file can be written without decoding; the others are rebuilt from pixels."""
    return {"decode": decode} if kind == "dicom" else {}


def view(image: Image) -> NDArray[np.float32]:
    """What the models see: ``(F, R, C)`` or ``(F, R, C, 3)`` in 0..1, bright is dense."""
    return _of(image.header.format, "view")(image)


def plain(image: Image) -> NDArray[np.uint8]:
    """What the text search sees: the full range of the stored values over all frames."""
    return _of(image.header.format, "plain")(image)


def supports_edit(image: Image) -> bool:
    """Whether changed pixels can be written back in this file's photometric meaning."""
    return _of(image.header.format, "supports_edit")(image)


def encode(image: Image, *, edited: bool, dataset: FileDataset | None = None) -> bytes:
    """The whole file to write; `dataset` is the cleaned one, for DICOM."""
    return _of(image.header.format, "encode")(image, edited=edited, dataset=dataset)


def agrees(image: Image, data: bytes, *, edited: bool) -> bool:
    """Read `data` anew: does it decode to what `image` means?"""
    return _of(image.header.format, "agrees")(image, data, edited=edited)
