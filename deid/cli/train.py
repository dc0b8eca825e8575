"""``deid train-mami``, ``train-mfm``, ``train-unet``: fit the networks to the data at hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from deid.cli.choices import Device

Data = Annotated[
    list[str],
    typer.Option(
        "--data",
        help="A folder with manifest.csv, one with a sub-folder a patient, or 'mimic'; repeatable.",
    ),
]
Root = Annotated[Path | None, typer.Option(help="Where the named archive lies.")]
Output = Annotated[
    Path | None,
    typer.Option(help="Private folder for weights and log.", show_default="./deid-COMMAND"),
]
Minutes = Annotated[
    float | None,
    typer.Option("--max-minutes", min=0.0, help="Stop after this time (30 if no end is given)."),
]
Steps = Annotated[int | None, typer.Option(min=0, help="Stop after this many steps.")]
Batch = Annotated[int, typer.Option("--batch-size", min=1, help="Images (pairs: people) a step.")]
Seed = Annotated[int, typer.Option(min=0, max=10**12, help="Of every random draw.")]
Where = Annotated[Device, typer.Option("--device", help="Where to train.")]
Init = Annotated[str, typer.Option(help="`imagenet`, `none`, or weights to start from.")]
Bf16 = Annotated[bool, typer.Option("--bf16", help="Forward passes in bfloat16.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the training in --output.")]


Guides = Annotated[
    list[str] | None,
    typer.Option(
        "--guide",
        help="MODALITY=NETWORK that teaches medicine: mfm_tiny, a file of train-mfm, or "
        "timm:NAME[=FILE]; `none` for none; repeatable.",
        show_default="mfm_tiny for xray and fundus",
    ),
]


def _multiple(size: int | None) -> int | None:
    if size is not None and size % 32:
        raise typer.BadParameter("the side of the pictures is a multiple of 32")
    return size


ImageSize = Annotated[
    int, typer.Option(min=32, callback=_multiple, help="Side of the pictures, a multiple of 32.")
]


class Preset(StrEnum):
    """Keys of `mami_core.training.recipe.PRESETS`."""

    small = "small"
    judge = "judge"
    paper = "paper"


#: Where neither --max-minutes nor --steps is given.
DEFAULT_MINUTES = 30.0


def train_mami(
    data: Data,
    root: Root = None,
    output: Output = None,
    preset: Annotated[
        Preset,
        typer.Option(
            help="`small`: MaMI for little data; `judge`: a plain network, to judge from outside; "
            "`paper`: its ViT-B/16, for many GPUs."
        ),
    ] = Preset.small,
    max_minutes: Minutes = None,
    steps: Steps = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=2, help="People a step.", show_default="by the preset"),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(
            min=32,
            callback=_multiple,
            help="Side of the pictures, a multiple of 32.",
            show_default="by the preset",
        ),
    ] = None,
    guide: Guides = None,
    seed: Seed = 0,
    device: Where = Device.auto,
    init: Annotated[
        str | None,
        typer.Option(
            help="`imagenet`, `clip[=FILE]`, `none`, or weights to start from.",
            show_default="by the preset",
        ),
    ] = None,
    resume: Resume = False,
    bf16: Bf16 = False,
) -> None:
    """Train the identity encoder (MaMI) on the `train` split."""
    from dataclasses import replace

    from mami_core.models.encoder import SIZES
    from mami_core.training.recipe import PRESETS

    recipe = PRESETS[preset.value]
    if batch_size is not None:
        recipe = replace(recipe, people=batch_size)
    if init is not None:
        recipe = replace(recipe, init=init)
    config = SIZES[recipe.size]
    options = {
        "recipe": recipe,
        "config": config if image_size is None else replace(config, image=image_size),
        "guides": guides_of(guide),
        "seed": seed,
        "resume": resume,
        "bf16": bf16,
    }
    if max_minutes is None and steps is None:
        steps = recipe.steps
    _run("train_mami", data, root, output, (max_minutes, steps), device, options)


def guides_of(given: list[str] | None) -> Mapping[str, str]:
    """The guides that the option names, by modality."""
    from mami_core.training.batches import REGIONS
    from mami_core.training.mami import GUIDES

    if given is None:
        return GUIDES
    found: dict[str, str] = {}
    if given == ["none"]:
        return found
    for word in given:
        modality, mark, network = word.partition("=")
        if not mark or not network:
            refuse("--guide is MODALITY=NETWORK, or none")
        if modality not in REGIONS:
            refuse(f"--guide names no modality; there are {', '.join(sorted(REGIONS))}")
        found[modality] = network
    return found


def refuse(line: str) -> NoReturn:
    """End with one line and exit status 2."""
    typer.echo(f"deid: {line}", err=True)
    raise typer.Exit(2)


def train_mfm(
    data: Data,
    root: Root = None,
    output: Output = None,
    max_minutes: Minutes = None,
    steps: Steps = None,
    batch_size: Batch = 24,
    trunk: Annotated[
        str,
        typer.Option(
            help="timm:NAME[=FILE]: a network of your own, which stays as it is, to train the "
            "encoder on; also for CT, and without findings.",
            show_default="EfficientNet-Lite0",
        ),
    ] = "",
    seed: Seed = 0,
    device: Where = Device.auto,
    init: Init = "imagenet",
    resume: Resume = False,
    bf16: Bf16 = False,
) -> None:
    """Train the medical encoder on the findings of the `train` split; absent labels are masked."""
    options = {
        "batch": batch_size,
        "trunk": trunk,
        "seed": seed,
        "init": init,
        "resume": resume,
        "bf16": bf16,
    }
    _run("train_mfm", data, root, output, (max_minutes, steps), device, options)


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
    bf16: Bf16 = False,
) -> None:
    """Train the remover, against an identity encoder and its own critic and for a medical one."""
    options = {
        "batch": batch_size,
        "seed": seed,
        "init": init,
        "resume": resume,
        "bf16": bf16,
        "encoder": encoder,
        "medical": medical,
    }
    _run("train_unet", data, root, output, (max_minutes, steps), device, options)


def _run(
    name: str,
    data: list[str],
    root: Path | None,
    output: Path | None,
    budget: tuple[float | None, int | None],
    device: Device,
    options: dict[str, Any],
) -> None:
    """Open the data, train, say where the weights are; bad input is one line and exit 2."""
    from mami_core import training
    from mami_core.data import DatasetError, open_dataset
    from mami_core.device import DeviceError, chosen
    from mami_core.weights import WeightsError

    minutes, steps = budget
    if minutes is None and steps is None:
        minutes = DEFAULT_MINUTES
    folder = output or Path(f"deid-{name.replace('_', '-')}")
    try:
        where = chosen(device.value)
        sets = [open_dataset(spec, root) for spec in data]
        if output is None:
            typer.echo(f"output in ./{folder}")
        path = getattr(training, name)(
            sets, folder, max_minutes=minutes, steps=steps, device=where, **options
        )
    except (DatasetError, DeviceError, training.TrainingError, WeightsError) as error:
        refuse(str(error))
    for line in _found(path):
        typer.echo(line)
    typer.echo(f"weights: {path.name}, log: {training.LOG}")


def _found(path: Path) -> Iterator[str]:
    """What the weights say that they find: a line a finding, or which state they are."""
    from deid.report.words import visible
    from mami_core.weights import facts_of

    facts = facts_of(path)
    for name, held in facts.get("findings_val", {}).items():
        area = f"AUC {held['auc']:.3f}" if "auc" in held else "no AUC"
        seen = f"{held['positives']} of {held['images']} images of {facts['judged_on']}"
        yield f"{visible(name)}: {area} ({seen})"
    if chosen := facts.get("chosen"):
        scores = ", ".join(f"{float(at):.0%} {one:.3f}" for at, one in chosen["scores"].items())
        yield f"kept the state after {chosen['at']:.0%} of the budget; mean AUC on val: {scores}"
