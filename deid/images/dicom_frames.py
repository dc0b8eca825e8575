"""Encapsulated frames: cut out of the pixel data, cleaned, and put back."""

from __future__ import annotations

from collections.abc import Callable

from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, RLELossless

from deid.images import dicom_j2k, dicom_j2k_blocks, dicom_jpeg, dicom_rle
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


def can_clean(syntax: UID) -> bool:
    """Whether `clean` knows how frames of this transfer syntax are built."""
    return syntax == RLELossless or str(syntax) in _STRIPS


def clean(frames: list[bytes], syntax: UID, layout: Format) -> list[bytes]:
    """The frames without comments, application segments, boxes and all else that is no picture.

    Of run lengths, bits beyond BitsStored are emptied too (of signed values, filled with the sign),
    unless the sign stands in another byte: see `spare_bits_stay`.

    Raises
    ------
    Withheld
        ``undecodable`` where a frame cannot be followed to its end as what its transfer syntax
        says, or where this program does not know how the syntax is built.
    """
    strip = _STRIPS.get(str(syntax))
    if syntax == RLELossless:
        segments = layout.samples * layout.item_bytes
        plane = layout.rows * layout.columns
        values = _stored(layout) * layout.samples

        def strip(frame: bytes) -> bytes:
            return dicom_rle.strip(frame, plane, segments, values)

    if strip is None:
        raise Withheld("undecodable", "a transfer syntax whose comments this program cannot find")
    try:
        return [strip(frame) for frame in frames]
    except ValueError:
        raise Withheld(
            "undecodable", "a frame that can not be told from what it may hide"
        ) from None


def spare_bits_stay(syntax: UID, layout: Format) -> bool:
    """Whether `clean` leaves bits beyond BitsStored in frames that show them plainly."""
    spare = layout.allocated - layout.stored
    # Of a whole byte beyond them, the sign stands in the byte below.
    return syntax == RLELossless and layout.signed and spare >= 8


def may_hold_more(frames: list[bytes], syntax: UID) -> bool:
    """Whether frames, cleaned, may still hold bytes that no decoder needs."""
    j2k = str(syntax).removeprefix(_PREFIX) in _JPEG_2000
    return j2k and any(map(dicom_j2k_blocks.may_hold_more, frames))


def _stored(layout: Format) -> list[bytes | None]:
    """By byte of a sample, the highest first: its values without bits beyond BitsStored."""
    tables: list[bytes | None] = []
    for lowest in range(8 * (layout.item_bytes - 1), -8, -8):
        bits = layout.stored - lowest
        if bits >= 8 or layout.allocated == 1:
            tables.append(None)
        elif bits > 0:
            sign = 1 << bits - 1 if layout.signed else 0
            low = (1 << bits) - 1
            tables.append(bytes(((b & low ^ sign) - sign) & 0xFF for b in range(256)))
        else:
            tables.append(None if layout.signed else bytes(256))
    return tables


def join(frames: list[bytes]) -> bytes:
    """Pixel data with an offset table, one fragment a frame."""
    total = sum(len(frame) + 8 + len(frame) % 2 for frame in frames)
    return encapsulate(frames, has_bot=total < _TABLE_LIMIT)
