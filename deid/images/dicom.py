"""DICOM files: a look at the header, the pixels, and the way back into a file.

The order in which a file is refused is fixed: malformed, then no image, then not decodable.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deid.images import dicom_facts, dicom_kind
from deid.images.dicom_facts import Format
from deid.images.dicom_lut import plain, view
from deid.images.dicom_parse import Parsed, parse_file, parse_stream, quiet, read_file
from deid.images.dicom_pixels import can_clean, check_decodable, decode
from deid.images.dicom_write import (
    with_native_pixels,
    with_pixels_as_encoded,
    with_pixels_unread,
    with_true_extremes,
    write,
)
from deid.images.record import Geometry, Header, Image, Meaning
from deid.reasons import Withheld

if TYPE_CHECKING:
    from pydicom import FileDataset

__all__ = ["agrees", "encode", "inspect", "plain", "read", "supports_edit", "view"]

#: Photometric interpretations in which changed pixels can be written.
_EDITABLE = ("MONOCHROME1", "MONOCHROME2", "RGB")


def inspect(path: Path, *, decode: bool = True) -> Header:
    """What the file says of itself; no pixel is read.

    Parameters
    ----------
    decode
        False where the pixels are to stay as encoded: then a file that no decoder reads is as good
        as any whose pixel data this program can clean, and its size is given as 0.

    Raises
    ------
    Withheld
        ``unreadable``, ``malformed``, ``not_image``, ``undecodable`` or ``too_large``.
    """
    return _header(parse_file(path), decode=decode)


def _header(parsed: Parsed, *, decode: bool = True) -> Header:
    with quiet():
        if not dicom_kind.is_image(parsed):
            raise Withheld("not_image", "an object that is no image")
        dataset = parsed.dataset
        witnesses = dicom_kind.region_witnesses(parsed)
        try:
            layout: Format | None = check_decodable(parsed)
        except Withheld as withheld:
            if decode or withheld.reason != "undecodable" or not can_clean(parsed):
                raise
            layout = None
        stack, order = dicom_facts.stack_place(dataset, layout) if layout else (None, 0.0)
        return Header(
            format="dicom",
            rows=layout.rows if layout else 0,
            columns=layout.columns if layout else 0,
            frames=layout.frames if layout else 0,
            samples=layout.samples if layout else 1,
            item_bytes=layout.item_bytes if layout else 1,
            modality=dicom_kind.modality(dataset),
            region=dicom_kind.region(dataset, witnesses),
            head=dicom_kind.head_in_view(parsed, witnesses),
            section=dicom_kind.section(parsed),
            issuer=dicom_kind.text(dataset, "IssuerOfPatientID"),
            patient=dicom_kind.text(dataset, "PatientID"),
            study=dicom_kind.text(dataset, "StudyInstanceUID"),
            series=dicom_kind.text(dataset, "SeriesInstanceUID"),
            instance=dicom_kind.text(dataset, "SOPInstanceUID"),
            stack=stack,
            order=order,
            side=dicom_facts.side(dataset),
            view=dicom_kind.text(dataset, "ViewPosition").upper(),
            sex=dicom_facts.sex(dataset),
            age=dicom_facts.age(dataset),
        )


def read(path: Path, header: Header, *, decode: bool = True) -> Image:
    """Decode the pixels as stored values.

    Parameters
    ----------
    decode
        False leaves them as encoded; `Image.pixels` is then empty.

    Raises
    ------
    Withheld
        As `inspect`, and ``undecodable`` where the decoders fail.
    """
    parsed = read_file(path)
    if decode:
        return _image(parsed, header)
    nothing = np.empty((0, 0, 0), np.uint8)
    return Image(header, nothing, Meaning("", 0, False), Geometry(), parsed.dataset)


def _image(parsed: Parsed, header: Header) -> Image:
    layout = check_decodable(parsed)
    dataset = parsed.dataset
    decoded = decode(dataset)
    with quiet():
        return Image(
            header=header,
            pixels=decoded.pixels,
            meaning=dicom_facts.read_meaning(dataset, layout, decoded.photometric),
            geometry=dicom_facts.read_geometry(dataset),
            dataset=dataset,
            native=decoded.stray,
        )


def supports_edit(image: Image) -> bool:
    """Whether changed pixels can be written: grey or RGB, whole bytes a sample."""
    return (
        image.meaning.photometric in _EDITABLE
        and image.dataset is not None
        and image.dataset.BitsAllocated > 1
    )


def encode(image: Image, *, edited: bool, dataset: FileDataset | None = None) -> bytes:
    """The whole output file.

    Parameters
    ----------
    image
        What is to be written; of an edited image, with the new pixels.
    edited
        False leaves the transfer syntax and the frames as encoded, minus comments, application
        segments, boxes, bits beyond BitsStored and trailing bytes. True writes `image.pixels`
        natively, Explicit VR Little Endian.
    dataset
        The data set with clean tags, still with the pixel data of the input.

    Raises
    ------
    Withheld
        ``unsupported_edit``, or ``undecodable`` where frames cannot be cleaned.
    """
    if dataset is None:
        raise ValueError("a DICOM image is written with its cleaned data set")
    if not image.pixels.size:
        return write(with_pixels_unread(dataset))
    if not edited:
        return write(with_pixels_as_encoded(dataset, image))
    if not supports_edit(image):
        raise Withheld("unsupported_edit", "editing this photometric interpretation")
    return write(with_true_extremes(with_native_pixels(dataset, image), image.pixels))


def agrees(image: Image, data: bytes, *, edited: bool) -> bool:
    """Read `data` anew: the same values, the same meaning, the same geometry?

    Of an image that was not decoded, the header alone can agree.
    """
    try:
        parsed = parse_stream(io.BytesIO(data), len(data), with_pixels=True)
        if not image.pixels.size:
            found, meant = _header(parsed, decode=False), image.header
            return (found.rows, found.columns, found.frames, found.samples) == (
                (meant.rows, meant.columns, meant.frames, meant.samples)
            )
        again = _image(parsed, _header(parsed))
    except Withheld:
        return False
    return (
        again.pixels.dtype == image.pixels.dtype
        and np.array_equal(again.pixels, image.pixels)
        and _same_meaning(again.meaning, image.meaning)
        and _same_geometry(again.geometry, image.geometry)
        and not again.native
        and (not edited or parsed.syntax == "1.2.840.10008.1.2.1")
    )


def _same_meaning(one: Meaning, other: Meaning) -> bool:
    """Decoded, the colours of YBR_FULL_422 are those of YBR_FULL."""
    return replace(one, photometric=one.photometric.removesuffix("_422")) == replace(
        other, photometric=other.photometric.removesuffix("_422")
    )


def _same_geometry(one: Geometry, other: Geometry) -> bool:
    return one.spacing == other.spacing
