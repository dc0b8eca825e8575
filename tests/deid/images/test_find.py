"""Which files are found, in which order, and what each is taken for."""

from __future__ import annotations

import gzip
import inspect
import io
import os
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deid.images.find import find, sniff
from deid.reasons import Withheld


def names(root: Path) -> list[str]:
    return [found.relative for found in find(root)]


def test_files_come_in_the_order_of_the_bytes_of_their_paths(tmp_path: Path) -> None:
    for name in ("b/2", "a-b", "a/z", "a/y/x", "B", "a.c", "é", "b/10"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    listed = names(tmp_path)
    assert listed == sorted(listed, key=os.fsencode)
    assert len(listed) == 8


def test_the_root_may_be_one_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x")
    assert names(tmp_path / "one") == ["one"]


def test_names_with_newlines_and_undecodable_bytes_are_found_and_readable(tmp_path: Path) -> None:
    for name in (b"new\nline", b"bad\xff", b" space "):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"x")
    found = list(find(tmp_path))
    assert [os.fsencode(one.relative) for one in found] == [b" space ", b"bad\xff", b"new\nline"]
    assert all(one.path.read_bytes() == b"x" for one in found)


def test_a_link_inside_gives_no_row_and_one_that_leaves_is_reported(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "root-beside"
    (root / "folder").mkdir(parents=True)
    outside.mkdir()
    (root / "file").write_bytes(b"x")
    (outside / "secret").write_bytes(b"x")
    (root / "to-file").symlink_to(root / "file")
    (root / "to-folder").symlink_to("folder")
    (root / "to-itself").symlink_to("to-itself")
    (root / "to-nothing").symlink_to("nowhere")
    (root / "to-root").symlink_to(root)
    (root / "out-file").symlink_to(outside / "secret")
    (root / "out-folder").symlink_to(outside)
    (root / "folder" / "out-dangling").symlink_to("../../nowhere")
    found = {one.relative: one.outward_link for one in find(root)}
    assert found == {
        "file": False,
        "out-file": True,
        "out-folder": True,
        "folder/out-dangling": True,
    }


def test_pipes_and_sockets_give_nothing_and_block_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        assert names(tmp_path) == []


def test_a_folder_that_can_not_be_listed_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").write_bytes(b"x")
    listing = os.scandir

    def refuse(path: Path) -> object:
        if Path(path).name == "closed":
            raise PermissionError
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = list(find(tmp_path))
    assert [one.relative for one in found] == ["closed", "open"]
    with pytest.raises(IsADirectoryError):
        sniff(found[0].path)


def test_folders_may_be_nested_deeper_than_the_recursion_limit(tmp_path: Path) -> None:
    deep = "d/" * 300
    (tmp_path / deep).mkdir(parents=True)
    (tmp_path / deep / "leaf").write_bytes(b"x")
    usual = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 100)
    try:
        listed = names(tmp_path)
    finally:
        sys.setrecursionlimit(usual)
    assert listed == [deep + "leaf"]


def picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(out, kind)
    return out.getvalue()


def nifti(order: str = "<", magic: bytes = b"n+1\0") -> bytes:
    size = np.array(348, f"{order}i4").tobytes()
    return size + bytes(340) + magic + bytes(4)


KINDS = [
    (bytes(128) + b"DICM", "dicom"),
    (b"II*\0" + bytes(124) + b"DICM" + bytes(9), "dicom"),
    (picture("PNG"), "png"),
    (picture("JPEG"), "jpeg"),
    (picture("TIFF"), "tiff"),
    (nifti(), "nifti"),
    (nifti(">"), "nifti"),
    (gzip.compress(nifti(), mtime=0), "nifti"),
    ((540).to_bytes(4, "little") + b"n+2\0\r\n\x1a\n" + bytes(540), "nifti"),
]


@pytest.mark.parametrize(("data", "kind"), KINDS)
@pytest.mark.parametrize("name", ["x", "x.dcm", "x.png", "x.nii.gz", "x.txt"])
def test_the_content_decides_what_a_file_is_and_never_its_name(
    tmp_path: Path, data: bytes, kind: str, name: str
) -> None:
    (tmp_path / name).write_bytes(data)
    assert sniff(tmp_path / name) == kind


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x", b"", "malformed"),
        ("x", b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100" + bytes(50), "malformed"),
        ("x", b"\x02\0\x10\0UI\x14\x001.2.840.10008.1.2.1", "malformed"),
        ("x.dcm", b"not an image at all", "malformed"),
        ("x.png", b"\x89PNG\r\n", "malformed"),
        ("x.csv", b"patient,age\n1,2\n", "not_image"),
        ("x.pdf", b"%PDF-1.7", "not_image"),
        ("x", b"\0", "not_image"),
        ("x.gz", gzip.compress(b"text", mtime=0), "not_image"),
        ("x.nii.gz", gzip.compress(nifti(), mtime=0)[:20], "malformed"),
        ("x.hdr", nifti(magic=b"ni1\0"), "undecodable"),
        ("x.hdr", nifti(magic=b"\0\0\0\0"), "undecodable"),
    ],
)
def test_what_is_no_image_is_withheld_with_a_reason(
    tmp_path: Path, name: str, data: bytes, reason: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(Withheld) as caught:
        sniff(tmp_path / name)
    assert caught.value.reason == reason


def test_the_real_files_without_prefix_are_malformed(shared: Path, tmp_path: Path) -> None:
    import csv
    import zipfile

    with zipfile.ZipFile(shared / "dicom" / "files.zip") as archive:
        with open(shared / "dicom" / "manifest.csv") as stream:
            rows = list(csv.DictReader(stream))
        for number, row in enumerate(rows):
            data = archive.read(row["file"])[:600]
            path = tmp_path / str(number)
            path.write_bytes(data)
            if "no DICM prefix" in row["notes"]:
                with pytest.raises(Withheld, match="malformed"):
                    sniff(path)
            else:
                assert sniff(path) == "dicom"
