"""``deid ablate``: the rows of the paper's tables, trained alike on the data at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deid.cli.choices import Device
from deid.cli.train import Data, Guides, ImageSize, Root, guides_of, refuse

if TYPE_CHECKING:
    from mami_core.evaluation import Estimate
    from mami_core.training.ablate import Judged, Table


#: Columns of a terminal that no table of ours needs.
WIDEST = 1000


def ablate(
    data: Data,
    root: Root = None,
    output: Annotated[
        Path, typer.Option(help="Private folder; trainings that ended there are not made again.")
    ] = Path("deid-ablate"),
    table: Annotated[
        list[int] | None,
        typer.Option(
            help="5 to 8 as in the paper; 4: its figure 4, 9: lambda; repeatable.",
            show_default="5",
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Each training (15 if no end is given).")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=0, help="Steps of each training.")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings a row.")] = 1,
    batch_size: Annotated[int, typer.Option(min=2, help="People a step.")] = 18,
    image_size: ImageSize = 160,
    guide: Guides = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train the ablations of the paper at one budget, and score each on split `val`.

    A figure is the mean over seeds; its interval (over patients) reaches from the lowest to the
    highest of them. "Beside ours" is what a row finds more than M_ours of the same seed, patient by
    patient of all sets. The paper's own figures stand beside: other data, another budget.
    """
    from dataclasses import replace

    from mami_core.data import DatasetError, open_dataset
    from mami_core.device import DeviceError, chosen
    from mami_core.models.encoder import SIZES
    from mami_core.training import TrainingError
    from mami_core.training.ablate import ablate as run
    from mami_core.training.ablate import tables
    from mami_core.training.recipe import PRESETS
    from mami_core.weights import WeightsError

    numbers = table or [5]
    there_are = {one.number: one for one in tables()}
    if unknown := set(numbers) - set(there_are):
        refuse(f"there is no table {min(unknown)}; there are {sorted(there_are)}")
    if max_minutes is None and steps is None:
        max_minutes = 15.0
    asked = [there_are[number] for number in dict.fromkeys(numbers)]
    try:
        found = run(
            [open_dataset(spec, root) for spec in data],
            output,
            asked,
            recipe=replace(PRESETS["small"], people=batch_size),
            config=replace(SIZES["tiny"], image=image_size),
            guides=guides_of(guide),
            max_minutes=max_minutes,
            steps=steps,
            seeds=seeds,
            device=chosen(device.value),
            progress=lambda line: typer.echo(line, err=True),
        )
    except (DatasetError, DeviceError, TrainingError, WeightsError) as error:
        refuse(str(error))
    if as_json:
        typer.echo(json.dumps(_plain(asked, found), indent=2))
        return
    for one in asked:
        _print(one, found)


def _plain(asked: Sequence[Table], found: Mapping[str, list[Judged]]) -> list[dict[str, Any]]:
    return [
        {
            "table": one.number,
            "title": one.title,
            "rows": [
                {
                    "name": row.name,
                    "paper": {
                        column: None if value != value else value
                        for column, value in zip(one.columns, row.paper, strict=True)
                    },
                    "seeds": [
                        {source: figures.as_dict() for source, figures in seed.sources.items()}
                        for seed in found[row.key]
                    ],
                    "beside_ours": [
                        seed.beside_ours.as_dict()
                        for seed in found[row.key]
                        if seed.beside_ours is not None
                    ],
                }
                for row in one.rows
            ],
        }
        for one in asked
    ]


def _print(one: Table, found: Mapping[str, list[Judged]]) -> None:
    from deid.report.printing import add, plain_console, titled
    from deid.report.words import visible

    sources = sorted({source for seed in found[one.rows[0].key] for source in seed.sources})
    grid = titled(f"Table {one.number}: {one.title}; split val")
    grid.add_column("model", no_wrap=True)
    for source in sources:
        grid.add_column(f"{visible(source)}\nAUC", no_wrap=True)
        grid.add_column(f"{visible(source)}\nrank-1", no_wrap=True)
    grid.add_column("AUC\nbeside ours", no_wrap=True)
    for column in one.columns:
        grid.add_column(f"paper\n{column}", no_wrap=True)
    for row in one.rows:
        cells = []
        for source in sources:
            scored = [seed.sources[source] for seed in found[row.key]]
            cells += [_cell([one.auc for one in scored]), _cell([one.rank1 for one in scored])]
        beside = [seed.beside_ours.auc for seed in found[row.key] if seed.beside_ours is not None]
        cells.append(_cell(beside, sign="+"))
        theirs = ["" if value != value else f"{value:.2f} %" for value in row.paper]
        add(grid, row.name, *cells, *theirs)
    # As wide as it is: a figure that is cut off is none.
    plain_console(width=WIDEST).print(grid)


def _cell(seeds: Sequence[Estimate], sign: str = "") -> str:
    """The mean over seeds; from the lowest to the highest end of their intervals."""
    if not seeds:
        return ""
    mean = sum(one.value for one in seeds) / len(seeds)
    low, high = min(one.low for one in seeds), max(one.high for one in seeds)
    return f"{mean:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"
