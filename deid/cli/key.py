"""``deid key new PATH``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Keys from which pseudonyms, date shifts and decoys are derived.")


@app.callback()
def _group() -> None:
    """Keys from which pseudonyms, date shifts and decoys are derived."""


@app.command()
def new(
    path: Annotated[Path, typer.Argument(help="Where to write it; never over a file.")],
) -> None:
    """Write 32 random bytes that only you can read."""
    from deid.tags import KeyFileError, new_key

    try:
        new_key(path)
    except KeyFileError as error:
        typer.echo(f"deid: {error}", err=True)
        raise typer.Exit(2) from error
    typer.echo("key written; keep it private: who has it can link pseudonyms to patients")
