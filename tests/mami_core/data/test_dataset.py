from __future__ import annotations

import csv
import gzip
import io
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.data import get_testdata_file

from mami_core.data import Dataset, DatasetError, known, modality_of, open_dataset, split_of
from mami_core.data.pixels import decode
from mami_core.data.record import UnreadableError


def png(seed: int = 0, size: tuple[int, int] = (20, 12), *, colour: bool = False) -> bytes:
    shape = (*size, 3) if colour else size
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_set(
    folder: Path, rows: Sequence[dict[str, str]], *, packed: bool = False, images: bool = True
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    names = [row["file"] for row in rows] if images else []
    if packed:
        with zipfile.ZipFile(folder / "images.zip", "w") as archive:
            for number, name in enumerate(names):
                archive.writestr(name, png(number))
    else:
        for number, name in enumerate(names):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(png(number))
    return folder


ROWS = [
    {"file": "a.png", "patient": "p1", "source": "demo", "modality": "DX", "visit": "0"},
    {"file": "sub/b.png", "patient": "p1", "source": "demo", "modality": "cr", "visit": "1"},
    {"file": "c.png", "patient": "p2", "source": "demo", "modality": "MG", "labels": "x|y=0|z=-"},
]


@pytest.mark.parametrize("packed", [False, True])
def test_a_manifest_is_read_with_its_images_beside_it_or_packed(
    tmp_path: Path, packed: bool
) -> None:
    dataset = open_dataset(write_set(tmp_path, ROWS, packed=packed))
    assert [record.modality for record in dataset.records] == ["xray"] * 3
    assert [record.unit for record in dataset.records] == ["0", "1", "c.png"]
    assert dataset.records[2].findings == {"x": 1, "y": 0}
    assert dataset.records[0].split == split_of("demo", "p1")
    assert dataset.picture(1).shape == (20, 12)
    assert dataset.squares(8).shape == (3, 3, 8, 8)
    assert dataset.squares(8) is dataset.squares(8)
    copy: Dataset = pickle.loads(pickle.dumps(dataset))
    assert np.array_equal(copy.picture(1), dataset.picture(1))


def test_only_file_and_patient_are_required(tmp_path: Path) -> None:
    dataset = open_dataset(write_set(tmp_path, [{"file": "a.png", "patient": "p"}]))
    assert dataset.records[0].modality is None
    assert dataset.records[0].reid


def test_a_folder_of_sets_is_read_as_one_and_parts_keep_their_pictures(tmp_path: Path) -> None:
    write_set(tmp_path / "one", ROWS)
    write_set(tmp_path / "two", [{"file": "d.png", "patient": "p1", "source": "other"}])
    dataset = open_dataset(tmp_path)
    assert len(dataset) == 4
    whole = dataset.squares(8)
    part = dataset.select(lambda record: record.source == "other")
    assert np.array_equal(part.squares(8), whole[3:])


BAD = {
    "no column 'patient'": [{"file": "a.png"}],
    "its patient is empty": [{"file": "a.png", "patient": " "}],
    "leads out of the folder": [{"file": "../a.png", "patient": "p"}],
    "none of train, val, test": [{"file": "a.png", "patient": "p", "split": "SECRET"}],
    "neither 0 nor 1": [{"file": "a.png", "patient": "p", "reid": "SECRET"}],
    "not a number of years": [{"file": "a.png", "patient": "p", "age": "SECRET"}],
    "an earlier row": [{"file": "a.png", "patient": "p"}] * 2,
    "in two splits": [
        {"file": "a.png", "patient": "SECRET", "split": "val"},
        {"file": "b.png", "patient": "SECRET", "split": "test"},
    ],
}


@pytest.mark.parametrize("wrong", BAD)
def test_a_bad_manifest_is_one_line_without_a_value_of_the_table(
    tmp_path: Path, wrong: str
) -> None:
    write_set(tmp_path / "set", BAD[wrong], images=wrong != "leads out of the folder")
    with pytest.raises(DatasetError, match=wrong) as caught:
        open_dataset(tmp_path / "set")
    text = str(caught.value)
    assert text.startswith("manifest.csv")
    assert "\n" not in text
    assert "SECRET" not in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("packed", [False, True])
def test_a_row_without_its_image_is_named_by_its_line(tmp_path: Path, packed: bool) -> None:
    write_set(tmp_path, ROWS, images=False, packed=packed)
    with pytest.raises(DatasetError, match="line 2: names a file that is not in"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        (b"", "no column"),
        (b"file,patient\n", "no rows"),
        (b"file,patient\na.png\n", "line 2: has another number of fields"),
        (b"file,patient\na.png,p,q\n", "line 2: has another number of fields"),
        (b"file,patient,patient\na.png,p,q\n", "two columns of one name"),
        (b"file,patient\n\xff\xfe,p\n", "not UTF-8"),
        (b'file,patient\n"a.png,p\n', "not well-formed"),
    ],
)
def test_a_table_that_is_no_table_says_so(tmp_path: Path, data: bytes, wrong: str) -> None:
    (tmp_path / "manifest.csv").write_bytes(data)
    with pytest.raises(DatasetError, match=wrong):
        open_dataset(tmp_path)


def test_a_broken_archive_or_image_says_so_without_a_path(tmp_path: Path) -> None:
    write_set(tmp_path / "set", ROWS)
    (tmp_path / "set" / "a.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match="image 1 of the data set can not be decoded") as caught:
        open_dataset(tmp_path / "set").picture(0)
    assert str(tmp_path) not in str(caught.value)
    (tmp_path / "set" / "images.zip").write_bytes(b"not a zip")
    with pytest.raises(DatasetError, match=r"images\.zip is not a readable zip file"):
        open_dataset(tmp_path / "set")


def test_an_image_that_can_not_be_decoded_is_counted_as_the_table_counts_it(
    tmp_path: Path,
) -> None:
    rows = [
        {"file": f"{place}.png", "patient": split, "split": split}
        for place, split in enumerate(["train", "train", "val", "val"])
    ]
    folder = write_set(tmp_path / "set", rows, packed=True)
    data = bytearray((folder / "images.zip").read_bytes())
    with zipfile.ZipFile(folder / "images.zip") as archive:
        # A byte of the pixels: the zip's checksum tells it, whose error has the file's name.
        data[archive.getinfo("3.png").header_offset + 80] ^= 255
    (folder / "images.zip").write_bytes(data)
    part = open_dataset(folder).select(lambda record: record.split == "val")
    assert part.sha256(1) is None
    with pytest.raises(DatasetError, match=r"^image 4 of"):
        Dataset.join([part, part]).picture(3)


def test_a_folder_a_patient_takes_what_a_dicom_header_tells(tmp_path: Path) -> None:
    (tmp_path / "p1" / "v1").mkdir(parents=True)
    (tmp_path / "p2").mkdir()
    (tmp_path / "p1" / "v1" / "a.png").write_bytes(png())
    (tmp_path / "p2" / "b.dcm").write_bytes(Path(get_testdata_file("CT_small.dcm")).read_bytes())
    (tmp_path / "p2" / "notes.txt").write_text("nothing")
    (tmp_path / "loose.png").write_bytes(png())
    dataset = open_dataset(tmp_path)
    first, second = dataset.records
    assert (first.patient, first.unit, first.modality) == ("p1", "v1", None)
    assert (second.patient, second.modality) == ("p2", "ct")
    ct = dataset.picture(1)
    assert ct.shape == (128, 128)
    raw = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    hounsfield = raw.pixel_array * float(raw.RescaleSlope) + float(raw.RescaleIntercept)
    assert np.allclose(ct, np.clip((hounsfield + 1000) / 1200, 0, 1), atol=1e-5)


def test_an_empty_folder_and_an_unknown_name_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"neither a manifest\.csv nor a sub-folder"):
        open_dataset(tmp_path)
    with pytest.raises(DatasetError, match="neither a folder nor one of: mimic"):
        open_dataset(tmp_path / "absent")


MIMIC = {
    "metadata": "dicom_id,subject_id,study_id,ViewPosition\n"
    "aa-1,10000032,50414267,PA\naa-2,10000032,53189527,AP\nbb-1,10000764,57375967,LATERAL\n"
    "cc-1,10000999,50000000,PA\n",
    "split": "dicom_id,study_id,subject_id,split\n"
    "aa-1,50414267,10000032,validate\naa-2,53189527,10000032,validate\n"
    "bb-1,57375967,10000764,test\n",
    "chexpert": "subject_id,study_id,Edema,Pneumonia,No Finding,Fracture\n"
    "10000032,50414267,1.0,0.0,,-1.0\n10000032,53189527,,,1.0,\n",
}


def write_mimic(root: Path, *tables: str, packed: bool = True) -> Path:
    for name in tables:
        path = root / f"mimic-cxr-2.0.0-{name}.csv{'.gz' if packed else ''}"
        data = MIMIC[name].encode()
        path.write_bytes(gzip.compress(data) if packed else data)
    for name in (
        "p10/p10000032/s50414267/aa-1",
        "p10/p10000032/s53189527/aa-2",
        "p10/p10000764/s57375967/bb-1",
    ):
        path = root / "files" / f"{name}.jpg"
        path.parent.mkdir(parents=True)
        path.write_bytes(png())
    return root


def test_mimic_is_read_in_its_own_layout(tmp_path: Path) -> None:
    dataset = open_dataset("mimic", write_mimic(tmp_path, *MIMIC))
    assert [record.split for record in dataset.records] == ["val", "val", "test"]
    first = dataset.records[0]
    assert first.name == "files/p10/p10000032/s50414267/aa-1.jpg"
    assert (first.view, first.patient, first.unit) == ("PA", "p10000032", "s50414267")
    assert first.findings == {"Edema": 1, "Pneumonia": 0}
    assert dataset.records[1].findings == {"No Finding": 1}
    assert dataset.records[2].findings == {}
    assert dataset.squares(8).shape == (3, 3, 8, 8)


def test_mimic_needs_three_columns_only(tmp_path: Path) -> None:
    root = write_mimic(tmp_path, packed=False)
    lines = [",".join(line.split(",")[:3]) for line in MIMIC["metadata"].splitlines()]
    (root / "mimic-cxr-2.0.0-metadata.csv").write_text("\n".join(lines))
    dataset = open_dataset("mimic", root)
    assert len(dataset) == 3
    assert all(not record.findings and not record.view for record in dataset.records)
    assert dataset.records[0].split == split_of("mimic", "p10000032")


def test_mimic_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="needs its root folder"):
        open_dataset("mimic")
    with pytest.raises(DatasetError, match=r"metadata\.csv\.gz is missing"):
        open_dataset("mimic", tmp_path)
    table = tmp_path / "mimic-cxr-2.0.0-metadata.csv.gz"
    table.write_bytes(gzip.compress(b"dicom_id,subject_id\na,b\n"))
    with pytest.raises(DatasetError, match="no column 'study_id'"):
        open_dataset("mimic", tmp_path)
    table.write_bytes(gzip.compress(b"dicom_id,subject_id,study_id\n../../x,1,2\n"))
    with pytest.raises(DatasetError, match="line 2: an id is not valid"):
        open_dataset("mimic", tmp_path)
    table.write_bytes(gzip.compress(b"dicom_id,subject_id,study_id\nx,1,2\n"))
    with pytest.raises(DatasetError, match="none of the images"):
        open_dataset("mimic", tmp_path)
    table.write_bytes(b"not gzip")
    with pytest.raises(DatasetError, match="can not be read"):
        open_dataset("mimic", tmp_path)


def test_right_eyes_are_mirrored(tmp_path: Path) -> None:
    rows = [
        {"file": "l.png", "patient": "p", "modality": "OP", "side": "L"},
        {"file": "r.png", "patient": "p", "modality": "OP", "side": "R"},
    ]
    write_set(tmp_path, rows)
    (tmp_path / "r.png").write_bytes((tmp_path / "l.png").read_bytes())
    dataset = open_dataset(tmp_path)
    assert np.array_equal(dataset.picture(0), dataset.picture(1)[:, ::-1])


def test_deep_grey_alpha_and_monochrome1_become_the_picture_that_is_meant() -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 4), 128, np.uint8)).save(buffer, "png")
    assert decode(buffer.getvalue()).shape == (4, 4, 3)
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.Modality = "CR"
    plain, inverted = io.BytesIO(), io.BytesIO()
    dataset.save_as(plain)
    dataset.PhotometricInterpretation = "MONOCHROME1"
    dataset.save_as(inverted)
    assert np.allclose(decode(plain.getvalue()), 1 - decode(inverted.getvalue()), atol=1e-6)


@pytest.mark.parametrize(("times", "more"), [(257, 0), (16, 0), (1, 0), (128, 32768)], ids=str)
def test_however_a_picture_fills_sixteen_bits_it_is_shown_alike(times: int, more: int) -> None:
    eight = np.arange(256, dtype=np.uint16).reshape(16, 16)
    deep = np.uint16(eight * times + more)
    for kind in ("png", "tiff"):
        buffer = io.BytesIO()
        Image.fromarray(deep).save(buffer, kind)
        assert np.abs(decode(buffer.getvalue()) - eight / 255.0).max() < 0.005


def test_eight_bits_that_show_next_to_nothing_are_stretched() -> None:
    faint = np.uint8(120 + np.arange(64).reshape(8, 8) % 4)
    buffer, plain = io.BytesIO(), io.BytesIO()
    Image.fromarray(faint).save(buffer, "png")
    assert np.allclose(decode(buffer.getvalue()), (faint - 120) / 3.0, atol=0.01)
    Image.fromarray(np.full((8, 8), 77, np.uint8)).save(plain, "png")
    assert np.allclose(decode(plain.getvalue()), 77 / 255.0)


def _saved(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _transparent() -> bytes:
    hidden = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    return _saved(Image.merge("LA", (Image.new("L", (8, 8), 90), hidden)), "png")


def _not_finite() -> bytes:
    return _saved(Image.fromarray(np.float32([[0.0, np.nan], [1.0, 2.0]])), "tiff")


def _huge() -> bytes:
    """A picture of a few bytes that says it has 900 million pixels."""
    small = _saved(Image.new("L", (8, 8)), "png")
    header = b"IHDR" + struct.pack(">II", 30000, 30000) + small[24:29]
    return small[:12] + header + struct.pack(">I", zlib.crc32(header)) + small[33:]


@pytest.mark.parametrize(
    ("made", "why"),
    [(_transparent, "transparent"), (_not_finite, "no numbers"), (_huge, "more pixels")],
)
def test_what_can_not_be_judged_is_no_picture(made: Callable[[], bytes], why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        decode(made())


def test_the_words_for_modalities() -> None:
    assert [modality_of(word) for word in ("DX", "CR", "mg", "OP", "CT", "MR", " ")] == [
        "xray",
        "xray",
        "xray",
        "fundus",
        "ct",
        "mr",
        None,
    ]


def test_the_packed_sets_are_read_as_their_readme_counts_them(shared: Path) -> None:
    counts = {"nih": 1005, "kermany": 3038, "odir": 1400, "tvhl": 533, "ridb": 100}
    counts |= {"openkbp": 4448, "lidc": 967, "siim_ct": 48, "deeplesion": 50}
    for name, count in counts.items():
        dataset = open_dataset(shared / "data" / name)
        assert len(dataset) == count
        assert {record.kind for record in dataset.records} == {known(name).kind}
        picture = dataset.picture(count - 1)
        assert 0 <= picture.min() < picture.max() <= 1
