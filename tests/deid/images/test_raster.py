"""PNG, JPEG, TIFF: decoded values stay, all else but a short list goes."""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from deid import icc
from deid.images import raster, raster_lzw
from deid.images.dicom_jpeg import segments
from deid.images.record import Image
from deid.reasons import Withheld

CANARY = b"Zx7CANARYq"
GREY = np.add.outer(np.arange(50), 3 * np.arange(60)).astype(np.uint8)
COLOUR = np.stack([GREY, GREY // 2, 255 - GREY], axis=-1)
DEEP = GREY.astype(np.uint16) * 250
DEEP_COLOUR = COLOUR.astype(np.uint16) * 250


def saved(pixels: NDArray[Any], kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture = pixels if isinstance(pixels, Pillow.Image) else Pillow.fromarray(pixels)
    picture.save(out, kind, **options)
    return out.getvalue()


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    out = io.BytesIO()
    tifffile.imwrite(out, pixels, **options)
    return out.getvalue()


def zeroed(data: bytes, tag: int) -> bytes:
    """A little-endian TIFF in which the only value of a tag is zero."""
    entry = re.escape(struct.pack("<H", tag)) + rb"..\x01\x00{3}"
    found = re.search(entry, data, re.DOTALL)
    assert found is not None
    return data[: found.end()] + bytes(4) + data[found.end() + 4 :]


def doubled(data: bytes, tag: int) -> bytes:
    """A little-endian TIFF in which a tag says that it has two values."""
    return re.sub(re.escape(struct.pack("<H", tag)) + rb"..\x01", lambda m: m[0][:4] + b"\2", data)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(pixels: NDArray[Any], *chunks: bytes, kind: int = 2) -> bytes:
    """A PNG by hand, since Pillow writes no colour of 16 bits; `chunks` go before the picture."""
    rows, columns = pixels.shape[:2]
    raw = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(rows, -1).view(np.uint8)
    lines = b"".join(b"\0" + line.tobytes() for line in raw)
    header = struct.pack(">IIBBBBB", columns, rows, 8 * pixels.itemsize, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", header), *chunks, chunk(b"IDAT", zlib.compress(lines))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def load(folder: Path, data: bytes) -> Image:
    path = folder / "picture"
    path.write_bytes(data)
    header = raster.inspect(path)
    image = raster.read(path, header)
    shape = (1, header.rows, header.columns) + ((3,) if header.samples == 3 else ())
    assert image.pixels.shape == shape
    assert image.pixels.itemsize == header.item_bytes
    return image


GREYS = [(GREY, "grey"), (DEEP, "grey of 16 bits")]
COLOURS = [(COLOUR, "colour"), (DEEP_COLOUR, "colour of 16 bits")]
TIFF_COMPRESSIONS = [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"]
CASES: dict[str, tuple[Callable[[], bytes], NDArray[Any]]] = {
    "png grey": (lambda: saved(GREY, "PNG"), GREY),
    "png grey 16": (lambda: saved(DEEP, "PNG"), DEEP),
    "png colour": (lambda: saved(COLOUR, "PNG"), COLOUR),
    "png colour 16": (lambda: png(DEEP_COLOUR), DEEP_COLOUR),
    "png opaque alpha": (lambda: saved(Pillow.fromarray(COLOUR).convert("RGBA"), "PNG"), COLOUR),
    "png grey opaque alpha": (lambda: saved(Pillow.fromarray(GREY).convert("LA"), "PNG"), GREY),
    "png black and white": (
        lambda: saved(Pillow.fromarray(GREY > 99), "PNG"),
        (GREY > 99).astype(np.uint8) * 255,
    ),
    "tiff white is zero": (
        lambda: tiff(DEEP, photometric="miniswhite", compression="zlib", predictor=2),
        DEEP,
    ),
    "tiff big endian, big": (lambda: tiff(DEEP, bigtiff=True, byteorder=">"), DEEP),
    "tiff tiles": (lambda: tiff(DEEP_COLOUR, photometric="rgb", tile=(16, 16)), DEEP_COLOUR),
    "tiff planes": (
        lambda: tiff(np.moveaxis(COLOUR, 2, 0), photometric="rgb", planarconfig="separate"),
        COLOUR,
    ),
    **{
        f"tiff {method} {name}": (lambda p=p, m=method: saved(p, "TIFF", compression=m), p)
        for method in TIFF_COMPRESSIONS
        for p, name in (*GREYS, COLOURS[0])
    },
}


@pytest.mark.parametrize("name", CASES)
def test_unedited_lossless_pictures_keep_their_decoded_values(tmp_path: Path, name: str) -> None:
    make, pixels = CASES[name]
    image = load(tmp_path, make())
    assert np.array_equal(image.pixels[0], pixels)
    assert image.pixels.dtype == pixels.dtype
    out = raster.encode(image, edited=False)
    assert raster.agrees(image, out, edited=False)
    again = load(tmp_path, out)
    assert np.array_equal(again.pixels, image.pixels)
    assert raster.encode(again, edited=False) == out


@pytest.mark.parametrize("name", CASES)
def test_an_edit_comes_back_exactly_or_is_said_to_be_unsupported(tmp_path: Path, name: str) -> None:
    make, pixels = CASES[name]
    image = load(tmp_path, make())
    edited = replace(image, pixels=(image.pixels // 2 + 1).astype(image.pixels.dtype))
    if name.startswith("tiff") and pixels.dtype == np.uint16:
        assert not raster.supports_edit(image)
        with pytest.raises(Withheld, match="unsupported_edit"):
            raster.encode(edited, edited=True)
        return
    out = raster.encode(edited, edited=True)
    assert raster.agrees(edited, out, edited=True)
    assert not raster.agrees(image, out, edited=True)
    assert np.array_equal(load(tmp_path, out).pixels, edited.pixels)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "LA", "I;16"])
def test_other_readers_see_the_same_png(tmp_path: Path, mode: str) -> None:
    source = Pillow.fromarray(DEEP) if mode == "I;16" else Pillow.fromarray(COLOUR).convert(mode)
    out = raster.encode(load(tmp_path, saved(source, "PNG")), edited=False)
    seen = Pillow.open(io.BytesIO(out))
    assert seen.mode == mode
    assert np.array_equal(np.asarray(seen), np.asarray(source))


def test_a_palette_becomes_the_colours_it_stands_for_without_its_unused_entries(
    tmp_path: Path,
) -> None:
    source = Pillow.fromarray(COLOUR).quantize(9)
    palette = bytearray(source.getpalette() or [])
    palette[27:] = b""
    source.putpalette(bytes(palette) + CANARY.ljust(12))
    data = saved(source, "PNG")
    assert CANARY in data
    image = load(tmp_path, data)
    assert np.array_equal(image.pixels[0], np.asarray(source.convert("RGB")))
    assert CANARY not in everything(raster.encode(image, edited=False))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_an_unedited_jpeg_keeps_its_coded_picture_byte_for_byte(
    tmp_path: Path, pixels: NDArray[Any], progressive: bool
) -> None:
    data = saved(pixels, "JPEG", progressive=progressive, quality=60)
    image = load(tmp_path, data)
    out = raster.encode(image, edited=False)
    before, after = (
        [(part.body, part.coded) for part in segments(stream) if part.marker == 0xDA]
        for stream in (data, out)
    )
    assert after == before
    assert np.array_equal(np.asarray(Pillow.open(io.BytesIO(out))), image.pixels[0])
    assert raster.agrees(image, out, edited=False)


@pytest.mark.parametrize("pixels", [GREY, COLOUR])
def test_an_edited_jpeg_has_standard_tables_quality_95_and_full_colour(
    tmp_path: Path, pixels: NDArray[Any]
) -> None:
    data = saved(pixels, "JPEG", quality=30, subsampling=2, optimize=True)
    image = load(tmp_path, data)
    edited = replace(image, pixels=255 - image.pixels)
    out = raster.encode(edited, edited=True)
    assert raster.agrees(edited, out, edited=True)
    assert not raster.agrees(image, out, edited=True)
    seen = Pillow.open(io.BytesIO(out))
    reference = Pillow.open(io.BytesIO(saved(pixels, "JPEG", quality=95, subsampling=0)))
    assert seen.quantization == reference.quantization
    assert seen.layer == reference.layer


def test_a_jpeg_with_adobe_colours_keeps_them(tmp_path: Path) -> None:
    plain = saved(COLOUR, "JPEG", quality=95, subsampling=0)
    start = 2 + 2 + struct.unpack(">H", plain[4:6])[0]
    adobe = b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\0"  # transform 0: the samples are RGB
    data = plain[:2] + adobe + plain[start:]
    image = load(tmp_path, data)
    out = raster.encode(image, edited=False)
    assert np.array_equal(
        np.asarray(Pillow.open(io.BytesIO(data))), np.asarray(Pillow.open(io.BytesIO(out)))
    )
    assert raster.agrees(image, out, edited=False)


def everything(data: bytes) -> bytes:
    """The bytes of a file, and of whatever in it inflates."""
    found = [data]
    for match in re.finditer(rb"x[\x01\x5e\x9c\xda]", data):
        engine = zlib.decompressobj()
        try:
            found.append(engine.decompress(data[match.start() :]))
        except zlib.error:
            continue
    return b"\n".join(found)


def exif(orientation: int) -> Pillow.Exif:
    block = Pillow.Exif()
    block[0x0112] = orientation
    block[0x010E] = CANARY.decode()
    block[0x9C9B] = CANARY.decode().encode("utf-16-le")
    block.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + CANARY
    return block


def named_profile() -> bytes:
    """Another colour space than sRGB, with a name in it."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes())
    return bytes(profile) + CANARY


def canary_jpeg() -> bytes:
    data = saved(
        COLOUR, "JPEG", exif=exif(6), comment=CANARY, icc_profile=named_profile(), dpi=(96, 96)
    )
    parts = []
    for marker in range(0xE0, 0xF0):
        if marker != 0xEE:
            body = b"JFXX\0\x10" * (marker == 0xE0) + saved(GREY[:9, :9], "JPEG") + CANARY
            parts.append(struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body)
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x>" + CANARY + b"</x>"
    parts.append(struct.pack(">BBH", 0xFF, 0xE1, len(xmp) + 2) + xmp)
    parts.append(b"\xff\xee\0\x18Adobe\0d\0\0\0\0\1" + CANARY)
    tail = CANARY + saved(COLOUR, "JPEG", comment=CANARY)
    first = 4 + struct.unpack(">H", data[4:6])[0]
    return data[:first] + b"".join(parts) + data[first:] + tail


def canary_png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", CANARY.decode())
    text.add_text("Description", CANARY.decode(), zip=True)
    text.add_itxt("Title", CANARY.decode(), zip=True)
    text.add(b"prVt", CANARY)
    text.add(b"tIME", struct.pack(">H5B", 2020, 1, 2, 3, 4, 5))
    data = saved(
        COLOUR, "PNG", pnginfo=text, exif=exif(6), icc_profile=named_profile(), dpi=(96, 96)
    )
    end = data.index(b"IEND") - 4
    # Inside the compressed data, behind the picture's last row.
    place = data.index(b"IDAT") - 4
    length = struct.unpack_from(">I", data, place)[0]
    rows = zlib.decompress(data[place + 8 : place + 8 + length]) + CANARY
    hidden = chunk(b"IDAT", zlib.compress(rows) + CANARY)
    return data[:place] + hidden + chunk(b"zzZz", CANARY) + data[end:] + CANARY


def canary_tiff() -> bytes:
    return (
        tiff(
            COLOUR,
            photometric="rgb",
            compression="zlib",
            description=CANARY.decode(),
            software=CANARY.decode(),
            datetime="2020:01:02 03:04:05",
            iccprofile=named_profile(),
            resolution=(300, 300),
            extratags=[
                (274, "H", 1, 6, True),
                (315, "s", 0, CANARY.decode(), True),
                (700, "B", len(CANARY), CANARY, True),
                (33723, "B", len(CANARY), CANARY, True),
                (37510, "B", len(CANARY), CANARY, True),
                (65000, "s", 0, CANARY.decode(), True),
            ],
        )
        + CANARY
    )


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("make", [canary_jpeg, canary_png, canary_tiff])
def test_no_canary_survives_in_any_byte(
    tmp_path: Path, make: Callable[[], bytes], edited: bool
) -> None:
    data = make()
    assert everything(data).count(CANARY) >= 5
    image = load(tmp_path, data)
    if edited:
        image = replace(image, pixels=255 - image.pixels)
    out = raster.encode(image, edited=edited)
    assert raster.agrees(image, out, edited=edited)
    assert CANARY not in everything(out)
    assert CANARY.decode().encode("utf-16-le") not in everything(out)
    seen = Pillow.open(io.BytesIO(out))
    assert seen.getexif()[0x0112] == 6, "orientation stays"
    assert "icc_profile" not in seen.info
    if seen.format == "JPEG":
        assert dict(seen.getexif()) == {0x0112: 6}
        assert out.count(b"\xff\xd8") == 1, "no thumbnail"
        assert out.endswith(b"\xff\xd9")
    if seen.format == "PNG":
        names = re.findall(rb"IHDR|IDAT|IEND|tEXt|zTXt|iTXt|tIME|prVt|eXIf|pHYs|iCCP", out)
        assert names == [b"IHDR", b"pHYs", b"eXIf", b"IDAT", b"IEND"]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_colour_profile_survives_only_as_the_standard_one(tmp_path: Path, kind: str) -> None:
    standard = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = load(tmp_path, saved(COLOUR, kind, icc_profile=standard))
    out = raster.encode(image, edited=False)
    assert Pillow.open(io.BytesIO(out)).info["icc_profile"] == icc.srgb()
    assert raster.agrees(image, out, edited=False)
    other = load(tmp_path, saved(COLOUR, kind, icc_profile=named_profile()))
    out = raster.encode(other, edited=False)
    assert "icc_profile" not in Pillow.open(io.BytesIO(out)).info


def test_an_srgb_profile_with_a_text_in_it_is_replaced(tmp_path: Path) -> None:
    standard = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    poisoned = standard.replace("sRGB".encode("utf-16-be"), "ABCD".encode("utf-16-be"))
    poisoned += CANARY
    assert poisoned != standard
    kept = icc.standard(poisoned)
    assert kept == icc.srgb()
    assert icc.standard(b"rubbish" * 40) is None


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: saved(Pillow.fromarray(COLOUR).convert("CMYK"), "JPEG"), "undecodable"),
        (lambda: saved(Pillow.fromarray(COLOUR).convert("CMYK"), "TIFF"), "undecodable"),
        (lambda: tiff(np.stack([GREY, GREY]), photometric="minisblack"), "undecodable"),
        (lambda: tiff(GREY.astype(np.float32)), "undecodable"),
        (lambda: tiff(GREY.astype(np.int16)), "undecodable"),
        (lambda: saved(GREY, "TIFF", compression="jpeg"), "undecodable"),
        (lambda: saved(Pillow.new("RGBA", (9, 9), (1, 2, 3, 254)), "PNG"), "undecodable"),
        (lambda: saved(COLOUR, "PNG", transparency=(0, 0, 255)), "undecodable"),
        (
            lambda: saved(Pillow.fromarray(COLOUR).quantize(9), "PNG", transparency=3),
            "undecodable",
        ),
        (
            lambda: saved(
                Pillow.fromarray(GREY),
                "PNG",
                save_all=True,
                append_images=[Pillow.fromarray(255 - GREY)],
            ),
            "undecodable",
        ),
        (lambda: b"\x89PNG\r\n\x1a\n", "malformed"),
        (lambda: saved(GREY, "PNG")[:40], "undecodable"),
        (lambda: saved(GREY, "PNG")[:-12], "undecodable"),
        (lambda: saved(GREY, "JPEG")[:20], "undecodable"),
        (lambda: saved(GREY, "JPEG")[:-40], "undecodable"),
        (lambda: saved(GREY, "JPEG")[:-2], "undecodable"),
        (lambda: saved(COLOUR, "JPEG", progressive=True)[:-200], "undecodable"),
        (lambda: tiff(GREY)[:1000], "undecodable"),
        (lambda: b"II*\0\x08\0\0\0", "undecodable"),
        (lambda: png(GREY, kind=0).replace(b"\0\0\0\x3c\0\0\0\x32", bytes(8)), "malformed"),
        (lambda: png(GREY, kind=7), "malformed"),
        (lambda: zeroed(tiff(GREY), 278), "undecodable"),
        (lambda: zeroed(tiff(GREY, tile=(16, 16)), 323), "undecodable"),
        (lambda: doubled(tiff(GREY, resolution=(9, 9), resolutionunit=2), 296), "undecodable"),
    ],
)
def test_what_can_not_be_read_whole_is_withheld(
    tmp_path: Path, make: Callable[[], bytes], reason: str
) -> None:
    with pytest.raises(Withheld) as caught:
        load(tmp_path, make())
    assert caught.value.reason == reason


def claims(kind: str, side: int) -> bytes:
    """A small file whose header claims a picture of `side` squared."""
    if kind == "png":
        data = bytearray(png(GREY, kind=0))
        data[16:24] = struct.pack(">II", side, side)
        data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        return bytes(data)
    if kind == "jpeg":
        data = bytearray(saved(GREY, "JPEG"))
        place = data.index(b"\xff\xc0")
        data[place + 5 : place + 9] = struct.pack(">HH", side, side)
        return bytes(data)
    data = bytearray(tiff(GREY, compression="zlib", byteorder="<"))
    for tag in (256, 257, 278):
        place = data.index(struct.pack("<H", tag))
        data[place : place + 12] = struct.pack("<HHII", tag, 4, 1, side)
    return bytes(data)


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_a_giant_claimed_over_little_data_costs_neither_time_nor_memory(
    tmp_path: Path, kind: str
) -> None:
    with pytest.raises(Withheld, match="too_large"):
        load(tmp_path, claims(kind, 65535))


@pytest.mark.parametrize("kind", ["png", "jpeg", "tiff"])
def test_a_larger_size_than_the_data_hold_is_undecodable(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Withheld, match="undecodable"):
        load(tmp_path, claims(kind, 500))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_picture_of_one_pixel_goes_through(tmp_path: Path, kind: str) -> None:
    image = load(tmp_path, saved(np.array([[7]], np.uint8), kind))
    assert raster.agrees(image, raster.encode(image, edited=False), edited=False)
    assert raster.view(image).shape == (1, 1, 1)
    assert raster.plain(image).shape == (1, 1, 1)


def test_models_see_white_is_zero_inverted_and_deep_pictures_stretched(tmp_path: Path) -> None:
    image = load(tmp_path, tiff(DEEP, photometric="miniswhite"))
    seen = raster.view(image)
    assert (seen.min(), seen.max(), seen.dtype) == (0, 1, np.float32)
    assert seen[0, 0, 0] == 1
    assert (raster.plain(image).min(), raster.plain(image).max()) == (0, 255)
    shallow = load(tmp_path, saved(COLOUR, "PNG"))
    assert raster.view(shallow)[0] == pytest.approx(COLOUR / np.float32(255))
    assert np.array_equal(raster.plain(shallow)[0], COLOUR)
    dark = load(tmp_path, saved(GREY // 16, "PNG"))
    assert (raster.view(dark).min(), raster.view(dark).max()) == (0, 1)


@given(data=st.data())
@settings(max_examples=80)
def test_damage_anywhere_never_crashes_and_what_still_reads_is_written_truly(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp()
    source = data.draw(st.sampled_from(DAMAGED))
    place = data.draw(st.integers(0, len(source) - 1))
    wild = data.draw(st.binary(min_size=1, max_size=8))
    broken = source[:place] + wild + source[place + len(wild) * data.draw(st.booleans()) :]
    try:
        image = load(folder, broken)
    except Withheld:
        return
    assert raster.agrees(image, raster.encode(image, edited=False), edited=False)


DAMAGED = [
    saved(COLOUR, "PNG"),
    saved(COLOUR, "JPEG", progressive=True),
    saved(GREY, "JPEG", exif=exif(6)),
    saved(COLOUR, "TIFF", compression="tiff_lzw"),
    tiff(DEEP, compression="zlib"),
]


@given(st.binary(max_size=6000), st.integers(2, 12))
@settings(max_examples=40)
def test_lzw_inverts_what_libtiff_packs(data: bytes, repeat: int) -> None:
    pixels = np.frombuffer((data * repeat)[:6000].ljust(64, b"\1"), np.uint8)
    packed = saved(pixels[None], "TIFF", compression="tiff_lzw", strip_size=1 << 20)
    with tifffile.TiffFile(io.BytesIO(packed)) as file:
        page = file.pages.first
        (place,), (length,) = page.dataoffsets, page.databytecounts
    assert raster_lzw.decode(packed[place : place + length], pixels.size) == pixels.tobytes()


def test_a_jpeg_file_with_several_pictures_is_withheld_as_a_tiff_file_is(tmp_path: Path) -> None:
    second = Pillow.fromarray(255 - GREY)
    several = saved(Pillow.fromarray(GREY), "MPO", save_all=True, append_images=[second])
    pages = tiff(np.stack([GREY, 255 - GREY]), photometric="minisblack")
    for data in (several, pages):
        with pytest.raises(Withheld, match=r"undecodable: only .* files with one p"):
            load(tmp_path, data)
