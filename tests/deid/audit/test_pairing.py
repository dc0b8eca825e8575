from __future__ import annotations

import csv
import hashlib
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
    journal(output, run, rows)
    return output, run


def journal(output: Path, run: Path, rows: Sequence[tuple[int, str, str]]) -> None:
    """What the run noted when it wrote its files."""
    cells = dict.fromkeys(("detail", "modality", "region", "edit", "text", "reason"), "")
    lines = [
        {
            "n": n,
            "output": name,
            "sha256": hashlib.sha256((output / name).read_bytes()).hexdigest(),
            "patient": "P",
            "row": cells | {"status": "done"},
        }
        for n, _, name in rows
        if name
    ]
    (run / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


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


def blacked(path: Path) -> None:
    """Another picture in its place."""
    Image.open(path).point(lambda value: value // 2).save(path)


@pytest.mark.parametrize("noted", ["journal.jsonl", "manifest.csv"])
def test_a_file_that_the_run_did_not_write_makes_no_figure(
    originals: Path, released: tuple[Path, Path], noted: str
) -> None:
    output, run = released
    if noted == "manifest.csv":
        lines = map(json.loads, (run / "journal.jsonl").read_text().splitlines())
        told = [(line["output"], line["sha256"]) for line in lines]
        table(output / "manifest.csv", ("file", "sha256"), told)
        (run / "journal.jsonl").unlink()
    for number in (5, 6):
        blacked(output / f"copy{number}.png")
    release = paired(open_dataset(originals), output, run, None)
    assert release is not None
    assert len(release.originals) == len(release.protected) == 37
    assert release.left_out == {"withheld from the release": 1, "not as the run wrote it": 2}
    assert not {"copy5.png", "copy6.png"} & {one.name for one in release.protected.records}
    for original, copy in zip(release.originals.records, release.protected.records, strict=True):
        assert (original.person, original.unit) == (copy.person, copy.unit)


def test_a_folder_of_another_run_is_refused(originals: Path, released: tuple[Path, Path]) -> None:
    for path in released[0].glob("*.png"):
        blacked(path)
    with pytest.raises(AuditError, match=r"39 of 39 files are not as the run wrote them"):
        paired(open_dataset(originals), *released, None)


def test_a_run_folder_that_does_not_say_what_was_written_is_refused(
    originals: Path, released: tuple[Path, Path]
) -> None:
    (released[1] / "journal.jsonl").unlink()
    with pytest.raises(AuditError, match=r"says what the run wrote; name the folders as"):
        paired(open_dataset(originals), *released, None)


def test_one_protected_file_for_several_originals_is_refused(
    originals: Path, released: tuple[Path, Path]
) -> None:
    """A picture of nobody in particular would find nobody, and pass for protection."""
    names = sorted(path.name for path in originals.glob("*.png"))
    for other in ("copy2.png", "./copy2.png"):
        rows = [(names[1], "copy2.png"), (names[2], other)]
        pairs = table(released[0] / "pairs.csv", ("original", "protected"), rows)
        with pytest.raises(AuditError, match="line 3: names a protected file that an earlier"):
            paired(open_dataset(originals), None, None, pairs)
    (released[0] / "link.png").symlink_to("copy2.png")
    pairs = table(pairs, ("original", "protected"), [rows[0], (names[2], "link.png")])
    with pytest.raises(AuditError, match="line 3: its protected file is that of another original"):
        paired(open_dataset(originals), None, None, pairs)


@pytest.mark.parametrize("kind", ["bytes", "pictures", "not in the release"])
def test_copies_of_other_originals_are_no_release(
    originals: Path, tmp_path: Path, kind: str
) -> None:
    """Pictures as they are, one place on: nobody is found, and nobody is protected."""
    names = sorted(path.name for path in originals.glob("*.png"))
    rows = []
    for n, name in enumerate(names):
        other = names[(n + 2) % len(names)]
        copy = f"{n}.png" if kind == "bytes" else f"{n}.tif"
        if kind == "bytes":
            shutil.copy(originals / other, tmp_path / copy)
        else:
            Image.open(originals / other).save(tmp_path / copy)
        rows.append((name, copy))
    if kind == "not in the release":
        shutil.copy(originals / names[-1], tmp_path / "1.png")
        Image.open(originals / names[0]).filter(ImageFilter.BLUR).save(tmp_path / "0.png")
        rows = [(names[0], "0.png"), (names[1], "1.png")]
    count = {"not in the release": "1 of 2"}.get(kind, "40 of 40")
    pairs = table(tmp_path / "pairs.csv", ("original", "protected"), rows)
    with pytest.raises(AuditError, match=f"--pairs pairs {count} protected images wrongly") as said:
        paired(open_dataset(originals), None, None, pairs)
    assert "\n" not in str(said.value)


def test_copies_of_the_own_original_and_blanks_are_no_wrong_pairs(
    originals: Path, tmp_path: Path
) -> None:
    """Two originals may be one picture, and a remover that paints over meets a blank original."""
    names = sorted(path.name for path in originals.glob("*.png"))
    shutil.copy(originals / names[0], originals / names[2])
    Image.new("L", (40, 36), 128).save(originals / names[4])
    for name in names:
        shutil.copy(originals / name, tmp_path / name)
    shutil.copy(originals / names[4], tmp_path / names[7])
    pairs = table(tmp_path / "pairs.csv", ("original", "protected"), [(n, n) for n in names])
    release = paired(open_dataset(originals), None, None, pairs)
    assert release is not None
    assert len(release.protected) == 40


def test_a_table_that_fits_several_sets_is_refused(originals: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for part in ("one", "two"):
        shutil.copytree(originals, data / part)
        text = (data / part / "manifest.csv").read_text()
        (data / part / "manifest.csv").write_text(text.replace("demo", part))
    Image.open(originals / "val0_0.png").filter(ImageFilter.BLUR).save(tmp_path / "0.png")
    pairs = table(tmp_path / "pairs.csv", ("original", "protected"), [("val0_0.png", "0.png")])
    with pytest.raises(AuditError, match="line 2: its protected file is that of another original"):
        paired(open_dataset(data), None, None, pairs)
    table(pairs, ("original", "protected"), [("two/val0_0.png", "0.png")])
    release = paired(open_dataset(data), None, None, pairs)
    assert release is not None
    assert [one.source for one in release.originals.records] == ["two"]


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
    with (released[1] / "files.csv").open(newline="") as file:
        pairs = [(row["input"], row["output"]) for row in csv.DictReader(file) if row["output"]]
    by = table(released[0] / "pairs.csv", ("original", "protected"), pairs)
    release = paired(open_dataset(originals), None, None, by)
    assert release is not None
    record = audit(release.originals, Options(attackers=("pixels",)), release)
    assert record["sources"]["demo"]["useless"] is not marked


def test_a_table_of_no_bytes_has_no_column(originals: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").touch()
    with pytest.raises(AuditError, match="--pairs has no column 'original'; add it"):
        paired(open_dataset(originals), None, None, tmp_path / "pairs.csv")
