"""No identifier that goes in comes out: in any byte under OUTPUT, on stdout or on stderr."""

from __future__ import annotations

import gzip
import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, PngImagePlugin
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from deid.phantoms import chest_xray


def canary(planted: list[str]) -> str:
    """A value that nothing else contains."""
    planted.append(f"Canary{len(planted):04d}Zebra")
    return planted[-1]


def picture(size: int = 96) -> np.ndarray:
    return (chest_xray(7, 1, size) * 255).astype(np.uint8)


def a_dicom(planted: list[str], jpeg: bool, syntax: str = JPEGBaseline8Bit) -> bytes:
    meta = pydicom.dataset.FileMetaDataset()
    data = pydicom.FileDataset("", {}, file_meta=meta, preamble=canary(planted).encode().ljust(128))
    data.SOPClassUID = meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = f"1.2.3.4.{int(jpeg)}.{syntax[-2:]}"
    meta.SourceApplicationEntityTitle = canary(planted)[:16]
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    data.Modality, data.BodyPartExamined = "CR", "HAND"
    for keyword in [
        "PatientName",
        "PatientID",
        "InstitutionName",
        "StudyDescription",
        "SeriesDescription",
        "PatientComments",
        "OperatorsName",
        "ReferringPhysicianName",
        "StationName",
        "ImageComments",
    ]:
        setattr(data, keyword, canary(planted))
    inner = pydicom.Dataset()
    inner.PatientName, inner.TextValue = canary(planted), canary(planted)
    outer = pydicom.Dataset()
    outer.AnatomicRegionSequence = [inner]
    data.DerivationCodeSequence = [outer]
    block = data.private_block(0x0011, canary(planted), create=True)
    block.add_new(1, "LO", canary(planted))
    data.add_new(0x00091001, "UN", canary(planted).encode())
    data.add_new(0x60003000, "OW", canary(planted).encode().ljust(32))
    data.add_new(0x60000022, "LO", canary(planted))
    data.Rows = data.Columns = 96
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    # A palette that grey values have no use for.
    data.add_new(0x00281101, "US", [16, 0, 16])
    data.add_new(0x00281201, "OW", canary(planted).encode().ljust(32))
    if jpeg:
        meta.TransferSyntaxUID = syntax
        if syntax == JPEGExtended12Bit:
            data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelData = encapsulate([a_jpeg(planted)])
        data["PixelData"].is_undefined_length = True
    else:
        meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        data.PixelData = picture().tobytes()
        data.DataSetTrailingPadding = canary(planted).encode()
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def a_jpeg(planted: list[str]) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = canary(planted)
    Image.fromarray(picture()).save(
        buffer, "JPEG", quality=90, comment=canary(planted).encode(), exif=exif
    )
    stream = buffer.getvalue()
    # A table that no scan uses, and bytes between the data and the end of the image.
    table = b"\xff\xdb\0\x43\3" + canary(planted).encode().ljust(64)
    scan = stream.index(b"\xff\xda")
    stream = stream[:scan] + table + stream[scan:-2] + canary(planted).encode() + stream[-2:]
    return stream + canary(planted).encode()


def a_png(planted: list[str]) -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Author", canary(planted))
    text.add_text("Comment", canary(planted), zip=True)
    text.add_itxt("XML:com.adobe.xmp", canary(planted))
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(buffer, "PNG", pnginfo=text)
    return buffer.getvalue() + canary(planted).encode()


def a_tiff(planted: list[str]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture()).save(
        buffer, "TIFF", tiffinfo={270: canary(planted), 315: canary(planted)}
    )
    return buffer.getvalue() + canary(planted).encode()


def a_nifti(planted: list[str]) -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 96, 96, 3, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, 3, 3, 3, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    for place, length in ((14, 18), (148, 80), (228, 24)):
        header[place : place + length] = canary(planted).encode().ljust(length, b"\0")[:length]
    slices = np.stack([picture().astype("<i2") * 4 - 900] * 3)
    buffer = io.BytesIO()
    with gzip.GzipFile(canary(planted) + ".nii", "wb", fileobj=buffer) as stream:
        stream.write(bytes(header) + slices.tobytes() + canary(planted).encode())
    return buffer.getvalue()


def everything(data: bytes) -> bytes:
    """The bytes, and what is packed in them."""
    whole = data
    if data[:2] == b"\x1f\x8b":
        whole += gzip.decompress(data)
    for start in range(len(data) - 2):
        if data[start] == 0x78 and data[start + 1] in (1, 94, 156, 218):
            try:
                whole += zlib.decompressobj().decompress(data[start:])
            except zlib.error:
                continue
    return whole


@pytest.mark.parametrize("options", [(), ("--metadata-only",)], ids=["default", "metadata-only"])
def test_no_planted_value_comes_out(options: tuple[str, ...], tmp_path: Path) -> None:
    planted: list[str] = []
    source = tmp_path / "input" / canary(planted) / canary(planted)
    source.mkdir(parents=True)
    files = {
        "native.dcm": a_dicom(planted, jpeg=False),
        "jpeg.dcm": a_dicom(planted, jpeg=True),
        "photo.jpg": a_jpeg(planted),
        "photo.png": a_png(planted),
        "photo.tif": a_tiff(planted),
        "volume.nii.gz": a_nifti(planted),
    }
    if options:
        # No decoder reads it, and here none has to.
        files["undecodable.dcm"] = a_dicom(planted, jpeg=True, syntax=JPEGExtended12Bit)
    for name, data in files.items():
        (source / f"{canary(planted)}-{name}").write_bytes(data)
    output = tmp_path / "output"
    code = "from deid.cli.app import main; main()"
    command = [sys.executable, "-c", code, "scrub", str(tmp_path / "input"), str(output)]
    done = subprocess.run(
        [*command, "--modality", "xray", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written = [path for path in output.rglob("*") if path.is_file()]
    assert len(written) == len(files) + 1
    said = (done.stdout + done.stderr).encode()
    for path in written:
        held = everything(path.read_bytes()) + str(path.relative_to(output)).encode() + said
        found = [value for value in planted if value[:16].encode() in held]
        assert found == [], path.suffix
