"""What is refused before a pixel is read, and with how little memory."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    JPEG2000,
    BasicTextSRStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
    SegmentationStorage,
)

from deid.images import dicom, dicom_jpeg, dicom_pixels, dicom_stream
from deid.images.dicom_write import write
from deid.reasons import Withheld

GREY = np.arange(2 * 6 * 5, dtype=np.uint16).reshape(2, 6, 5)


def reason(path) -> str:
    with pytest.raises(Withheld) as withheld:
        dicom.read(path, dicom.inspect(path))
    return withheld.value.reason


def nested(depth: int, *, defined: bool) -> bytes:
    """One sequence in another, explicit VR."""
    head = struct.pack("<HH2sH", 0x0008, 0x1115, b"SQ", 0)
    if not defined:
        opening = head + struct.pack("<IHHI", 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF)
        closing = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
        return opening * depth + closing * depth
    parts, length = [], 0
    for _ in range(depth):
        parts.append(head + struct.pack("<IHHI", length + 8, 0xFFFE, 0xE000, length))
        length += 20
    return b"".join(reversed(parts))


def part10(dataset: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> bytes:
    return (
        bytes(128) + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax + dataset
    )


@pytest.mark.parametrize("cut", [1, 7, 40, 150, 400])
def test_a_file_that_ends_inside_an_element_is_malformed(make_dicom, save, cut: int) -> None:
    assert reason(save(write(make_dicom(GREY))[:-cut])) == "malformed"


def test_bytes_behind_the_pixel_data_that_are_no_element_are_malformed(make_dicom, save) -> None:
    whole = write(make_dicom(GREY))
    assert dicom.inspect(save(whole)).frames == 2
    assert reason(save(whole + b"abc")) == "malformed"


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(132), bytes(128) + b"DICM", b"x" * 5000])
def test_what_is_no_part_10_file_is_malformed(save, content: bytes) -> None:
    assert reason(save(content)) == "malformed"


def test_a_file_that_is_not_there_is_unreadable(tmp_path) -> None:
    assert reason(tmp_path / "absent.dcm") == "unreadable"


@pytest.mark.parametrize("defined", [True, False])
def test_a_sequence_nested_100000_deep_is_malformed_within_a_second(save, defined: bool) -> None:
    path = save(part10(nested(100_000, defined=defined)))
    start = time.process_time()
    assert reason(path) == "malformed"
    assert time.process_time() - start < 1.0


def test_a_length_of_three_gigabytes_in_a_small_file_takes_no_memory(save) -> None:
    path = save(part10(struct.pack("<HH2sHI", 8, 0x0018, b"OB", 0, 3 * 10**9) + bytes(1000)))
    tracemalloc.start()
    assert reason(path) == "malformed"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**7


def deflated(content: bytes, zeros: int) -> bytes:
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = squeeze.compress(content)
    packed += b"".join(squeeze.compress(bytes(2**20)) for _ in range(zeros))
    return part10(packed + squeeze.flush(), DeflatedExplicitVRLittleEndian.encode())


@pytest.mark.parametrize("limit", ["MAX_BYTES", "_BOMB_BYTES", "MAX_INFLATED_HEADER"])
def test_a_deflate_bomb_is_too_large_and_takes_little_memory(save, monkeypatch, limit) -> None:
    monkeypatch.setattr(dicom_stream, "MAX_INFLATED_HEADER", 4 * 2**20)
    monkeypatch.setattr(dicom_stream, "_BOMB_RATIO", 100)
    monkeypatch.setattr(dicom_stream, limit, 4 * 2**20)
    path = save(deflated(struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 20 * 2**20), 20))
    tracemalloc.start()
    assert reason(path) == "too_large"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_a_deflated_image_larger_than_a_header_may_be_is_read_whole(
    make_dicom, save, monkeypatch
) -> None:
    monkeypatch.setattr(dicom_stream, "MAX_INFLATED_HEADER", 3000)
    dataset = make_dicom(GREY.repeat(90, 1), syntax=DeflatedExplicitVRLittleEndian)
    dataset.DataSetTrailingPadding = bytes(8)
    path = save(dataset)
    np.testing.assert_array_equal(dicom.read(path, dicom.inspect(path)).pixels, GREY.repeat(90, 1))


def test_more_pixels_than_the_limit_are_too_large(make_dicom, save, monkeypatch) -> None:
    monkeypatch.setattr(dicom_pixels, "MAX_BYTES", 100)
    assert reason(save(make_dicom(GREY))) == "too_large"


def test_a_frame_bomb_is_too_large_before_anything_is_decoded(make_dicom, save) -> None:
    dataset = make_dicom(GREY[:1], syntax=JPEGLSLossless)
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = 60, 4000, 4000
    assert reason(save(dataset)) == "too_large"


def test_fewer_fragments_than_frames_are_undecodable(make_dicom, save) -> None:
    dataset = make_dicom(GREY, syntax=JPEGLSLossless)
    dataset.NumberOfFrames = 3
    assert reason(save(dataset)) == "undecodable"


@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": None},
        {"Rows": [6, 0]},
        {"Rows": 0},
        {"Rows": 7},
        {"Rows": 4},
        {"NumberOfFrames": 1},
        {"NumberOfFrames": -1},
        {"BitsStored": 17},
        {"HighBit": 12},
        {"BitsAllocated": 12},
        {"SamplesPerPixel": 3},
        {"PixelRepresentation": None},
        {"PhotometricInterpretation": "NONSENSE"},
        {"PixelData": b""},
    ],
)
def test_a_header_that_does_not_fit_the_pixel_data_is_undecodable(make_dicom, save, tags) -> None:
    assert reason(save(make_dicom(GREY, **tags))) == "undecodable"


def test_one_pad_byte_is_no_surplus_and_two_are(make_dicom, save) -> None:
    odd = np.arange(15, dtype=np.uint8).reshape(1, 3, 5)
    path = save(make_dicom(odd))
    assert dicom.read(path, dicom.inspect(path)).pixels.shape == (1, 3, 5)
    assert reason(save(make_dicom(odd, PixelData=odd.tobytes() + bytes(3)))) == "undecodable"


def test_twelve_bit_jpeg_is_undecodable_by_its_header(make_dicom, save) -> None:
    dataset = make_dicom(GREY, syntax=JPEGLSLossless, BitsStored=16)
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    with pytest.raises(Withheld, match="undecodable"):
        dicom.inspect(save(dataset))


def undecoded(path: Path) -> bytes:
    """A file as a run writes it that decodes nothing."""
    image = dicom.read(path, dicom.inspect(path, decode=False), decode=False)
    data = dicom.encode(image, edited=False, dataset=image.dataset)
    assert image.pixels.size == 0
    assert dicom.agrees(image, data, edited=False)
    return data


def test_where_nothing_is_decoded_a_file_that_no_decoder_reads_is_written_without_its_comments(
    make_dicom, save
) -> None:
    buffer = io.BytesIO()
    Picture.fromarray(GREY[0].astype(np.uint8)).save(buffer, "JPEG", comment=b"MUELLER^ANNA")
    dataset = make_dicom(GREY[:1], stored=12)
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    dataset.PixelData = encapsulate([buffer.getvalue() + b"MUELLER"])
    dataset["PixelData"].is_undefined_length = True
    path = save(dataset)
    assert reason(path) == "undecodable"
    (frame,) = generate_frames(dcmread(io.BytesIO(undecoded(path))).PixelData, number_of_frames=1)
    assert frame.rstrip(b"\0") == dicom_jpeg.strip(buffer.getvalue())
    assert b"MUELLER" not in frame


def test_where_nothing_is_decoded_a_file_without_pixel_data_is_written(make_dicom, save) -> None:
    assert b"p1" in undecoded(save(make_dicom(GREY, PixelData=b"")))


@pytest.mark.parametrize(
    "syntax", ["1.2.840.10008.1.2.4.99", "1.2.840.10008.1.2.4.00", "1.2.3.4567890123456.789"]
)
def test_where_nothing_is_decoded_what_this_program_cannot_follow_is_undecodable(
    make_dicom, save, syntax: str
) -> None:
    dataset = make_dicom(GREY[:1])
    known = {22: JPEGBaseline8Bit, 23: HTJ2KLossless}[len(syntax)]
    dataset.file_meta.TransferSyntaxUID = known
    dataset.PixelData = encapsulate([b"MUELLER^ANNA"])
    dataset["PixelData"].is_undefined_length = True
    data = write(dataset).replace(known.encode(), syntax.encode())
    with pytest.raises(Withheld) as withheld:
        undecoded(save(data))
    assert withheld.value.reason == "undecodable"


@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": 7},
        {"Rows": 4},
        {"Rows": None},
        {"PixelData": GREY.tobytes()[:-2]},
        {"PixelData": GREY.tobytes() + b"MUELLER^ANNA"},
        {"PixelData": GREY.tobytes()[:-2], "BitsStored": 12, "HighBit": 11},
    ],
)
def test_where_nothing_is_decoded_pixel_data_of_another_size_are_undecodable(
    make_dicom, save, tags
) -> None:
    with pytest.raises(Withheld) as withheld:
        undecoded(save(make_dicom(GREY, **tags)))
    assert withheld.value.reason == "undecodable"


@pytest.mark.parametrize(
    "syntax", [JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSLossless, JPEG2000, RLELossless]
)
def test_where_nothing_is_decoded_noise_under_a_known_syntax_is_undecodable(
    make_dicom, save, syntax: str
) -> None:
    dataset = make_dicom(GREY[:1])
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.PixelData = encapsulate([b"MUELLER^ANNA" * 9])
    dataset["PixelData"].is_undefined_length = True
    with pytest.raises(Withheld) as withheld:
        undecoded(save(dataset))
    assert withheld.value.reason == "undecodable"


def test_where_nothing_is_decoded_pixel_data_of_another_kind_are_undecodable(
    make_dicom, save
) -> None:
    dataset = make_dicom(GREY)
    del dataset.PixelData
    dataset.add_new(0x7FE00008, "OF", b"MUELLER^ANNA")
    with pytest.raises(Withheld, match="undecodable"):
        undecoded(save(dataset))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize(
    ("dtype", "stored"), [("u2", 12), ("i2", 12), ("u2", 8), ("u1", 7), ("i1", 5)]
)
def test_where_nothing_is_decoded_bits_beyond_the_stored_ones_are_emptied(
    make_dicom, save, syntax: str, dtype: str, stored: int
) -> None:
    size = np.dtype(dtype).itemsize
    wild = np.random.default_rng(5).integers(0, 256, (2, 6, 5 * size), dtype=np.uint8).view(dtype)
    wild[0, :3] = wild[0, 0, 0]  # runs too
    dataset = make_dicom(wild, syntax=syntax if syntax == RLELossless else ExplicitVRLittleEndian)
    if syntax == ExplicitVRBigEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = wild.astype(f">{dtype}").tobytes()
        dataset.set_original_encoding(False, False)
    dataset.BitsStored, dataset.HighBit = stored, stored - 1
    data = undecoded(save(write(dataset)))
    image = dicom.read(path := save(data), dicom.inspect(path))
    spare = 8 * size - stored
    np.testing.assert_array_equal(image.pixels, wild << spare >> spare)
    assert not image.native


def test_where_nothing_is_decoded_bytes_behind_the_data_of_jpeg_ls_are_undecodable(
    make_dicom, save
) -> None:
    dataset = make_dicom(GREY[:1], syntax=JPEGLSLossless)
    assert undecoded(save(dataset))
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    end = frame.rindex(b"\xff\xd9")
    dataset.PixelData = encapsulate([frame[:end] + b"MUELLER^ANNA" + frame[end:]])
    dataset["PixelData"].is_undefined_length = True
    with pytest.raises(Withheld, match="undecodable"):
        undecoded(save(dataset))


def test_where_nothing_is_decoded_a_sign_in_another_byte_is_left_to_decoding(
    make_dicom, save
) -> None:
    dataset = make_dicom(GREY.astype("i2"), syntax=RLELossless)
    dataset.BitsStored, dataset.HighBit = 8, 7
    with pytest.raises(Withheld, match="BitsStored"):
        undecoded(save(dataset))


def test_noise_under_a_jpeg_syntax_is_undecodable(make_dicom, save) -> None:
    dataset = make_dicom(GREY[:1].astype(np.uint8), syntax=JPEGLSLossless)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([bytes(30)])
    dataset["PixelData"].is_undefined_length = True
    assert reason(save(dataset)) == "undecodable"


@pytest.mark.parametrize(
    "uid", [SegmentationStorage, BasicTextSRStorage, "1.2.840.10008.5.1.4.1.1.66.7"]
)
def test_an_object_of_a_class_that_is_no_image_is_none(make_dicom, save, uid: str) -> None:
    assert reason(save(make_dicom(GREY, SOPClassUID=uid))) == "not_image"


def test_a_modality_that_makes_no_images_is_none_whatever_the_class(make_dicom, save) -> None:
    assert reason(save(make_dicom(GREY, Modality="SEG", SOPClassUID="2.25.7"))) == "not_image"


def test_an_unknown_class_with_pixels_is_an_image(make_dicom, save) -> None:
    assert dicom.inspect(save(make_dicom(GREY, SOPClassUID="2.25.7"))).modality == "ct"


def test_a_blank_vr_is_read_as_an_explicit_one_where_nothing_else_fits(make_dicom, save) -> None:
    whole = write(make_dicom(GREY))
    rows = struct.pack("<HH2sH", 0x0028, 0x0010, b"US", 2)
    image_path = save(whole.replace(rows, rows.replace(b"US", b"  ")))
    assert dicom.inspect(image_path).rows == 6


def test_command_elements_in_a_data_set_are_malformed(make_dicom, save) -> None:
    whole = write(make_dicom(GREY))
    start = whole.index(struct.pack("<HH2s", 8, 0x16, b"UI"))
    command = struct.pack("<HH2sHH", 0, 0x0100, b"US", 2, 1)
    assert reason(save(whole[:start] + command + whole[start:])) == "malformed"


def test_a_message_carries_no_value_of_the_file(make_dicom, save, capfd) -> None:
    item = Dataset()
    item.PatientName = "MUELLER^ANNA"
    dataset = make_dicom(GREY, PatientName="MUELLER^ANNA", RequestAttributesSequence=[item])
    path = save(write(dataset)[:-30])
    with pytest.raises(Withheld) as withheld:
        dicom.inspect(path)
    shown = capfd.readouterr()
    for text in (repr(withheld.value), shown.out, shown.err):
        assert "MUELLER" not in text
        assert str(path) not in text


@settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_a_damaged_file_is_withheld_or_read_but_never_raises(make_dicom, save, data) -> None:
    grey = np.arange(2 * 40 * 36, dtype=np.uint16).reshape(2, 40, 36)
    whole = bytearray(write(make_dicom(grey, syntax=data.draw(st.sampled_from(SYNTAXES)))))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(128, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path = save(bytes(whole))
    try:
        image = dicom.read(path, dicom.inspect(path))
        dicom.view(image)
        dicom.plain(image)
        dicom.encode(image, edited=False, dataset=image.dataset)
    except Withheld:
        pass


SYNTAXES = ["1.2.840.10008.1.2.1", JPEGLSLossless, "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.90"]
