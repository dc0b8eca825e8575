"""``deid evaluate``: how well an encoder finds people again, beside what finds them untrained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from deid.cli.choices import DataSet, Device, Encoder, Split


def evaluate(
    weights: Encoder,
    dataset: DataSet,
    root: Annotated[Path | None, typer.Option(help="Where the named archive lies.")] = None,
    split: Annotated[Split, typer.Option(help="`test` is to be read once, at the end.")] = (
        Split.val
    ),
    device: Annotated[Device, typer.Option(help="Where the encoder runs.")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score an identity encoder on a data set, source by source, beside what it has to beat.

    AUC is over pairs of images, rank-1 over the people of the split; each patient weighs the same.
    Beside it: pixels (thumbnails), frozen (an ImageNet network), whiten (that network, whitened in
    closed form on people of the split 'train'), and chance.
    """
    from mami_core.data import DatasetError, open_dataset
    from mami_core.device import DeviceError
    from mami_core.evaluation.embed import embedder
    from mami_core.evaluation.report import evaluate as figures_of
    from mami_core.weights import WeightsError

    try:
        found = figures_of(embedder(weights, device), open_dataset(dataset, root), split, device)
    except (DatasetError, DeviceError, WeightsError) as error:
        typer.echo(f"deid evaluate: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if not found["sources"]:
        typer.echo("Nobody in this split has a second visit, study or photo: nothing to score.")
        return
    _print(found)


def _print(found: dict[str, Any]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from mami_core.evaluation.report import ROWS

    title = f"Split {found['split']}: figure (95 % interval over patients)"
    table = Table(title=title, box=SIMPLE_HEAD)
    for column in ("source", "", "AUC", "rank-1", "patients"):
        table.add_column(column, no_wrap=True)
    for source, figures in found["sources"].items():
        labels = iter((source, figures["kind"]))
        beside = {name: figures[name] for name in ROWS if name in figures}
        for name, row in ({"encoder": figures} | beside).items():
            rank1 = row["rank1"]
            people = f"{rank1['patients']} of {rank1['gallery']}"
            table.add_row(next(labels, ""), name, _text(row["auc"]), _text(rank1), people)
        table.add_row("", "chance", "0.500", f"{figures['rank1']['chance']:.3f}", end_section=True)
    Console().print(table)
    absent: dict[str, list[tuple[str, str]]] = {}
    for source, figures in found["sources"].items():
        for name, reason in figures["absent"].items():
            absent.setdefault(reason, []).append((name, source))
    for reason, rows in absent.items():
        names, sources = (", ".join(dict.fromkeys(column)) for column in zip(*rows, strict=True))
        typer.echo(f"{sources}: no {names}, for {reason}.")


def _text(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
