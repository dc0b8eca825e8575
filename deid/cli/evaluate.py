"""``deid evaluate``: how well an encoder finds people again, beside what finds them untrained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from deid.cli.choices import DataSet, Device, Encoder, Split
from deid.cli.whose import say_whose


def evaluate(
    weights: Encoder,
    dataset: DataSet,
    root: Annotated[Path | None, typer.Option(help="Where the named archive lies.")] = None,
    split: Annotated[Split, typer.Option(help="`test` is to be read once, at the end.")] = (
        Split.val
    ),
    device: Annotated[Device, typer.Option(help="Where the encoder runs.")] = Device.auto,
    report: Annotated[
        str | None,  # as a path an empty name would be the current folder
        typer.Option(metavar="DIR", help="New folder for figures.json and evaluate.html (plots)."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Score an identity encoder on a data set, source by source, beside what it has to beat.

    AUC is over pairs of images, rank-1 over the people of the split, each as the mean of their
    embeddings; each patient weighs the same.
    Beside it: pixels (thumbnails), frozen (an ImageNet network), whiten (that network, whitened in
    closed form on people of the split 'train'), and chance. A last line says what it finds more
    than the bundled encoder 'whiten' (other than that row), over the patients of all sources.
    """
    from deid.evaluation_report import PAGE, Report, ReportError
    from mami_core.data import DatasetError, open_dataset
    from mami_core.device import DeviceError
    from mami_core.evaluation.embed import embedder
    from mami_core.evaluation.report import evaluate as figures_of
    from mami_core.weights import WeightsError

    try:
        encoder, images = embedder(weights, device), open_dataset(dataset, root)
        say_whose(images)
        page = None if report is None else Report(report, weights, device)
        witness = page.gathered if page else None
        found = figures_of(encoder, images, split, device, witness=witness)
        if page:
            page.write(found)
    except (DatasetError, DeviceError, ReportError, WeightsError) as error:
        typer.echo(f"deid evaluate: {error}", err=True)
        raise typer.Exit(2) from None
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if found["sources"]:
        _print(found)
    else:
        typer.echo("Nobody in this split has a second visit, study or photo: nothing to score.")
    if page:
        typer.echo(f"report: {PAGE}")


def _print(found: dict[str, Any]) -> None:
    from deid.evaluation_report import absences, beside_whiten, lines
    from deid.report.printing import add, plain_console, titled
    from deid.report.words import visible

    title = f"Split {found['split']}: figure (95 % interval over patients)"
    table = titled(title)
    for column in ("source", "", "AUC", "rank-1", "patients"):
        table.add_column(column, no_wrap=True)
    for source, figures in found["sources"].items():
        labels = iter((source, figures["kind"]))
        for line in lines(figures):
            add(table, next(labels, ""), line.row, line.auc, line.rank1, line.people)
        table.add_section()
    plain_console().print(table)
    for sentence in (*absences(found["sources"]), *beside_whiten(found)):
        typer.echo(visible(sentence))
