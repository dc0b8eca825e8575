from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from deid.cli.app import main
from deid.phantoms import make
from deid.scrub.options import CannotStart
from deid.scrub.run import scrub

SECRET = "Lindqvist^Marisol"
COMMAND = (sys.executable, "-c", "from deid.cli.app import main; main()", "scrub")


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A patient of three modalities, two visits, small pictures."""
    folder = tmp_path_factory.mktemp("phantoms") / "input"
    make(folder, patients=1, visits=2, seed=3, size=192, ct_size=96, slices=4)
    return folder


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from deid.tags import new_key

    path = tmp_path_factory.mktemp("key") / "key"
    new_key(path)
    return path


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(phantoms: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OUTPUT of an uninterrupted run."""
    output = tmp_path_factory.mktemp("whole") / "output"
    result = scrub(phantoms, output, key_file=key, workers=1, batch_size=1)
    assert "done" in {row["status"] for row in result.rows}
    return output


@pytest.fixture(scope="module")
def without_text(phantoms: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without the search for text, for runs that are about something else."""
    output = tmp_path_factory.mktemp("without_text") / "output"
    scrub(phantoms, output, key_file=key, text="off")
    return output


def test_every_regular_file_gets_one_row_and_every_done_row_a_file(
    phantoms: Path, whole: Path
) -> None:
    rows = [json.loads(line) for line in (whole.with_name("output.run") / "report.jsonl").open()]
    files = [path for path in phantoms.rglob("*") if path.is_file()]
    assert sorted(row["input"] for row in rows) == sorted(
        str(path.relative_to(phantoms)) for path in files
    )
    done = [row for row in rows if row["status"] == "done"]
    assert {row["modality"] for row in done} >= {"xray", "ct", "fundus"}
    written = {name for name in digests(whole) if name != "manifest.csv"}
    assert {row["output"] for row in done} == written
    manifest = list(csv.DictReader((whole / "manifest.csv").open()))
    assert {row["file"]: row["sha256"] for row in manifest} == {
        name: digest for name, digest in digests(whole).items() if name != "manifest.csv"
    }


def test_the_same_bytes_come_out_whatever_the_workers_and_the_batch(
    phantoms: Path, key: Path, whole: Path, tmp_path: Path
) -> None:
    scrub(phantoms, tmp_path / "output", key_file=key, workers=2, batch_size=5)
    assert digests(tmp_path / "output") == digests(whole)


def test_the_run_folder_is_private(whole: Path) -> None:
    run = whole.with_name("output.run")
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    for name in ("report.csv", "report.html", "patients.csv", "uids.csv", "journal.jsonl"):
        assert stat.S_IMODE((run / name).stat().st_mode) == 0o600, name
    pictures = list((run / "thumbs").iterdir())
    assert pictures
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in pictures)


def test_one_picture_of_a_stack_stands_for_all_that_are_alike(whole: Path) -> None:
    run = whole.with_name("output.run")
    rows = [json.loads(line) for line in (run / "report.jsonl").open()]
    done = [row for row in rows if row["status"] == "done"]
    shown = {int(path.name.split("_")[0]) for path in (run / "thumbs").glob("*_after.png")}
    series = {}
    for row in done:
        if row["modality"] == "ct" and row["output"].endswith(".dcm"):
            series.setdefault(Path(row["output"]).parent, []).append(row["n"] in shown)
    assert {len(slices) for slices in series.values()} == {4}
    assert all(sum(slices) >= 1 for slices in series.values())
    assert any(sum(slices) == 1 for slices in series.values())
    assert all(row["n"] in shown for row in done if row["modality"] == "xray")


def test_a_patient_has_one_pseudonym_and_the_dates_keep_their_intervals(
    phantoms: Path, whole: Path
) -> None:
    rows = [json.loads(line) for line in (whole.with_name("output.run") / "report.jsonl").open()]
    dates: dict[str, set[tuple[str, str]]] = {}
    names: dict[str, set[str]] = {}
    for row in rows:
        if row["status"] == "done" and row["output"].endswith(".dcm"):
            before = pydicom.dcmread(phantoms / row["input"], stop_before_pixels=True)
            after = pydicom.dcmread(whole / row["output"], stop_before_pixels=True)
            names.setdefault(before.PatientID, set()).add(after.PatientID)
            if "StudyDate" in before:
                pair = (before.StudyDate, after.StudyDate)
                dates.setdefault(before.PatientID, set()).add(pair)
    assert names
    assert all(len(pseudonyms) == 1 for pseudonyms in names.values())
    for pairs in dates.values():
        shifts = {
            datetime.strptime(old, "%Y%m%d") - datetime.strptime(new, "%Y%m%d")
            for old, new in pairs
        }
        # The seconds of the shift may carry one study past midnight, and another not.
        assert (max(shifts) - min(shifts)).days <= 1
        assert min(shifts).days > 0


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_a_random_moment_and_resumed_gives_the_same_files(
    seed: int, phantoms: Path, key: Path, without_text: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    arguments = [*COMMAND, str(phantoms), str(output), "--key-file", str(key), "--text=off"]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    journal = tmp_path / "output.run" / "journal.jsonl"
    wanted = random.Random(seed).randint(1, len(digests(without_text)) - 2)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        if journal.exists() and journal.read_bytes().count(b"\n") >= wanted:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    expected = digests(without_text)
    early = {
        name: (output / name).stat()
        for name in digests(output)
        if not name.startswith(".partial") and name != "manifest.csv"
    }
    assert all(digests(output)[name] == expected[name] for name in early)
    scrub(phantoms, output, key_file=key, text="off", resume=True)
    assert digests(output) == expected
    for name, before in early.items():
        assert (output / name).stat().st_ino == before.st_ino
        assert (output / name).stat().st_mtime_ns == before.st_mtime_ns


def test_a_full_disk_stops_the_run_clearly_and_leaves_nothing_half_written(
    phantoms: Path, key: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    done = subprocess.run(
        [*COMMAND, str(phantoms), str(output), "--key-file", str(key), "--text=off"],
        capture_output=True,
        text=True,
        preexec_fn=limit,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "--resume" in done.stderr
    assert "Traceback" not in done.stderr
    rest = [name for name in digests(output) if not name.startswith(".partial")]
    assert all(name.endswith((".dcm", ".png", ".jpg", ".nii.gz")) for name in rest)
    scrub(phantoms, output, key_file=key, text="off", resume=True)


def test_a_link_that_leads_out_is_not_followed_and_one_inside_gets_no_row(
    phantoms: Path, tmp_path: Path
) -> None:
    source = tmp_path / "input"
    source.mkdir()
    (source / "note.txt").write_text("x")
    os.symlink(phantoms, source / "out")
    os.symlink(source / "note.txt", source / "in")
    result = scrub(source, tmp_path / "output")
    assert sorted((row["input"], row["reason"]) for row in result.rows) == [
        ("note.txt", "not_image"),
        ("out", "link"),
    ]
    assert result.exit_status == 1


@pytest.mark.parametrize(
    ("output", "options", "words"),
    [
        ("input/output", {}, "OUTPUT lies inside INPUT"),
        ("output", {"run_dir": "output/run"}, "inside OUTPUT"),
        ("output", {"modality": "mri"}, "--modality"),
        ("output", {"strength": 2.0}, "--strength"),
        ("output", {"gallery_size": 1}, "--gallery-size"),
        ("output", {"device": "cuda"}, "no usable GPU"),
        ("filled", {}, "not empty"),
        ("filled", {"resume": True}, "knows of no run"),
        ("output", {"input": "empty"}, "INPUT holds no file"),
    ],
)
def test_a_wrong_option_or_place_is_refused_before_anything_is_written(
    output: str,
    options: dict[str, object],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for folder in ("input", "filled", "empty/empty"):
        (tmp_path / folder).mkdir(parents=True)
    for folder in ("input", "filled"):
        (tmp_path / folder / "x").write_text("x")
    if "run_dir" in options:
        options = {**options, "run_dir": tmp_path / str(options["run_dir"])}
    source = tmp_path / str(options.pop("input", "input"))
    with pytest.raises(CannotStart, match=words):
        scrub(source, tmp_path / output, **options)
    assert not (tmp_path / "output").exists()


def test_a_wrong_key_file_does_not_stand_in_the_way_of_the_right_one(
    key: Path, tmp_path: Path
) -> None:
    source, output = tmp_path / "input", tmp_path / "output"
    source.mkdir()
    (source / "note.txt").write_text("x")
    with pytest.raises(CannotStart, match="key file"):
        scrub(source, output, key_file=tmp_path / "typo")
    assert len(scrub(source, output, key_file=key).rows) == 1


def test_a_second_run_into_the_same_folders_is_refused_and_harms_nothing(
    phantoms: Path, key: Path, without_text: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    command = (*COMMAND, str(phantoms), str(output), "--key-file", str(key), "--text=off")
    process = subprocess.Popen(command)
    while not (tmp_path / "output.run" / "run.json").exists():
        time.sleep(0.05)
    for options in ({"resume": True}, {"run_dir": tmp_path / "other"}):
        with pytest.raises(CannotStart, match=r"at work|not empty"):
            scrub(phantoms, output, key_file=key, text="off", **options)
    process.wait(timeout=120)
    assert digests(output) == digests(without_text)


def test_resume_makes_a_damaged_and_a_lost_file_again(
    phantoms: Path, key: Path, tmp_path: Path
) -> None:
    output = tmp_path / "output"
    scrub(phantoms, output, key_file=key, metadata_only=True)
    before = digests(output)
    damaged, lost = (output / name for name in list(before)[:2])
    damaged.write_bytes(b"junk")
    lost.unlink()
    scrub(phantoms, output, key_file=key, metadata_only=True, resume=True)
    assert digests(output) == before


@pytest.mark.parametrize("debug", [False, True])
def test_an_error_half_way_is_one_line_that_says_how_to_go_on(
    phantoms: Path,
    key: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    debug: bool,
) -> None:
    def finish(*_: Any, **__: Any) -> None:
        raise RuntimeError(SECRET)

    output = tmp_path / "output"
    words = ["scrub", str(phantoms), str(output), "--key-file", str(key), "--metadata-only"]
    monkeypatch.setattr("sys.argv", ["deid", *words, *(["--debug"] if debug else [])])
    with monkeypatch.context() as patch:
        patch.setattr("deid.scrub.run.finish", finish)
        with pytest.raises(SystemExit) as end:
            main()
    told = capsys.readouterr().err
    assert end.value.code == 3
    assert "internal error (RuntimeError); what is done stays done, --resume goes on" in told
    assert SECRET not in told
    assert ("finish, line" in told) == debug
    assert len(scrub(phantoms, output, key_file=key, metadata_only=True, resume=True).rows) > 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_says_how_to_go_on_and_leaves_no_worker(
    number: int, phantoms: Path, key: Path, tmp_path: Path
) -> None:
    command = (*COMMAND, str(phantoms), str(tmp_path / "output"), "--key-file", str(key))
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever started the tests in the background may have had it ignored.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    while not (tmp_path / "output.run" / "run.json").exists():
        time.sleep(0.05)
    told = ""
    while not told:
        if number == signal.SIGTERM:
            process.send_signal(number)
        else:
            # As a terminal does: workers get it too.
            os.killpg(process.pid, number)
        # A native module that is being imported may swallow one: a user presses again.
        with contextlib.suppress(subprocess.TimeoutExpired):
            _, told = process.communicate(timeout=10)
    assert process.returncode == 3
    assert "--resume goes on" in told
    assert "Traceback" not in told
    deadline = time.monotonic() + 5
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)
        pytest.fail("a process was left behind")


def test_resume_refuses_another_key_and_a_changed_input(
    phantoms: Path, key: Path, tmp_path: Path
) -> None:
    source = tmp_path / "input"
    source.mkdir()
    (source / "note.txt").write_text("x")
    scrub(source, tmp_path / "output", key_file=key)
    with pytest.raises(CannotStart, match="key"):
        scrub(source, tmp_path / "output", resume=True)
    with pytest.raises(CannotStart, match=r"other options were given \(--max-risk, --text\)"):
        scrub(source, tmp_path / "output", key_file=key, max_risk=0.5, text="off", resume=True)
    (source / "note.txt").write_text("xy")
    with pytest.raises(CannotStart, match="INPUT has changed"):
        scrub(source, tmp_path / "output", key_file=key, resume=True)
