from __future__ import annotations

import gzip
import io
import json
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from deid.phantoms import chest_xray
from deid.scrub.run import scrub


def dicom(**changes: object) -> pydicom.Dataset:
    """A small CR file, with some attributes changed."""
    meta = pydicom.dataset.FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = pydicom.Dataset()
    data.file_meta = meta
    data.SOPClassUID = meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    data.PatientID, data.Modality, data.BodyPartExamined = "P", "CR", "HAND"
    data.Rows = data.Columns = 64
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = (chest_xray(1, 1, 64) * 4000).astype("<u2").tobytes()
    for keyword, value in changes.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    return data


def encoded(data: pydicom.Dataset) -> bytes:
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def nested(depth: int) -> bytes:
    """A file whose private sequence nests `depth` deep, in undefined lengths."""
    head = encoded(dicom(PixelData=None))
    opened = struct.pack("<HH2sHI", 0x0011, 0x1001, b"SQ", 0, 0xFFFFFFFF)
    opened += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closed = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    return head + opened * depth + closed * depth


def deflate_bomb() -> bytes:
    data = dicom()
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    head = encoded(data)
    start = head.index(DeflatedExplicitVRLittleEndian.encode()) + 22
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = bytes(1 << 20)
    return head[:start] + b"".join(packer.compress(block) for _ in range(5000)) + packer.flush()


def png(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray((chest_xray(2, 1, 256) * 255).astype(np.uint8)).resize(size).save(buffer, "PNG")
    return buffer.getvalue()


def nan_volume() -> bytes:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 8, 8, 8, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 16, 32)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    return bytes(header) + np.full(512, np.nan, "<f4").tobytes()


def gigantic_png() -> bytes:
    data = png((8, 8))
    head = data[:16] + struct.pack(">II", 65535, 65535) + data[24:29]
    return head + struct.pack(">I", zlib.crc32(head[12:29])) + data[33:]


BAD = {
    "empty.dcm": b"",
    "truncated.dcm": encoded(dicom())[:600],
    "truncated.png": png((64, 64))[:900],
    "wrong_extension.jpg": b"this is no picture",
    "no_pixels.dcm": encoded(dicom(PixelData=b"")),
    "header_only.dcm": encoded(dicom(PixelData=None)),
    "65535.dcm": encoded(dicom(Rows=65535, Columns=65535)),
    "65535.png": gigantic_png(),
    "frame_bomb.dcm": encoded(dicom(NumberOfFrames=2_000_000)),
    "deflate_bomb.dcm": deflate_bomb(),
    "deep.dcm": nested(100_000),
    "nan.nii.gz": gzip.compress(nan_volume()),
    "note.txt": b"no image",
    "with\nnewline.dcm": b"DICM",
}


def test_bad_input_gets_a_row_with_a_reason_and_the_rest_is_done(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    for name, data in BAD.items():
        (source / name).write_bytes(data)
    (source / "good.dcm").write_bytes(encoded(dicom()))
    (source / "one_pixel.png").write_bytes(png((1, 1)))
    code = "from deid.cli.app import main; main()"
    command = [sys.executable, "-c", code, "scrub", str(source), str(tmp_path / "output")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stdout + done.stderr

    rows = {}
    for line in (tmp_path / "output.run" / "report.jsonl").open():
        row = json.loads(line)
        rows[row["input"]] = row
    assert set(rows) == {*BAD, "good.dcm", "one_pixel.png"}
    assert rows["good.dcm"]["status"] == "done"
    assert all(rows[name]["reason"] for name in BAD)
    assert not (tmp_path / "output.run" / "errors.log").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_can_not_be_read_is_told_so(tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.mkdir()
    (source / "a.dcm").write_bytes(encoded(dicom()))
    (source / "a.dcm").chmod(0)
    (row,) = scrub(source, tmp_path / "output").rows
    assert row["reason"] == "unreadable"
