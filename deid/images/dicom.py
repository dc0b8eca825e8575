"""DICOM files: a look at the header, the pixels, and the way back into a file.

The order in which a file is refused is fixed: malformed, then no image, then not decodable.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deid.images import dicom_facts, dicom_kind
from deid.images.dicom_lut import plain, view
from deid.images.dicom_parse import Parsed, parse_file, parse_stream, quiet, read_file
from deid.images.dicom_pixels import check_decodable, decode
from deid.images.dicom_write import (
    with_native_pixels,
    with_pixels_as_encoded,
    with_true_extremes,
    write,
)
from deid.images.record import Geometry, Header, Image
from deid.reasons import Withheld

if TYPE_CHECKING:
    from pydicom import FileDataset

__all__ = ["agrees", "encode", "inspect", "plain", "read", "supports_edit", "view"]

#: Photometric interpretations in which changed pixels can be written.
_EDITABLE = ("MONOCHROME1", "MONOCHROME2", "RGB")


def inspect(path: Path) -> Header:
    """What the file says of itself; no pixel is read.

    Raises
    ------
    Withheld
        ``unreadable``, ``malformed``, ``not_image``, ``undecodable`` or ``too_large``.
    """
    return _header(parse_file(path))


def _header(parsed: Parsed) -> Header:
    with quiet():
        if not dicom_kind.is_image(parsed):
            raise Withheld("not_image", "an object that is no image")
        layout = check_decodable(parsed)
        dataset = parsed.dataset
        stack, order = dicom_facts.stack_place(dataset, layout)
        return Header(
            format="dicom",
            rows=layout.rows,
            columns=layout.columns,
            frames=layout.frames,
            samples=layout.samples,
            item_bytes=layout.item_bytes,
            modality=dicom_kind.modality(dataset),
            region=dicom_kind.region(dataset),
            head=dicom_kind.head_in_view(parsed),
            issuer=dicom_kind.text(dataset, "IssuerOfPatientID"),
            patient=dicom_kind.text(dataset, "PatientID"),
            study=dicom_kind.text(dataset, "StudyInstanceUID"),
            series=dicom_kind.text(dataset, "SeriesInstanceUID"),
            instance=dicom_kind.text(dataset, "SOPInstanceUID"),
            stack=stack,
            order=order,
            side=dicom_facts.side(dataset),
        )


def read(path: Path, header: Header) -> Image:
    """Decode the pixels as stored values.

    Raises
    ------
    Withheld
        As `inspect`, and ``undecodable`` where the decoders fail.
    """
    return _image(read_file(path), header)


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
    if not edited:
        return write(with_pixels_as_encoded(dataset, bool(image.native), image))
    if not supports_edit(image):
        raise Withheld("unsupported_edit", "editing this photometric interpretation")
    return write(with_true_extremes(with_native_pixels(dataset, image), image.pixels))


def agrees(image: Image, data: bytes, *, edited: bool) -> bool:
    """Read `data` anew: the same values, the same meaning, the same geometry?"""
    try:
        parsed = parse_stream(io.BytesIO(data), len(data), with_pixels=True)
        again = _image(parsed, _header(parsed))
    except Withheld:
        return False
    return (
        again.pixels.dtype == image.pixels.dtype
        and np.array_equal(again.pixels, image.pixels)
        and again.meaning == image.meaning
        and _same_geometry(again.geometry, image.geometry)
        and not again.native
        and (not edited or parsed.syntax == "1.2.840.10008.1.2.1")
    )


def _same_geometry(one: Geometry, other: Geometry) -> bool:
    return one.spacing == other.spacing
