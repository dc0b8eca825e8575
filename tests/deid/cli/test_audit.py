from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

from deid.cli.attackers import attackers
from deid.cli.audit import audit

People = Callable[..., Path]


@pytest.fixture(scope="module")
def app() -> Typer:
    app = Typer()
    app.command()(audit)
    app.command()(attackers)
    return app


def test_the_console_begins_with_what_was_found_and_ends_with_what_was_not_tested(
    app: Typer, people: People
) -> None:
    folder = people(val=31, train=12)
    done = CliRunner().invoke(app, ["audit", str(folder), "--attacker=pixels,outline"])
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0].startswith("At least 100 of 100 patients")
    assert lines[-1].startswith("Not tested: ")
    table = [line for line in lines[1:] if "pixels" in line or "chance" in line]
    assert any("31 of 31" in line for line in table)
    assert any("0.032" in line for line in table)
    assert max(len(line) for line in table) <= 80
    assert str(folder) not in done.output


def test_json_is_one_object_with_a_schema(app: Typer, people: People) -> None:
    call = ["audit", str(people(val=31)), "--attacker=pixels", "--json", "--gallery-size=20"]
    done = CliRunner().invoke(app, [*call, "--attacker=pixels", "--bootstrap=100"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["schema"] == 6
    assert (record["options"]["bootstrap"], record["options"]["attackers"]) == (100, ["pixels"])
    found = record["sources"]["demo"]["linkages"]["original"]["fixed"]["attackers"]["pixels"]
    assert (found["asked"]["n"], found["asked"]["guess"]) == (20, 0.05)
    assert [point["n"] for point in found["linkability"]] == [2, 5, 10, 20, 31]


def test_a_report_is_private_and_a_second_audit_looks_at_nothing_again(
    app: Typer, people: People, tmp_path: Path
) -> None:
    folder, report = people(val=31, train=12), tmp_path / "report"
    call = ["audit", str(folder), "--attacker=pixels", f"--report={report}", "--json"]
    first = CliRunner().invoke(app, call)
    assert first.exit_code == 0, first.output
    record = json.loads((report / "audit.json").read_text())
    assert record == json.loads(first.stdout)
    with (report / "audit.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ranks = {f"rank_{k}" for k in (1, 2, 5, 10, 20, 31)}
    # 465 pairs of patients say nothing of one false alarm in 100: no row, and no number.
    others = {"auc", "eer", "d_sys", "d_sys_null", "c_llr", "linkability", "singling_out"}
    # Of two visits one is left to be found by: one image, and all of the other visit's, is one.
    pooled = {
        f"{figure}_by_{images}_images"
        for figure in ("linkability", "singling_out")
        for images in ("1", "all")
    }
    assert {row["figure"] for row in rows} == others | ranks | pooled
    null = next(row for row in rows if row["figure"] == "d_sys_null")
    assert null["value"] == ""
    assert 0.0 < float(null["low"]) < float(null["high"]) < 0.6
    assert "Not tested: " in (report / "audit.html").read_text()
    assert stat.S_IMODE(report.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(p.stat().st_mode) & 0o077 == 0 for p in report.rglob("*"))
    with (report / "most_exposed.csv").open(newline="") as file:
        exposed = list(csv.DictReader(file))
    names = {row["patient"] for row in exposed}
    assert len(exposed) == len(names) == 10
    assert {(row["images"], row["found"], row["people"]) for row in exposed} == {("2", "1.0", "31")}
    told = [(report / f"audit.{kind}").read_text() for kind in ("json", "csv", "html")]
    assert not any(name in text for name in names for text in (*told, first.output))
    kept = {path: path.stat().st_mtime_ns for path in (report / "features").iterdir()}
    assert kept
    again = CliRunner().invoke(app, call)
    assert again.stdout == first.stdout
    assert kept == {path: path.stat().st_mtime_ns for path in (report / "features").iterdir()}


def test_a_report_never_lies_inside_what_is_shared(
    app: Typer, people: People, tmp_path: Path
) -> None:
    folder = people(val=3)
    (tmp_path / "pairs.csv").write_text("original,protected\nval0_0.png,val0_0.png\n")
    call = ["audit", str(folder), f"--protected={folder}", f"--pairs={tmp_path / 'pairs.csv'}"]
    done = CliRunner().invoke(app, [*call, f"--report={folder / 'report'}"])
    assert done.exit_code == 2
    assert "lies inside --protected" in done.stderr
    assert not (folder / "report").exists()


def test_a_report_never_lies_among_the_files_of_a_table(
    app: Typer, people: People, tmp_path: Path
) -> None:
    """No --protected: they lie beside the table, or in a folder there."""
    folder = people(val=31)
    for place, inside in (("", "report"), ("share/", "share/report")):
        release = tmp_path / f"of {place.strip('/')}"
        shutil.copytree(folder, release / place)
        names = [path.name for path in folder.glob("*.png")]
        lines = [f"{name},{place}{name}" for name in names]
        (release / "pairs.csv").write_text("\n".join(["original,protected", *lines]))
        call = ["audit", str(folder), "--attacker=pixels", f"--pairs={release / 'pairs.csv'}"]
        done = CliRunner().invoke(app, [*call, f"--report={release / inside}"])
        assert done.exit_code == 2
        assert "among the files of --pairs" in done.stderr
        assert not (release / inside).exists()
    done = CliRunner().invoke(app, [*call, "--bootstrap=100", f"--report={release / 'report'}"])
    assert done.exit_code == 0, done.output


def test_a_report_takes_no_folder_that_is_anothers(
    app: Typer, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, place = people(val=3), tmp_path / "mine"
    place.mkdir(mode=0o755)
    (place / "audit.csv").write_text("my own,table\n")
    monkeypatch.chdir(place)
    for name, words in (("", "is empty; name a folder"), (".", "is not empty and holds no such")):
        done = CliRunner().invoke(
            app, ["audit", str(folder), "--attacker=pixels", f"--report={name}"]
        )
        assert done.exit_code == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1
    assert stat.S_IMODE(place.stat().st_mode) == 0o755
    assert [(path.name, path.read_text()) for path in place.iterdir()] == [
        ("audit.csv", "my own,table\n")
    ]


def test_nothing_of_an_earlier_audit_stands_beside_one_that_was_stopped(
    app: Typer, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, report = people(val=31), tmp_path / "report"
    call = ["audit", str(folder), "--bootstrap=100", f"--report={report}"]
    assert CliRunner().invoke(app, [*call, "--attacker=pixels,mami"]).exit_code == 0
    kept = sorted((report / "features").iterdir())
    assert kept

    def stopped(*_: object, **__: object) -> None:
        raise SystemExit(9)

    monkeypatch.setattr("deid.audit.audit", stopped)
    assert CliRunner().invoke(app, [*call, "--attacker=pixels", "--seed=5"]).exit_code == 9
    names = sorted(path.name for path in report.iterdir())
    assert names == ["audit.csv", "earlier-1", "features"]
    assert len((report / "audit.csv").read_text().splitlines()) == 1
    assert sorted((report / "features").iterdir()) == kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--attacker=somebody"], "no such attacker; there are: "),
        (["--attacker=trained:pixels"], "is a head on a network; NAME is one of mami, "),
        (["--bootstrap=99"], "--bootstrap: 100 to 100,000 resamples; give"),
        (["--bootstrap=-1"], "--bootstrap: 100 to 100,000 resamples; give"),
        (["--bootstrap=100001"], "--bootstrap: 100 to 100,000 resamples; give"),
        (["--split=test"], "no images in split 'test'"),
        (["--linkage=sideways"], "no such linkage; there are: "),
        (["--remover=magic"], "no such remover; there are: "),
        (["--remover=pca"], "made from people of 'train'"),
        (["--control"], "give --adaptive"),
        (["--releases=2"], "give a --remover"),
        (["--run-dir=nowhere"], "--protected needs --run-dir"),
        (["--remover=nowhere.safetensors"], "weights file does not exist"),
    ],
)
def test_a_wrong_call_is_one_line(
    app: Typer, people: People, arguments: list[str], words: str
) -> None:
    folder = people(val=3)
    done = CliRunner().invoke(app, ["audit", str(folder), "--attacker=pixels", *arguments])
    assert done.exit_code == 2
    assert done.stderr.startswith("deid audit: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert str(folder) not in done.output


def test_attackers_are_listed_without_torch() -> None:
    code = (
        "import sys, typer, typer.testing; from deid.cli.attackers import attackers;"
        "app = typer.Typer(); app.command()(attackers);"
        "done = typer.testing.CliRunner().invoke(app, []); assert done.exit_code == 0;"
        "assert 'mami_tiny' in done.output and 'whiten' in done.output, done.output;"
        "assert 'critic:CHECKPOINT' in done.output, done.output;"
        "print(sorted({'torch', 'pydicom', 'timm'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_folder_without_a_table_is_audited_as_it_lies(
    app: Typer, people: People, tmp_path: Path
) -> None:
    flat, folder = people(val=8), tmp_path / "lying"
    for path in flat.glob("*.png"):
        patient, visit = path.stem.split("_")
        (folder / patient / visit).mkdir(parents=True, exist_ok=True)
        (folder / patient / visit / "1.png").write_bytes(path.read_bytes())
    (folder / "letter.txt").write_text("nothing")
    done = CliRunner().invoke(app, ["audit", str(folder), "--split=all", "--attacker=pixels"])
    assert done.exit_code == 0, done.output
    assert "folder: not decidable with this data: 8 patients" in done.stdout
    assert "Left out: 1 file (it is no image)." in done.stdout.splitlines()


def test_table_4_lays_the_figures_out_as_the_paper_does_and_leaves_what_is_absent_empty(
    app: Typer, people: People
) -> None:
    folder = people(val=31, train=12)
    call = ["audit", str(folder), "--attacker=mami,outline,pixels", "--remover=blur:8"]
    call += ["--adaptive", "--linkage=original,outer"]
    done = CliRunner().invoke(app, [*call, "--table=4"], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    at = {line.split("  ")[1].strip(): line for line in lines if line.startswith("  ")}
    assert "demo, xray" in done.stdout
    assert re.fullmatch(
        r"  mami \(MaMI\)( +\d+\.\d \(\d+-\d+\)){3} +91.49 +21.23 *", at["mami (MaMI)"]
    )
    # It does not adapt: no figure, and none is made up.
    assert len(re.findall(r"\d\.\d \(", at["pixels"])) == 2
    assert re.fullmatch(r"  CLIP, tuned +73.00 +11.86 *", at["CLIP, tuned"])
    assert re.fullmatch(r"  disease accuracy +81.24 +80.67 *", at["disease accuracy"])
    assert at["among people"].split()[2] == "31"
    assert not any("AUC" in line for line in lines)
    assert lines[0].startswith("At least ")
    assert lines[-1].startswith("Not tested: ")
    call = ["audit", str(folder), "--attacker=pixels", "--json"]
    plain, tabled = (CliRunner().invoke(app, [*call, *more]) for more in ([], ["--table=4"]))
    assert plain.stdout == tabled.stdout


def test_names_that_are_no_utf_8_are_audited(app: Typer, of_bytes: Path, tmp_path: Path) -> None:
    call = ["audit", str(of_bytes), "--split=train", "--attacker=outline,header"]
    call += ["--remover=noise:20", "--adaptive", "--bootstrap=100", f"--report={tmp_path / 'r'}"]
    done = CliRunner().invoke(app, call)
    assert done.exit_code == 0, done.output
    with (tmp_path / "r" / "most_exposed.csv").open(newline="") as file:
        assert {row["patient"][:7] for row in csv.DictReader(file)} == {r"who\udc"}


@pytest.mark.parametrize("how", ["pressed", "told to end"])
@pytest.mark.parametrize("reported", [True, False])
def test_interrupted_it_says_whether_the_same_command_goes_on(
    app: Typer,
    people: People,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    reported: bool,
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        if how == "pressed":
            raise KeyboardInterrupt
        handler = signal.getsignal(signal.SIGTERM)
        assert callable(handler)  # else it would end these tests as well
        handler(signal.SIGTERM, None)

    monkeypatch.setattr("deid.audit.audit", interrupted)
    told = [f"--report={tmp_path / 'report'}"] if reported else []
    done = CliRunner().invoke(app, ["audit", str(people(val=3)), "--attacker=pixels", *told])
    assert done.exit_code == 3
    assert done.stderr.startswith("deid audit: interrupted")
    assert ("the same command with the same --report goes on" in done.stderr) == reported
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "wrong", ["--attacker=pixel", "--remover=blurr", "--linkage=outer", "--bootstrap=5"]
)
def test_a_slip_of_the_pen_leaves_the_figures_of_an_earlier_audit(
    app: Typer, people: People, tmp_path: Path, wrong: str
) -> None:
    report = tmp_path / "report"
    call = ["audit", str(people(val=3)), f"--report={report}", "--attacker=pixels"]
    assert CliRunner().invoke(app, call).exit_code == 0
    before = {path.name: path.read_bytes() for path in report.glob("audit.*")}
    assert CliRunner().invoke(app, [*call, wrong]).exit_code == 2
    assert len(before) == 3
    assert {path.name: path.read_bytes() for path in report.glob("audit.*")} == before


def test_the_figures_of_an_earlier_audit_are_put_aside_and_not_lost(
    app: Typer, people: People, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    call = ["audit", str(people(val=3)), f"--report={report}"]
    assert CliRunner().invoke(app, [*call, "--attacker=pixels"]).exit_code == 0
    before = {path.name: path.read_bytes() for path in report.iterdir() if path.is_file()}
    for number in (1, 2):
        assert CliRunner().invoke(app, [*call, "--attacker=outline"]).exit_code == 0
        assert stat.S_IMODE((report / f"earlier-{number}").stat().st_mode) == 0o700
    kept = {path.name: path.read_bytes() for path in (report / "earlier-1").iterdir()}
    assert kept == before
    assert "outline" in (report / "audit.json").read_text()
