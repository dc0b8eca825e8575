"""What attackers saw, kept on disk, and files that are no longer what was written."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deid.audit import Options, audit
from deid.audit.attackers.registry import Attacker
from deid.audit.kept import keeping
from deid.audit.sealed import SEAL
from mami_core.data import open_dataset

People = Callable[..., Path]


def _zeros(path: Path, _: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, np.zeros_like(np.load(path)))
    path.write_bytes(stream.getvalue() + path.read_bytes()[-SEAL:])


DAMAGES: dict[str, Callable[[Path, Path], None]] = {
    "empty": lambda path, _: path.write_bytes(b"") and None,
    "cut short": lambda path, _: path.write_bytes(path.read_bytes()[:-10]) and None,
    "zeros": _zeros,
    "of other pictures": lambda path, other: path.write_bytes(other.read_bytes()) and None,
    "a plain array": lambda path, _: np.save(path, np.zeros((2, 4))),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_not_as_it_was_written_is_looked_at_anew(tmp_path: Path, damage: str) -> None:
    looked = []

    def embed(pictures: np.ndarray) -> np.ndarray:
        looked.append(len(pictures))
        return pictures.reshape(len(pictures), -1).astype(np.float32)

    attacker = keeping(Attacker(embed, 4), "somebody", tmp_path)
    one, other = (np.full((2, 3, 4, 4), value, np.uint8) for value in (7, 9))
    first = attacker.embed(one)
    (path,) = tmp_path.iterdir()
    attacker.embed(other)
    (another,) = set(tmp_path.iterdir()) - {path}
    assert np.array_equal(attacker.embed(one), first)
    assert len(looked) == 2
    DAMAGES[damage](path, another)
    assert np.array_equal(attacker.embed(one), first)
    assert len(looked) == 3
    assert np.array_equal(attacker.embed(one), first)
    assert len(looked) == 3


def test_an_audit_goes_on_from_damaged_files_with_the_same_figures(
    people: People, tmp_path: Path
) -> None:
    data, options = open_dataset(people(val=32)), Options(attackers=("pixels",))
    record = audit(data, options, keep=tmp_path)
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    assert audit(data, options, keep=tmp_path) == record
