"""Where the folders of a run may lie, and what else may lie in them."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deid.scrub.options import CannotStart
from deid.scrub.run import scrub

Tree = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="module")
def finished(pictures: Path, secret: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run's ``output`` and ``output.run``."""
    folder = tmp_path_factory.mktemp("finished")
    scrub(pictures, folder / "output", key_file=secret, metadata_only=True, workers=1)
    return folder


@pytest.fixture
def begun(finished: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may harm."""
    return Path(shutil.copytree(finished, tmp_path / "begun"))


@pytest.fixture
def resume(pictures: Path, secret: Path, begun: Path) -> Callable[..., Any]:
    """Goes on with it."""

    def go_on(**options: Any) -> Any:
        settings = {"key_file": secret, "metadata_only": True, "workers": 1, **options}
        return scrub(pictures, begun / "output", resume=True, **settings)

    return go_on


def first(folder: Path) -> Path:
    """A released picture."""
    return next(iter(sorted((folder / "output").glob("*/*.png"))))


@pytest.mark.parametrize(
    ("output", "run", "words"),
    [
        ("output/deeper/new", "elsewhere", "OUTPUT lies inside the OUTPUT of another run"),
        ("new", "output/deeper/new", "the run folder lies inside the OUTPUT of another run"),
        ("output.run/new", "elsewhere", "OUTPUT lies inside the private folder of another run"),
        ("new", "output.run/new", "the run folder lies inside the private folder of another run"),
    ],
)
@pytest.mark.parametrize("killed", [False, True])
def test_no_folder_of_a_run_may_lie_inside_those_of_another(
    output: str, run: str, words: str, killed: bool, pictures: Path, begun: Path
) -> None:
    if killed:
        (begun / "output" / "manifest.csv").unlink()
        (begun / "output" / ".partial").mkdir()
    with pytest.raises(CannotStart, match=words):
        scrub(pictures, begun / output, run_dir=begun / run)
    assert not (begun / output).exists()
    assert not (begun / run).exists()


@pytest.mark.parametrize("inside", ["output.run", "output.run/thumbs"])
def test_the_private_folder_of_a_run_is_no_input(
    inside: str, finished: Path, tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match="INPUT is or lies inside the private folder"):
        scrub(finished / inside, tmp_path / "new")


def test_the_output_of_a_run_may_be_the_input_of_another(finished: Path, tmp_path: Path) -> None:
    result = scrub(finished / "output", tmp_path / "new", metadata_only=True, workers=1)
    assert sum(row["status"] == "done" for row in result.rows) == 6


@pytest.mark.parametrize("whole_folder", [False, True])
def test_resume_puts_files_where_links_stand_and_writes_nothing_through_them(
    whole_folder: bool, begun: Path, resume: Callable[..., Any], tree: Tree, tmp_path: Path
) -> None:
    before = tree(begun / "output")
    elsewhere = tmp_path / "elsewhere"
    place = first(begun).parent if whole_folder else first(begun)
    shutil.move(place, elsewhere)
    place.symlink_to(elsewhere)
    if whole_folder:
        (elsewhere / first(begun).name).write_bytes(b"not to be touched")
    kept = tree(elsewhere) if whole_folder else elsewhere.read_bytes()
    resume()
    assert tree(begun / "output") == before
    assert kept == (tree(elsewhere) if whole_folder else elsewhere.read_bytes())


def note(begun: Path) -> None:
    (begun / "output" / "Lindqvist.txt").write_text("x")


def folder(begun: Path) -> None:
    (begun / "output" / "Lindqvist").mkdir()


def link(begun: Path) -> None:
    (begun / "output" / "Lindqvist").symlink_to(begun)


def neighbour(begun: Path) -> None:
    first(begun).with_name("Lindqvist.png").write_bytes(b"x")


@pytest.mark.parametrize("stranger", [note, folder, link, neighbour])
def test_resume_refuses_what_the_run_did_not_write_and_leaves_it(
    stranger: Callable[[Path], None], begun: Path, resume: Callable[..., Any], tree: Tree
) -> None:
    stranger(begun)
    before = tree(begun / "output")
    with pytest.raises(CannotStart, match="OUTPUT holds 1 files, links or folders") as refused:
        resume()
    assert "Lindqvist" not in str(refused.value)
    assert tree(begun / "output") == before


def test_nothing_stays_under_the_name_of_a_file_that_was_withheld(
    begun: Path, resume: Callable[..., Any], tree: Tree
) -> None:
    journal = begun / "output.run" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.open()]
    row = {"status": "withheld", "reason": "risk", "detail": ""}
    lines[0] = {"n": lines[0]["n"], "output": "", "row": row}
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert sum(row["status"] == "done" for row in resume().rows) == 5
    assert sum(name.endswith(".png") for name in tree(begun / "output")) == 5


@pytest.mark.parametrize("kind", ["link", "file", "loop"])
def test_whatever_stands_in_place_of_the_temporary_folder_is_replaced(
    kind: str, begun: Path, resume: Callable[..., Any], tree: Tree, tmp_path: Path
) -> None:
    partial = begun / "output" / ".partial"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("x")
    if kind == "file":
        partial.write_text("x")
    else:
        partial.symlink_to(elsewhere if kind == "link" else partial)
    first(begun).unlink()
    resume()
    assert set(tree(elsewhere)) == {"mine"}
    assert not partial.exists()
    assert len(tree(begun / "output")) == 7


def test_what_a_kill_leaves_of_a_text_being_written_is_no_hindrance(
    begun: Path, resume: Callable[..., Any], tree: Tree, pictures: Path, tmp_path: Path
) -> None:
    before = tree(begun / "output")
    for place in ("output", "output.run"):
        (begun / place / ".new-0123456789abcdef").write_text("half a te")
    resume()
    assert tree(begun / "output") == before
    assert not list((begun / "output.run").glob(".new-*"))
    # Killed while it wrote its first text.
    (tmp_path / "output.run").mkdir()
    (tmp_path / "output.run" / ".new-0123456789abcdef").write_text("half a te")
    scrub(pictures, tmp_path / "output", metadata_only=True, workers=1, resume=True)


def test_resume_without_the_key_is_refused_and_makes_none(
    begun: Path, resume: Callable[..., Any], pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match="the key is not in the run folder"):
        resume(key_file=None)
    assert not (begun / "output.run" / "key").exists()
    # A run with a key of its own that was lost, and is put back.
    output = tmp_path / "own"
    scrub(pictures, output, metadata_only=True, workers=1)
    key = tmp_path / "own.run" / "key"
    kept = key.rename(tmp_path / "kept")
    for _ in range(2):
        with pytest.raises(CannotStart, match="the key is not in the run folder"):
            scrub(pictures, output, metadata_only=True, workers=1, resume=True)
    kept.rename(key)
    again = scrub(pictures, output, metadata_only=True, workers=1, resume=True)
    assert any("a fresh key was made" in line for line in again.summary["warnings"])


@pytest.mark.parametrize("text", ["", "{", "[]", '{"key": 1}', "\udcff"])
def test_a_damaged_note_of_the_run_is_told_in_one_sentence(
    text: str, begun: Path, resume: Callable[..., Any]
) -> None:
    (begun / "output.run" / "run.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(CannotStart, match=r"run\.json in the run folder is damaged; put it back"):
        resume()


def test_a_file_that_could_not_be_read_is_tried_again(
    pictures: Path, secret: Path, tmp_path: Path, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = tmp_path / "input", tmp_path / "output"
    shutil.copytree(pictures, source)
    settings: dict[str, Any] = {"key_file": secret, "metadata_only": True, "workers": 1}
    scrub(source, tmp_path / "whole", **settings)
    hidden = tmp_path / "hidden"
    with monkeypatch.context() as patch:
        # As good as without permission, which root does not heed: it is gone between the looks.
        noted = "deid.scrub.folders.fingerprint_of_input"
        patch.setattr(noted, lambda _: os.rename(source / "a" / "1.png", hidden) or "")
        rows = scrub(source, output, **settings).rows
        assert [row["reason"] for row in rows].count("unreadable") == 1
    hidden.rename(source / "a" / "1.png")
    monkeypatch.setattr("deid.scrub.folders.fingerprint_of_input", lambda _: "")
    assert scrub(source, output, resume=True, **settings).exit_status == 0
    assert tree(output) == tree(tmp_path / "whole")


def test_a_file_that_becomes_another_one_during_the_run_is_not_released_as_the_first(
    pictures: Path, secret: Path, tmp_path: Path
) -> None:
    source = tmp_path / "input"
    shutil.copytree(pictures, source)

    def exchange(what: str, done: int, total: int) -> None:
        if (what, done) == ("reading headers", total):
            shutil.copyfile(source / "b" / "0.png", source / "a" / "0.png")

    rows = scrub(
        source, tmp_path / "output", key_file=secret, workers=1, text="off", progress=exchange
    ).rows
    reasons = {row["input"]: row["reason"] for row in rows}
    assert reasons.pop("a/0.png") == "unreadable"
    assert "unreadable" not in reasons.values()


@pytest.mark.parametrize("place", ["input", "output", "run_dir"])
@pytest.mark.parametrize("bad", ["loop", "x" * 256])
def test_a_place_that_no_file_system_can_have_is_told_in_one_line(
    place: str, bad: str, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    places = {"input": pictures, "output": tmp_path / "output", "run_dir": tmp_path / "run"}
    places[place] = tmp_path / bad
    with pytest.raises(CannotStart):
        scrub(places.pop("input"), places.pop("output"), **places)
    assert not (tmp_path / "output").exists()


def test_links_in_circles_and_the_longest_names_under_input_are_no_hindrance(
    pictures: Path, tmp_path: Path
) -> None:
    source = tmp_path / "input"
    source.mkdir()
    shutil.copy(pictures / "a" / "0.png", source / f"{'x' * 251}.png")
    (source / "circle").symlink_to(source / "circle")
    (source / "up").symlink_to(source)
    (row,) = scrub(source, tmp_path / ("y" * 251), metadata_only=True, workers=1).rows
    assert row["status"] == "done"


def test_an_old_identifier_can_not_act_as_a_formula(pictures: Path, tmp_path: Path) -> None:
    source = tmp_path / "input"
    shutil.copytree(pictures, source)
    names = ["=1+1", "@x", " -2", "'quoted", "plain", "a,b"]
    files = sorted(str(path.relative_to(source)) for path in source.rglob("*.png"))
    with open(source / "manifest.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("file", "patient"), *zip(files, names, strict=True)])
    scrub(source, tmp_path / "output", metadata_only=True, workers=1)
    with open(tmp_path / "output.run" / "patients.csv", newline="") as stream:
        told = [row["id_old"] for row in csv.DictReader(stream)]
    assert sorted(told) == sorted(["'=1+1", "'@x", "' -2", "''quoted", "plain", "a,b"])
    assert sorted(value.removeprefix("'") for value in told) == sorted(names)


@pytest.mark.parametrize("workers", [257, 10**30])
def test_there_is_a_bound_on_workers(workers: int, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(CannotStart, match=f"--workers {workers}: must be 256 or less"):
        scrub(pictures, tmp_path / "output", workers=workers)


def test_a_table_that_is_a_link_out_of_input_names_nobody(
    pictures: Path, secret: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(pictures, tmp_path / "input"))
    table = tmp_path / "elsewhere.csv"
    table.write_text("file,patient\na/0.png,OUTSIDER\n", encoding="utf-8")
    (source / "manifest.csv").symlink_to(table)
    scrub(source, tmp_path / "output", key_file=secret, metadata_only=True, workers=1)
    assert "OUTSIDER" not in (tmp_path / "output.run" / "patients.csv").read_text()


def test_a_table_that_can_not_be_read_is_mended_and_the_same_command_starts(
    pictures: Path, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(pictures, tmp_path / "input"))
    settings: dict[str, Any] = {"metadata_only": True, "workers": 1}
    (source / "manifest.csv").write_bytes(b"file,patient\n\xff,x\n")
    with pytest.raises(CannotStart, match=r"manifest\.csv in INPUT"):
        scrub(source, tmp_path / "output", **settings)
    (source / "manifest.csv").write_text("file,patient\na/0.png,SOMEBODY\n")
    done = scrub(source, tmp_path / "output", **settings)
    unnamed = [row["n"] for row in done.rows if row["input"] not in ("a/0.png", "manifest.csv")]
    told = f"{len(unnamed)} files name no patient (#{unnamed[0]} "
    assert any(warning.startswith(told) for warning in done.summary["warnings"])
    assert "SOMEBODY" in (tmp_path / "output.run" / "patients.csv").read_text()
