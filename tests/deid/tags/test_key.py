from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from deid.tags import KeyFileError, new_key, read_key


def test_a_new_key_is_32_random_bytes_for_its_owner_alone(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    new_key(one)
    new_key(other)
    assert len(read_key(one)) == 32
    assert read_key(one) != read_key(other)
    assert stat.S_IMODE(one.stat().st_mode) == 0o600


def test_a_key_is_never_written_over_a_file_or_through_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "key", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(tmp_path / "nowhere")
    for taken in (path, link):
        with pytest.raises(KeyFileError):
            new_key(taken)
    assert path.read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    new_key(path)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="others"):
        read_key(path)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_file_of_another_size_is_no_key(tmp_path: Path, size: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(size))
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="32 bytes"):
        read_key(path)


def test_what_is_no_regular_file_is_no_key(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "absent"):
        with pytest.raises(KeyFileError):
            read_key(tmp_path / name)
