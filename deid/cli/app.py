"""The command line: ``deid`` and ``mami-deid``."""

from __future__ import annotations

import sys

import typer

from deid import __version__
from deid.cli.ablate import ablate
from deid.cli.attackers import attackers
from deid.cli.audit import audit
from deid.cli.embed import embed
from deid.cli.evaluate import evaluate
from deid.cli.key import app as key
from deid.cli.phantoms import phantoms
from deid.cli.scrub import scrub
from deid.cli.train import train_mami, train_mfm, train_unet
from deid.cli.trouble import show_frames

app = typer.Typer(
    name="deid",
    help="Makes folders of medical images safe to share, and measures what risk remains.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(scrub)
app.add_typer(key, name="key")
app.command()(audit)
app.command()(attackers)
app.command()(evaluate)
app.command()(embed)
app.command("train-unet")(train_unet)
app.command("train-mami")(train_mami)
app.command("train-mfm")(train_mfm)
app.command()(ablate)
app.command()(phantoms)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"mami-deid {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
    debug: bool = typer.Option(
        False, "--debug", help="Show where an error arose; may stand anywhere in a command."
    ),
) -> None:
    """Makes folders of medical images safe to share, and measures what risk remains."""


def main() -> None:
    """Entry point; an unforeseen error is one line, and its frames with ``--debug``."""
    words = [word for word in sys.argv[1:] if word != "--debug"]
    debug = len(words) < len(sys.argv) - 1
    try:
        app(["--debug", *words] if debug else words)
    except KeyboardInterrupt:
        print("deid: interrupted; where a command has it, --resume goes on", file=sys.stderr)
        sys.exit(3)
    except Exception as error:
        # The message of a foreign exception may carry a value or a path, so it is not shown.
        print(f"deid: internal error ({type(error).__name__}); run with --debug", file=sys.stderr)
        if debug:
            show_frames(error)
        sys.exit(2)
