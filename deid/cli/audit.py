"""``deid audit``: how many patients an attacker still finds in a data set."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from deid.cli.choices import DataSet, Device, Split


def audit(
    dataset: DataSet,
    root: Annotated[Path | None, typer.Option(help="Where the named archive lies.")] = None,
    attacker: Annotated[
        str | None,
        typer.Option(help="NAME[,NAME]: see `deid attackers`.", show_default="all of them"),
    ] = None,
    split: Annotated[Split, typer.Option(help="`test` is to be read once, at the end.")] = (
        Split.val
    ),
    gallery_size: Annotated[
        int | None,
        typer.Option(min=2, help="N people to search among.", show_default="all that are there"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of every random draw.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the networks run.")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how many patients an attacker finds again from the pictures alone.

    AUC is over pairs of images, rank-1 over the people of the split, each patient weighing the
    same. What was not tested stands in the last line.
    """
    from deid.audit import AuditError, Options
    from deid.audit import audit as run
    from deid.audit.console import progress, show
    from mami_core.data import DatasetError, open_dataset
    from mami_core.device import DeviceError
    from mami_core.weights import WeightsError

    options = Options(split=split.value, gallery_size=gallery_size, seed=seed, device=device.value)
    try:
        if attacker is not None:
            options = replace(options, attackers=tuple(attacker.split(",")))
        with progress() as told:
            record = run(open_dataset(dataset, root), options, told)
    except (AuditError, DatasetError, DeviceError, WeightsError) as error:
        typer.echo(f"deid audit: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    else:
        show(record)
