"""Codestreams without comments: the words are gone, the picture is the same."""

from __future__ import annotations

import io
import itertools
import re
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from deid.images import dicom_frames, dicom_j2k, dicom_jpeg, dicom_rle
from deid.images.dicom_facts import Format
from deid.images.dicom_pixels import decode
from deid.reasons import Withheld

WORDS = b"MUELLER^ANNA 1951"
LAYOUT = Format(32, 40, 1, 1, 8, 8, False, "MONOCHROME2")


def picture(bits: int = 8) -> np.ndarray:
    """A ramp with noise, (1, 32, 40)."""
    rng = np.random.default_rng(3)
    ramp = np.linspace(0, 2**bits - 40, 32 * 40).reshape(1, 32, 40)
    return (ramp + rng.integers(0, 30, ramp.shape)).astype(f"u{bits // 8}")


def jpeg(mode: str = "L") -> bytes:
    buffer = io.BytesIO()
    values = picture()[0]
    if mode == "RGB":
        values = np.stack([values, values.T.reshape(values.shape), values[::-1]], -1)
    Image.fromarray(values).save(buffer, "JPEG", quality=90, comment=WORDS)
    return buffer.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def encoded(make_dicom, syntax: str, bits: int = 8) -> bytes:
    dataset = make_dicom(picture(bits), syntax=syntax)
    return next(generate_frames(dataset.PixelData, number_of_frames=1))


def decoded(make_dicom, frame: bytes, syntax: str, bits: int = 8) -> np.ndarray:
    dataset = make_dicom(picture(bits))
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    return decode(dataset).pixels


def test_jpeg_comments_and_application_segments_go_and_the_values_stay(make_dicom) -> None:
    plain = jpeg()
    full = plain[:2] + segment(0xE1, b"Exif\0\0" + WORDS) + segment(0xEE, WORDS) + plain[2:]
    full += WORDS
    stripped = dicom_jpeg.strip(full)
    assert full.count(WORDS) == 4
    assert WORDS not in stripped
    assert b"JFIF" not in stripped
    before = decoded(make_dicom, full, JPEGBaseline8Bit)
    np.testing.assert_array_equal(decoded(make_dicom, stripped, JPEGBaseline8Bit), before)


def test_adobes_colour_transform_stays_but_nothing_else_of_its_segment() -> None:
    adobe = b"Adobe" + struct.pack(">HHHB", 101, 0x4142, 0x4344, 1)
    plain = jpeg("RGB")
    stripped = dicom_jpeg.strip(plain[:2] + segment(0xEE, adobe + WORDS) + plain[2:])
    bodies = [part.body for part in dicom_jpeg.segments(stripped) if part.marker == 0xEE]
    assert bodies == [b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 1)]


def test_room_inside_a_huffman_table_segment_is_refused() -> None:
    plain = jpeg()
    table = next(part for part in dicom_jpeg.segments(plain) if part.marker == 0xC4)
    old = segment(0xC4, table.body)
    with pytest.raises(ValueError, match="does not fit"):
        dicom_jpeg.strip(plain.replace(old, segment(0xC4, table.body + WORDS)))


def before_scans(stream: bytes, *parts: bytes) -> bytes:
    """A JPEG with more segments before its first scan."""
    at = stream.index(b"\xff\xda")
    return stream[:at] + b"".join(parts) + stream[at:]


def behind_scans(stream: bytes, words: bytes) -> bytes:
    """A JPEG with `words` behind the entropy-coded data of each scan."""
    out = [b"\xff\xd8"]
    for part in dicom_jpeg.segments(stream):
        out += [segment(part.marker, part.body), part.coded]
        out += [words] if part.marker == 0xDA else []
    return b"".join([*out, b"\xff\xd9"])


#: A table of each kind whose content is a text.
_PROSE = WORDS.ljust(64, b"-")
QUANTISATION = segment(0xDB, b"\3" + _PROSE)
HUFFMAN = segment(0xC4, b"\x13" + bytes(7) + bytes([len(WORDS)]) + bytes(8) + WORDS)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "room",
    [QUANTISATION, HUFFMAN, segment(0xCC, WORDS + b" "), segment(0xDC, WORDS), b"\xff\xff\xff"],
    ids=["quantisation", "Huffman", "arithmetic", "rows", "fill"],
)
def test_jpeg_tables_that_no_scan_uses_go(make_dicom, room: bytes, progressive: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture()[0]).save(buffer, "JPEG", progressive=progressive)
    plain = buffer.getvalue()
    stripped = dicom_jpeg.strip(before_scans(plain, room))
    assert stripped == dicom_jpeg.strip(plain)
    before = decoded(make_dicom, plain, JPEGBaseline8Bit)
    np.testing.assert_array_equal(decoded(make_dicom, stripped, JPEGBaseline8Bit), before)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_scan_of_what_another_has_coded_is_refused(progressive: bool) -> None:
    picture = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    stream = io.BytesIO()
    picture.save(stream, "jpeg", progressive=progressive)
    plain = dicom_jpeg.strip(stream.getvalue())
    at = plain.index(b"\xff\xda")
    with pytest.raises(ValueError, match="coded before"):
        dicom_jpeg.strip(plain[:-2] + plain[at:])


def renamed(stream: bytes, names: bytes) -> bytes:
    """A baseline JPEG whose three components have other names."""
    out = [b"\xff\xd8"]
    for part in dicom_jpeg.segments(stream):
        body = bytearray(part.body)
        if part.marker == 0xC0:
            body[6::3] = names
        elif part.marker == 0xDA:
            body[1:7:2] = names
        out += [segment(part.marker, bytes(body)), part.coded]
    return b"".join([*out, b"\xff\xd9"])


def test_components_have_no_names() -> None:
    plain = jpeg("RGB")
    assert dicom_jpeg.strip(renamed(plain, b"ANE")) == dicom_jpeg.strip(plain)


@pytest.mark.parametrize("ending", [b"MAX", b"\0\0\0"])
def test_the_end_of_a_sequential_scan_header_says_nothing(ending: bytes) -> None:
    plain = jpeg()
    at = plain.index(b"\xff\xda")
    full = plain[: at + 7] + ending + plain[at + 10 :]
    assert dicom_jpeg.strip(full) == dicom_jpeg.strip(plain)


def test_tables_that_a_progressive_scan_names_but_does_not_use_say_nothing() -> None:
    buffer = io.BytesIO()
    Image.fromarray(picture()[0]).save(buffer, "JPEG", progressive=True)
    plain = buffer.getvalue()
    parts = [part.body for part in dicom_jpeg.segments(plain) if part.marker == 0xDA]
    full = plain
    for body in parts:
        # Of DC scans the AC table, and the reverse.
        odd = bytes([body[0], body[1], body[2] | (0x0D if body[3] == 0 else 0xD0)]) + body[3:]
        full = full.replace(segment(0xDA, body), segment(0xDA, odd))
    assert full != plain
    assert dicom_jpeg.strip(full) == dicom_jpeg.strip(plain)


def test_more_scans_than_encoders_write_are_refused_before_they_cost_anything() -> None:
    values = Image.fromarray(np.full((8, 8), 128, np.uint8))
    buffer = io.BytesIO()
    values.save(buffer, "JPEG", progressive=True)
    parts = list(dicom_jpeg.segments(buffer.getvalue()))
    head = [segment(part.marker, part.body) for part in parts if part.marker != 0xDA]
    # One code of one bit: no further coefficients.
    table = segment(0xC4, b"\x10\1" + bytes(15) + b"\0")

    def scans(count: int) -> bytes:
        each = [segment(0xDA, bytes([1, 1, 0, at, at, 0])) + b"\x7f" for at in range(1, count + 1)]
        return b"\xff\xd8" + b"".join([*head, table, *each]) + b"\xff\xd9"

    assert dicom_jpeg.strip(scans(32)).count(b"\xff\xda") == 32
    with pytest.raises(ValueError, match="more scans"):
        dicom_jpeg.strip(scans(33))


def test_a_jpeg_table_that_is_defined_anew_before_its_scan_leaves_nothing_behind() -> None:
    plain = jpeg()
    tables = [part for part in dicom_jpeg.segments(plain) if part.marker in (0xDB, 0xC4)]
    first = [
        segment(0xDB, b"\0" + _PROSE),
        segment(0xC4, b"\0" + HUFFMAN[5:]),
        *(segment(part.marker, part.body) for part in tables),
    ]
    at = plain.index(b"\xff\xdb")
    assert dicom_jpeg.strip(plain[:at] + b"".join(first) + plain[at:]) == dicom_jpeg.strip(plain)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("restart", [0, 3])
@pytest.mark.parametrize("words", [WORDS, WORDS + b"\xff\xd0" + WORDS, b"\xff" + WORDS[:1]])
def test_bytes_behind_the_data_of_a_scan_go(
    make_dicom, progressive: bool, restart: int, words: bytes
) -> None:
    values = np.stack([picture()[0], picture()[0, ::-1], picture()[0, :, ::-1]], -1)
    buffer = io.BytesIO()
    Image.fromarray(values[:31, :37]).save(
        buffer, "JPEG", progressive=progressive, restart_marker_blocks=restart, subsampling=2
    )
    plain = buffer.getvalue()
    stripped = dicom_jpeg.strip(behind_scans(plain, words.replace(b"\xffM", b"\xff\0M")))
    assert stripped == dicom_jpeg.strip(plain)
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(stripped)) as after:
        # Without its JFIF header a decoder guesses the colours; they are the same here.
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


def test_a_scan_that_ends_early_keeps_all_its_data() -> None:
    plain = dicom_jpeg.strip(jpeg())
    short = plain[: len(plain) // 2].rstrip(b"\xff") + b"\xff\xd9"
    assert dicom_jpeg.strip(short) == short


@pytest.mark.parametrize("kind", [0xC5, 0xC9, 0xCB, 0xCF])
def test_jpeg_frames_whose_data_cannot_be_followed_are_refused(kind: int) -> None:
    with pytest.raises(ValueError, match="kind of frame"):
        dicom_jpeg.strip(jpeg().replace(b"\xff\xc0", bytes([0xFF, kind]), 1))


def test_jpeg_data_that_are_no_codes_are_refused() -> None:
    # All tables hold one code of one bit, zero, so that a one begins none.
    one = bytes([1, *[0] * 16])
    plain = before_scans(jpeg(), segment(0xC4, b"\0" + one), segment(0xC4, b"\x10" + one))
    with pytest.raises(ValueError, match="no codes"):
        dicom_jpeg.strip(plain)


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_jpeg_ls_palettes_and_sizes_that_no_scan_uses_go(make_dicom, kind: int) -> None:
    plain = encoded(make_dicom, JPEGLSLossless, 16)
    full = before_scans(plain, segment(0xF8, bytes([kind, 5, 1]) + WORDS))
    assert dicom_jpeg.strip(full) == dicom_jpeg.strip(plain)


@pytest.mark.parametrize("body", [b"\1" + WORDS, b"\5" + WORDS, b""])
def test_jpeg_ls_parameters_that_nobody_knows_are_refused(make_dicom, body: bytes) -> None:
    plain = encoded(make_dicom, JPEGLSLossless, 16)
    with pytest.raises(ValueError, match="does not fit"):
        dicom_jpeg.strip(before_scans(plain, segment(0xF8, body)))


def test_jpeg_ls_comments_go_and_data_bytes_that_look_like_markers_stay(make_dicom) -> None:
    plain = encoded(make_dicom, JPEGLSLossless, 16)
    full = plain[:2] + segment(0xFE, WORDS) + segment(0xE8, b"SPIFF\0" + WORDS) + plain[2:] + WORDS
    stripped = dicom_jpeg.strip(full)
    assert WORDS not in stripped
    np.testing.assert_array_equal(decoded(make_dicom, stripped, JPEGLSLossless, 16), picture(16))


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, HTJ2KLossless])
def test_jpeg_2000_comments_go_from_both_headers(make_dicom, syntax: str) -> None:
    # pydicom encodes no HTJ2K; a JPEG 2000 stream is a valid one too, without its block coder.
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless, 16))
    comment = struct.pack(">HHH", 0xFF64, len(WORDS) + 4, 1) + WORDS
    tile = plain.index(b"\xff\x90\x00\x0a")
    (length,) = struct.unpack_from(">I", plain, tile + 6)
    full = (
        plain[:tile]
        + comment
        + plain[tile : tile + 6]
        + struct.pack(">I", length + len(comment))
        + plain[tile + 10 : tile + 12]
        + comment
        + plain[tile + 12 :]
        + WORDS
    )
    assert dicom_j2k.strip(full) == plain
    np.testing.assert_array_equal(decoded(make_dicom, full, syntax, 16), picture(16))


def j2k_segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">HH", marker, len(body) + 2) + body


@pytest.mark.parametrize(
    "marker", [0xFF54, 0xFF55, 0xFF57, 0xFF58, 0xFF59, 0xFF5A, 0xFF63, 0xFF64, 0xFF6F, 0xFF7F]
)
@pytest.mark.parametrize("tile", [False, True])
def test_jpeg_2000_segments_that_no_decoder_needs_go(make_dicom, marker: int, tile: bool) -> None:
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless, 16))
    room, at = j2k_segment(marker, WORDS), plain.index(b"\xff\x90\x00\x0a")
    if not tile:
        assert dicom_j2k.strip(plain[:at] + room + plain[at:]) == plain
        return
    (length,) = struct.unpack_from(">I", plain, at + 6)
    start = plain[at : at + 6] + struct.pack(">I", length + len(room)) + plain[at + 10 : at + 12]
    assert dicom_j2k.strip(plain[:at] + start + room + plain[at + 12 :]) == plain


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xFF60, WORDS),
        (0xFF61, WORDS),
        (0xFF74, WORDS),
        (0xFF52, b"\0" * 10),
        (0xFF53, b"\0\0\5" + WORDS),
        (0xFF5D, b"\0\x40" + WORDS),
        (0xFF5E, b"\0\0\0" + WORDS),
        (0xFF5F, WORDS),
        (0xFF50, WORDS),
        (0xFF50, b"\0\0\3\0" + WORDS[:4]),
    ],
)
def test_jpeg_2000_segments_with_room_of_which_decoding_may_hang_are_refused(
    make_dicom, marker: int, body: bytes
) -> None:
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless, 16))
    at = plain.index(b"\xff\x90\x00\x0a")
    with pytest.raises(ValueError, match="header"):
        dicom_j2k.strip(plain[:at] + j2k_segment(marker, body) + plain[at:])


def test_jpeg_2000_step_sizes_are_cut_to_those_that_there_are(make_dicom) -> None:
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless, 16))
    at = plain.index(b"\xff\x5c")
    (length,) = struct.unpack_from(">H", plain, at + 2)
    body = plain[at + 4 : at + 2 + length]
    full = plain[:at] + j2k_segment(0xFF5C, body + WORDS) + plain[at + 2 + length :]
    assert dicom_j2k.strip(full) == plain
    # The three lowest bits of a step size without mantissa say nothing.
    body = body[:1] + bytes(step | 5 for step in body[1:])
    full = plain[:at] + j2k_segment(0xFF5C, body) + plain[at + 2 + length :]
    assert dicom_j2k.strip(full) == plain


def test_jpeg_2000_tiles_are_no_larger_than_the_image(make_dicom) -> None:
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless, 16))
    at = plain.index(b"\xff\x51")
    full = plain[: at + 22] + WORDS[:8] + plain[at + 30 :]
    assert dicom_j2k.strip(full) == plain
    np.testing.assert_array_equal(decoded(make_dicom, full, JPEG2000Lossless, 16), picture(16))


def test_what_stands_between_jpeg_2000_tile_parts_is_refused(make_dicom) -> None:
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless, 16))
    with pytest.raises(ValueError, match="between"):
        dicom_j2k.strip(plain[:-2] + WORDS + plain[-2:])


@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("layers", [None, [40, 10, 2]])
@pytest.mark.parametrize(
    "tiles",
    [
        {},
        {"tile_size": (48, 40), "precinct_size": (32, 32)},
        {"tile_size": (32, 32)},
    ],
)
@pytest.mark.parametrize("progression", ["LRCP", "RLCP", "RPCL", "PCRL", "CPRL"])
def test_bytes_behind_the_packets_of_jpeg_2000_tiles_go(
    progression: str, tiles: dict, layers: list[int] | None, colour: bool
) -> None:
    values = np.random.default_rng(1).integers(0, 256, (61, 70, 3), dtype=np.uint8)
    values[:30] = 9
    buffer = io.BytesIO()
    Image.fromarray(values if colour else values[..., 0]).save(
        buffer,
        "JPEG2000",
        no_jp2=True,
        progression=progression,
        num_resolutions=3,
        codeblock_size=(16, 8),
        quality_layers=layers,
        irreversible=bool(layers),
        **tiles,
    )
    plain = buffer.getvalue()
    stripped = dicom_j2k.strip(plain)
    starts = [found.start() for found in re.finditer(b"\xff\x90\x00\x0a", stripped)]
    full = stripped[: starts[0]]
    for start in starts:
        length = int.from_bytes(stripped[start + 6 : start + 10], "big")
        full += stripped[start : start + 6] + struct.pack(">I", length + len(WORDS))
        full += stripped[start + 10 : start + length] + WORDS
    assert dicom_j2k.strip(full + b"\xff\xd9") == stripped
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(stripped)) as after:
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    # Nothing was cut off that the encoder had written.
    assert len(stripped) == len(plain) - _comments(plain)


def _comments(stream: bytes) -> int:
    """Bytes of the comment in a main header."""
    at = stream.index(b"\xff\x64")
    return 2 + int.from_bytes(stream[at + 2 : at + 4], "big")


def test_jpeg_2000_boxes_go(make_dicom) -> None:
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless))
    boxes = [b"jP  \r\n\x87\n", b"xml " + WORDS, b"uuid" + bytes(16) + WORDS]
    full = b"".join(struct.pack(">I", len(box) + 4) + box for box in boxes)
    full += struct.pack(">I", len(plain) + 8) + b"jp2c" + plain
    full += struct.pack(">I", len(WORDS) + 8) + b"xml " + WORDS
    assert dicom_j2k.strip(full) == plain
    assert dicom_j2k.size(full) == (32, 40)


def test_a_tile_part_that_runs_to_the_end_loses_the_trailing_bytes(make_dicom) -> None:
    plain = dicom_j2k.strip(encoded(make_dicom, JPEG2000Lossless))
    tile = plain.index(b"\xff\x90\x00\x0a")
    open_end = plain[: tile + 6] + bytes(4) + plain[tile + 10 :]
    assert dicom_j2k.strip(open_end + WORDS) == plain


@pytest.mark.parametrize("bits", [8, 16])
def test_run_lengths_lose_what_decodes_to_nothing(make_dicom, bits: int) -> None:
    plain = encoded(make_dicom, RLELossless, bits)
    offsets = [*struct.unpack("<16I", plain[:64])[1 : 1 + bits // 8], len(plain)]
    # A gap before the first segment, a literal behind the picture in each, bytes behind the last.
    out, starts = WORDS, []
    for start, end in itertools.pairwise(offsets):
        starts.append(64 + len(out))
        out += plain[start:end] + bytes([len(WORDS) - 1]) + WORDS
    header = struct.pack("<16I", bits // 8, *starts, *[0] * (15 - len(starts)))
    stripped = dicom_rle.strip(header + out + WORDS, 32 * 40, bits // 8)
    assert WORDS not in stripped
    np.testing.assert_array_equal(decoded(make_dicom, stripped, RLELossless, bits), picture(bits))


@pytest.mark.parametrize("run", [bytes([9, *b"0123456789"]), bytes([257 - 10, 7])])
def test_the_run_that_completes_a_plane_is_cut_to_it(run: bytes) -> None:
    frame = struct.pack("<16I", 1, 64, *[0] * 14) + run
    stripped = dicom_rle.strip(frame, 4, 1)
    assert b"456789" not in stripped
    assert dicom_rle.strip(stripped, 4, 1) == stripped


def test_frames_of_several_fragments_come_whole_and_the_surplus_does_not(make_dicom) -> None:
    frame = encoded(make_dicom, JPEGLSLossless)
    dataset = make_dicom(picture())
    item = struct.Struct("<HHI")
    parts = [frame[:100], frame[100:] + bytes(len(frame) % 2), WORDS + b" "]
    dataset.PixelData = item.pack(0xFFFE, 0xE000, 0) + b"".join(
        item.pack(0xFFFE, 0xE000, len(part)) + part for part in parts
    )
    frames = dicom_frames.split(dataset, 1)
    (cleaned,) = dicom_frames.clean(frames, JPEGLSLossless, LAYOUT)
    assert cleaned == dicom_jpeg.strip(frame)


def test_a_codestream_larger_than_the_header_says_is_not_decoded(make_dicom) -> None:
    frame = bytearray(encoded(make_dicom, JPEG2000Lossless))
    struct.pack_into(">II", frame, 8, 65535, 65535)
    with pytest.raises(Withheld) as withheld:
        decoded(make_dicom, bytes(frame), JPEG2000Lossless)
    assert withheld.value.reason == "undecodable"


_PIECES = st.sampled_from(
    [
        b"\xff\xd8",
        b"\xff\xd9",
        b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00",
        b"\xff\xc0\x00\x0b\x08\x00\x20\x00\x28\x01\x01\x11\x00",
        b"\xff\xfe\x00\x06abcd",
        b"\xff\x4f\xff\x51\x00\x29",
        b"\xff\x90\x00\x0a\x00\x00\x00\x00\x00\x00\x00\x01",
        b"\xff\x93",
        b"\xff\x64\x00\x06abcd",
        b"\x00\x00\x00\x0cjP  \r\n\x87\n",
        b"\x00\x00\x00\x00jp2c",
        struct.pack("<16I", 1, 64, *[0] * 14),
    ]
)


@given(st.lists(st.one_of(_PIECES, st.binary(max_size=40)), max_size=12).map(b"".join))
def test_no_parser_raises_anything_but_value_error_or_needs_more_than_its_input(
    data: bytes,
) -> None:
    for strip in (dicom_jpeg.strip, dicom_j2k.strip, lambda d: dicom_rle.strip(d, 1280, 1)):
        try:
            stripped = strip(data)
        except ValueError:
            continue
        assert strip(stripped) == stripped
        assert len(stripped) <= len(data) + 66


@given(st.binary(max_size=200), st.sampled_from([JPEGBaseline8Bit, JPEG2000Lossless, RLELossless]))
def test_a_frame_of_noise_is_undecodable_and_nothing_else(data: bytes, syntax: str) -> None:
    with pytest.raises(Withheld) as withheld:
        dicom_frames.clean([data], syntax, LAYOUT)
    assert withheld.value.reason == "undecodable"
