"""The 199 public files of ../shared/dicom: outcomes, and the way through three readers."""

from __future__ import annotations

import csv
import io
import struct
import zipfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import HTJ2K, JPEGTransferSyntaxes

from deid.images import dicom, dicom_frames, dicom_jpeg, dicom_parse
from deid.images.record import Header, Image
from deid.reasons import Withheld

#: What only a look at the picture can tell (`deid.images.headlook`). A seventh of the manifest's
#: `head by picture only` names the cervical spine, which the header rule takes for neck.
BY_PICTURE = {
    "dcm4che/CT-JPEGLosslessSV1.dcm": "done",
    "dicom-test-files/CT2_JLSN": "done",
    "pydicom-data/693_J2KR.dcm": "done",
    "pylibjpeg-data/ELSCINT1_JP2vsJ2K.dcm": "done",
    "dicom-test-files/MR1_J2KI": "other_modality",
    "orthanc-tests/ISO_IR13.dcm": "other_modality",
}
#: JPEG processes that no decoder here knows.
RETIRED = ("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55")
pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom quotes what is wrong in the files
OURS = ("xray", "ct", "fundus")


@dataclass(frozen=True)
class Outcome:
    """What became of a file, and its image where it has one."""

    word: str
    image: Image | None = None


@cache
def outcome(path: Path) -> Outcome:
    try:
        header = dicom.inspect(path)
        image = dicom.read(path, header)
    except Withheld as withheld:
        return Outcome(withheld.reason)
    return Outcome(_word(header), image)


def _word(header: Header) -> str:
    if header.head:
        return "head"
    return "done" if header.modality in OURS else "other_modality"


@pytest.fixture(scope="module")
def corpus(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Path, dict[str, str]]:
    """The manifest's rows by unpacked file."""
    folder = tmp_path_factory.mktemp("dicom")
    with zipfile.ZipFile(shared / "dicom" / "files.zip") as archive:
        archive.extractall(folder)
    with open(shared / "dicom" / "manifest.csv", newline="", encoding="utf-8") as file:
        return {folder / row["file"]: row for row in csv.DictReader(file)}


def images(corpus: dict[Path, dict[str, str]], expected: str = "") -> list[tuple[Path, Image]]:
    """The decoded files, those of one expected outcome or all."""
    found = []
    for path, row in corpus.items():
        image = outcome(path).image if expected in ("", row["expected"]) else None
        if image is not None:
            found.append((path, image))
    return found


def test_every_outcome_is_the_expected_one(corpus) -> None:
    wrong = {}
    for path, row in corpus.items():
        expected = BY_PICTURE.get(row["file"], row["expected"])
        if outcome(path).word != expected:
            wrong[row["file"]] = (outcome(path).word, expected)
    assert wrong == {}
    assert Counter(row["expected"] for row in corpus.values())["done"] == 21


def test_what_a_picture_must_tell_is_what_the_manifest_says(corpus) -> None:
    names = {row["file"] for row in corpus.values() if "head by picture only" in row["notes"]}
    assert names - set(BY_PICTURE) == {"fo-dicom/IM-0001-0001-0001.dcm"}


def test_a_series_is_one_stack_in_its_order(corpus) -> None:
    # The sixth of the abdomen lies across the others: a geometry of its own.
    for series, count in (("ct_head_ge", 8), ("mr_head", 10), ("mr_abdomen", 5)):
        paths = sorted(path for path in corpus if path.parent.name == f"series_{series}")
        headers = [dicom.inspect(path) for path in paths]
        assert len({header.stack for header in headers[:count]}) == 1
        assert headers[0].stack not in [header.stack for header in headers[count:]]
        steps = np.diff([header.order for header in headers[:count]])
        assert len(steps) == count - 1
        assert (steps > 0).all() or (steps < 0).all()


#: Without their tags cleaned, pydicom does not write these: no SOP class, a stray item.
UNWRITABLE = ("dwv-test-anonymise.dcm", "dwv-test-sequence.dcm", "GH364.dcm")


def test_every_image_comes_through_unedited_value_by_value(corpus) -> None:
    done = 0
    for path, image in images(corpus):
        if path.name in UNWRITABLE or image.dataset is None:
            continue
        data = dicom.encode(image, edited=False, dataset=image.dataset)
        assert dicom.agrees(image, data, edited=False), corpus[path]["file"]
        syntax = dcmread(io.BytesIO(data)).file_meta.TransferSyntaxUID
        before = image.dataset.file_meta.TransferSyntaxUID
        # Of high throughput nobody knows what its blocks need.
        assert image.native or syntax == before or before == HTJ2K
        done += 1
    assert done == 132 - len(UNWRITABLE)


def test_no_frame_of_a_jpeg_keeps_a_segment_that_is_not_needed(corpus) -> None:
    seen = 0
    for path, image in images(corpus):
        dataset = image.dataset
        if dataset is None or path.name in UNWRITABLE:
            continue
        if dataset.file_meta.TransferSyntaxUID not in JPEGTransferSyntaxes:
            continue
        out = dcmread(io.BytesIO(dicom.encode(image, edited=False, dataset=dataset)))
        for frame in generate_frames(out.PixelData, number_of_frames=image.header.frames):
            markers = {segment.marker for segment in dicom_jpeg.segments(frame)}
            assert not markers & {*range(0xE0, 0xEE), 0xEF, 0xFE}
            seen += 1
    assert seen > 20


def test_bytes_behind_the_data_of_any_real_scan_go_and_nothing_of_the_data(corpus) -> None:
    kinds = Counter()
    for path in corpus:
        for frame in _frames(path):
            parts = list(dicom_jpeg.segments(frame))
            (kind,) = {part.marker for part in parts} & {0xC0, 0xC1, 0xC2, 0xC3, 0xF7}
            if kind == 0xF7:
                continue
            out = [b"\xff\xd8"]
            for part in parts:
                out += [struct.pack(">BBH", 0xFF, part.marker, len(part.body) + 2), part.body]
                out += [part.coded.rstrip(b"\xff") + b"MUELLER^ANNA" if part.coded else b""]
            stripped = dicom_jpeg.strip(frame)
            assert dicom_jpeg.strip(b"".join([*out, b"\xff\xd9"])) == stripped, corpus[path]["file"]
            before, after = (
                [part.coded for part in dicom_jpeg.segments(stream) if part.coded]
                for stream in (frame, stripped)
            )
            # Two of the files have a pad byte there.
            assert [one[: len(two)] for one, two in zip(before, after, strict=True)] == after
            assert sum(map(len, before)) - sum(map(len, after)) in (0, 1)
            kinds[kind] += 1
    assert kinds == {0xC0: 9, 0xC1: 6, 0xC2: 2, 0xC3: 16}


def _frames(path: Path) -> list[bytes]:
    """The first frames of a file in one of the JPEG syntaxes, whether they decode or not."""
    try:
        dataset = dicom_parse.read_file(path).dataset
        if dataset.file_meta.TransferSyntaxUID not in (*JPEGTransferSyntaxes, *RETIRED):
            return []
        count = min(2, int(dataset.get("NumberOfFrames") or 1))
        return [
            frame for frame in dicom_frames.split(dataset, count) if frame.startswith(b"\xff\xd8")
        ]
    except Withheld:
        return []


@pytest.mark.parametrize("edited", [False, True])
def test_what_is_done_opens_in_pydicom_gdcm_and_simpleitk(corpus, tmp_path, edited: bool) -> None:
    found = images(corpus, "done")
    assert len(found) == 21
    for number, (path, image) in enumerate(found):
        meant = _edited(image) if edited else image
        data = dicom.encode(meant, edited=edited, dataset=image.dataset)
        assert dicom.agrees(meant, data, edited=edited), corpus[path]["file"]
        written = tmp_path / f"{number}.dcm"
        written.write_bytes(data)
        for reader in (_pydicom, _gdcm, _simpleitk):
            assert reader(written, edited) == reader(path, edited), corpus[path]["file"]
        np.testing.assert_array_equal(dcmread(written).pixel_array, meant.pixels[0])


def _edited(image: Image) -> Image:
    pixels = image.pixels.copy()
    pixels[:, 10:20, 10:40] = pixels[:, 11:21, 11:41]
    pixels[:, 3, 5] = 1
    return replace(image, pixels=pixels)


def _pydicom(path: Path, edited: bool) -> list[Any]:
    out = dcmread(path)
    return [
        out.get(keyword)
        for keyword in (
            *("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit"),
            *("PixelRepresentation", "PhotometricInterpretation", "PixelSpacing"),
            *("ImagerPixelSpacing", "RescaleSlope", "RescaleIntercept", "WindowCenter"),
            *("WindowWidth", "PixelPaddingValue"),
        )
    ]


def _gdcm(path: Path, edited: bool) -> list[Any]:
    import gdcm

    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image = reader.GetImage()
    pixel = image.GetPixelFormat()
    return [
        [image.GetDimension(axis) for axis in range(image.GetNumberOfDimensions())],
        [image.GetSpacing(axis) for axis in range(3)],
        [pixel.GetBitsAllocated(), pixel.GetBitsStored(), pixel.GetPixelRepresentation()],
        image.GetPhotometricInterpretation().GetString().strip(),
        [image.GetSlope(), image.GetIntercept()],
        "" if edited else image.GetBuffer(),
    ]


def _simpleitk(path: Path, edited: bool) -> list[Any]:
    import SimpleITK as sitk  # noqa: N813 - the name its own documentation gives it

    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    image = sitk.ReadImage(str(path))
    return [
        image.GetSize(),
        image.GetSpacing(),
        image.GetOrigin(),
        image.GetDirection(),
        image.GetPixelIDTypeAsString(),
        b"" if edited else sitk.GetArrayFromImage(image).tobytes(),
    ]
