"""The three folders of a run: INPUT (never written), OUTPUT (may be shared), and the run folder
(may not)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deid import images
from deid.images.record import Found
from deid.scrub.journal import PARTIAL, locked
from deid.scrub.options import CannotStart, Options
from deid.tags import KeyFileError, new_key, read_key
from mami_core.files import private_folder, write_text

RUN = "run.json"
JOURNAL = "journal.jsonl"
KEY = "key"
THUMBS = "thumbs"

#: What a run that ended before it noted anything may leave; nothing is lost with it.
_OF_NO_RUN = {"output": {PARTIAL}, "run": {KEY, THUMBS}}

#: Options that no output depends on.
_NEUTRAL = ("input", "output", "run_dir", "key_file", "batch_size", "workers", "resume")


def check_places(options: Options) -> None:
    """Refuse folders that lie inside one another, and an INPUT that is not there or empty."""
    source, output, run = (
        path.resolve() for path in (options.input, options.output, options.run_dir or Path())
    )
    if not source.exists():
        raise CannotStart("INPUT does not exist")
    for inner, outer, words in (
        (output, source, "OUTPUT lies inside INPUT"),
        (source, output, "INPUT lies inside OUTPUT"),
        (run, source, "the run folder lies inside INPUT"),
        (run, output, "the run folder lies inside OUTPUT"),
        (source, run, "INPUT lies inside the run folder"),
        (output, run, "OUTPUT lies inside the run folder"),
    ):
        if inner == outer or outer in inner.parents:
            raise CannotStart(f"{words}; choose another folder")
    if output.exists() and not output.is_dir():
        raise CannotStart("OUTPUT is not a folder")
    key = options.key_file
    if key is not None and output in key.resolve().parents:
        raise CannotStart("the key file lies inside OUTPUT, which is to be shared")
    if next(images.find(source), None) is None:
        raise CannotStart("INPUT holds no file")


@contextlib.contextmanager
def opened(options: Options) -> Iterator[dict[str, Any] | None]:
    """Make OUTPUT and the run folder, hold both, and give what an earlier run noted there.

    Nothing of an earlier run is touched before both are held: it may still be at work.

    Raises
    ------
    CannotStart
        OUTPUT is not empty without ``--resume``, or holds something that no run folder knows of;
        another run is at work in one of the two.
    """
    output, run = options.output, options.run_dir
    assert run is not None
    _noted(options)
    try:
        private_folder(run)
        private_folder(run / THUMBS)
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(f"a folder can not be made: {error.strerror}") from error
    with locked(run), locked(output):
        noted = _noted(options)
        shutil.rmtree(output / PARTIAL, ignore_errors=True)
        (output / PARTIAL).mkdir()
        yield noted


def _noted(options: Options) -> dict[str, Any] | None:
    output, run = options.output, options.run_dir
    assert run is not None
    noted = None
    if (run / RUN).is_file():
        noted = json.loads((run / RUN).read_text())
    filled = _holds(output, _OF_NO_RUN["output"])
    if not options.resume and filled:
        raise CannotStart("OUTPUT is not empty; choose an empty folder, or --resume to go on")
    if not options.resume and noted:
        raise CannotStart("the run folder holds an earlier run; choose --run-dir, or --resume")
    if noted is None and filled:
        raise CannotStart("OUTPUT is not empty and the run folder knows of no run into it")
    if noted is None and _holds(run, _OF_NO_RUN["run"]):
        raise CannotStart("the run folder is not empty and holds no run; choose another --run-dir")
    return noted


def _holds(folder: Path, unimportant: set[str]) -> bool:
    return folder.is_dir() and any(path.name not in unimportant for path in folder.iterdir())


def the_key(options: Options) -> tuple[bytes, bool]:
    """The key, and whether it was made for this run."""
    assert options.run_dir is not None
    try:
        if options.key_file is not None:
            return read_key(options.key_file), False
        path = options.run_dir / KEY
        if path.exists():
            return read_key(path), False
        new_key(path)
        return read_key(path), True
    except KeyFileError as error:
        raise CannotStart(str(error)) from error


def fingerprint_of_input(found: Iterable[Found]) -> str:
    """Names, sizes and times of INPUT, so that a changed INPUT is noticed."""
    digest = hashlib.sha256()
    for one in found:
        fact: tuple[object, ...] = (one.relative,)
        with contextlib.suppress(OSError):  # one that can not be looked at gets its row later
            stat = one.path.lstat()
            fact = (one.relative, stat.st_size, stat.st_mtime_ns)
        digest.update(repr(fact).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def effective(options: Options) -> dict[str, Any]:
    """The options that outputs depend on."""
    return {name: value for name, value in options.__dict__.items() if name not in _NEUTRAL}


def same_run(noted: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse to go on with something else than what was begun."""
    for name, words in (
        ("key", "the key is another one"),
        ("options", "other options were given"),
        ("weights", "the weights are others"),
        ("input", "INPUT has changed"),
        ("software", "the software is another version"),
    ):
        if noted.get(name) != now[name]:
            raise CannotStart(f"--resume: {words} since the run began; start a new run")


def note(run: Path, state: dict[str, Any]) -> None:
    """Write ``run.json``."""
    write_text(run / RUN, [json.dumps(state, indent=1, default=str)])
