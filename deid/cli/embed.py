"""``deid embed``: an encoder's embeddings of a data set, for anybody to score."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deid.cli.choices import DataSet, Device, Encoder
from deid.cli.whose import say_whose


class Part(StrEnum):
    """Parts of a data set."""

    all = "all"
    train = "train"
    val = "val"
    test = "test"


def embed(
    weights: Encoder,
    dataset: DataSet,
    out: Annotated[
        Path, typer.Argument(metavar="OUT.npz", help="Private file; it names patients.")
    ],
    root: Annotated[Path | None, typer.Option(help="Where the named archive lies.")] = None,
    split: Annotated[Part, typer.Option(help="`test` is to be read once, at the end.")] = Part.all,
    device: Annotated[Device, typer.Option(help="Where the encoder runs.")] = Device.auto,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT.npz.")] = False,
) -> None:
    """Write what an identity encoder says of every image: embedding, name and patient.

    So are the arrays of OUT.npz called, a row an image. Embeddings are not normalised: compare by
    cosine. A patient is SOURCE/PATIENT.
    """
    from mami_core.data import DatasetError, no_images, open_dataset
    from mami_core.device import DeviceError
    from mami_core.evaluation.embed import OutputError, embedder, table, write_table
    from mami_core.weights import WeightsError

    try:
        images = open_dataset(dataset, root)
        say_whose(images)
        part = images.select(lambda record: split in ("all", record.split))
        if not len(part):
            raise DatasetError(f"the data set has {no_images(split, images.records)}")
        encoder = embedder(weights, device)
        found = write_table(out, lambda: table(encoder, part), overwrite=overwrite)
    except (DatasetError, DeviceError, OutputError, WeightsError) as error:
        typer.echo(f"deid embed: {error}", err=True)
        raise typer.Exit(2) from None
    count, numbers = found["embedding"].shape
    typer.echo(f"{count} embeddings of {numbers} numbers; keep them private: they name patients")
