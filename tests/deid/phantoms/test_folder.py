"""The files: bytes by the seed, valid headers, a true manifest, invented identities in place."""

from __future__ import annotations

import csv
import gzip
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from deid.cli.phantoms import phantoms
from deid.phantoms import COLUMNS, ct_volume, make, mimic_tree
from deid.phantoms.folder import split_of
from deid.phantoms.persons import person, visits

Rows = list[dict[str, str]]
SMALL = {"size": 96, "ct_size": 48, "slices": 4}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rows]:
    folder = tmp_path_factory.mktemp("phantoms")
    return folder, make(folder, patients=3, visits=2, seed=5, burned_in=0.5, **SMALL)


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    made: tuple[Path, Rows], tmp_path: Path
) -> None:
    again, other = tmp_path / "again", tmp_path / "other"
    make(again, patients=3, visits=2, seed=5, burned_in=0.5, **SMALL)
    make(other, patients=1, visits=1, seed=6, **SMALL)
    assert _contents(again) == _contents(made[0])
    assert not set(_contents(other).values()) & set(_contents(again).values())


def test_more_patients_and_visits_leave_the_first_ones_as_they_were(
    made: tuple[Path, Rows], tmp_path: Path
) -> None:
    make(tmp_path, patients=2, visits=1, seed=5, burned_in=0.5, **SMALL)
    fewer, more = _contents(tmp_path), _contents(made[0])
    del fewer["manifest.csv"]
    assert fewer
    assert all(more[name] == data for name, data in fewer.items())


def test_the_manifest_names_every_file_once_with_its_hash_and_size(
    made: tuple[Path, Rows],
) -> None:
    folder, rows = made
    with (folder / "manifest.csv").open(newline="") as source:
        reader = csv.DictReader(source)
        assert reader.fieldnames == list(COLUMNS)
        assert list(reader) == rows
    files = _contents(folder)
    assert sorted([*(row["file"] for row in rows), "manifest.csv"]) == sorted(files)
    for row in rows:
        assert hashlib.sha256(files[row["file"]]).hexdigest() == row["sha256"]
    # A patient and visit: an X-ray, four slices and a photo; a volume at the first visit.
    assert len(rows) == 3 * (2 * (1 + 4 + 1) + 1)
    assert {row["modality"] for row in rows} == {"DX", "CT", "OP"}
    assert {row["reid"] for row in rows if row["file"].endswith("nii.gz")} == {"0"}
    assert {row["reid"] for row in rows if not row["file"].endswith("nii.gz")} == {"1"}


def test_each_patient_stands_in_one_split_and_the_splits_are_six_two_two() -> None:
    names = [split_of(person(0, index).number) for index in range(400)]
    shares = [names.count(split) / 400 for split in ("train", "val", "test")]
    assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.07)


def test_one_fundus_photo_is_dicom_and_the_others_are_jpeg_or_png(
    made: tuple[Path, Rows],
) -> None:
    photos = [row["file"] for row in made[1] if row["modality"] == "OP"]
    suffixes = [name.rsplit(".", 1)[1] for name in photos]
    assert suffixes.count("dcm") == 1
    assert set(suffixes) <= {"dcm", "jpg", "png"}
    picture = next(name for name in photos if not name.endswith("dcm"))
    with Image.open(made[0] / picture) as image:
        assert image.getexif()[0x010E]


def test_no_dicom_file_has_an_error_that_dciodvfy_knows(made: tuple[Path, Rows]) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed")
    names = [row["file"] for row in made[1] if row["file"].endswith(".dcm")]
    for name in [n for n in names if "ct/" not in n or n.endswith("0001.dcm")]:
        run = subprocess.run(
            ["dciodvfy", "-new", made[0] / name], capture_output=True, text=True, check=False
        )
        assert "Error" not in run.stdout + run.stderr


def test_headers_carry_the_invented_identity_and_dates_of_the_visit(
    made: tuple[Path, Rows],
) -> None:
    folder, rows = made
    who, visit = person(5, 0), visits(5, 0, 1)[0]
    row = next(row for row in rows if row["modality"] == "DX" and row["visit"] == "0")
    dataset = pydicom.dcmread(folder / row["file"])
    assert row["patient"] == dataset.PatientID == who.number
    assert str(dataset.PatientName) == who.name
    assert dataset.StudyDate == visit.when.strftime("%Y%m%d")
    assert int(dataset.PatientAge[:3]) == visit.age(who) == int(row["age"])
    assert dataset[0x0009, 0x1001].value == f"{who.given} {who.family}"


def test_burned_in_text_is_in_the_manifest_and_the_header_says_so(
    made: tuple[Path, Rows],
) -> None:
    folder, rows = made
    films = [row for row in rows if row["modality"] == "DX"]
    assert 0 < sum(bool(row["text"]) for row in films) < len(films)
    for row in films:
        said = pydicom.dcmread(folder / row["file"]).BurnedInAnnotation
        assert said == ("YES" if row["text"] else "NO")


def test_the_series_and_the_nifti_file_hold_the_same_volume_in_the_same_place(
    made: tuple[Path, Rows],
) -> None:
    sitk = pytest.importorskip("SimpleITK")
    folder, rows = made
    name = next(row["file"] for row in rows if row["file"].endswith(".nii.gz"))
    base = folder / name.rsplit("_", 1)[0]
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(base)))
    series, volume = reader.Execute(), sitk.ReadImage(str(folder / name))
    assert np.array_equal(sitk.GetArrayFromImage(series), sitk.GetArrayFromImage(volume))
    assert volume.GetSpacing() == pytest.approx(series.GetSpacing(), abs=1e-3)
    assert volume.GetOrigin() == pytest.approx(series.GetOrigin(), abs=1e-2)
    assert volume.GetDirection() == pytest.approx(series.GetDirection())
    who, visit = person(5, 0), visits(5, 0, 1)[0]
    drawn = ct_volume(who.seed, visit.seed, 48, 4)
    assert np.array_equal(sitk.GetArrayFromImage(volume)[::-1], drawn)


def test_a_folder_that_is_not_empty_is_refused_in_one_line_with_status_2(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(phantoms)
    (tmp_path / "mine.txt").write_text("keep")
    result = CliRunner().invoke(app, [str(tmp_path), "--patients", "1"])
    assert result.exit_code == 2
    assert result.output.strip().count("\n") == 0
    assert str(tmp_path) not in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_the_command_writes_what_the_function_writes(tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(phantoms)
    target = tmp_path / "new"
    options = ["--patients", "1", "--visits", "1", "--seed", "3"]
    result = CliRunner().invoke(app, [str(target), *options])
    assert result.exit_code == 0, result.output
    rows = make(tmp_path / "other", patients=1, visits=1, seed=3)
    assert _contents(target) == _contents(tmp_path / "other")
    assert result.output.startswith(f"{len(rows)} files")


@pytest.mark.parametrize("wrong", [{"patients": 0}, {"visits": 0}, {"modalities": ("mr",)}])
def test_a_senseless_request_is_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, object]
) -> None:
    asked = {"patients": 1, "visits": 1, "seed": 0, **wrong}
    with pytest.raises(ValueError, match="modalities are of"):
        make(tmp_path / "new", **asked)
    assert not (tmp_path / "new").exists()


def test_the_small_archive_has_the_layout_and_tables_of_mimic_cxr_jpg(tmp_path: Path) -> None:
    splits = mimic_tree(tmp_path, patients=8, seed=1, size=48)
    assert [row["split"] for row in splits].count("test") == 2
    tables = {}
    for name in ("metadata", "split", "chexpert"):
        text = gzip.decompress((tmp_path / f"mimic-cxr-2.0.0-{name}.csv.gz").read_bytes()).decode()
        tables[name] = list(csv.DictReader(text.splitlines()))
    assert tables["split"] == splits
    assert len(tables["metadata"]) == len(tables["chexpert"]) == 16
    assert len(list(tmp_path.glob("files/p10/p1*/s5*/*.jpg"))) == 16
    for row in tables["metadata"]:
        subject = row["subject_id"]
        place = tmp_path / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{row['study_id']}"
        with Image.open(place / f"{row['dicom_id']}.jpg") as image:
            assert image.size == (48, 48)
            assert image.mode == "L"
    marks = {value for row in tables["chexpert"] for key, value in row.items() if "id" not in key}
    assert marks <= {"", "0.0", "1.0"}
    assert "1.0" in marks
