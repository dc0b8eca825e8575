"""JPEG 2000 says each thing in one way: a text in the choice between two, or in a rest, is gone."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from deid.images import dicom, dicom_j2k, dicom_j2k_blocks
from deid.reasons import Withheld

WORDS = b"MUELLER^ANNA 1951"
VALUES = np.random.default_rng(1).integers(0, 256, (64, 64), dtype=np.uint8)


def encoded(values: np.ndarray = VALUES, **options) -> bytes:
    """A stripped codestream; of one resolution, and so of one code-block, unless asked for more."""
    buffer = io.BytesIO()
    options = {"num_resolutions": 1, "codeblock_size": (64, 64), **options}
    Image.fromarray(values).save(buffer, "JPEG2000", no_jp2=True, **options)
    return dicom_j2k.strip(buffer.getvalue())


def data_of(stream: bytes) -> bytes:
    return stream[stream.index(b"\xff\x93") + 2 : -2]


def with_data(stream: bytes, data: bytes) -> bytes:
    """Another tile of the same picture."""
    at = stream.index(b"\xff\x90\x00\x0a")
    length = struct.pack(">I", 14 + len(data))
    return stream[: at + 6] + length + stream[at + 10 : at + 14] + data + b"\xff\xd9"


def with_parameters(stream: bytes, marker: int, at: int, values: bytes) -> bytes:
    """Other parameters of a segment of the main header."""
    start = stream.index(struct.pack(">H", marker)) + 4 + at
    return stream[:start] + values + stream[start + len(values) :]


def packed(bits: list[int]) -> bytes:
    out = bytearray()
    while bits:
        width = 7 if out[-1:] == b"\xff" else 8
        chunk, bits = bits[:width], bits[width:]
        chunk += [0] * (width - len(chunk))
        out.append(sum(bit << width - 1 - at for at, bit in enumerate(chunk)))
    return bytes(out) + (b"\0" if out[-1:] == b"\xff" else b"")


#: The packet of the one block, before its length: not empty, included, a bit plane that is empty,
#: 22 passes; their length has 7 digits or more.
_BEFORE = [1, 1, 0, 1, 1, 1, 1, 1, *(1, 0, 0, 0, 0)]
_DIGITS = 7


def spelt(body: bytes, *, more: int = 0) -> bytes:
    """A packet of one block with these bytes, their length of `more` digits than it needs."""
    digits = max(_DIGITS, len(body).bit_length()) + more
    bits = [*_BEFORE, *[1] * (digits - _DIGITS), 0]
    bits += [len(body) >> place & 1 for place in range(digits - 1, -1, -1)]
    return packed(bits) + body


def block_of(stream: bytes) -> bytes:
    """The bytes of the only code-block: what an encoder's packet has behind its header."""
    data = data_of(stream)
    return next(data[at:] for at in range(2, 9) if spelt(data[at:]) == data)


def dicom_of(make_dicom: Callable, frame: bytes) -> dicom.FileDataset:
    dataset = make_dicom(VALUES[None])
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return dataset


def test_a_rest_of_a_code_block_is_gone_and_the_values_stay(make_dicom, save) -> None:
    plain = encoded()
    planted = with_data(plain, spelt(block_of(plain) + WORDS))
    assert dicom_j2k.strip(planted) == planted
    for frame, syntax in ((plain, JPEG2000Lossless), (planted, ExplicitVRLittleEndian)):
        path = save(dicom_of(make_dicom, frame))
        image = dicom.read(path, dicom.inspect(path))
        np.testing.assert_array_equal(image.pixels[0], VALUES)
        data = dicom.encode(image, edited=False, dataset=image.dataset)
        assert WORDS not in data
        assert dicom.agrees(image, data, edited=False)
        assert dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID == syntax


def test_where_nothing_is_decoded_a_rest_of_a_code_block_withholds(make_dicom, save) -> None:
    plain = encoded()
    planted = with_data(plain, spelt(block_of(plain) + WORDS))
    for frame, fits in ((plain, True), (planted, False)):
        path = save(dicom_of(make_dicom, frame))
        image = dicom.read(path, dicom.inspect(path, decode=False), decode=False)
        if fits:
            assert dicom.encode(image, edited=False, dataset=image.dataset)
            continue
        with pytest.raises(Withheld) as withheld:
            dicom.encode(image, edited=False, dataset=image.dataset)
        assert withheld.value.reason == "undecodable"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_resolutions": 4, "codeblock_size": (16, 16)},
        {"quality_layers": [20, 5, 1], "irreversible": True, "num_resolutions": 3},
        {"tile_size": (32, 32), "precinct_size": (32, 32), "num_resolutions": 3},
    ],
)
def test_no_rest_is_seen_in_what_an_encoder_writes(options: dict, capfd) -> None:
    for values in (VALUES, np.stack([VALUES, VALUES.T, VALUES[::-1]], -1)):
        assert not dicom_j2k_blocks.may_hold_more(encoded(values, **options))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("style", [0x01, 0x04, 0x40])
def test_of_blocks_in_segments_nothing_tells_that_they_have_no_rest(style: int) -> None:
    assert dicom_j2k_blocks.may_hold_more(with_parameters(encoded(), 0xFF52, 8, bytes([style])))


def test_a_stream_that_does_not_decode_may_hold_more() -> None:
    plain = encoded()
    assert dicom_j2k_blocks.may_hold_more(with_data(plain, data_of(plain)[:1000]))


#: A flat picture in three layers: the last two have nothing to add.
LAYERS = {"quality_layers": [30, 20, 10], "num_resolutions": 2}


def test_a_packet_that_says_it_is_empty_says_no_more() -> None:
    flat = encoded(np.full((64, 64), 128, np.uint8), **LAYERS)
    silent = with_data(flat, bytes(6))
    assert dicom_j2k.strip(silent) == silent
    for at in range(6):
        with pytest.raises(ValueError, match="last bits"):
            dicom_j2k.strip(with_data(flat, bytes(at) + b"M" + bytes(5 - at)))
    # Zero and one, then nothing: two ways of one packet, that spell a number.
    one_way, both = with_data(flat, b"\x80" * 6), with_data(flat, b"\x80\0\x80\x80\0\0")
    assert dicom_j2k.strip(one_way) == one_way
    with pytest.raises(ValueError, match="two kinds"):
        dicom_j2k.strip(both)


def test_bits_that_fill_a_packet_header_are_zero() -> None:
    plain = encoded()
    data = data_of(plain)
    at = len(data) - len(block_of(plain)) - 1
    planted = data[:at] + bytes([data[at] | 1]) + data[at + 1 :]
    with pytest.raises(ValueError, match="last bits"):
        dicom_j2k.strip(with_data(plain, planted))


@pytest.mark.parametrize("more", [1, 7])
def test_a_length_has_no_digits_that_it_does_not_need(more: int) -> None:
    plain = encoded()
    with pytest.raises(ValueError, match="digits"):
        dicom_j2k.strip(with_data(plain, spelt(block_of(plain), more=more)))


def test_a_block_has_no_more_passes_than_bit_planes_ask_for() -> None:
    # One guard bit, and so one bit plane, less than the encoder counted.
    with pytest.raises(ValueError, match="more coding passes"):
        dicom_j2k.strip(with_parameters(encoded(), 0xFF5C, 0, b"\x20"))


@pytest.mark.parametrize(
    ("marker", "at", "values"),
    [
        (0xFF51, 10, b"MARY"),
        (0xFF51, 14, b"\0\0\0\1"),
        (0xFF51, 26, b"\0\0\0\1"),
        (0xFF51, 30, b"\0\0\0\1"),
        (0xFF51, 37, b"M"),
        (0xFF51, 38, b"M"),
        (0xFF52, 0, b"\x08"),
        (0xFF52, 2, b"\0\x21"),
        (0xFF52, 2, b"\0\0"),
        (0xFF52, 4, b"\x02"),
        (0xFF52, 8, b"\x80"),
        (0xFF52, 9, b"\x02"),
        (0xFF52, 10, b"\x67"),
        (0xFF52, 10, b"\x88\x77\x77"),
        (0xFF52, 10, b"\x66\x88\x88"),
        (0xFF5C, 2, b"\x90"),
        (0xFF5C, 4, b"\x40"),
    ],
)
def test_numbers_in_the_header_that_no_encoder_writes_are_refused(
    marker: int, at: int, values: bytes
) -> None:
    plain = encoded(num_resolutions=3, precinct_size=(256, 256))
    assert dicom_j2k.strip(plain) == plain
    with pytest.raises(ValueError, match="header"):
        dicom_j2k.strip(with_parameters(plain, marker, at, values))


def test_the_profile_is_written_as_none() -> None:
    plain = encoded()
    assert dicom_j2k.strip(with_parameters(plain, 0xFF51, 0, b"\x0f\xed")) == plain


def test_tile_parts_become_one_a_tile_in_their_order() -> None:
    plain = encoded(tile_size=(32, 32), codeblock_size=(32, 32))
    first = plain.index(b"\xff\x90\x00\x0a")
    parts, at = [], first
    while at < len(plain) - 2:
        length = int.from_bytes(plain[at + 6 : at + 10], "big")
        parts.append(plain[at + 14 : at + length])
        at += length

    def part(tile: int, number: int, data: bytes) -> bytes:
        return struct.pack(">HHHIBBH", 0xFF90, 10, tile, 14 + len(data), number, 77, 0xFF93) + data

    halves = [part(3 - tile, 0, parts[3 - tile][:20]) for tile in range(4)]
    halves += [part(tile, 1, parts[tile][20:]) for tile in range(4)]
    assert dicom_j2k.strip(plain[:first] + b"".join(halves) + b"\xff\xd9") == plain
    beyond = plain[:-2] + part(0x4D41, 0, b"")
    with pytest.raises(ValueError, match="outside"):
        dicom_j2k.strip(beyond + b"\xff\xd9")


@pytest.mark.parametrize("flags", [2, 4, 6])
def test_markers_around_packets_are_those_that_the_header_promises(flags: int) -> None:
    plain = encoded()
    data, body = data_of(plain), block_of(plain)
    head = data[: -len(body)]
    marked = with_parameters(plain, 0xFF52, 0, bytes([flags]))
    start = b"\xff\x91\0\4\0\0" if flags & 2 else b""
    full = start + head + (b"\xff\x92" if flags & 4 else b"") + body
    assert dicom_j2k.strip(with_data(marked, full)) == with_data(marked, full)
    for other in (data, full.replace(b"\0\4\0\0", b"\0\4MU", 1)):
        if other != full:
            with pytest.raises(ValueError, match="no marker"):
                dicom_j2k.strip(with_data(marked, other))


def test_a_node_of_a_tag_tree_is_the_least_below_it() -> None:
    plain = encoded(np.tile(VALUES, (1, 2)))

    def two(second: list[int]) -> bytes:
        """Two blocks of one pass and no byte: the node above them says 0, the first of them 1."""
        included, passes, length = [1, 1], [0], [0, 0, 0, 0]
        first = [1, *included, *[1, 0, 1], *passes, *length]
        return with_data(plain, packed([*first, 1, *second, *passes, *length]))

    assert dicom_j2k.strip(two([1])) == two([1])
    with pytest.raises(ValueError, match="tag tree"):
        dicom_j2k.strip(two([0, 1]))
