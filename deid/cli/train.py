"""``deid train-mami``, ``train-mfm``, ``train-unet``: fit the networks to the data at hand."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from mami_core.data import Dataset
    from mami_core.training import Task


class Device(StrEnum):
    """Where to train."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        help="A folder with manifest.csv, one with a sub-folder a patient, or 'mimic'; repeatable.",
    ),
]
Root = Annotated[Path | None, typer.Option(help="Where the named archive lies.")]
Output = Annotated[
    Path | None, typer.Option(help="Folder for weights and log; its name is printed if not given.")
]
Minutes = Annotated[
    float | None, typer.Option("--max-minutes", min=0.0, help="Stop after this time.")
]
Steps = Annotated[int | None, typer.Option(min=0, help="Stop after this many steps.")]
Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Images (pairs: people) a step.")]
Seed = Annotated[int, typer.Option(min=0, help="Of every random draw.")]
Where = Annotated[Device, typer.Option("--device", help="Where to train.")]
Init = Annotated[str, typer.Option(help="`imagenet`, `none`, or weights to start from.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the training in --output.")]

#: Where neither --max-minutes nor --steps is given.
DEFAULT_MINUTES = 30.0


def train_mami(
    data: Data,
    root: Root = None,
    output: Output = None,
    max_minutes: Minutes = None,
    steps: Steps = None,
    batch_size: Batch = 18,
    seed: Seed = 0,
    device: Where = Device.auto,
    init: Init = "imagenet",
    resume: Resume = False,
) -> None:
    """Train the identity encoder (MaMI) on the `train` split."""

    def make(dataset: Dataset, where: str) -> Task:
        from mami_core.training.mami import EncoderTask

        return EncoderTask(dataset, init=init, batch=batch_size, seed=seed, device=where)

    _run("mami", make, data, root, output, (max_minutes, steps), device, resume)


def train_mfm(
    data: Data,
    root: Root = None,
    output: Output = None,
    max_minutes: Minutes = None,
    steps: Steps = None,
    batch_size: Batch = 24,
    seed: Seed = 0,
    device: Where = Device.auto,
    init: Init = "imagenet",
    resume: Resume = False,
) -> None:
    """Train the medical encoder on the findings of the `train` split; absent labels are masked."""

    def make(dataset: Dataset, where: str) -> Task:
        from mami_core.training.mfm import MedicalTask

        return MedicalTask(dataset, init=init, batch=batch_size, seed=seed, device=where)

    _run("mfm", make, data, root, output, (max_minutes, steps), device, resume)


def train_unet(
    data: Data,
    root: Root = None,
    output: Output = None,
    max_minutes: Minutes = None,
    steps: Steps = None,
    batch_size: Batch = 12,
    seed: Seed = 0,
    device: Where = Device.auto,
    init: Init = "none",
    encoder: Annotated[str, typer.Option(help="Identity encoder to hide from.")] = "mami_tiny",
    medical: Annotated[str, typer.Option(help="Medical encoder to keep.")] = "mfm_tiny",
    resume: Resume = False,
) -> None:
    """Train the remover, against an identity encoder and for a medical one."""

    def make(dataset: Dataset, where: str) -> Task:
        from mami_core.training.unet import RemoverTask
        from mami_core.weights import load

        return RemoverTask(
            dataset,
            load(encoder),
            load(medical),
            init=init,
            batch=batch_size,
            seed=seed,
            device=where,
        )

    _run("unet", make, data, root, output, (max_minutes, steps), device, resume)


def _run(
    name: str,
    make: Callable[[Any, str], Any],
    data: list[str],
    root: Path | None,
    output: Path | None,
    budget: tuple[float | None, int | None],
    device: Device,
    resume: bool,
) -> None:
    """Open the data, train, say where the weights are; bad input is one line and exit 2."""
    import torch

    from mami_core.data import Dataset, DatasetError, open_dataset
    from mami_core.training import Budget, TrainingError, train
    from mami_core.weights import WeightsError

    minutes, steps = budget
    if minutes is None and steps is None:
        minutes = DEFAULT_MINUTES
    folder = output or Path(f"train-{name}")
    try:
        where = device.value
        if device is Device.auto:
            where = "cuda" if torch.cuda.is_available() else "cpu"
        elif device is Device.cuda and not torch.cuda.is_available():
            raise TrainingError("--device cuda: no usable GPU; use --device cpu")
        dataset = Dataset.join([open_dataset(spec, root) for spec in data])
        task = make(dataset, where)
        typer.echo(f"{task.start}; output in {folder if output is None else '--output'}")
        path = train(task, Budget(minutes, steps), folder, resume=resume)
    except (DatasetError, TrainingError, WeightsError) as error:
        typer.echo(f"deid train-{name}: {error}", err=True)
        raise typer.Exit(2) from None
    typer.echo(f"weights: {path.name}, log: log.jsonl")
