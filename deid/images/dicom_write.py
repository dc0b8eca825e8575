"""Writing a DICOM image back: as encoded where nothing was edited, natively where it was."""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import FileDataset, dcmwrite
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSTransferSyntaxes,
)

from deid.images import dicom_frames, dicom_j2k
from deid.images.dicom_facts import Format, lossy_syntax, read_format
from deid.images.dicom_kind import text
from deid.images.dicom_parse import PIXEL_DATA, quiet
from deid.images.dicom_pixels import NATIVE, decode
from deid.images.record import Image
from deid.reasons import Withheld

#: Elements of the pixel data's own layout that are rebuilt or no longer true.
_OFFSET_TABLES = ("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
#: LossyImageCompressionMethod (PS3.3 C.7.6.1.1.5.1) by transfer syntax.
_LOSSY_METHODS = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.51": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
    "1.2.840.10008.1.2.4.203": "ISO_15444_15",
}
_LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
_SERIES_EXTREMES = (
    "SmallestPixelValueInSeries",
    "LargestPixelValueInSeries",
    "SmallestImagePixelValueInPlane",
    "LargestImagePixelValueInPlane",
)


def write(dataset: FileDataset) -> bytes:
    """The bytes of a Part 10 file.

    Raises
    ------
    Withheld
        ``verify_failed`` where a value cannot be written (pydicom's own message would quote it).
    """
    buffer = io.BytesIO()
    try:
        with quiet():
            dcmwrite(buffer, dataset, enforce_file_format=True)
    except Exception:
        raise Withheld("verify_failed", "the data set cannot be written") from None
    return buffer.getvalue()


def with_pixels_as_encoded(dataset: FileDataset, image: Image) -> FileDataset:
    """A copy of `dataset` whose frames are as encoded, minus all that is no picture.

    Where bits beyond BitsStored of a codestream hold something, or bytes within it that no decoder
    needs, only decoding takes them away: then the frames of `image` are written natively.

    Raises
    ------
    Withheld
        ``undecodable`` where the frames cannot be cleaned.
    """
    if image.native:
        return with_native_pixels(dataset, image)
    out, more = _cleaned(dataset)
    if more:
        return with_native_pixels(dataset, image)
    if "PixelData" in out and out.file_meta.TransferSyntaxUID not in NATIVE:
        _state_colour(out, image)
    return out


def _cleaned(dataset: FileDataset) -> tuple[FileDataset, bool]:
    """A copy whose pixel data hold nothing but the picture, whether or not they were decoded.

    And whether there may be more in them all the same.
    """
    out = _copy(dataset)
    if not out.get("PixelData"):
        return out, False
    layout = read_format(out)
    syntax = out.file_meta.TransferSyntaxUID
    if syntax in NATIVE:
        data = _without_spare_bits(out.PixelData, layout, syntax == ExplicitVRBigEndian)
        _set_pixel_data(out, data, out["PixelData"].VR)
        return out, False
    frames = dicom_frames.split(dataset, layout.frames)
    dicom_frames.check_sizes(frames, syntax, layout)
    cleaned = dicom_frames.clean(frames, syntax, layout)
    _set_pixel_data(out, dicom_frames.join(cleaned), "OB")
    return out, dicom_frames.may_hold_more(cleaned, syntax)


def _state_colour(dataset: FileDataset, image: Image) -> None:
    """Let the header say what a JPEG's JFIF segment, now gone, said against it.

    The colour transforms of JPEG 2000 are part of the codestream and stay named.
    """
    meant = image.meaning.photometric
    declared = text(dataset, "PhotometricInterpretation")
    if meant not in ("", declared) and declared not in ("YBR_ICT", "YBR_RCT"):
        if meant == "YBR_FULL" and dataset.file_meta.TransferSyntaxUID in _LOSSY_JPEG:
            # The name that PS3.5 8.2.1 has for it there, subsampled or not.
            meant = "YBR_FULL_422"
        _put(dataset, "PhotometricInterpretation", meant)


def with_pixels_unread(dataset: FileDataset) -> FileDataset:
    """As `with_pixels_as_encoded`, for a run that decodes nothing.

    What no decoder reads is written all the same if its structure can be followed to the end. Data
    of JPEG-LS and JPEG 2000 only a decoder can follow, so that they are decoded for this alone.

    Raises
    ------
    Withheld
        ``undecodable`` where it cannot be, so that nobody knows what is picture and what is not.
    """
    if dataset.get("PixelData"):
        syntax = dataset.file_meta.TransferSyntaxUID
        stray = syntax in JPEGLSTransferSyntaxes and decode(dataset).stray
        if stray or dicom_frames.spare_bits_stay(syntax, read_format(dataset)):
            raise Withheld("undecodable", "bits beyond BitsStored that only decoding takes away")
    out, more = _cleaned(dataset)
    if more:
        raise Withheld("undecodable", "code-blocks that may hold more than their passes need")
    return out


def with_native_pixels(dataset: FileDataset, image: Image) -> FileDataset:
    """A copy of `dataset` that holds the image's pixels, Explicit VR Little Endian."""
    out = _copy(dataset)
    if _was_lossy(dataset):
        _put(out, "LossyImageCompression", "01")
        _state_loss(out)
    if out.file_meta.TransferSyntaxUID == ExplicitVRBigEndian:
        _swap_words(out)
    _put(out.file_meta, "TransferSyntaxUID", ExplicitVRLittleEndian)
    _put(out, "PhotometricInterpretation", image.meaning.photometric)
    if image.header.samples == 3:
        _put(out, "PlanarConfiguration", 0)
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


def _state_loss(dataset: FileDataset) -> None:
    """How the loss came about, where only the transfer syntax, now given up, said so.

    PS3.3 C.7.6.1 asks for method and ratio beside LossyImageCompression; a header that names an
    earlier loss is believed.
    """
    method = _LOSSY_METHODS.get(str(dataset.file_meta.TransferSyntaxUID))
    if method is None:
        return
    if "LossyImageCompressionMethod" not in dataset:
        _put(dataset, "LossyImageCompressionMethod", method)
    if "LossyImageCompressionRatio" not in dataset:
        ratio = read_format(dataset).native_bytes / max(1, len(dataset.PixelData))
        _put(dataset, "LossyImageCompressionRatio", f"{ratio:.2f}")


def with_true_extremes(dataset: FileDataset, pixels: NDArray[Any]) -> FileDataset:
    """A copy of `dataset` whose smallest and largest pixel value are those of `pixels`.

    What is said of the series or a plane is no longer known and goes, and what 16 bits do not hold.
    """
    out = _copy(dataset)
    for keyword in _SERIES_EXTREMES:
        if keyword in out:
            delattr(out, keyword)
    vr = "SS" if np.issubdtype(pixels.dtype, np.signedinteger) else "US"
    limits = np.iinfo(np.int16 if vr == "SS" else np.uint16)
    for keyword, value in (
        ("SmallestImagePixelValue", int(pixels.min())),
        ("LargestImagePixelValue", int(pixels.max())),
    ):
        if keyword not in out:
            continue
        if limits.min <= value <= limits.max:
            _put(out, keyword, value, vr)
        else:
            delattr(out, keyword)
    return out


def _copy(dataset: FileDataset) -> FileDataset:
    """A copy whose elements can be replaced (`_put`); setting one's value would change both."""
    with quiet():
        out = FileDataset(
            "",
            dict(dataset._dict),
            dataset.preamble,
            FileMetaDataset(dict(dataset.file_meta._dict)),
        )
    implicit, little = dataset.original_encoding
    out.set_original_encoding(implicit, little, dataset._read_charset)
    for keyword in _OFFSET_TABLES:
        if keyword in out:
            delattr(out, keyword)
    return out


def _put(dataset: Dataset, keyword: str, value: Any, vr: str | None = None) -> None:
    """Set an attribute by a new element."""
    tag = BaseTag(tag_for_keyword(keyword) or 0)
    dataset[tag] = DataElement(tag, vr or dictionary_VR(tag), value)


def _swap_words(dataset: Dataset) -> None:
    """Turn lookup tables that stand as words (OW) from big to little endian; pydicom does not."""
    for element in list(dataset):
        if element.VR == "OW" and element.tag != PIXEL_DATA and isinstance(element.value, bytes):
            # An odd byte at the end, which only a broken file has, is no word.
            words = np.frombuffer(element.value, ">u2", len(element.value) // 2)
            swapped = words.astype("<u2").tobytes()
            dataset[element.tag] = DataElement(element.tag, "OW", swapped)
        elif element.VR == "SQ":
            items = copy.deepcopy(element.value)
            for item in items:
                _swap_words(item)
            dataset[element.tag] = DataElement(element.tag, "SQ", items)


def _set_pixel_data(dataset: FileDataset, data: bytes, vr: str) -> None:
    dataset[BaseTag(PIXEL_DATA)] = DataElement(
        BaseTag(PIXEL_DATA), vr, data, already_converted=True
    )


def _without_spare_bits(data: bytes, layout: Format, big_endian: bool) -> bytes:
    """Native pixel data whose bits beyond BitsStored say nothing.

    Raises
    ------
    Withheld
        ``undecodable`` where they are not as long as the header says, but for a pad byte.
    """
    expected = layout.native_bytes
    if not expected <= len(data) <= expected + 1:
        raise Withheld("undecodable", "the pixel data do not have the size the header says")
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
