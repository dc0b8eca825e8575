"""``deid scrub INPUT OUTPUT``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from deid.cli.trouble import interruptible, show_frames


def scrub(
    context: typer.Context,
    input: Annotated[  # noqa: A002 - what the usage line shows
        # Texts: as a path an empty name would be the current folder.
        str, typer.Argument(help="A folder of images, or one file. It is never written.")
    ],
    output: Annotated[str, typer.Argument(help="An empty folder for the share-ready copies.")],
    run_dir: Annotated[
        Path | None, typer.Option(help="Private folder of the run.", show_default="OUTPUT.run")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(help="Key made by `deid key new`.", show_default="a fresh one")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="xray, ct or fundus, where the header does not say.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="0 (pixels identical) to 1.", show_default="by the card")
    ] = None,
    max_risk: Annotated[
        float | None, typer.Option(help="Withhold images whose risk stays above, measured anew.")
    ] = None,
    allow_unproven: Annotated[
        bool, typer.Option("--allow-unproven", help="Release where no risk can be stated.")
    ] = False,
    gallery_size: Annotated[int, typer.Option(help="People in the attacker's gallery.")] = 1000,
    medical: Annotated[
        str, typer.Option(help="Medical encoder of `utility` and `findings`; see train-mfm.")
    ] = "mfm_tiny",
    metadata_only: Annotated[
        bool, typer.Option("--metadata-only", help="Leave every pixel as it is.")
    ] = False,
    text: Annotated[str, typer.Option(help="blank or off: text in the pixels.")] = "blank",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    batch_size: Annotated[int, typer.Option(help="Images in flight.")] = 8,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read and write.", show_default="one a core")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an earlier run.")] = False,
) -> None:
    """Take identifiers out of tags, pixels and the picture itself."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from deid import report
    from deid.scrub.options import CannotStart, Stopped
    from deid.scrub.run import scrub as run

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(show_speed=True),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    tasks: dict[str, object] = {}

    def progress(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

    try:
        with interruptible(), bar:
            result = run(
                input,
                output,
                progress=progress,
                run_dir=run_dir,
                key_file=key_file,
                modality=modality,
                strength=strength,
                max_risk=max_risk,
                allow_unproven=allow_unproven,
                gallery_size=gallery_size,
                medical=medical,
                metadata_only=metadata_only,
                text=text,
                device=device,
                batch_size=batch_size,
                workers=workers,
                resume=resume,
            )
    except KeyboardInterrupt:
        typer.echo(
            "deid: interrupted; OUTPUT is not complete: the same command with --resume goes on",
            err=True,
        )
        raise typer.Exit(3) from None
    except (CannotStart, Stopped) as end:
        typer.echo(f"deid: {end}", err=True)
        if end.__cause__ is not None and context.find_root().params["debug"]:
            show_frames(end.__cause__)
        raise typer.Exit(2 if isinstance(end, CannotStart) else 3) from end
    with suppress(SystemExit):  # rich's answer to a reader that has enough; the run still counts
        report.console(result.summary, result.rows, Console())
    raise typer.Exit(result.exit_status)
