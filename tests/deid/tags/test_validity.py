"""An output has no dciodvfy error that its input lacks."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom.datadict import dictionary_VR

from deid.images import Image, agrees, encode, inspect, read, supports_edit
from deid.tags import PixelFacts, Pseudonyms, clean
from deid.tags.tables import image_classes, only_original

sys.path.insert(0, str(Path(__file__).parent))
from canaries import new_file

#: Those that once had new errors, edited or not. All 132, and the 119 of them whose pixels can be
#: edited, were compared when this was written: none had any.
FILES = (
    "dcmjs/sample-op.dcm",
    "dicomParser/CT0012.fragmented_no_bot_jpeg_ls.81.dcm",
    "fo-dicom/GH195.dcm",
    "fo-dicom/OutOfBoundsOverlay.dcm",
    "highdicom/dx_image.dcm",
    "pydicom-data/emri_small.dcm",
    "pydicom-data/emri_small_big_endian.dcm",
    "dwv/dwv-test-anonymise.dcm",
    "dwv/dwv-test-sequence.dcm",
    "fo-dicom/GH364.dcm",
    "fo-dicom/mr_brucker.dcm",
    "highdicom/sm_image.dcm",
    "ms-health-anon/lung.dcm",
    "nibabel/decimal_rescale.dcm",
    "nibabel/slicethickness_empty_string.dcm",
    "suyashkumar-dicom/1.dcm",
)

pytestmark = pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dicom3tools is absent")


def errors(path: Path) -> Counter[str]:
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, check=False, timeout=60)
    lines = (run.stderr + run.stdout).decode("latin-1").splitlines()
    # Values differ between input and output; what is wrong with them must not.
    return Counter(re.sub(r"<[^<>]*\d[^<>]*>", "<>", x) for x in lines if x.startswith("Error"))


def altered(image: Image) -> Image:
    """With a patch of other values."""
    pixels = image.pixels.copy()
    rows, columns = pixels.shape[1:3]
    patch = pixels[:, rows // 4 : rows // 2, columns // 4 : columns // 2]
    patch[...] = np.where(patch == pixels.min(), pixels.max(), pixels.min())
    return replace(image, pixels=pixels)


@pytest.mark.parametrize(
    "facts",
    [
        PixelFacts(text="clean"),
        PixelFacts(text="unknown"),
        PixelFacts(text="clean", edited=True),
        PixelFacts(text="unknown", text_blanked=True),
    ],
    ids=["clean", "unsearched", "edited", "blanked"],
)
@pytest.mark.parametrize("name", FILES)
def test_an_output_has_no_error_that_its_input_lacks(
    name: str, facts: PixelFacts, shared: Path, tmp_path: Path
) -> None:
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    with zipfile.ZipFile(shared / "dicom" / "files.zip") as archive:
        before.write_bytes(archive.read(name))
    image = read(before, inspect(before))
    assert image.dataset is not None
    if facts.altered and not supports_edit(image):
        pytest.skip("its pixels can not be edited")
    cleaned = clean(
        image.dataset, pseudonyms=Pseudonyms(b"k" * 32, b""), patient="P" * 32, pixels=facts
    )
    written = altered(image) if facts.altered else image
    data = encode(written, edited=facts.altered, dataset=cleaned.dataset)
    assert agrees(written, data, edited=facts.altered)
    after.write_bytes(data)
    assert not errors(after) - errors(before)


#: What makes dciodvfy look at the attributes that depend on it.
CONDITIONS = {
    "CardiacSynchronizationTechnique": "RETROSPECTIVE",
    "BulkMotionCompensationTechnique": "REALTIME",
    "EchoPulseSequence": "SPIN",
    "GeometryOfKSpaceTraversal": "RECTILINEAR",
    "MRAcquisitionType": "3D",
}
#: Parametric maps and volume analyses, which are withheld.
NO_IMAGES = {"1.2.840.10008.5.1.4.1.1.30", "1.2.840.10008.5.1.4.1.1.77.1.5.8"}
VALUES = {"CS": "YES", "SH": "X", "FD": 1.0, "FL": 1.0, "DS": "1", "IS": "1", "US": 1}


@pytest.mark.parametrize("sop_class", sorted(set(image_classes()) - NO_IMAGES))
def test_every_class_gains_no_error_when_it_becomes_derived(sop_class: str, tmp_path: Path) -> None:
    dataset = new_file()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    photograph = "photography" in image_classes()[sop_class]["iod"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY", *([] if photograph else ["", ""])]
    dataset.BurnedInAnnotation = "NO"
    # All of them in every class: what is missing for one class in our table shows.
    for keyword in {keyword for _, keyword in only_original()} | {
        *CONDITIONS,
        "DeviceSerialNumber",
    }:
        vr = dictionary_VR(keyword)
        setattr(dataset, keyword, CONDITIONS.get(keyword, VALUES.get(vr, "X")))
    path = tmp_path / "file.dcm"
    dataset.save_as(path, enforce_file_format=True)
    before = errors(path)
    for facts in (PixelFacts(text="clean", edited=True), PixelFacts()):
        result = clean(
            dataset, pseudonyms=Pseudonyms(b"k" * 32, b""), patient="P" * 32, pixels=facts
        ).dataset
        result.save_as(path, enforce_file_format=True)
        new = errors(path) - before
        assert not new


def test_the_files_are_in_the_manifest_as_decodable(shared: Path) -> None:
    with open(shared / "dicom" / "manifest.csv", newline="") as stream:
        rows = {row["file"]: row["expected"] for row in csv.DictReader(stream)}
    assert {rows[name] for name in FILES} <= {"done", "head", "other_modality"}
