from __future__ import annotations

import csv
import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from deid.cli.match import match

People = Callable[..., Path]


@pytest.fixture(scope="module")
def app() -> Typer:
    app = Typer()
    app.command()(match)
    return app


def test_the_console_says_what_matched_and_names_nobody(app: Typer, people: People) -> None:
    folder = people(val=40)
    done = CliRunner().invoke(app, [str(folder), "--attacker=pixels", "--false-match-rate=0.02"])
    assert done.exit_code == 0, done.output
    first, *rest = done.stdout.splitlines()
    assert first.startswith("xray: ")
    assert "of 3,160 pairs of images match at a false-match rate of 0.02" in first
    assert "are to be expected among them" in first
    assert any("two names" in line for line in rest)
    assert "no pair is judged by a fit that has seen either person" in done.stdout
    assert "val0" not in done.output
    assert str(folder) not in done.output


def test_the_report_is_private_and_names_files_as_the_caller_does(
    app: Typer, people: People, tmp_path: Path
) -> None:
    folder, report = people(val=40), tmp_path / "report"
    call = [str(folder), "--attacker=pixels", "--false-match-rate=0.02", f"--report={report}"]
    done = CliRunner().invoke(app, [*call, "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record == json.loads((report / "match.json").read_text())
    assert record["schema"] == 1
    with (report / "matches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == record["modalities"]["xray"]["matches"]
    pairs = {(row["a"], row["b"]): row for row in rows}
    one = pairs["val0_0.png", "val0_1.png"]
    assert (one["patient_a"], one["patient_b"], one["found_as"]) == ("val0", "val0", "match")
    assert float(one["probability"]) > 0.5 > 0.02 >= float(one["false_match_rate"]) > 0
    assert stat.S_IMODE(report.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in report.rglob("*"))
    again = CliRunner().invoke(app, [*call, "--json"])
    assert again.stdout == done.stdout


def test_an_image_that_can_not_be_read_gives_exit_status_1_and_a_line(
    app: Typer, people: People, tmp_path: Path
) -> None:
    folder, report = people(val=3), tmp_path / "report"
    (folder / "val2_1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = CliRunner().invoke(app, [str(folder), "--attacker=pixels", f"--report={report}"])
    assert done.exit_code == 1, done.output
    assert "A: 1 file left out: it can not be decoded." in done.stdout
    assert "val2_1" not in done.stdout
    assert "a,val2_1.png,it can not be decoded" in (report / "left_out.csv").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "does not exist"),
        (["--attacker=somebody"], "no such attacker; there are: "),
        (["--attacker=outline"], "it learns from 10 or more people of 'train'"),
        (["--split=test"], "no images in split 'test'"),
        (["--modality=nonsense"], "--modality: not one of xray, ct, fundus; give"),
        (["--modality="], "--modality: not one of"),
        (["--prior=0"], "--prior lies between 0 and 1"),
        (["--report=/proc/nothing"], "--report can not be written"),
    ],
)
def test_a_wrong_call_is_one_line(
    app: Typer, people: People, arguments: list[str], words: str
) -> None:
    folder = people(val=3)
    done = CliRunner().invoke(app, [str(folder), "--attacker=pixels", *arguments])
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith("deid match: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert str(folder) not in done.output


def test_folders_that_hold_nothing_to_match_are_one_line(
    app: Typer, people: People, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    missing = people(val=3)
    (missing / "val0_0.png").unlink()
    for folder, words in ((tmp_path / "empty", "holds no image"), (missing, "names a file that")):
        done = CliRunner().invoke(app, [str(folder), "--attacker=pixels"])
        assert done.exit_code == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


def test_names_that_are_no_utf_8_are_matched(app: Typer, of_bytes: Path, tmp_path: Path) -> None:
    call = [str(of_bytes), "--attacker=pixels", "--modality=xray", "--false-match-rate=0.05"]
    done = CliRunner().invoke(app, [*call, f"--report={tmp_path / 'r'}"])
    assert done.exit_code == 0, done.output
    assert "pairs of images match at a false-match rate of 0.05" in done.stdout
    assert b"who" in (tmp_path / "r" / "matches.csv").read_bytes()


def test_a_report_takes_no_folder_that_is_anothers_and_an_earlier_one_is_put_aside(
    app: Typer, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, place = people(val=3), tmp_path / "place"
    place.mkdir(mode=0o755)
    (place / "mine.txt").write_text("mine")
    monkeypatch.chdir(place)
    call = [str(folder), "--attacker=pixels"]
    for name, words in (("", "is empty; name a folder"), (place, "is not empty and holds no such")):
        done = CliRunner().invoke(app, [*call, f"--report={name}"])
        assert done.exit_code == 2
        assert words in done.stderr
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert [path.name for path in place.iterdir()] == ["mine.txt"]
    call.append(f"--report={tmp_path / 'report'}")
    assert CliRunner().invoke(app, call).exit_code == 0
    assert CliRunner().invoke(app, [*call, "--attacker=outline"]).exit_code == 2
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"matches.csv", "features", "earlier-1"}


def test_no_table_of_a_report_holds_what_a_spreadsheet_runs(
    app: Typer, people: People, tmp_path: Path
) -> None:
    folder = tmp_path / "set"
    shutil.copytree(people(val=4), folder)
    table = folder / "manifest.csv"
    lines = table.read_text().replace(",val0,", ",=1+1,").replace(",val1,", ",@SUM(1),")
    table.write_text(lines.replace("val2_0.png", "-2.png").replace("val3_0.png", "+3.png"))
    (folder / "val2_0.png").rename(folder / "-2.png")
    (folder / "val3_0.png").write_bytes(b"no picture")
    (folder / "val3_0.png").rename(folder / "+3.png")
    call = [str(folder), "--attacker=pixels", f"--report={tmp_path / 'report'}"]
    assert CliRunner().invoke(app, call).exit_code == 1
    with (tmp_path / "report" / "matches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = {row[key] for row in rows for key in ("a", "b", "patient_a", "patient_b")}
    assert {"'=1+1", "'@SUM(1)", "'-2.png"} <= names
    assert not any(name[0] in "=+-@" for name in names)
    assert all(float(row["similarity"]) <= 1.0 for row in rows)
    assert "a,'+3.png" in (tmp_path / "report" / "left_out.csv").read_text()


def test_a_modality_may_be_given_by_its_dicom_word(app: Typer, people: People) -> None:
    done = CliRunner().invoke(app, [str(people(val=3)), "--attacker=pixels", "--modality=DX"])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("reported", [True, False])
def test_interrupted_it_says_whether_the_same_command_goes_on(
    app: Typer, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reported: bool
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("deid.match.match", pressed)
    told = [f"--report={tmp_path / 'report'}"] if reported else []
    done = CliRunner().invoke(app, [str(people(val=3)), "--attacker=pixels", *told])
    assert done.exit_code == 3
    assert done.stderr.startswith("deid match: interrupted")
    assert ("the same command with the same --report goes on" in done.stderr) == reported
    assert done.stderr.count("\n") == 1
