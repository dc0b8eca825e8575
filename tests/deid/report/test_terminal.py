"""The closing words on the console."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from deid.report import console


def _printed(summary: Any, rows: Any) -> str:
    out = io.StringIO()
    console(summary, rows, Console(file=out, width=100))
    return out.getvalue()


def test_it_counts_by_reason_names_files_by_number_and_prints_means(
    row: Any, unproven: Any, withheld: Any, summary: Any
) -> None:
    rows = [
        row(1),
        unproven(2),
        withheld(17, "head"),
        *(withheld(n, "link") for n in range(20, 30)),
    ]
    lines = [" ".join(line.split()) for line in _printed(summary, rows).splitlines()]
    assert "done 2" in lines
    assert "withheld 11" in lines
    assert "link 10 (#20 #21 #22 #23 #24 #25 ...)" in lines
    assert "head 1 (#17)" in lines
    assert "mean risk before 0.80 (of 1 released)" in lines
    assert "mean risk after 0.20 (of 1 released)" in lines
    assert "mean utility 0.950" in lines
    assert "images a second 3.25" in lines
    assert "Warning: a fresh key was made in the run folder" in lines


def test_who_was_found_and_is_withheld_for_it_stays_in_sight(
    row: Any, withheld: Any, summary: Any
) -> None:
    rows = [row(1), withheld(2, "risk", risk_before=1.0, risk=0.9)]
    lines = [" ".join(line.split()) for line in _printed(summary, rows).splitlines()]
    assert "mean risk of all 0.90 (of 2 measured)" in lines
    assert "mean risk before 0.80 (of 1 released)" in lines


def test_its_last_line_is_what_was_not_tested(row: Any, summary: Any) -> None:
    last = _printed(summary, [row(1)]).rstrip("\n").splitlines()[-1]
    assert last == "Not tested: attackers that adapt to the edit; handwriting."


def test_it_prints_no_path_and_nothing_that_a_file_holds(
    row: Any, withheld: Any, summary: Any
) -> None:
    secret = "Quillfeather"
    values = {"input": secret, "output": secret, "region": secret, "detail": secret}
    rows = [row(1, **values), withheld(2, "malformed", **values)]
    summary |= {"options": {"key": secret}, "versions": {secret: secret}, "report": f"/x/{secret}"}
    assert secret not in _printed(summary, rows)


def test_without_figures_it_says_unknown_and_no_zero(unproven: Any, summary: Any) -> None:
    lines = [" ".join(line.split()) for line in _printed(summary, [unproven(1)]).splitlines()]
    assert "mean risk before unknown" in lines
    assert "mean risk after unknown" in lines
    assert "mean utility unknown" in lines
    assert not any("chance" in line for line in lines)


def test_brackets_in_a_warning_are_text_and_no_style(row: Any, summary: Any) -> None:
    summary["warnings"] = ["[bold]kept[/bold] [link=x]y"]
    assert "Warning: [bold]kept[/bold] [link=x]y" in _printed(summary, [row(1)])


def test_it_says_that_risk_was_measured_anew_only_where_a_bound_was_given(
    row: Any, summary: Any
) -> None:
    assert "anew" not in _printed(summary, [row(1)])
    summary["options"]["max_risk"] = 0.5
    assert "measured anew" in _printed(summary, [row(1)])
