"""Lines and tables for a terminal that name what others named: text, and nothing that acts.

A name may hold rich's markup, which would colour or fail, a line break, which would forge a line,
or the escapes of a terminal.
"""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from deid.report.words import visible


def plain_console(**options: Any) -> Console:
    """A console to which a text is what it says; options are those of `rich.console.Console`."""
    return Console(**{"highlight": False, "markup": False, "emoji": False} | options)


def say(console: Console, text: str) -> None:
    """Print one line."""
    console.print(visible(text))


def titled(title: str | None = None, **options: Any) -> Table:
    """An empty table; options are those of `rich.table.Table`."""
    return Table(title=None if title is None else visible(title), box=SIMPLE_HEAD, **options)


def add(table: Table, *cells: str, end_section: bool = False) -> None:
    """Add a row, whose cells are a line each."""
    table.add_row(*map(visible, cells), end_section=end_section)
