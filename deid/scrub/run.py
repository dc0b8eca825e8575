"""One run of ``deid scrub`` from options to report."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deid
from deid import images
from deid.images.record import Found, Header
from deid.reasons import Withheld
from deid.scrub import folders
from deid.scrub.jobs import NO_SPACE, Done, Failed, Job, Question
from deid.scrub.journal import PARTIAL, Journal
from deid.scrub.models import Models
from deid.scrub.options import CannotStart, Options, Stopped
from deid.scrub.outcome import Result, finish
from deid.scrub.plan import Patient, Plan, manifest_patients, plan
from deid.scrub.pool import Pool
from deid.scrub.release import Released, withheld_row
from deid.scrub.shortage import OUT_OF, is_shortage, reraise_shortage
from deid.scrub.terms import Item, Look, Terms, admit
from deid.tags import Pseudonyms
from deid.text import Finder
from mami_core.files import owner_only

#: Bytes that all jobs under way may hold together.
BUDGET = 1536 * 1024**2
#: Strengths that ``--max-risk`` tries, from the card's to 1.
LADDER = 4
#: Headers read by one job.
CHUNK = 16
#: Seconds after which finished files are committed even where they are few: each commit waits for
#: the disk.
LATEST = 1.0
_FULL = "no space left for OUTPUT or the run folder; free some, then --resume"
_SHORT = f"{OUT_OF}, then --resume"

#: Reason and detail of a file.
Verdict = tuple[str, str]

#: Of a file that the journal does not get, so that ``--resume`` tries it again.
_PUT_OFF = ("too_large", "memory ran short on it; free some, then --resume tries it again")

Progress = Callable[[str, int, int], None]


def scrub(
    input: str | Path,  # noqa: A002 - the name that the command line uses
    output: str | Path,
    *,
    progress: Progress | None = None,
    **options: Any,
) -> Result:
    """Make share-ready copies of the images in `input` under `output`.

    Parameters
    ----------
    input, output
        A folder (or one file) that is only read, and a folder that must be empty or absent.
    progress
        Called with (what is being done, how many are done, how many there are).
    **options
        The fields of `Options`.

    Returns
    -------
    Result
        Rows of the report, counts, and the exit status: 0 all done, 1 something withheld.

    Raises
    ------
    CannotStart
        A wrong option or folder; nothing was written.
    Stopped
        The disk is full, or something unforeseen happened half-way; what is done stays done and
        ``resume=True`` goes on.
    """
    for name, place in (("INPUT", input), ("OUTPUT", output)):
        # An empty name, of a variable that is not set, would be the current folder.
        if not str(place):
            raise CannotStart(f"{name} is empty; name a folder")
    checked = Options(Path(input), Path(output), **options).checked()
    folders.check_places(checked)
    assert checked.run_dir is not None
    with ExitStack() as stack:
        noted = stack.enter_context(folders.opened(checked))
        run = None
        try:
            run = _Run(checked, noted, progress or (lambda *_: None), stack)
            return run.result()
        except Stopped:
            raise
        except CannotStart as error:
            if run is None or not run.journal.entries:
                raise
            raise Stopped(f"{error}; what is done stays done, --resume goes on") from error
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_SPACE:
                raise Stopped(_FULL) from error
            if is_shortage(error):
                raise Stopped(_SHORT) from error
            if run is None or not run.journal.entries:
                raise
            what = f"internal error ({type(error).__name__})"
            raise Stopped(f"{what}; what is done stays done, --resume goes on") from error


def prepare_worker(terms: Terms) -> Terms:
    """What each worker sets before its first job; every job gets the terms."""
    import cv2

    cv2.setNumThreads(1)
    # A warning shows a line of the source, and may quote a value.
    warnings.simplefilter("ignore")
    return terms


def headers(
    paths: tuple[Path, ...], terms: Terms
) -> Generator[Question, Any, list[Header | Verdict]]:
    """Job: the headers of some files; a file that is no image to us gives its `Withheld`."""
    yield from ()
    results: list[Header | Verdict] = []
    for path in paths:
        try:
            results.append(images.inspect(path, decode=not terms.metadata_only))
        except Withheld as withheld:
            reraise_shortage(withheld)
            results.append((withheld.reason, withheld.detail))
        except OSError as error:
            reraise_shortage(error)
            results.append(("unreadable", "the file can not be read; mend its permissions"))
    return results


@dataclass
class _Pending:
    """A person whose files are being looked at."""

    patient: Patient
    looks: dict[int, Look]
    open_units: int
    short: bool = False


class _Run:
    def __init__(
        self,
        options: Options,
        noted: dict[str, Any] | None,
        progress: Progress,
        stack: ExitStack,
    ) -> None:
        self.options, self.progress = options, progress
        self.began = time.monotonic()
        self.run_dir = options.run_dir or Path()
        key, self.fresh_key = folders.the_key(options, noted)
        self.models = Models(options)
        self.found = list(images.find(options.input))
        # Before the run is noted: with a table that can not be read none has begun.
        self.patients = manifest_patients(options.input) if options.input.is_dir() else {}
        self.pseudonyms = Pseudonyms(key, self._context())
        self.state = {
            "software": deid.__version__,
            "key": self.pseudonyms.name("key", "fingerprint"),
            "options": folders.effective(options),
            "weights": self.models.hashes,
            "input": folders.fingerprint_of_input(self.found),
        }
        if noted is not None:
            folders.same_run(noted, self.state)
        text = options.text
        if text == "blank" and not options.metadata_only and not Finder.available():
            text = "unavailable"
        self.terms = Terms(
            output=options.output.resolve(),
            thumbs=(self.run_dir / folders.THUMBS).resolve(),
            key=key,
            instance_context=self._context(),
            modality=options.modality,
            text="off" if options.metadata_only else text,
            metadata_only=options.metadata_only,
            strengths=self._strengths(),
            max_risk=options.max_risk,
            allow_unproven=options.allow_unproven,
            gallery_size=options.gallery_size,
            card=self.models.card,
        )
        self.pool = stack.enter_context(
            Pool(
                options.workers or 1,
                setup=partial(prepare_worker, self.terms),
                in_flight=options.batch_size,
                budget=BUDGET,
            )
        )
        folders.note(self.run_dir, self.state)
        self.journal = Journal(self.run_dir / folders.JOURNAL, len(self.found))
        stack.callback(self.journal.close)
        self.put_off = 0
        self.uncommitted: list[tuple[Item, Released]] = []
        self.committed = time.monotonic()

    def _context(self) -> bytes:
        """What a new SOP instance UID depends on, beside the old one: all that may change
        pixels."""
        return repr(
            (sorted(folders.effective(self.options).items()), sorted(self.models.hashes.items()))
        ).encode()

    def _strengths(self) -> tuple[float, ...]:
        """What was asked for; else the card's, raised as far as ``--max-risk`` demands it."""
        if self.options.strength is not None:
            return (self.options.strength,)
        least = self.models.card.strength
        if self.options.max_risk is None:
            return (least,)
        return tuple(float(step) for step in np.unique(np.linspace(least, 1.0, LADDER)))

    def result(self) -> Result:
        readable, verdicts = self._read_headers()
        planned = plan(readable, self.patients, self.pseudonyms)
        self._take_up(planned)
        self._withhold(verdicts)
        self._work(planned)
        self._commit()
        shutil.rmtree(self.terms.output / PARTIAL, ignore_errors=True)
        return finish(
            self.options,
            self.found,
            self.journal,
            planned,
            self.state,
            models=self.models,
            seconds=time.monotonic() - self.began,
            fresh_key=self.fresh_key,
            put_off=self.put_off,
        )

    def _take_up(self, planned: Plan) -> None:
        """Go on from where an earlier try was."""
        items = [item for one in planned.patients for unit in one.units for item in unit]
        standing = self.journal.standing(
            self.options.output, {item.n: (item.patient, item.target) for item in items}
        )
        folders.clear(
            self.terms.output,
            {item.target for item in items} | self.journal.written(),
            {entry["output"] for entry in standing.values()},
        )
        self.journal.entries.update(standing)

    # -- headers ---------------------------------------------------------------------------------

    def _read_headers(self) -> tuple[list[tuple[int, Found, Header]], dict[int, Verdict]]:
        """What can be read, and why the rest can not; it is put off where memory ran short."""
        rows = list(enumerate(self.found, start=1))
        leads_out = ("link", "a link that leads out of INPUT is not followed")
        verdicts: dict[int, Verdict] = {n: leads_out for n, found in rows if found.outward_link}
        put_off: list[int] = []
        todo = deque(
            [row for row in rows if not row[1].outward_link][start : start + CHUNK]
            for start in range(0, len(rows), CHUNK)
        )

        def jobs() -> Job | None:
            while todo:
                chunk = todo.popleft()
                if chunk:
                    paths = tuple(found.path for _, found in chunk)
                    return Job(chunk, f"{__name__}:headers", (paths,), size=1024**2)
            return None

        readable: list[tuple[int, Found, Header]] = []
        seen = 0
        for end in self.pool.run(jobs, self.models.ask):
            chunk = end.job.key
            if isinstance(end, Done):
                for (n, found), header in zip(chunk, end.value, strict=True):
                    if isinstance(header, Header):
                        readable.append((n, found, header))
                    else:
                        verdicts[n] = header
            elif len(chunk) > 1:
                todo.extend([row] for row in chunk)
                continue
            elif end.short:
                put_off.append(chunk[0][0])
            else:
                verdicts[chunk[0][0]] = self._failed(chunk[0][0], end, "malformed")
            seen += len(chunk)
            self.progress("reading headers", seen, len(rows))
        self._put_off(put_off)
        return sorted(readable, key=lambda row: row[0]), verdicts

    # -- looks and releases ----------------------------------------------------------------------

    def _work(self, planned: Plan) -> None:
        total = sum(len(unit) for patient in planned.patients for unit in patient.units)
        looks: deque[tuple[_Pending, tuple[Item, ...]]] = deque()
        releases: deque[Job] = deque()
        patients = iter(planned.patients)
        ended = 0

        def jobs() -> Job | None:
            # Releases first: they end what is held. A new person only when nothing else is to do.
            while not releases and not looks:
                patient = next(patients, None)
                if patient is None:
                    return None
                self._begin(patient, looks, releases)
            if releases:
                return releases.popleft()
            pending, unit = looks.popleft()
            size = 3 * sum(item.header.decoded_bytes for item in unit)
            return Job((pending, unit), "deid.scrub.look:look", (unit,), size)

        for end in self.pool.run(jobs, self.models.ask):
            if end.job.target.endswith(":look"):
                pending, unit = end.job.key
                if isinstance(end, Failed) and not end.short and len(unit) > 1:
                    # One hostile slice must not take its whole series along.
                    pending.open_units += len(unit) - 1
                    looks.extend((pending, (item,)) for item in unit)
                    continue
                self._looked(pending, unit, end)
                if not pending.open_units:
                    releases.extend(self._releases(pending))
            else:
                item = end.job.key
                if isinstance(end, Done):
                    self.uncommitted.append((item, end.value))
                elif end.short:
                    self._put_off([item.n])
                else:
                    self._withhold({item.n: self._failed(item.n, end, "undecodable")})
                late = time.monotonic() - self.committed > LATEST
                if late or len(self.uncommitted) >= self.options.batch_size:
                    self._commit()
            ended = len(self.journal.entries)
            self.progress("scrubbing", min(ended, total), total)

    def _begin(
        self,
        patient: Patient,
        looks: deque[tuple[_Pending, tuple[Item, ...]]],
        releases: deque[Job],
    ) -> None:
        if all(item.n in self.journal.entries for unit in patient.units for item in unit):
            return
        pending = _Pending(patient, {}, len(patient.units))
        if self.options.metadata_only:
            for unit in patient.units:
                pending.looks.update({item.n: self._by_header(item) for item in unit})
            releases.extend(self._releases(pending))
        else:
            looks.extend((pending, unit) for unit in patient.units)

    def _by_header(self, item: Item) -> Look:
        try:
            modality = admit(item.header, self.terms)
        except Withheld as withheld:
            return Look(item.n, withheld.reason, withheld.detail)
        return Look(item.n, modality=modality, region=item.header.region)

    def _looked(self, pending: _Pending, unit: tuple[Item, ...], end: Done | Failed) -> None:
        pending.open_units -= 1
        if isinstance(end, Done):
            pending.looks.update({look.n: look for look in end.value})
        elif end.short:
            pending.short = True
        else:
            self._withhold({unit[0].n: self._failed(unit[0].n, end, "undecodable")})

    def _releases(self, pending: _Pending) -> Iterator[Job]:
        """Jobs for what may be released of this person; the rest is withheld here.

        Risk is judged by all of a person's images: where one could not be looked at, all wait.
        """
        if pending.short:
            self._put_off([item.n for unit in pending.patient.units for item in unit])
            return
        for unit in pending.patient.units:
            for item in unit:
                look = pending.looks.get(item.n)
                if look is None or item.n in self.journal.entries:
                    continue
                if look.reason:
                    self._withhold({item.n: (look.reason, look.detail)})
                    continue
                args = (item, look, _others(item, look, pending))
                size = 10 * item.header.decoded_bytes
                yield Job(item, "deid.scrub.release:release", args, size)

    # -- ends ------------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Journal what is finished, then give it its final name."""
        entries = []
        for item, released in self.uncommitted:
            done = released.row["status"] == "done"
            entries.append(
                {
                    "n": item.n,
                    "output": item.target if done else "",
                    "sha256": released.sha256,
                    "patient": item.patient,
                    "row": released.row,
                    "kept": released.kept,
                    "uids": released.uids,
                }
            )
        self.journal.append(entries)
        for item, released in self.uncommitted:
            if released.row["status"] == "done":
                target = self.terms.output / item.target
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(self.terms.output / PARTIAL / str(item.n), target)
        self.uncommitted.clear()
        self.committed = time.monotonic()

    def _withhold(self, verdicts: dict[int, Verdict]) -> None:
        self.journal.append(
            [
                {"n": n, "output": "", "row": withheld_row(*verdict)}
                for n, verdict in verdicts.items()
                if n not in self.journal.entries
            ]
        )

    def _put_off(self, numbers: list[int]) -> None:
        """Withhold for now: the report has it, the journal on the disk has not."""
        for n in numbers:
            if n not in self.journal.entries:
                entry = {"n": n, "output": "", "row": withheld_row(*_PUT_OFF)}
                self.journal.entries[n] = entry
                self.put_off += 1

    def _failed(self, n: int, end: Failed, reason: str) -> Verdict:
        """A worker died or something unforeseen was raised, which is noted for the developer."""
        if end.no_space:
            raise Stopped(_FULL)
        if end.error is None:
            return (reason, "the reader died or hung on it")
        log = self.run_dir / "errors.log"
        with open(log, "a", encoding="utf-8", opener=owner_only) as stream:
            stream.write(f"#{n}\n{end.error}\n")
        return ("verify_failed", f"internal error ({end.kind}); see errors.log")


def _others(item: Item, look: Look, pending: _Pending) -> dict[str, NDArray[np.float32]]:
    """By attacker, embeddings of the person's other images of this modality and region.

    Images of the same study are left out where studies are known: another visit is meant.
    """
    if look.original is None:
        return {}
    study = item.header.study
    seen = [
        other.original.identity
        for unit in pending.patient.units
        for twin in unit
        if twin.n != item.n and not (study and twin.header.study == study)
        if (other := pending.looks.get(twin.n)) is not None and other.original is not None
        if (other.modality, other.region) == (look.modality, look.region)
    ]
    return {name: np.stack([one[name] for one in seen]) for name in look.original.identity if seen}
