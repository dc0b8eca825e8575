"""What a person reads after a run: tables, a page and a closing word on the console.

All files belong into the private run folder: they name input files and show originals.
"""

from __future__ import annotations

from deid.report.page import write_html
from deid.report.tables import write_csv, write_jsonl
from deid.report.terminal import console
from deid.report.words import files

__all__ = ["console", "files", "write_csv", "write_html", "write_jsonl"]
