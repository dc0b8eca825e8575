"""Writing a DICOM image back: as encoded where nothing was edited, natively where it was."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.dataelem import DataElement
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from deid.images import dicom_frames, dicom_j2k
from deid.images.dicom_facts import Format, lossy_syntax, read_format
from deid.images.dicom_kind import text
from deid.images.dicom_parse import PIXEL_DATA, quiet
from deid.images.dicom_pixels import NATIVE
from deid.images.record import Image
from deid.reasons import Withheld

#: Elements of the pixel data's own layout that are rebuilt or no longer true.
_OFFSET_TABLES = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
_SERIES_EXTREMES = (
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "SmallestImagePixelValueInPlane",
    "LargestImagePixelValueInPlane",
)


def write(dataset: FileDataset) -> bytes:
    """The bytes of a Part 10 file."""
    buffer = io.BytesIO()
    with quiet():
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def with_pixels_as_encoded(dataset: FileDataset, stray: bool, image: Image | None) -> FileDataset:
    """A copy of `dataset` whose frames are as encoded, minus all that is no picture.

    Where bits beyond BitsStored of a codestream hold something, only decoding takes them away: then
    the frames of `image` are written natively.

    Raises
    ------
    Withheld
        ``undecodable`` where the frames cannot be cleaned.
    """
    out = _copy(dataset)
    for keyword in _OFFSET_TABLES:
        if keyword in out:
            delattr(out, keyword)
    if "PixelData" not in out:
        return out
    layout = read_format(out)
    syntax = out.file_meta.TransferSyntaxUID
    if syntax in NATIVE:
        data = _without_spare_bits(out.PixelData, layout, syntax == ExplicitVRBigEndian)
        _set_pixel_data(out, data, out["PixelData"].VR)
    elif stray and image is not None:
        return with_native_pixels(out, image)
    else:
        frames = dicom_frames.split(dataset, layout.frames)
        _set_pixel_data(out, dicom_frames.join(dicom_frames.clean(frames, syntax, layout)), "OB")
    return out


def with_native_pixels(dataset: FileDataset, image: Image) -> FileDataset:
    """A copy of `dataset` that holds the image's pixels, Explicit VR Little Endian."""
    out = _copy(dataset)
    if _was_lossy(dataset):
        out.LossyImageCompression = "01"
    out.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for keyword in _OFFSET_TABLES:
        if keyword in out:
            delattr(out, keyword)
    out.PhotometricInterpretation = image.meaning.photometric
    if image.header.samples == 3:
        out.PlanarConfiguration = 0
    elif "PlanarConfiguration" in out:
        del out.PlanarConfiguration
    pixels = image.pixels
    if image.header.item_bytes > 1:
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False)
    data = pixels.tobytes()
    _set_pixel_data(
        out, data + b"\0" * (len(data) % 2), "OW" if image.header.item_bytes > 1 else "OB"
    )
    return out


def with_true_extremes(dataset: FileDataset, pixels: NDArray[Any]) -> FileDataset:
    """A copy of `dataset` whose smallest and largest pixel value are those of `pixels`.

    What is said of the series or a plane is no longer known and goes.
    """
    out = _copy(dataset)
    for keyword in _SERIES_EXTREMES:
        if keyword in out:
            delattr(out, keyword)
    vr = "SS" if np.issubdtype(pixels.dtype, np.signedinteger) else "US"
    for keyword, value in (
        ("SmallestImagePixelValue", int(pixels.min())),
        ("LargestImagePixelValue", int(pixels.max())),
    ):
        if keyword in out:
            out[keyword] = DataElement(out[keyword].tag, vr, value)
    return out


def _copy(dataset: FileDataset) -> FileDataset:
    """A copy whose elements can be replaced; their values are shared."""
    with quiet():
        out = FileDataset(
            "",
            dict(dataset._dict),
            dataset.preamble,
            copy.deepcopy(dataset.file_meta),
        )
    out.set_original_encoding(*dataset.original_encoding, dataset._read_charset)
    return out


def _set_pixel_data(dataset: FileDataset, data: bytes, vr: str) -> None:
    dataset[BaseTag(PIXEL_DATA)] = DataElement(
        BaseTag(PIXEL_DATA), vr, data, already_converted=True
    )


def _without_spare_bits(data: bytes, layout: Format, big_endian: bool) -> bytes:
    """Native pixel data of the right length whose bits beyond BitsStored say nothing."""
    expected = layout.native_bytes
    data = data[:expected]
    if layout.allocated == 1:
        used = layout.rows * layout.columns * layout.frames * layout.samples % 8
        if used:
            data = data[:-1] + bytes([data[-1] & (1 << used) - 1])
    elif layout.stored < layout.allocated:
        size = layout.allocated // 8
        values = np.frombuffer(data, f"{'>' if big_endian else '<'}{'ui'[layout.signed]}{size}")
        spare = layout.allocated - layout.stored
        shifted = (values.astype(values.dtype.newbyteorder("=")) << spare) >> spare
        data = shifted.astype(values.dtype).tobytes()
    return data + b"\0" * (len(data) % 2)


def _was_lossy(dataset: FileDataset) -> bool:
    syntax = dataset.file_meta.TransferSyntaxUID
    if text(dataset, "LossyImageCompression") == "01" or lossy_syntax(syntax):
        return True
    if str(syntax) in ("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.203"):
        layout = read_format(dataset)
        try:
            return any(
                dicom_j2k.irreversible(frame)
                for frame in dicom_frames.split(dataset, layout.frames)
            )
        except (ValueError, Withheld):
            return True
    return False
