"""Back into a file: the same values, nothing beside them, and the truth about an edit."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image as Picture
from pydicom import FileDataset, dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

from deid.images import dicom, dicom_jpeg
from deid.images.dicom_write import write
from deid.images.record import Image
from deid.reasons import Withheld
from deid.tags import PixelFacts, Pseudonyms, clean

WORDS = b"MUELLER^ANNA"
ENCODED = [JPEG2000Lossless, JPEGLSLossless, RLELossless]
NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]


def noise(dtype, shape=(2, 33, 41), stored=None) -> np.ndarray:
    """Values over the whole range of the stored bits; an odd size, so that padding is needed."""
    bits = stored or np.dtype(dtype).itemsize * 8
    low, high = (
        (-(2 ** (bits - 1)), 2 ** (bits - 1)) if np.dtype(dtype).kind == "i" else (0, 2**bits)
    )
    return np.random.default_rng(1).integers(low, high, shape).astype(dtype)


def load(save, dataset: FileDataset | bytes) -> Image:
    path = save(dataset)
    return dicom.read(path, dicom.inspect(path))


def round_trip(image: Image, *, edited: bool = False) -> FileDataset:
    """Encode, insist on agreement, parse."""
    data = dicom.encode(image, edited=edited, dataset=image.dataset)
    assert dicom.agrees(image, data, edited=edited)
    return dcmread(io.BytesIO(data))


@pytest.mark.parametrize("syntax", [*ENCODED, *NATIVE])
@pytest.mark.parametrize(
    ("dtype", "stored"), [("u1", 8), ("u2", 16), ("i2", 16), ("u2", 12), ("i2", 12), ("u2", 10)]
)
def test_what_was_not_edited_keeps_values_and_transfer_syntax(
    make_dicom, save, syntax, dtype, stored
) -> None:
    pixels = noise(dtype, stored=stored)
    image = load(save, make_dicom(pixels, stored=stored, syntax=syntax))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixels.dtype == np.dtype(dtype)
    assert round_trip(image).file_meta.TransferSyntaxUID == syntax


@pytest.mark.parametrize("syntax", [*ENCODED, *NATIVE])
def test_an_edit_is_written_natively_whatever_the_file_was(make_dicom, save, syntax) -> None:
    image = load(save, make_dicom(noise("i2", stored=12), stored=12, syntax=syntax))
    pixels = image.pixels.copy()
    pixels[:, 3:9, 4:20] = -7
    out = round_trip(replace(image, pixels=pixels), edited=True)
    assert out.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert len(out.PixelData) == pixels.nbytes
    np.testing.assert_array_equal(out.pixel_array, pixels)


def test_agreement_notices_a_single_value_and_another_meaning(make_dicom, save) -> None:
    image = load(
        save, make_dicom(noise("u2"), RescaleSlope=2, RescaleIntercept=0, PixelSpacing=[1, 1])
    )
    data = dicom.encode(image, edited=False, dataset=image.dataset)
    changed = image.pixels.copy()
    changed[1, 2, 3] ^= 1
    assert not dicom.agrees(replace(image, pixels=changed), data, edited=False)
    assert not dicom.agrees(
        replace(image, meaning=replace(image.meaning, slope=(3.0,))), data, edited=False
    )
    assert not dicom.agrees(
        replace(image, geometry=replace(image.geometry, spacing=(1.0, 2.0))), data, edited=False
    )
    assert not dicom.agrees(image, data[:-1], edited=False)
    assert not dicom.agrees(image, b"", edited=False)


@pytest.mark.parametrize("dtype", ["u2", "i2"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless])
def test_bits_beyond_the_stored_ones_are_emptied(make_dicom, save, dtype, syntax) -> None:
    pixels = noise(dtype, stored=12)
    overlay = (np.arange(pixels.size).reshape(pixels.shape) % 3 == 0).astype("u2") << 14
    dataset = make_dicom(((pixels.view("u2") & 0xFFF) | overlay).view(dtype), syntax=syntax)
    dataset.BitsStored, dataset.HighBit = 12, 11
    image = load(save, dataset)
    np.testing.assert_array_equal(image.pixels, pixels)
    out = round_trip(image)
    assert out.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    written = np.frombuffer(out.PixelData, dtype).reshape(pixels.shape)
    np.testing.assert_array_equal(written, pixels)


def test_spare_bits_of_the_last_byte_of_a_bitmap_are_emptied(make_dicom, save) -> None:
    bits = np.random.default_rng(2).integers(0, 2, (1, 5, 7)).astype(np.uint8)
    packed = bytearray(np.packbits(bits, bitorder="little").tobytes())
    packed[-1] |= 0xE0
    tags = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PixelData": bytes(packed) + b"A"}
    image = load(save, make_dicom(bits, **tags))
    np.testing.assert_array_equal(image.pixels, bits)
    assert not dicom.supports_edit(image)
    out = round_trip(image)
    assert out.PixelData[-1] == 0
    assert out.PixelData[4] & 0xF8 == packed[4] & 0xF8 & 0x07


def test_the_pad_byte_is_zero_and_its_old_value_is_gone(make_dicom, save) -> None:
    pixels = noise("u1", (1, 3, 5))
    image = load(save, make_dicom(pixels, PixelData=pixels.tobytes() + b"M"))
    assert round_trip(image).PixelData == pixels.tobytes() + b"\0"


@pytest.mark.parametrize("syntax", ENCODED)
def test_bytes_behind_each_frame_and_extended_offsets_are_gone(make_dicom, save, syntax) -> None:
    dataset = make_dicom(noise("u2"), syntax=syntax)
    frames = list(generate_frames(dataset.PixelData, number_of_frames=2))
    dataset.PixelData, offsets, lengths = encapsulate_extended([frame + WORDS for frame in frames])
    dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    dataset["PixelData"].is_undefined_length = True
    image = load(save, dataset)
    out = round_trip(image)
    assert WORDS not in out.PixelData
    assert "ExtendedOffsetTable" not in out
    assert "ExtendedOffsetTableLengths" not in out


def test_big_endian_stays_so_unedited_and_turns_with_its_tables_when_edited(
    make_dicom, save
) -> None:
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "OW", np.array([1, 2, 300, 65535], ">u2").tobytes())
    pixels = noise("i2")
    data = pixels.astype(">i2").tobytes()
    tags = {"Modality": "DX", "VOILUTSequence": [table], "PixelData": data}
    image = load(save, write(make_dicom(pixels, syntax=ExplicitVRBigEndian, **tags)))
    np.testing.assert_array_equal(image.pixels, pixels)
    assert round_trip(image).file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    edited = replace(image, pixels=image.pixels[:, ::-1].copy())
    out = round_trip(edited, edited=True)
    assert out.VOILUTSequence[0].LUTData == np.array([1, 2, 300, 65535], "<u2").tobytes()
    again = load(save, dicom.encode(edited, edited=True, dataset=image.dataset))
    np.testing.assert_array_equal(dicom.view(again), dicom.view(image)[:, ::-1])


def test_every_table_of_a_cleaned_big_endian_file_is_turned_with_its_edit(make_dicom, save) -> None:
    words = np.array([1, 2, 300, 65535], "u2")
    table, bytes_table, group = Dataset(), Dataset(), Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "OW", words.astype(">u2").tobytes())
    # Two entries a word: the first is the word's lower byte in either order.
    bytes_table.add_new("LUTDescriptor", "US", [4, 0, 8])
    bytes_table.add_new("LUTData", "OW", b"\2\1\4\3")
    group.ModalityLUTSequence = [bytes_table]
    pixels = noise("u2")
    dataset = make_dicom(
        pixels,
        syntax=ExplicitVRBigEndian,
        VOILUTSequence=[table],
        SharedFunctionalGroupsSequence=[group],
        PixelPresentation="MIXED",
        PixelData=pixels.astype(">u2").tobytes(),
    )
    for colour in ("Red", "Green", "Blue"):
        name = f"{colour}PaletteColorLookupTable"
        dataset.add_new(f"{name}Descriptor", "US", [4, 0, 16])
        dataset.add_new(f"{name}Data", "OW", words.astype(">u2").tobytes())
    dataset.add_new("DisplayedZValue", "FL", 1.5)
    image = load(save, write(dataset))
    # An odd byte at the end, which only a broken file has.
    image.dataset.VOILUTSequence[0].LUTData += b"\7"
    result = clean(
        image.dataset,
        pseudonyms=Pseudonyms(b"k" * 32, b""),
        patient="P" * 32,
        pixels=PixelFacts(edited=True),
    ).dataset
    for edited, order in ((False, ">u2"), (True, "<u2")):
        data = dicom.encode(image, edited=edited, dataset=result)
        assert dicom.agrees(image, data, edited=edited)
        out = dcmread(io.BytesIO(data))
        expected = words.astype(order).tobytes()
        assert out.VOILUTSequence[0].LUTData == expected
        assert out.GreenPaletteColorLookupTableData == expected
        nested = out.SharedFunctionalGroupsSequence[0].ModalityLUTSequence[0].LUTData
        assert np.frombuffer(nested, order).tolist() == [0x0201, 0x0403]
        assert out.DisplayedZValue == 1.5
        assert out.VOILUTSequence[0].LUTDescriptor == [4, 0, 16]


@pytest.mark.parametrize(("dtype", "vr"), [("u2", "US"), ("i2", "SS")])
def test_smallest_and_largest_value_follow_the_edit_and_those_of_the_series_go(
    make_dicom, save, dtype, vr
) -> None:
    dataset = make_dicom(noise(dtype))
    for keyword in (
        "SmallestImagePixelValue",
        "LargestImagePixelValue",
        "LargestPixelValueInSeries",
    ):
        dataset.add_new(keyword, vr, 5)
    image = load(save, dataset)
    pixels = np.clip(image.pixels, 100, 900)
    out = round_trip(replace(image, pixels=pixels), edited=True)
    assert (out.SmallestImagePixelValue, out.LargestImagePixelValue) == (100, 900)
    assert [vr, vr] == [out[0x00280106].VR, out[0x00280107].VR]
    assert "LargestPixelValueInSeries" not in out
    assert round_trip(image).LargestImagePixelValue == 5
    assert "SmallestImagePixelValue" not in round_trip(
        load(save, make_dicom(noise(dtype))), edited=True
    )


def test_extremes_of_32_bits_that_their_attributes_do_not_hold_go(make_dicom, save) -> None:
    pixels = noise("u4")
    image = load(save, make_dicom(pixels, SmallestImagePixelValue=5, LargestImagePixelValue=6))
    pixels = pixels // 2
    pixels[0, 0, 0] = 7
    out = round_trip(replace(image, pixels=pixels), edited=True)
    assert out.SmallestImagePixelValue == 7
    assert "LargestImagePixelValue" not in out


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless])
def test_an_edit_of_frames_leaves_the_padding_and_its_value(make_dicom, save, syntax) -> None:
    pixels = noise("i2", stored=11)
    pixels[:, :4] = -2000
    tags = {"PixelPaddingValue": -2000, "SmallestImagePixelValue": -2000}
    dataset = make_dicom(pixels, stored=12, syntax=syntax)
    for keyword, value in tags.items():
        dataset.add_new(keyword, "SS", value)
    image = load(save, dataset)
    edited = image.pixels.copy()
    edited[1, 10:20] = 33
    out = round_trip(replace(image, pixels=edited), edited=True)
    assert {keyword: out[keyword].value for keyword in tags} == tags
    np.testing.assert_array_equal(out.pixel_array[:, :4], -2000)
    np.testing.assert_array_equal(out.pixel_array[0], pixels[0])


def test_an_edited_lossy_image_says_that_it_was_lossy(make_dicom, save) -> None:
    dataset = make_dicom(noise("u2"))
    dataset.compress(JPEG2000, j2k_cr=[5], generate_instance_uid=False)
    for keyword in ("LossyImageCompression", "LossyImageCompressionRatio"):
        if keyword in dataset:
            delattr(dataset, keyword)
    image = load(save, dataset)
    out = round_trip(image, edited=True)
    assert out.LossyImageCompression == "01"
    assert out.LossyImageCompressionMethod == "ISO_15444_1"
    assert 1 < out.LossyImageCompressionRatio < 20
    lossless = load(save, make_dicom(noise("u2"), syntax=JPEG2000Lossless))
    assert "LossyImageCompression" not in round_trip(lossless, edited=True)


def test_an_earlier_loss_keeps_its_method_and_ratio(make_dicom, save) -> None:
    tags = {
        "LossyImageCompression": "01",
        "LossyImageCompressionRatio": "7.5",
        "LossyImageCompressionMethod": "ISO_10918_1",
    }
    for lossy in (False, True):
        dataset = make_dicom(noise("u2"))
        if lossy:
            dataset.compress(JPEG2000, j2k_cr=[5], generate_instance_uid=False)
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        out = round_trip(load(save, dataset), edited=True)
        assert {keyword: str(out[keyword].value) for keyword in tags} == tags


def test_an_edited_colour_image_is_rgb_by_pixel(make_dicom, save) -> None:
    rgb = noise("u1", (1, 32, 40, 3))
    dataset = make_dicom(rgb, Modality="OP", PlanarConfiguration=1)
    dataset.PixelData = rgb.transpose(0, 3, 1, 2).tobytes()
    image = load(save, dataset)
    np.testing.assert_array_equal(image.pixels, rgb)
    out = round_trip(replace(image, pixels=255 - rgb), edited=True)
    assert (out.PlanarConfiguration, out.SamplesPerPixel) == (0, 3)
    assert out.PhotometricInterpretation == "RGB"


def test_a_reversible_colour_transform_is_undone_when_edited_and_kept_when_not(
    make_dicom, save
) -> None:
    rgb = noise("u1", (1, 32, 40, 3))
    dataset = make_dicom(rgb, Modality="OP")
    dataset.PhotometricInterpretation = "YBR_RCT"
    dataset.compress(JPEG2000Lossless, rgb.reshape(32, 40, 3), generate_instance_uid=False)
    image = load(save, dataset)
    np.testing.assert_array_equal(image.pixels, rgb)
    assert round_trip(image).PhotometricInterpretation == "YBR_RCT"
    assert round_trip(image, edited=True).PhotometricInterpretation == "RGB"


def test_a_palette_image_is_not_edited(make_dicom, save) -> None:
    image = load(save, make_dicom(noise("u1"), PhotometricInterpretation="PALETTE COLOR"))
    with pytest.raises(Withheld) as withheld:
        dicom.encode(image, edited=True, dataset=image.dataset)
    assert withheld.value.reason == "unsupported_edit"


def test_writing_leaves_the_data_set_it_was_given_as_it_was(make_dicom, save) -> None:
    tags = {"SmallestImagePixelValue": 7, "LossyImageCompression": "00"}
    dataset = make_dicom(noise("u1", (1, 33, 41, 3)), syntax=JPEGLSLossless, **tags)
    image = load(save, dataset)
    assert image.dataset is not None
    before = {element.tag: element.value for element in image.dataset}
    meta = image.dataset.file_meta.TransferSyntaxUID
    dicom.encode(image, edited=False, dataset=image.dataset)
    dicom.encode(image, edited=True, dataset=image.dataset)
    assert {element.tag: element.value for element in image.dataset} == before
    assert image.dataset.file_meta.TransferSyntaxUID == meta


@pytest.mark.parametrize("names", [b"RGB", b"\1\2\3"])
@pytest.mark.parametrize("declared", ["RGB", "YBR_FULL_422"])
@pytest.mark.parametrize("jfif", [False, True])
def test_every_reader_sees_the_colours_that_the_header_states(
    make_dicom, save, names: bytes, declared: str, jfif: bool
) -> None:
    import SimpleITK as sitk  # noqa: N813 - the name its own documentation gives it

    rgb = np.zeros((1, 16, 16, 3), np.uint8)
    rgb[..., 0], rgb[..., 1] = 200, 20
    dataset = make_dicom(rgb, Modality="OP", PhotometricInterpretation=declared)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([colour_jpeg(rgb[0], names, jfif)])
    dataset["PixelData"].is_undefined_length = True
    image = load(save, dataset)
    data = dicom.encode(image, edited=False, dataset=image.dataset)
    assert dicom.agrees(image, data, edited=False)
    path = save(data)
    out = dcmread(path)
    # The sample values are those of YCbCr, which is what JFIF says in any case.
    meant = "YBR" if jfif or (declared, names) == ("YBR_FULL_422", b"\1\2\3") else "RGB"
    assert out.PhotometricInterpretation.startswith(meant)
    stored = image.pixels[0, 8, 8]
    shown = rgb[0, 8, 8] if meant == "YBR" else stored
    np.testing.assert_allclose(out.pixel_array[8, 8].astype(int), shown, atol=2)
    seen = sitk.GetArrayFromImage(sitk.ReadImage(str(path))).squeeze()[8, 8]
    np.testing.assert_allclose(seen.astype(int), shown, atol=2)


def colour_jpeg(values: np.ndarray, names: bytes, jfif: bool) -> bytes:
    """A JPEG of YCbCr whose components have these names, with or without a JFIF segment."""
    buffer = io.BytesIO()
    Picture.fromarray(values).save(buffer, "JPEG", quality=95, subsampling=0)
    out = [b"\xff\xd8"]
    for part in dicom_jpeg.segments(buffer.getvalue()):
        body = bytearray(part.body)
        if part.marker == 0xC0:
            body[6::3] = names
        elif part.marker == 0xDA:
            body[1:7:2] = names
        elif part.marker == 0xE0 and not jfif:
            continue
        out += [struct.pack(">BBH", 0xFF, part.marker, len(body) + 2), bytes(body), part.coded]
    return b"".join([*out, b"\xff\xd9"])
