"""An output has no dciodvfy error that its input lacks."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from deid.images import encode, inspect, read
from deid.tags import PixelFacts, Pseudonyms, clean

#: Those that once had new errors. All 132 were compared when this was written: none had any.
FILES = (
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


@pytest.mark.parametrize("name", FILES)
def test_an_output_has_no_error_that_its_input_lacks(
    name: str, shared: Path, tmp_path: Path
) -> None:
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    with zipfile.ZipFile(shared / "dicom" / "files.zip") as archive:
        before.write_bytes(archive.read(name))
    image = read(before, inspect(before))
    assert image.dataset is not None
    cleaned = clean(
        image.dataset,
        pseudonyms=Pseudonyms(b"k" * 32, b""),
        patient="P" * 32,
        pixels=PixelFacts(text="clean"),
    )
    after.write_bytes(encode(image, edited=False, dataset=cleaned.dataset))
    assert not errors(after) - errors(before)


def test_the_files_are_in_the_manifest_as_decodable(shared: Path) -> None:
    with open(shared / "dicom" / "manifest.csv", newline="") as stream:
        rows = {row["file"]: row["expected"] for row in csv.DictReader(stream)}
    assert {rows[name] for name in FILES} <= {"done", "head", "other_modality"}
