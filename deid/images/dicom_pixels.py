"""Decoding: from pixel data to stored values, and what of their bits does not belong to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
)

from deid.images import dicom_frames, dicom_jpeg
from deid.images.dicom_facts import Format, read_format
from deid.images.dicom_parse import DOUBLE_PIXEL_DATA, FLOAT_PIXEL_DATA, PIXEL_DATA, Parsed, quiet
from deid.images.record import MAX_BYTES
from deid.reasons import Withheld

NATIVE = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)

#: What the three components of a JFIF file may be called.
_YCBCR = ("YBR_FULL", "YBR_FULL_422")

#: What decodes to more than this, and to more than so many times its size, is a bomb.
_BOMB_BYTES = 256 * 1024**2
_BOMB_RATIO = 2000


@dataclass(frozen=True)
class Decoded:
    """Stored values and what became clear in decoding.

    Attributes
    ----------
    pixels
        ``(F, R, C)`` or ``(F, R, C, 3)``, machine byte order, bits beyond BitsStored gone.
    photometric
        Of `pixels`: JPEG 2000 and its like decode YBR_ICT and YBR_RCT to RGB.
    stray
        Bits beyond BitsStored held something (an overlay, say).
    """

    pixels: NDArray[Any]
    photometric: str
    stray: bool


def check_decodable(parsed: Parsed) -> Format:
    """Raise where the header alone tells that no decoder gives an array.

    Raises
    ------
    Withheld
        ``undecodable``, or ``too_large`` for more than `MAX_BYTES` and for bombs.
    """
    pixel = parsed.pixel
    if pixel is None or pixel.length == 0:
        raise Withheld("undecodable", "an image without pixel data")
    if pixel.tag in (FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA):
        raise Withheld("undecodable", "floating-point pixel data are not supported")
    layout = read_format(parsed.dataset)
    if parsed.syntax in NATIVE:
        expected = layout.native_bytes
        # One pad byte makes the length even; more is another size than the header says.
        if pixel.fragments is not None or not expected <= pixel.length <= expected + 1:
            raise Withheld("undecodable", "the pixel data do not have the size the header says")
    else:
        _check_encapsulated(parsed, layout)
    if layout.decoded_bytes > MAX_BYTES:
        raise Withheld("too_large", "the pixel data decode beyond the limit")
    return layout


def can_clean(parsed: Parsed) -> bool:
    """Whether what is no picture can be told apart in a file that no decoder may read.

    The pixel data themselves are not looked at yet; a file without any has nothing to clean.
    """
    pixel, native = parsed.pixel, parsed.syntax in NATIVE
    if pixel is None or (pixel.tag == PIXEL_DATA and pixel.length == 0):
        return True
    known = native or dicom_frames.can_clean(parsed.syntax)
    return known and pixel.tag == PIXEL_DATA and (pixel.fragments is None) == native


def _check_encapsulated(parsed: Parsed, layout: Format) -> None:
    assert parsed.pixel is not None
    fragments = parsed.pixel.fragments
    if fragments is None or not _has_decoder(parsed.syntax):
        raise Withheld("undecodable", "the transfer syntax is not supported")
    if parsed.syntax == JPEGExtended12Bit and layout.stored != 8:
        raise Withheld("undecodable", "12 bit JPEG is not supported")
    if layout.decoded_bytes > _BOMB_BYTES and layout.decoded_bytes > _BOMB_RATIO * sum(fragments):
        raise Withheld("too_large", "the pixel data claim to decode to too many times their size")
    if len(fragments) < layout.frames:
        raise Withheld("undecodable", "there are fewer fragments than frames")


def _has_decoder(syntax: UID) -> bool:
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def decode(dataset: FileDataset) -> Decoded:
    """Decode all frames of a data set.

    Colour stays as it is encoded, except where a codestream's own transform is undone.

    Raises
    ------
    Withheld
        ``undecodable``.
    """
    layout = read_format(dataset)
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        if syntax not in NATIVE:
            frames = dicom_frames.split(dataset, layout.frames)
            dicom_frames.check_sizes(frames, syntax, layout)
        with quiet():
            _quiet_codecs()
            decoder = get_decoder(syntax)
            values, found = decoder.as_array(dataset, raw=True, **_options(syntax))
        photometric = str(found["photometric_interpretation"])
        if photometric == "RGB" and layout.photometric in _YCBCR and _is_jfif(dataset, layout):
            # pydicom goes by the names of components before all else, GDCM and ITK by the header.
            photometric = layout.photometric
    except Withheld:
        raise
    except Exception:
        raise Withheld("undecodable", "the pixel data do not decode") from None
    shape = (layout.frames, layout.rows, layout.columns)
    values = values.reshape(shape if layout.samples == 1 else (*shape, 3))
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    pixels, stray = stored_values(values, layout)
    return Decoded(pixels, photometric, stray)


def _is_jfif(dataset: FileDataset, layout: Format) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    return syntax in JPEGTransferSyntaxes and dicom_jpeg.is_jfif(
        dicom_frames.split(dataset, layout.frames)[0]
    )


def _options(syntax: UID) -> dict[str, Any]:
    """No more frames than the header says, and bits beyond BitsStored left in place.

    Of JPEG 2000 and JPEG-LS pydicom leaves them as they are.
    """
    if syntax in JPEG2000TransferSyntaxes or syntax in JPEGLSTransferSyntaxes:
        return {"allow_excess_frames": False}
    return {"allow_excess_frames": False, "correct_unused_bits": False}


def stored_values(values: NDArray[Any], layout: Format) -> tuple[NDArray[Any], bool]:
    """Take away what is not part of the stored values: the bits beyond BitsStored.

    Returns
    -------
    tuple
        The values, sign-extended where they are signed, and whether other bits held anything.
    """
    spare = values.dtype.itemsize * 8 - layout.stored
    if spare == 0 or layout.allocated == 1:
        return values, False
    stray = False
    cleaned = np.empty_like(values)
    for frame, target in zip(values, cleaned, strict=True):
        np.left_shift(frame, spare, out=target)
        np.right_shift(target, spare, out=target)
        if not stray and not np.array_equal(frame, target):
            # A signed value that was stored without its sign bits is no stray bit.
            beyond = frame.view(f"u{frame.dtype.itemsize}") >> layout.stored
            stray = bool(np.any(beyond[frame != target]))
    return cleaned, stray


def _quiet_codecs() -> None:
    """Silence GDCM, which writes to the process's stderr."""
    import gdcm

    for switch in (gdcm.Trace.DebugOff, gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff):
        switch()
