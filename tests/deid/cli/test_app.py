from __future__ import annotations

import os
import resource
import stat
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from deid.cli.app import app, main

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = (
    "scrub",
    "key",
    "audit",
    "attackers",
    "evaluate",
    "embed",
    "train-unet",
    "train-mami",
    "train-mfm",
    "ablate",
    "phantoms",
)


def deid(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = "from deid.cli.app import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_comes_without_the_heavy_libraries() -> None:
    code = (
        "import sys, typer.testing; from deid.cli.app import app;"
        "done = typer.testing.CliRunner().invoke(app, ['--help']); assert done.exit_code == 0;"
        "print(sorted({'torch', 'pydicom', 'SimpleITK', 'rapidocr', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_help_takes_less_than_half_a_second() -> None:
    def seconds() -> float:
        # Of processor time: other tests may have the cores.
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert deid("--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert any(seconds() < 0.5 for _ in range(5))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    assert command in CliRunner().invoke(app, ["--help"]).stdout
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("scrub", "missing", "output"),
        ("scrub", ".", "output", "--strength", "7"),
        ("scrub", ".", "output", "--wrong"),
        ("evaluate", "nothing", "nowhere"),
        ("embed", "nothing", "nowhere", "out.npz"),
        ("train-unet", "--data", "nowhere"),
    ],
)
def test_a_wrong_call_ends_with_2_and_no_traceback(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = deid(*arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.strip()


@pytest.mark.parametrize("places", [("", "output"), ("input", "")])
def test_an_empty_name_is_no_folder(
    places: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "input")
    done = deid("scrub", *places)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "is empty; name a folder" in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["input"]


def test_numbers_that_overflow_print_no_line_of_the_source(tmp_path: Path) -> None:
    header = bytearray(352)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, 3, 32, 32, 3, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 64, 64)
    struct.pack_into("<8f", header, 76, 1, 3, 3, 3, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352.0)
    header[344:348] = b"n+1\0"
    voxels = np.random.default_rng(0).normal(size=32 * 32 * 3)
    (tmp_path / "input").mkdir()
    for name, value in (("large", 1e300), ("nan", np.nan), ("end", 1.6e38)):
        voxels[5] = value
        data = bytes(header) + voxels.astype("<f8").tobytes()
        (tmp_path / "input" / f"{name}.nii").write_bytes(data)
    words = ["--modality", "ct", "--text", "off"]
    done = deid("scrub", str(tmp_path / "input"), str(tmp_path / "output"), *words)
    assert done.returncode in (0, 1)
    assert "Warning" not in done.stderr
    assert ".py" not in done.stderr


def test_a_key_is_written_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert deid("key", "new", str(path)).returncode == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    assert len(before) == 32
    assert deid("key", "new", str(path)).returncode == 2
    assert path.read_bytes() == before


def picture(folder: Path) -> Path:
    """A folder with one picture."""
    folder.mkdir()
    Image.new("L", (16, 16), 9).save(folder / "a.png")
    return folder


def test_a_full_device_for_the_summary_is_one_line_and_no_success(tmp_path: Path) -> None:
    code = "from deid.cli.app import main; main()"
    words = ["scrub", str(picture(tmp_path / "input")), str(tmp_path / "out"), "--metadata-only"]
    for arguments in (["--help"], words):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 3
        assert done.stderr.strip().splitlines() == [
            "deid: no space left for what is to be printed or written; free some"
        ]


def test_a_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    code = "from deid.cli.app import main; main()"
    words = ["scrub", str(picture(tmp_path / "input")), str(tmp_path / "out"), "--metadata-only"]
    for arguments in (["--help"], words):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        os.close(writer)
        assert not done.stderr.strip()
    assert done.returncode == 0
    assert (tmp_path / "out.run" / "report.jsonl").exists()


def test_debug_behind_a_double_dash_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "--debug")
    words = ["deid", "scrub", "--metadata-only", "--workers", "1", "--", "--debug", "--out"]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0, capsys.readouterr().err
    assert (tmp_path / "--out" / "manifest.csv").exists()


def test_an_interrupt_is_one_line_and_exit_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mami_core.data.open_dataset", interrupted)
    monkeypatch.setattr(sys, "argv", ["deid", "train-mami", "--data=x", "--output=y", "--steps=0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 3
    assert capsys.readouterr().err.startswith("deid: interrupted")
