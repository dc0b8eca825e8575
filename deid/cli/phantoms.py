"""``deid phantoms``: a folder of invented patients."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def phantoms(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or an empty folder.")],
    patients: Annotated[int, typer.Option(min=1, help="How many people.")] = 10,
    visits: Annotated[int, typer.Option(min=1, help="How often each of them comes.")] = 2,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Write invented patients: chest X-rays, chest CT and fundus photos, with a manifest."""
    from deid.phantoms import make

    try:
        rows = make(folder, patients=patients, visits=visits, seed=seed)
    except (FileExistsError, NotADirectoryError):
        typer.echo(
            "deid phantoms: DIR is not an empty folder; name a new or an empty one", err=True
        )
        raise typer.Exit(2) from None
    typer.echo(f"{len(rows)} files of {patients} invented patients, and manifest.csv.")
