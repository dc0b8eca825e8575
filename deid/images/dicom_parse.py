"""DICOM Part 10 files: the data set, and where the pixel data lie, found with bounded memory.

pydicom reads leniently: it warns about a file that ends inside an element and goes on. Here such a
file is ``malformed``, as is one without prefix or transfer syntax, one that the reader raises on,
and one whose sequences nest deeper than any real file's.
"""

from __future__ import annotations

import logging
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from pydicom import FileDataset, config
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import VR

from deid.images.dicom_stream import Stream, inflate, malformed
from deid.reasons import Withheld

#: Sequences nested deeper than this are an attack on the reader; the deepest real object known
#: here, a structured report, has 6 levels.
MAX_DEPTH = 48

PIXEL_DATA = 0x7FE00010
FLOAT_PIXEL_DATA = 0x7FE00008
DOUBLE_PIXEL_DATA = 0x7FE00009
_PIXEL_TAGS = (PIXEL_DATA, FLOAT_PIXEL_DATA, DOUBLE_PIXEL_DATA)

_KNOWN_VRS = frozenset((None, *(str(vr) for vr in VR)))
_UNDEFINED = 0xFFFFFFFF
_ITEM = 0xFFFEE000
_SEQUENCE_END = 0xFFFEE0DD


@dataclass(frozen=True)
class PixelElement:
    """Where the pixel data stand in the (inflated) stream.

    Attributes
    ----------
    tag, vr
        As encoded; `vr` is None in an implicit VR file.
    start, length
        Offset and bytes of the value; of encapsulated data from the offset table's item up to, not
        including, the sequence delimiter.
    fragments
        Lengths of the fragments, the offset table excluded; None for native data.
    """

    tag: int
    vr: str | None
    start: int
    length: int
    fragments: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Parsed:
    """A file's data set, and every item of its sequences (`levels`: see `walk`)."""

    dataset: FileDataset
    syntax: UID
    pixel: PixelElement | None
    levels: list[tuple[int, Dataset]]


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings and log lines within the block: pydicom's and its codecs' quote values."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def parse_file(path: Path) -> Parsed:
    """Read a file's data set; of its pixel data only the place.

    Raises
    ------
    Withheld
        ``unreadable``, ``malformed`` or ``too_large``.
    """
    try:
        size = os.stat(path).st_size
        with open(path, "rb") as file:
            return parse_stream(file, size)
    except OSError:
        raise Withheld("unreadable", "the file could not be read") from None


def read_file(path: Path) -> Parsed:
    """Read a file's data set, pixel data included (raises as `parse_file`)."""
    try:
        size = os.stat(path).st_size
        with open(path, "rb") as file:
            return parse_stream(file, size, with_pixels=True)
    except OSError:
        raise Withheld("unreadable", "the file could not be read") from None


def parse_stream(file: IO[bytes], size: int, *, with_pixels: bool = False) -> Parsed:
    """Read a data set out of an open Part 10 stream of `size` bytes.

    Raises
    ------
    Withheld
        ``malformed`` or ``too_large``.
    OSError
        When the medium fails.
    """
    with quiet():
        preamble, meta, syntax = _read_meta(Stream(file, size, size))
        held = size
        if syntax == DeflatedExplicitVRLittleEndian:
            file, size, held = inflate(file, whole=with_pixels)
        start = file.tell()
        try:
            reader = _Reader(Stream(file, size, held), syntax)
            return reader.read(preamble, meta, with_pixels=with_pixels)
        except Withheld:
            # A blank VR means a two-byte length by an old writer, or implicit VR in an explicit
            # file. pydicom takes it for the second; where that fails, the first is tried.
            file.seek(start)
            with _blank_vr_is_explicit():
                reader = _Reader(Stream(file, size, held), syntax)
                return reader.read(preamble, meta, with_pixels=with_pixels)


@contextmanager
def _blank_vr_is_explicit() -> Iterator[None]:
    before, config.assume_implicit_vr_switch = config.assume_implicit_vr_switch, False
    try:
        yield
    finally:
        config.assume_implicit_vr_switch = before


def _read_meta(stream: Stream) -> tuple[bytes, FileMetaDataset, UID]:
    preamble = stream.read(128)
    if stream.read(4) != b"DICM":
        raise malformed("not a DICOM Part 10 file: no DICM prefix")
    try:
        meta = _read_file_meta_info(cast(Any, stream))
        syntax = meta.get("TransferSyntaxUID")
    except Exception:
        raise malformed("the file meta information cannot be read") from None
    if not isinstance(syntax, UID) or not syntax:
        raise malformed("no transfer syntax UID")
    return preamble, meta, syntax


class _Reader:
    """One pass over the elements of a data set."""

    def __init__(self, stream: Stream, syntax: UID) -> None:
        self.stream = stream
        self.syntax = syntax
        self.implicit = syntax == ImplicitVRLittleEndian
        self.little = syntax != ExplicitVRBigEndian
        self._found: tuple[int, str | None, int, int] | None = None

    def read(self, preamble: bytes, meta: FileMetaDataset, *, with_pixels: bool) -> Parsed:
        header = self._elements() if self.stream.tell() < self.stream.size else Dataset()
        if not len(header):
            raise malformed("no element can be read")
        pixel = None
        while self._found is not None:
            tag, vr, length, start = self._found
            pixel = self._pixel_element(tag, vr, length, start)
            if with_pixels and tag == PIXEL_DATA:
                self.stream.seek(start)
                value = self.stream.read(pixel.length)
                header.add(_pixel_data(value, pixel))
            self._found = None
            delimiter = 0 if pixel.fragments is None else 8
            self.stream.seek(start + pixel.length + delimiter)
            if self.stream.tell() < self.stream.held:
                header.update(self._elements())
        if self.stream.short:
            raise malformed("the file ends inside an element")
        dataset = FileDataset("", header, preamble, meta, self.implicit, self.little)
        dataset.set_original_encoding(self.implicit, self.little, header._read_charset)
        return Parsed(dataset, self.syntax, pixel, list(walk(dataset)))

    def _elements(self) -> Dataset:
        """Read elements up to pixel data or the end of the file."""
        self._found = None
        try:
            dataset = read_dataset(
                cast(Any, self.stream), self.implicit, self.little, stop_when=self._stop
            )
        except RecursionError:
            raise malformed("sequences are nested too deeply") from None
        except Exception:
            raise malformed("the data set cannot be read") from None
        self.implicit = bool(dataset._read_implicit)
        for element in list(dataset._dict.values()):
            if element.tag.group == 0:
                raise malformed("command elements stand in the data set")
            if not isinstance(element, RawDataElement):
                continue
            if element.length not in (_UNDEFINED, len(element.value or b"")):
                self._refuse_long_header()
                raise malformed("the file ends inside an element")
            if element.VR not in _KNOWN_VRS:
                dataset._dict[element.tag] = element._replace(VR=_vr_of(element.tag))
        if self._found is None and (self.stream.short or self.stream.tell() < self.stream.size):
            # An undefined length without its end, say.
            self._refuse_long_header()
            raise malformed("the file ends inside an element")
        return dataset

    def _refuse_long_header(self) -> None:
        if self.stream.held < self.stream.size and self.stream.tell() >= self.stream.held:
            raise Withheld("too_large", "the elements before the pixel data inflate too far")

    def _stop(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        if tag not in _PIXEL_TAGS:
            return False
        self._found = (int(tag), vr, length, self.stream.tell())
        return True

    def _pixel_element(self, tag: int, vr: str | None, length: int, start: int) -> PixelElement:
        if length != _UNDEFINED:
            if start + length > self.stream.size:
                raise malformed("the file ends inside the pixel data")
            return PixelElement(tag, vr, start, length)
        unpack = struct.Struct("<HHL" if self.little else ">HHL").unpack
        fragments = []
        position = start
        while True:
            self.stream.seek(position)
            head = self.stream.read(8)
            if len(head) < 8:
                raise malformed("the file ends inside the pixel data")
            group, element, size = unpack(head)
            item = group << 16 | element
            if item == _SEQUENCE_END:
                break
            if item != _ITEM or size == _UNDEFINED:
                raise malformed("the encapsulated pixel data are not a list of items")
            position += 8 + size
            fragments.append(size)
        return PixelElement(tag, vr, start, position - start, tuple(fragments[1:]))


def _vr_of(tag: BaseTag) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


def _pixel_data(value: bytes, pixel: PixelElement) -> DataElement:
    encapsulated = pixel.fragments is not None
    vr = pixel.vr if pixel.vr in ("OB", "OW") else ("OB" if encapsulated else "OW")
    return DataElement(BaseTag(PIXEL_DATA), vr, value, is_undefined_length=encapsulated)


def walk(dataset: Dataset) -> Iterator[tuple[int, Dataset]]:
    """Every item of every sequence with the tag of the sequence (0 for `dataset` itself).

    Private sequences that are still raw bytes are left so: nothing of them is ever kept.

    Raises
    ------
    Withheld
        ``malformed`` where a sequence cannot be read or is nested too deeply.
    """
    waiting = [(0, 0, dataset)]
    while waiting:
        depth, tag, item = waiting.pop()
        yield tag, item
        for sequence_tag in _sequence_tags(item):
            if depth >= MAX_DEPTH:
                raise malformed("sequences are nested too deeply")
            try:
                sequence = item[sequence_tag].value
            except Exception:
                raise malformed("a sequence cannot be read") from None
            if isinstance(sequence, Sequence):
                waiting.extend((depth + 1, int(sequence_tag), inner) for inner in sequence)


def _sequence_tags(item: Dataset) -> list[BaseTag]:
    return [element.tag for element in item._dict.values() if _is_sequence(element)]


def _is_sequence(element: DataElement | RawDataElement) -> bool:
    if element.VR == "SQ":
        return not (isinstance(element, RawDataElement) and element.tag.is_private)
    if element.VR not in (None, "UN") or element.tag.is_private:
        return False
    return _vr_of(element.tag) == "SQ"
