"""Whose an image is, where no table says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from mami_core.data import Dataset


def say_whose(images: Dataset) -> None:
    """One line on standard error where sub-folders tell people apart: a reader may think that
    headers do, and then a wrong figure looks like a right one.
    """
    from mami_core.data.folders import SOURCE

    people = {record.patient for record in images.records if record.source == SOURCE}
    if people:
        typer.echo(
            f"patients are told apart by sub-folder ({len(people)}), not by PatientID", err=True
        )
