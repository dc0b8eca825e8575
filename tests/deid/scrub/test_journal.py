from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from deid.scrub.journal import Journal

NAME = "P/1.png"
PLANNED = {1: ("P", NAME), 2: ("P", "P/2.png")}
#: SHA-256 of "x".
DIGEST = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
WITHHELD: dict[str, Any] = {
    "n": 2,
    "output": "",
    "row": {"status": "withheld", "reason": "risk", "detail": "", "risk": 0.5},
}
DONE: dict[str, Any] = {
    "n": 1,
    "output": NAME,
    "sha256": DIGEST,
    "patient": "P",
    "row": {
        "status": "done",
        "reason": "",
        "detail": "",
        "modality": "xray",
        "region": "chest",
        "edit": "none",
        "text": "none found",
        "risk": "unknown",
    },
    "kept": [["Rows", "64"]],
    "uids": {"1.2": "2.25.1"},
}


def standing(folder: Path, *lines: Any) -> set[int]:
    """What holds of a journal with these lines, where the file that is done is there."""
    output = folder / "output"
    (output / "P").mkdir(parents=True, exist_ok=True)
    (output / NAME).write_text("x")
    told = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    (folder / "journal").write_bytes(b"".join(line + b"\n" for line in told))
    journal = Journal(folder / "journal", files=2)
    journal.close()
    return set(journal.standing(output, PLANNED))


def changed(entry: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An entry with other values; those of the row have a ``row_`` before their name."""
    entry = copy.deepcopy(entry)
    for name, value in changes.items():
        place = entry["row"] if name.startswith("row_") else entry
        place[name.removeprefix("row_")] = value
    return entry


def test_whole_lines_hold_and_a_torn_one_does_not(tmp_path: Path) -> None:
    assert standing(tmp_path, DONE, WITHHELD) == {1, 2}
    with open(tmp_path / "journal", "ab") as stream:
        stream.write(json.dumps(WITHHELD).encode()[:-9])
    journal = Journal(tmp_path / "journal", files=2)
    journal.append([WITHHELD])
    journal.close()
    lines = (tmp_path / "journal").read_bytes().splitlines()
    assert [json.loads(line) for line in lines] == [DONE, WITHHELD, WITHHELD]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b"9" * 10_000,
        b"null",
        b"[]",
        b'{"n": 1}',
        *(changed(DONE, n=n) for n in (0, 3, -1, True, 1.0, "1", None, [], 10**30)),
        *(changed(DONE, output=name) for name in ("", 1, None, ["P/1.png"])),
        *(
            changed(DONE, output=name)
            for name in ("/etc/passwd", "../x", "P/../P/1.png", "P/2.png")
        ),
        *(changed(DONE, output=name) for name in ("P//1.png", "\0", "x" * 5000)),
        changed(DONE, patient="Q"),
        changed(DONE, patient=None),
        changed(DONE, sha256="0" * 64),
        changed(DONE, sha256=0),
        changed(DONE, row=None),
        changed(DONE, row={}),
        changed(DONE, row_status="withheld"),
        changed(DONE, row_reason="risk"),
        changed(DONE, row_modality=None),
        changed(DONE, row_risk=True),
        changed(DONE, row_risk=float("nan")),
        changed(DONE, row_risk=[1]),
        changed(DONE, kept=[["Rows"]]),
        changed(DONE, kept=[{}]),
        changed(DONE, kept=None),
        changed(DONE, uids={"1.2": 3}),
        changed(DONE, uids=[]),
    ],
    ids=lambda line: None,
)
def test_a_line_that_is_not_as_we_write_them_is_forgotten(line: Any, tmp_path: Path) -> None:
    assert standing(tmp_path, line) == set()
    assert standing(tmp_path, DONE, WITHHELD, changed(WITHHELD, n="2")) == {1, 2}


@pytest.mark.parametrize(
    "line",
    [
        changed(WITHHELD, row_reason="whim"),
        changed(WITHHELD, row_reason=["risk"]),
        changed(WITHHELD, row_reason="unreadable"),
        changed(WITHHELD, row_status="done"),
        changed(WITHHELD, row_detail=None),
        changed(WITHHELD, output="P/2.png"),
    ],
    ids=lambda line: None,
)
def test_a_file_withheld_without_sense_or_for_its_permissions_is_looked_at_again(
    line: Any, tmp_path: Path
) -> None:
    assert standing(tmp_path, line) == set()


def test_of_several_lines_for_a_file_the_last_holds(tmp_path: Path) -> None:
    withheld = changed(WITHHELD, n=1)
    assert standing(tmp_path, withheld, DONE) == {1}
    assert standing(tmp_path, DONE, DONE) == {1}
    journal = Journal(tmp_path / "journal", files=2)
    journal.append([withheld])
    journal.close()
    entries = Journal(tmp_path / "journal", files=2).standing(tmp_path / "output", PLANNED)
    assert entries == {1: withheld}
