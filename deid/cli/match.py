"""``deid match``: which images of two sets, or of one, show the same patient."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deid.cli.choices import Device
from deid.cli.embed import Part
from deid.cli.trouble import interruptible, said_to_go_on

Images = "A folder of images, or a data set: see `deid evaluate`."


class Engine(StrEnum):
    """What searches; both find the same."""

    torch = "torch"
    faiss = "faiss"


def match(
    a: Annotated[str, typer.Argument(metavar="A", help=Images)],
    b: Annotated[
        str | None, typer.Argument(metavar="B", help="Likewise.", show_default="A among itself")
    ] = None,
    root: Annotated[Path | None, typer.Option(help="Where the named archive lies.")] = None,
    split: Annotated[Part, typer.Option(help="Of sets that have splits.")] = Part.all,
    unnamed: Annotated[
        bool,
        typer.Option("--unnamed", help="Headers and sub-folders do not say whose an image is."),
    ] = False,
    modality: Annotated[
        str | None, typer.Option(help="xray, ct or fundus: of images that do not say it.")
    ] = None,
    across_modalities: Annotated[
        bool, typer.Option("--across-modalities", help="Compare different modalities too.")
    ] = False,
    attacker: Annotated[str, typer.Option(help="mami, judge, whiten: see `deid attackers`.")] = (
        "mami"
    ),
    calibrate: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="With known patients, to learn by what a similarity means.",
            show_default="A and B",
        ),
    ] = None,
    false_match_rate: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of pairs of different patients that may match.",
            show_default="the least that the known patients support, at least 1e-4",
        ),
    ] = None,
    prior: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of pairs that are of one patient.",
            show_default="estimated",
        ),
    ] = None,
    nearest: Annotated[
        int, typer.Option(min=1, help="Listed of each image where nothing can be calibrated.")
    ] = 5,
    search: Annotated[Engine, typer.Option(help=r"faiss: pip install mami-deid\[faiss].")] = (
        Engine.torch
    ),
    seed: Annotated[int, typer.Option(min=0, help="Of every random draw.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the network runs.")] = Device.auto,
    report: Annotated[
        str | None,  # as a path an empty name would be the current folder
        typer.Option(help="Private folder for matches.csv, match.json and what the network saw."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Find images of one patient: leaks between sets, doubles under two names, earlier images.

    A probability is learnt on known patients and never on the pair's own. Where too few are known
    there is none, and nothing matches. Exit status 1: an image could not be read.
    """
    from importlib.util import find_spec

    from deid.audit import AuditError
    from deid.audit.console import progress
    from deid.match import MatchError, Options
    from deid.match import match as run
    from deid.match.console import is_whole, show
    from deid.match.images import open_images
    from deid.match.writing import FEATURES, claim, write
    from deid.scrub.options import MODALITIES
    from mami_core.data import DatasetError, modality_of
    from mami_core.device import DeviceError
    from mami_core.weights import WeightsError

    options = Options(
        attacker=attacker,
        false_match_rate=false_match_rate,
        prior=prior,
        across=across_modalities,
        nearest=nearest,
        seed=seed,
        device=device.value,
        engine=search.value,
    )
    try:
        for name, share in (("false-match-rate", false_match_rate), ("prior", prior)):
            if share in (0.0, 1.0):
                raise MatchError(f"--{name} lies between 0 and 1, and is neither")
        if search is Engine.faiss and find_spec("faiss") is None:
            raise MatchError("--search faiss: it is not installed; pip install mami-deid[faiss]")
        word = None if modality is None else modality_of(modality)
        if modality is not None and word not in MODALITIES:
            raise MatchError(f"--modality: not one of {', '.join(MODALITIES)}; give one of these")
        sets = [
            open_images(spec, root, modality=word, unnamed=unnamed).in_split(split.value)
            for spec in (a, b)
            if spec is not None
        ]
        known = None if calibrate is None else open_images(calibrate, root, modality=word)
        folder = None if report is None else claim(report)
        with interruptible(), progress() as told:
            keep = None if folder is None else folder / FEATURES
            matching = run(sets, options, known, told=told, keep=keep)
        if folder is not None:
            write(folder, matching)
    except (AuditError, DatasetError, DeviceError, MatchError, WeightsError) as error:
        typer.echo(f"deid match: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(f"deid match: {said_to_go_on(reported=report is not None)}", err=True)
        raise typer.Exit(3) from None
    if as_json:
        typer.echo(json.dumps(matching.record, indent=2))
    else:
        show(matching.record)
    if not is_whole(matching.record):
        raise typer.Exit(1)
