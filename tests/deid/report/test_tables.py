"""CSV and JSON lines: exact or harmless, whole or absent, and private."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deid.report import write_csv, write_jsonl
from deid.report.tables import COLUMNS, cell
from mami_core.files import write_text

HOSTILE = [
    "=cmd|' /C calc'!A0",
    "+1+2",
    "-2+3",
    "@SUM(A1)",
    "  =1",
    "a\nb\r\nc",
    'quo"te,comma;semi',
    "\udcff\udcfe.dcm",
    "\u202egnp.exe",
    "",
]


def test_json_lines_give_back_every_name_exactly(row: Any, tmp_path: Path) -> None:
    rows = [row(n, input=name) for n, name in enumerate(HOSTILE)]
    write_jsonl(tmp_path / "r.jsonl", rows)
    lines = (tmp_path / "r.jsonl").read_text("ascii").splitlines()
    assert [json.loads(line) for line in lines] == rows


def test_a_csv_row_is_one_line_whatever_the_name(row: Any, tmp_path: Path) -> None:
    rows = [row(n, input=name) for n, name in enumerate(HOSTILE)]
    write_csv(tmp_path / "r.csv", rows)
    raw = (tmp_path / "r.csv").read_bytes()
    assert raw.count(b"\n") == len(rows) + 1
    assert b"\r" not in raw
    read = list(csv.DictReader(raw.decode("utf-8").splitlines()))
    assert list(read[0]) == list(COLUMNS)
    assert [one["n"] for one in read] == [str(n) for n in range(len(rows))]
    assert read[5]["input"] == r"a\nb\r\nc"
    assert read[6]["input"] == HOSTILE[6]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(name=st.text(st.characters()))
def test_any_name_survives_json_and_leaves_csv_whole(row: Any, tmp_path: Path, name: str) -> None:
    write_jsonl(tmp_path / "r.jsonl", [row(1, input=name)])
    write_csv(tmp_path / "r.csv", [row(1, input=name)])
    assert json.loads((tmp_path / "r.jsonl").read_text())["input"] == name
    assert len((tmp_path / "r.csv").read_bytes().splitlines()) == 2


def test_text_that_a_spreadsheet_would_run_gets_an_apostrophe_and_figures_do_not() -> None:
    assert [cell("input", name)[0] for name in HOSTILE[:5]] == ["'"] * 5
    assert cell("utility", -0.25) == "-0.25"
    assert cell("input", "normal-name.dcm") == "normal-name.dcm"


@pytest.mark.parametrize("missing", [None, "unknown", float("nan"), ""])
def test_an_unknown_figure_is_the_word_in_both_tables(
    row: Any, tmp_path: Path, missing: Any
) -> None:
    rows = [row(1, risk=missing)]
    write_csv(tmp_path / "r.csv", rows)
    write_jsonl(tmp_path / "r.jsonl", rows)
    assert json.loads((tmp_path / "r.jsonl").read_text())["risk"] == "unknown"
    read = next(csv.DictReader((tmp_path / "r.csv").read_text().splitlines()))
    assert read["risk"] == "unknown"
    assert read["utility"] == "0.95"


def test_a_report_without_rows_has_its_header(tmp_path: Path) -> None:
    write_csv(tmp_path / "r.csv", [])
    write_jsonl(tmp_path / "r.jsonl", [])
    assert (tmp_path / "r.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert (tmp_path / "r.jsonl").read_text() == ""


def test_columns_that_rows_have_beyond_the_list_follow_it(row: Any, tmp_path: Path) -> None:
    write_csv(tmp_path / "r.csv", [row(1, seconds=2.5)])
    head, line = (tmp_path / "r.csv").read_text().splitlines()
    assert head.endswith(",detail,seconds")
    assert line.endswith(",2.5")


def test_files_are_readable_by_their_owner_only_and_replace_older_ones(
    row: Any, tmp_path: Path
) -> None:
    path = tmp_path / "r.csv"
    path.write_text("older")
    path.chmod(0o644)
    write_csv(path, [row(1)])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "older" not in path.read_text()


def test_a_failure_half_way_keeps_the_older_file_and_leaves_no_scrap(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("older")

    def pieces() -> Iterator[str]:
        yield "new" * 100_000
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_text(path, pieces())
    assert path.read_text() == "older"
    assert [one.name for one in tmp_path.iterdir()] == ["r.txt"]
