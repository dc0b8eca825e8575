"""The README's commands, options and sample output against the program."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from typer.testing import CliRunner

from deid.cli.app import app

README = (Path(__file__).resolve().parents[3] / "README.md").read_text()
CODE = "from deid.cli.app import main; main()"


def deid(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CODE, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_the_commands_and_options_of_the_readme_exist() -> None:
    calls = re.findall(r"^(?:\$ )?deid ([a-z-]+)(.*)$", README, flags=re.MULTILINE)
    assert len(calls) >= 4
    for command, rest in calls:
        help_text = CliRunner().invoke(app, [command, "--help"]).stdout
        assert help_text, command
        for option in re.findall(r"--[a-z-]+", rest):
            assert option in help_text, (command, option)


def test_the_sample_output_is_what_the_two_commands_print(tmp_path: Path) -> None:
    section = README.split("## Two commands")[1]
    commands, sample = re.findall(r"```\n(.*?)```", section, flags=re.DOTALL)[:2]
    environment = {**os.environ, "COLUMNS": "100"}
    for line in commands.splitlines():
        done = deid(*line.split()[1:], cwd=tmp_path, env=environment)
        assert "Traceback" not in done.stderr
    assert told(done.stdout) == told(sample)


def told(text: str) -> list[str]:
    """The lines, without the figures that differ from machine to machine."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    lines = [re.sub(r"(images a second|mean utility) +[\d.]+", r"\1", line) for line in lines]
    return [line for line in lines if line]
