"""Words that several commands take."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Split(StrEnum):
    """Parts of a data set."""

    train = "train"
    val = "val"
    test = "test"


class Device(StrEnum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


DataSet = Annotated[
    str,
    typer.Argument(help="A folder with manifest.csv, one with a sub-folder a patient, or 'mimic'."),
]
Encoder = Annotated[str, typer.Argument(help="An encoder: a bundled name or a file.")]
