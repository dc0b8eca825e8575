"""The three folders of a run: INPUT (never written), OUTPUT (may be shared), and the run folder
(may not)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from deid import images
from deid.images.record import Found
from deid.scrub.journal import PARTIAL, locked
from deid.scrub.options import CannotStart, Options
from deid.tags import KeyFileError, new_key, read_key
from mami_core.files import PART, private_folder, write_text

RUN = "run.json"
JOURNAL = "journal.jsonl"
KEY = "key"
THUMBS = "thumbs"
MANIFEST = "manifest.csv"
#: Header of the manifest under OUTPUT.
COLUMNS = ("file", "patient", "modality", "region", "edit", "text", "sha256", "software")

#: What a run that ended before it noted anything may leave; nothing is lost with it.
_OF_NO_RUN = {"output": {PARTIAL}, "run": {KEY, THUMBS}}

#: Options that no output depends on; and the medical encoder, whose hash is noted with the weights,
#: wherever it lies.
_NEUTRAL = ("input", "output", "run_dir", "key_file", "batch_size", "workers", "resume", "medical")

#: What ``run.json`` notes and what is said where it is no longer so.
_SAME = (
    ("key", "the key is another one"),
    ("options", "other options were given"),
    ("weights", "the weights are others"),
    ("input", "INPUT has changed"),
    ("software", "the software is another version"),
)


def check_places(options: Options) -> None:
    """Refuse folders that lie inside one another or inside those of another run, and an INPUT that
    is not there or empty."""
    try:
        _check_places(options)
    except (OSError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "a link leads to itself"
        raise CannotStart(
            f"INPUT, OUTPUT or the run folder (--run-dir) can not be used: {why}"
        ) from error


def _check_places(options: Options) -> None:
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
    for inner, words in ((output, "OUTPUT"), (run, "the run folder")):
        if any(map(_is_an_output, inner.parents)):
            raise CannotStart(
                f"{words} lies inside the OUTPUT of another run, which may be shared; "
                "choose another folder"
            )
        if any(map(_is_a_run_folder, inner.parents)):
            raise CannotStart(
                f"{words} lies inside the private folder of another run; choose another folder"
            )
    if any(map(_is_a_run_folder, (source, *source.parents))):
        raise CannotStart("INPUT is or lies inside the private folder of another run")
    if next(images.find(source), None) is None:
        raise CannotStart("INPUT holds no file")


def _is_an_output(folder: Path) -> bool:
    """Whether a run wrote, or began to write, into a folder."""
    with contextlib.suppress(OSError):
        if (folder / PARTIAL).is_dir():
            return True
        with open(folder / MANIFEST, "rb") as stream:
            return stream.readline(200).strip() == ",".join(COLUMNS).encode()
    return False


def _is_a_run_folder(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return (folder / RUN).is_file() and (folder / JOURNAL).is_file()
    return False


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
    try:
        _noted(options)
        private_folder(run)
        private_folder(run / THUMBS)
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotStart(
            f"OUTPUT or the run folder (--run-dir) can not be made: {error.strerror}"
        ) from error
    with locked(run), locked(output):
        noted = _noted(options)
        _fresh(output / PARTIAL)
        for part in run.glob(f"{PART}*"):
            part.unlink()
        yield noted


def _fresh(folder: Path) -> None:
    """Make a folder anew, whatever stands in its place."""
    if folder.is_symlink() or not folder.is_dir():
        folder.unlink(missing_ok=True)
    else:
        shutil.rmtree(folder)
    folder.mkdir()


def clear(output: Path, ours: Collection[str], standing: Collection[str]) -> None:
    """Take away what lies under OUTPUT where files are to be written again.

    Parameters
    ----------
    ours
        Names that files of this run get or got.
    standing
        Those of them that stay.

    Raises
    ------
    CannotStart
        Something else lies under OUTPUT; nothing was taken away.
    """
    rooms = {str(room) for name in ours for room in PurePosixPath(name).parents}
    stale: list[str] = []
    strange = 0
    pending = [""]
    while pending:
        prefix = pending.pop()
        with os.scandir(output / prefix) as listing:
            for entry in listing:
                name = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if name in rooms:
                        pending.append(f"{name}/")
                    strange += name not in rooms and name != PARTIAL
                elif name in ours or (name in rooms and entry.is_symlink()):
                    stale += [] if name in standing else [name]
                elif not prefix and name.startswith(PART):  # of a manifest that was being written
                    stale.append(name)
                else:
                    strange += name != MANIFEST
    if strange:
        raise CannotStart(
            f"OUTPUT holds {strange} files, links or folders that this run did not write, and that "
            "nobody checked; move them away"
        )
    for name in stale:
        os.unlink(output / name)


def _noted(options: Options) -> dict[str, Any] | None:
    output, run = options.output, options.run_dir
    assert run is not None
    noted = None
    if (run / RUN).is_file():
        noted = _read_note(run / RUN)
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


def _read_note(path: Path) -> dict[str, Any]:
    try:
        noted = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        noted = None
    if not isinstance(noted, dict) or not {name for name, _ in _SAME} <= noted.keys():
        raise CannotStart(
            "run.json in the run folder is damaged; put it back, or start a new run with another "
            "--run-dir and an empty OUTPUT"
        )
    return noted


def _holds(folder: Path, unimportant: set[str]) -> bool:
    return folder.is_dir() and any(
        path.name not in unimportant and not path.name.startswith(PART) for path in folder.iterdir()
    )


def the_key(options: Options, noted: dict[str, Any] | None) -> tuple[bytes, bool]:
    """The key, and whether it is the run's own; made where no earlier try is `noted`."""
    assert options.run_dir is not None
    try:
        if options.key_file is not None:
            return read_key(options.key_file), False
        path = options.run_dir / KEY
        if not path.exists():
            if noted is not None:
                raise CannotStart(
                    "--resume: the key is not in the run folder; give the --key-file that the run "
                    "began with, or put its key back"
                )
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
    for name, words in _SAME:
        if noted[name] != now[name]:
            which = f" ({_others(noted[name], now[name])})" if name == "options" else ""
            raise CannotStart(f"--resume: {words}{which} since the run began; start a new run")


def _others(noted: Any, now: dict[str, Any]) -> str:
    """The options that differ, as the command line names them."""
    before = noted if isinstance(noted, dict) else {}
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def note(run: Path, state: dict[str, Any]) -> None:
    """Write ``run.json``."""
    write_text(run / RUN, [json.dumps(state, indent=1, default=str)])
