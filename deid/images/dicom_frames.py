"""Encapsulated frames: cut out of the pixel data, cleaned, and put back."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, RLELossless

from deid.images import dicom_j2k, dicom_jpeg, dicom_rle
from deid.images.dicom_facts import Format
from deid.images.dicom_parse import quiet
from deid.reasons import Withheld

#: Offsets of the basic offset table have 32 bits; beyond, readers find the frames by their items.
_TABLE_LIMIT = 2**32 - 1

_JPEG = ("50", "51", "53", "55", "57", "70", "80", "81")
_JPEG_2000 = ("90", "91", "92", "93", "201", "202", "203")
_PREFIX = "1.2.840.10008.1.2.4."

Size = Callable[[bytes], tuple[int, int]]
_SIZES: dict[str, Size] = {
    **{_PREFIX + last: dicom_jpeg.size for last in _JPEG},
    **{_PREFIX + last: dicom_j2k.size for last in _JPEG_2000},
}
_STRIPS: dict[str, Callable[[bytes], bytes]] = {
    **{_PREFIX + last: dicom_jpeg.strip for last in _JPEG},
    **{_PREFIX + last: dicom_j2k.strip for last in _JPEG_2000},
}


def split(dataset: Dataset, frames: int) -> list[bytes]:
    """The encoded frames, one `bytes` each; what stands behind the last is left out.

    Raises
    ------
    Withheld
        ``undecodable`` where there are fewer, or their bounds cannot be told.
    """
    offsets = None
    if "ExtendedOffsetTable" in dataset and "ExtendedOffsetTableLengths" in dataset:
        offsets = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
    found: list[bytes] = []
    try:
        with quiet():
            for frame in generate_frames(
                dataset.PixelData, number_of_frames=frames, extended_offsets=offsets
            ):
                found.append(frame)
                if len(found) == frames:
                    break
    except Exception:
        raise Withheld("undecodable", "the frames cannot be told apart") from None
    if len(found) < frames:
        raise Withheld("undecodable", "there are fewer frames than the header says")
    return found


def check_sizes(frames: list[bytes], syntax: UID, layout: Format) -> None:
    """Raise where a codestream claims more pixels than the header: decoders believe the stream.

    Raises
    ------
    Withheld
        ``undecodable``.
    """
    size = _SIZES.get(str(syntax))
    if size is None:
        return
    for frame in frames:
        try:
            rows, columns = size(frame)
        except ValueError:
            raise Withheld("undecodable", "a frame is no codestream of its kind") from None
        if rows > layout.rows or columns > layout.columns:
            raise Withheld("undecodable", "a frame is larger than the header says")


def clean(frames: list[bytes], syntax: UID, layout: Format) -> list[bytes]:
    """The frames without comments, application segments, boxes and trailing bytes.

    Raises
    ------
    Withheld
        ``undecodable`` where a frame is not what its transfer syntax says, or where this program
        does not know how the syntax is built.
    """
    strip = _STRIPS.get(str(syntax))
    if syntax == RLELossless:
        segments = layout.samples * layout.item_bytes
        plane = layout.rows * layout.columns

        def strip(frame: bytes) -> bytes:
            return dicom_rle.strip(frame, plane, segments)

    if strip is None:
        raise Withheld("undecodable", "a transfer syntax whose comments this program cannot find")
    try:
        return [strip(frame) for frame in frames]
    except ValueError:
        raise Withheld("undecodable", "a frame is no codestream of its kind") from None


def join(frames: list[bytes]) -> bytes:
    """Pixel data with an offset table, one fragment a frame."""
    total = sum(len(frame) + 8 + len(frame) % 2 for frame in frames)
    return encapsulate(frames, has_bot=total < _TABLE_LIMIT)
