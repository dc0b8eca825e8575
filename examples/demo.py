"""Scrub phantoms of three modalities and ten real DICOM files, and show how each file ended.

Run with ``make demo``; everything is written to ``demo/`` beside this checkout's files.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pydicom.data
from rich.console import Console
from rich.table import Table

from deid import report
from deid.phantoms import make
from deid.scrub.run import scrub

#: Files of the pydicom wheel: CT, MR, ultrasound, a report, a plan, a broken one and more.
REAL = (
    "CT_small.dcm",
    "MR_small.dcm",
    "693_J2KR.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle.dcm",
    "rtplan.dcm",
    "reportsi.dcm",
    "examples_palette.dcm",
    "liver_1frame.dcm",
    "rtdose_1frame.dcm",
)


def main(folder: Path = Path("demo")) -> None:
    """Make INPUT, scrub it, and print one line a file."""
    shutil.rmtree(folder, ignore_errors=True)
    source, output = folder / "input", folder / "output"
    make(source, patients=3, visits=2, seed=1)
    (source / "pydicom").mkdir()
    for name in REAL:
        found = pydicom.data.get_testdata_file(name, download=False)
        if found is not None:
            shutil.copy(str(found), source / "pydicom" / name)
    result = scrub(source, output, run_dir=folder / "run")
    console = Console()
    table = Table("input (only you see this)", "status", "reason", "edit", "risk before", "risk")
    for row in result.rows:
        table.add_row(
            *(str(row[name]) for name in ("input", "status", "reason", "edit")),
            *(str(row[name]) for name in ("risk_before", "risk")),
        )
    console.print(table)
    report.console(result.summary, result.rows, console)
    console.print(f"The report to read before signing: {result.report}")


if __name__ == "__main__":
    main()
