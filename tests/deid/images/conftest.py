"""DICOM files made to measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import FileDataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, RLELossless

MakeDicom = Callable[..., FileDataset]


def _make(
    pixels: NDArray[Any],
    *,
    stored: int | None = None,
    syntax: str = ExplicitVRLittleEndian,
    **tags: Any,
) -> FileDataset:
    """A CT image (unless `tags` say otherwise) of ``(F, R, C)`` or ``(F, R, C, 3)`` pixels."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, preamble=bytes(128), file_meta=meta)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID = "2.25.11"
    meta.MediaStorageSOPClassUID = CTImageStorage
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.12", "2.25.13"
    dataset.Modality, dataset.PatientID = "CT", "p1"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = pixels.shape[:3]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 4 else 1
    if pixels.ndim == 4:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    bits = pixels.dtype.itemsize * 8
    dataset.BitsAllocated, dataset.BitsStored = bits, stored or bits
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(np.issubdtype(pixels.dtype, np.signedinteger))
    data = pixels.tobytes()
    dataset.PixelData = data + bytes(len(data) % 2)
    dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    if UID(syntax).is_encapsulated:
        # GDCM's run-length encoder aborts the process on noise.
        plugin = "pydicom" if syntax == RLELossless else ""
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    else:
        meta.TransferSyntaxUID = syntax
    return dataset


@pytest.fixture(scope="session")
def make_dicom() -> MakeDicom:
    """Build a data set around pixels: ``make_dicom(pixels, stored=12, syntax=UID, Rows=7)``."""
    return _make


@pytest.fixture
def save(tmp_path: Path) -> Callable[[FileDataset | bytes], Path]:
    """Write a data set, or the bytes of a file, under a name of its own."""
    count = iter(range(1000))

    def write(content: FileDataset | bytes) -> Path:
        path = tmp_path / f"{next(count)}.dcm"
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save_as(path, enforce_file_format=True)
        return path

    return write
