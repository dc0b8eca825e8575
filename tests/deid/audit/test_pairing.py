from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from deid.audit import AuditError, Options, audit
from deid.audit.pairing import paired
from deid.audit.words import last_line
from mami_core.data import open_dataset
from mami_core.weights import checked, locate

People = Callable[..., Path]


def table(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def originals(people: People) -> Path:
    return people(val=20, noise=40.0)


@pytest.fixture
def released(originals: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A release of blurred copies under other names, and its run folder; one image is withheld."""
    output, run = tmp_path / "output", tmp_path / "run"
    output.mkdir()
    run.mkdir()
    rows = []
    for n, path in enumerate(sorted(originals.glob("*.png")), start=1):
        new = "" if n == 1 else f"copy{n}.png"
        if new:
            Image.open(path).filter(ImageFilter.GaussianBlur(1)).save(output / new)
        rows.append((n, path.name, new))
    rows.append((99, "manifest.csv", ""))
    table(run / "files.csv", ("n", "input", "output"), rows)
    return output, run


def test_a_release_is_paired_by_its_run_folder_and_what_was_withheld_is_counted(
    originals: Path, released: tuple[Path, Path]
) -> None:
    data = open_dataset(originals)
    release = paired(data, *released, None)
    assert release is not None
    assert len(release.originals) == len(release.protected) == 39
    assert release.left_out == {"withheld from the release": 1}
    assert (release.remover, release.strength) == (None, 1.0)
    for original, copy in zip(release.originals.records, release.protected.records, strict=True):
        assert (original.person, original.unit) == (copy.person, copy.unit)
        assert original.name != copy.name


def test_a_release_alone_is_audited_with_attackers_cross_fitted_on_it(
    originals: Path, released: tuple[Path, Path]
) -> None:
    data = open_dataset(originals)
    options = Options(attackers=("pixels", "outline"), adaptive=True)
    record = audit(data, options, paired(data, *released, None))
    demo = record["sources"]["demo"]
    assert set(demo["linkages"]) == {"original", "outer", "inner"}
    assert demo["learns_by"] == "protected images of other patients of the release itself"
    assert "own_key" not in last_line(record)
    assert record["left_out"] == {"withheld from the release": 1}
    found = demo["linkages"]["outer"]["fixed"]["attackers"]["pixels"]
    assert found["rank1"]["value"] > 0.5
    assert found["patients"] == 19
    assert "outline" in demo["linkages"]["inner"]["adaptive"]["attackers"]


def test_the_remover_that_the_run_names_is_used_only_where_it_is_the_same_one(
    originals: Path, released: tuple[Path, Path]
) -> None:
    weights = {"remover": checked(locate("remover"))}
    plain = {"metadata_only": False, "max_risk": None}
    for run, expected in (
        ({"weights": weights, "options": plain | {"strength": 0.5}}, ("remover", 0.5)),
        ({"weights": weights, "options": plain | {"strength": None}}, ("remover", 1.0)),
        ({"weights": {"remover": "other"}, "options": plain | {"strength": 0.5}}, (None, 1.0)),
        ({"weights": weights, "options": plain | {"strength": 0.0}}, (None, 1.0)),
        (
            {"weights": weights, "options": plain | {"strength": 0.5, "max_risk": 0.1}},
            (None, 1.0),
        ),
    ):
        (released[1] / "run.json").write_text(json.dumps(run))
        release = paired(open_dataset(originals), *released, None)
        assert release is not None
        assert (release.remover, release.strength) == expected


def test_a_table_pairs_as_the_run_folder_does(originals: Path, released: tuple[Path, Path]) -> None:
    rows = [row.split(",")[1:] for row in (released[1] / "files.csv").read_text().split()[2:-1]]
    pairs = table(released[0] / "pairs.csv", ("original", "protected"), rows)
    release = paired(open_dataset(originals), None, None, pairs)
    assert release is not None
    assert len(release.originals) == 39
    assert release.left_out == {"not in the release": 1}


def _broken(name: str, released: tuple[Path, Path]) -> tuple[Path | None, Path | None, Path | None]:
    output, run = released
    if name == "a missing file":
        next(output.iterdir()).unlink()
    elif name == "no column":
        table(run / "files.csv", ("n", "input"), [(1, "a")])
    elif name == "twice":
        table(run / "files.csv", ("input", "output"), [("a", "b"), ("a", "c")])
    elif name == "others":
        table(run / "files.csv", ("input", "output"), [("a", "b")])
    elif name == "outside":
        table(run / "files.csv", ("input", "output"), [("val0_0.png", "../run/files.csv")])
    elif name == "no table":
        (run / "files.csv").unlink()
    elif name == "no folder":
        shutil.rmtree(output)
    elif name == "half":
        return output, None, None
    elif name == "both":
        return output, run, run / "files.csv"
    return output, run, None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a missing file", r"files.csv, line \d+: names a protected file that is not there"),
        ("no column", "files.csv has no column 'output'"),
        ("twice", "files.csv, line 3: names an original that an earlier line names"),
        ("others", "names no image of the data set"),
        ("outside", "line 2: names a protected file that is not there"),
        ("no table", "files.csv can not be read"),
        ("no folder", "folder of protected images does not exist"),
        ("half", "--protected needs --run-dir"),
        ("both", "give one"),
    ],
)
def test_what_can_not_be_paired_is_one_line(
    originals: Path, released: tuple[Path, Path], name: str, words: str
) -> None:
    with pytest.raises(AuditError, match=words) as caught:
        paired(open_dataset(originals), *_broken(name, released))
    assert "\n" not in str(caught.value)
    assert str(originals) not in str(caught.value)
    assert "val0" not in str(caught.value)


@pytest.mark.parametrize("marked", [False, True])
def test_pictures_that_differ_by_a_grey_value_no_attacker_sees_are_not_called_the_same(
    originals: Path, released: tuple[Path, Path], marked: bool
) -> None:
    for number, path in enumerate(sorted(released[0].glob("*.png"))):
        grey = np.full((64, 64), 128, np.uint8)
        grey[number, 7] += marked
        Image.fromarray(grey).save(path)
    release = paired(open_dataset(originals), *released, None)
    assert release is not None
    record = audit(release.originals, Options(attackers=("pixels",)), release)
    assert record["sources"]["demo"]["useless"] is not marked


def test_a_table_of_no_bytes_has_no_column(originals: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").touch()
    with pytest.raises(AuditError, match="--pairs has no column 'original'; add it"):
        paired(open_dataset(originals), None, None, tmp_path / "pairs.csv")
