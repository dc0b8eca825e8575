"""The command line: ``deid`` and ``mami-deid``."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import warnings
from typing import NoReturn

import typer

from deid import __version__
from deid.cli.ablate import ablate
from deid.cli.attackers import attackers
from deid.cli.audit import audit
from deid.cli.embed import embed
from deid.cli.evaluate import evaluate
from deid.cli.key import app as key
from deid.cli.match import match
from deid.cli.phantoms import phantoms
from deid.cli.scrub import scrub
from deid.cli.train import train_mami, train_mfm, train_unet
from deid.cli.trouble import show_frames

#: What Typer ends with, without a word, where a command was interrupted.
INTERRUPTED = 130

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
app.command()(match)
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
    words = sys.argv[1:]
    # Behind a double dash everything is a name.
    end = words.index("--") if "--" in words else len(words)
    debug = "--debug" in words[:end]
    if not debug:
        warnings.simplefilter("ignore")  # each shows a line of the source, and may quote a value
    words = [word for word in words[:end] if word != "--debug"] + words[end:]
    try:
        try:
            app(["--debug", *words] if debug else words)
        finally:
            if sys.stdout:  # None where it was closed
                sys.stdout.flush()
    except BrokenPipeError as error:  # whoever reads has enough
        _drop_what_is_unprinted()
        ended = error.__context__
        sys.exit(ended.code if isinstance(ended, SystemExit) else 1)
    except KeyboardInterrupt:
        _say_interrupted()
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
        _say_interrupted()
    except Exception as error:
        # The message of a foreign exception may carry a value or a path, so it is not shown.
        what, status = f"internal error ({type(error).__name__}); run with --debug", 2
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            what, status = "no space left for what is to be printed or written; free some", 3
        print(f"deid: {what}", file=sys.stderr)
        if debug:
            show_frames(error)
        _drop_what_is_unprinted()
        sys.exit(status)


def _say_interrupted() -> NoReturn:
    print("deid: interrupted; where a command has it, --resume goes on", file=sys.stderr)
    sys.exit(3)


def _drop_what_is_unprinted() -> None:
    """Else the interpreter tries once more at its end, and complains aloud."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
