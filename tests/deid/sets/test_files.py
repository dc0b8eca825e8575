from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest

from deid.audit import Options, audit
from deid.audit.pairing import paired
from deid.match.images import open_images
from deid.phantoms import make
from deid.scrub.run import scrub
from deid.sets import open_set


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """X-rays and CT of invented patients as a hospital hands them over, without a table."""
    folder = tmp_path_factory.mktemp("phantoms")
    make(folder, patients=6, visits=2, seed=2, size=96, ct_size=48, slices=12, burned_in=0.0)
    (folder / "manifest.csv").unlink()
    return folder


@pytest.fixture
def radiographs(tmp_path: Path) -> Path:
    folder = tmp_path / "radiographs"
    make(folder, patients=8, visits=2, seed=3, modalities=("xray",), size=96, burned_in=0.0)
    (folder / "manifest.csv").unlink()
    return folder


def headers(folder: Path) -> dict[str, pydicom.Dataset]:
    return {str(p.relative_to(folder)): pydicom.dcmread(p) for p in sorted(folder.rglob("*.dcm"))}


def test_a_tree_of_dicom_files_says_by_its_headers_whose_images_it_holds(phantoms: Path) -> None:
    data = open_set(str(phantoms)).by_kind()
    told = {record.name: record for record in data.records}
    for name, header in headers(phantoms).items():
        if header.Modality != "DX":
            continue
        record = told[name]
        assert record.patient == header.PatientID
        assert record.visit == record.unit == header.StudyInstanceUID
        assert (record.source, record.modality, record.body_part) == ("chest xray", "xray", "chest")
        assert (record.view, record.sex) == (header.ViewPosition, header.PatientSex)
        assert record.age == int(header.PatientAge[:3])
    scans = Counter((r.patient, r.unit) for r in data.records if r.modality == "ct")
    assert {record.source for record in data.records if record.modality == "ct"} == {"chest ct"}
    assert max(scans.values()) == 8  # of twelve slices


def test_one_number_from_two_issuers_is_two_patients(radiographs: Path) -> None:
    paths = sorted(radiographs.rglob("*.dcm"))
    for path, issuer in zip(paths, ("A", "B", ""), strict=False):
        header = pydicom.dcmread(path)
        header.PatientID, header.IssuerOfPatientID = "7", issuer
        header.save_as(path)
    records = open_set(str(radiographs)).dataset.records
    assert [one.patient for one in records[:3]] == ["7^^^A", "7^^^B", "7"]


def test_a_match_and_an_audit_see_the_same_pictures_of_a_folder(phantoms: Path) -> None:
    opened, entries = open_set(str(phantoms)), open_images(str(phantoms)).entries
    data = opened.by_kind()
    assert len(entries) == len(opened.groups)
    for entry, rows in list(zip(entries, opened.groups, strict=True))[::5]:
        for picture, row in zip(entry.pictures(), rows, strict=True):
            assert np.array_equal(picture, data.picture(row))


def test_what_can_not_be_used_is_counted_with_a_reason(radiographs: Path) -> None:
    first, second, *_ = sorted(radiographs.rglob("*.dcm"))
    (radiographs / "letter.txt").write_text("nothing")
    second.write_bytes(b"")
    # Its header is whole: only who decodes it finds that the picture is not.
    header = pydicom.dcmread(first)
    header.compress(pydicom.uid.RLELossless)
    header.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
    header.save_as(first)
    opened = open_set(str(radiographs))
    assert opened.counted() == {"it is no image": 1, "the file is empty": 1}
    options = Options(attackers=("pixels",), split="all")
    record = audit(opened.by_kind(), options, left_out=opened.counted())
    source = record["sources"]["chest xray"]
    (why,) = set(source["excluded"]) - {
        "copies of another image",
        "ids not reliable enough to match",
        "one image of the person (impostors only)",
    }
    assert source["excluded"][why] == 1
    assert (source["images"], source["patients"]) == (15, 7 - (first.parent != second.parent))
    assert record["left_out"] == opened.counted()


def test_a_scrubbed_tree_pairs_with_its_originals(radiographs: Path, tmp_path: Path) -> None:
    share, private = tmp_path / "share", tmp_path / "private"
    scrub(radiographs, share, run_dir=private, text="off")
    data = open_set(str(radiographs)).by_kind()
    release = paired(data, share, private, None)
    assert release is not None
    assert len(release.originals) == len(release.protected) > 12
    assert not release.left_out
    for row in range(0, len(release.protected), 7):
        before, after = release.originals.picture(row), release.protected.picture(row)
        assert before.shape == after.shape
        assert 0.0 < np.abs(before - after).mean() < 0.2
    options = Options(attackers=("pixels",), split="all", linkages=("outer", "copy"))
    record = audit(data, options, release)
    found = record["sources"]["chest xray"]["linkages"]
    assert set(found) == {"outer", "copy"}
    copied = found["copy"]["fixed"]["attackers"]["pixels"]["rank1"]["value"]
    assert copied > 0.9


def test_a_folder_where_nothing_is_an_image_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("nothing")
    with pytest.raises(ValueError, match="no image that can be opened"):
        open_set(str(tmp_path))
    shutil.rmtree(tmp_path)
    with pytest.raises(ValueError, match="does not exist"):
        open_set(str(tmp_path))
