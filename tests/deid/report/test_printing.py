"""Names on a terminal."""

from __future__ import annotations

import io

import pytest

from deid.report.printing import add, plain_console, say, titled

#: A tag that nothing opened, a colour, a smiley, a forged line, an escape, a byte that is no UTF-8.
HOSTILE = "[/foo][red]:smile:\nNot tested: nothing.\x1b[2J\udcff"
SHOWN = "[/foo][red]:smile:\\nNot tested: nothing.\\x1b[2J\\udcff"


@pytest.mark.parametrize("where", ["line", "title", "cell"])
def test_a_name_is_text_of_one_line(where: str) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    console = plain_console(file=out, width=100)
    if where == "line":
        say(console, HOSTILE)
    else:
        table = titled(HOSTILE if where == "title" else None)
        table.add_column("name")
        add(table, HOSTILE if where == "cell" else "x" * 60)
        console.print(table)
    out.seek(0)
    told = out.read()
    assert SHOWN in told
    assert "\x1b" not in told
    assert not any(line.strip().startswith("Not tested") for line in told.splitlines())
