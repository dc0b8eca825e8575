"""Every file of ``../shared/dicom`` ends as its column `expected` implies."""

from __future__ import annotations

import csv
import zipfile
from pathlib import Path

import pydicom
import pytest

from deid.scrub.outcome import Result
from deid.scrub.run import scrub

#: For an MR the reasons of rules 4 and 5 are both right (README of the data).
BOTH = {"head", "other_modality"}


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, dict[str, str]]:
    with open(shared / "dicom" / "manifest.csv", newline="") as stream:
        return {row["file"]: row for row in csv.DictReader(stream)}


@pytest.fixture(scope="module")
def source(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dicom") / "input"
    with zipfile.ZipFile(shared / "dicom" / "files.zip") as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def result(source: Path) -> Result:
    return scrub(source, source.with_name("output"))


def test_every_file_has_a_row_and_the_expected_outcome(
    result: Result, expected: dict[str, dict[str, str]]
) -> None:
    wrong = {}
    for name, row in expected.items():
        (found,) = (r for r in result.rows if r["input"] == name)
        outcome = found["reason"] or found["status"]
        if outcome != row["expected"] and not (
            row["modality"] == "MR" and {outcome, row["expected"]} <= BOTH
        ):
            wrong[name] = (row["expected"], outcome, found["detail"])
    assert len(result.rows) == len(expected)
    assert wrong == {}


def test_no_head_is_written_and_every_done_file_is(
    result: Result, source: Path, expected: dict[str, dict[str, str]]
) -> None:
    done = [row for row in result.rows if row["status"] == "done"]
    assert len(done) == sum(row["expected"] == "done" for row in expected.values()) == 21
    output = source.with_name("output")
    for row in done:
        before = pydicom.dcmread(source / row["input"])
        after = pydicom.dcmread(output / row["output"])
        for keyword in ("Rows", "Columns", "BitsStored", "RescaleSlope"):
            assert before.get(keyword) == after.get(keyword), (row["n"], keyword)
        # One file has three values where the standard has two.
        spacing = [list(data.get("PixelSpacing") or ())[:2] for data in (before, after)]
        assert spacing[0] == spacing[1], row["n"]
        assert after.pixel_array.shape == before.pixel_array.shape
