"""``deid audit``: how many patients an attacker still finds in a data set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from deid.cli.choices import Device
from deid.cli.embed import Part
from deid.cli.trouble import interruptible, said_to_go_on


def audit(
    dataset: Annotated[
        str,
        typer.Argument(help="A data set (see `deid evaluate`), or a folder of images as it lies."),
    ],
    root: Annotated[Path | None, typer.Option(help="Where the named archive lies.")] = None,
    attacker: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[,NAME]: see `deid attackers`; repeatable. Each learns as it can. A plus "
            "sign joins the networks of one: whiten:MODEL[=FILE]+MODEL. MODEL@SIDE looks at "
            "pictures of SIDE pixels.",
            show_default="all in closed form, and a head by gradient on the best network",
        ),
    ] = None,
    protected: Annotated[
        Path | None, typer.Option(help="Folder of the protected images of a release.")
    ] = None,
    run_dir: Annotated[
        Path | None,
        typer.Option(help="Private folder of the run of `deid scrub` that made --protected."),
    ] = None,
    pairs: Annotated[
        Path | None,
        typer.Option(help="CSV with the columns original and protected, in place of --run-dir."),
    ] = None,
    remover: Annotated[
        str | None,
        typer.Option(help="NAME[:PARAMETER]: edit the images with it, under fresh keys."),
    ] = None,
    strength: Annotated[float, typer.Option(min=0.0, max=1.0, help="Of the remover.")] = 1.0,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="Attackers learn from images they edited.")
    ] = False,
    control: Annotated[
        bool,
        typer.Option("--control", help="Try the attackers on planted removers as well (slow)."),
    ] = False,
    restarts: Annotated[
        int,
        typer.Option(
            min=1, help="Seeds that one who learns by gradient tries: 3 to screen, 10 to claim."
        ),
    ] = 1,
    budget: Annotated[
        float, typer.Option(min=0.0, metavar="MINUTES", help="That one fit by gradient may take.")
    ] = 5.0,
    linkage: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME[,NAME]: original, outer, reverse, inner, pooled, inverted, outer_k, "
            "inner_k, own_key, copy.",
            show_default="original, outer, inner",
        ),
    ] = None,
    releases: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="K",
            help="Of each image, that one attacker holds: outer_k and inner_k, with a --remover.",
        ),
    ] = 1,
    split: Annotated[Part, typer.Option(help="`test` is to be read once, at the end.")] = (
        Part.val
    ),
    gallery_size: Annotated[
        int | None,
        typer.Option(min=2, help="N people to search among.", show_default="all that are there"),
    ] = None,
    bootstrap: Annotated[
        int,
        typer.Option(metavar="N", help="Resamples of patients behind an interval, 100 to 100,000."),
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of every random draw.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the networks run.")] = Device.auto,
    report: Annotated[
        str | None,  # as a path an empty name would be the current folder
        typer.Option(
            help="Private folder: audit.html, .json, .csv, who is most exposed, what attackers saw "
            "and learnt: an audit that was stopped goes on from there."
        ),
    ] = None,
    table: Annotated[
        int | None,
        typer.Option(
            min=4, max=4, help="4: on the console, figures as the paper's table has them."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure how many patients an attacker finds again from the pictures alone.

    AUC is over pairs of images, rank-1 over the people of the split, each patient weighing the
    same. What was not tested stands in the last line.
    """
    from deid.audit import AuditError, Options, check
    from deid.audit import audit as run
    from deid.audit.console import progress, show
    from deid.audit.exposure import Exposed
    from deid.audit.pairing import paired
    from deid.audit.writing import FEATURES, claim, folder_of, write
    from deid.sets import open_set
    from mami_core.data import DatasetError
    from mami_core.device import DeviceError
    from mami_core.weights import WeightsError

    options = Options(
        attackers=_names(attacker),
        split=split.value,
        gallery_size=gallery_size,
        bootstrap=bootstrap,
        seed=seed,
        device=device.value,
        adaptive=adaptive,
        linkages=_names(linkage),
        releases=releases,
        remover=remover,
        strength=strength,
        control=control,
        restarts=restarts,
        budget=budget,
    )
    try:
        opened = open_set(dataset, root)
        images = opened.by_kind()
        release = paired(images, protected, run_dir, pairs)
        check(options, release)
        shared = protected
        if pairs is not None and release is not None and protected is None:
            shared = folder_of(pairs, release)
        folder = None if report is None else claim(report, shared)
        with interruptible(), progress() as told:
            keep = None if folder is None else folder / FEATURES
            exposed: list[Exposed] = []
            record = run(
                images,
                options,
                release,
                left_out=opened.counted(),
                told=told,
                keep=keep,
                name_exposed=exposed.append,
            )
        if folder is not None:
            write(folder, record, exposed)
    except (AuditError, DatasetError, DeviceError, WeightsError) as error:
        typer.echo(f"deid audit: {error}", err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        typer.echo(f"deid audit: {said_to_go_on(reported=report is not None)}", err=True)
        raise typer.Exit(3) from None
    if as_json:
        typer.echo(json.dumps(record, indent=2))
    else:
        show(record, paper=table is not None)


def _names(given: list[str] | None) -> tuple[str, ...]:
    """The names of a repeatable option, each of whose values may hold several."""
    return tuple(name for several in given or () for name in several.split(","))
