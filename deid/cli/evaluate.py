"""``deid evaluate``: how well an encoder finds people again, beside what bare pixels do."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Split(StrEnum):
    """Parts of a data set."""

    train = "train"
    val = "val"
    test = "test"


class Device(StrEnum):
    """Where the encoder runs."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


def evaluate(
    weights: Annotated[str, typer.Argument(help="An encoder: a bundled name or a file.")],
    dataset: Annotated[
        str,
        typer.Argument(
            help="A folder with manifest.csv, one with a sub-folder a patient, or 'mimic'."
        ),
    ],
    root: Annotated[Path | None, typer.Option(help="Where the named archive lies.")] = None,
    split: Annotated[Split, typer.Option(help="`test` is to be read once, at the end.")] = (
        Split.val
    ),
    device: Annotated[Device, typer.Option(help="Where the encoder runs.")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score an identity encoder on a data set, source by source, beside the pixel floor.

    AUC is over pairs of images, rank-1 over the people of the split; each patient weighs the same.
    """
    from mami_core.data import DatasetError, open_dataset
    from mami_core.device import DeviceError
    from mami_core.evaluation.embed import embedder
    from mami_core.evaluation.report import evaluate as figures_of
    from mami_core.weights import WeightsError

    try:
        part = open_dataset(dataset, root).select(lambda record: record.split == split)
        if not len(part):
            raise DatasetError(f"the data set has no images in split '{split}'; see --split")
        sources = figures_of(embedder(weights, device), part)
    except (DatasetError, DeviceError, WeightsError) as error:
        typer.echo(f"deid evaluate: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps({"split": split.value, "sources": sources}, indent=2))
        return
    if not sources:
        typer.echo("Nobody in this split has a second visit, study or photo: nothing to score.")
        return
    _print(sources, split.value)


def _print(sources: dict[str, Any], split: str) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Split {split}: figure (95 % interval over patients)", box=SIMPLE_HEAD)
    for column in ("source", "", "AUC", "rank-1", "patients"):
        table.add_column(column, no_wrap=True)
    for source, figures in sources.items():
        for label, name, found in (
            (source, "encoder", figures),
            (figures["kind"], "pixels", figures["pixels"]),
        ):
            rank1 = found["rank1"]
            people = f"{rank1['patients']} of {rank1['gallery']}"
            table.add_row(label, name, _text(found["auc"]), _text(rank1), people)
    Console().print(table)


def _text(figure: dict[str, Any]) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f}-{figure['high']:.3f})"
