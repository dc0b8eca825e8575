"""What a run leaves behind: the public manifest, the private mapping and the reports."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import deid
from deid import report
from deid.images.record import Found
from deid.scrub import folders
from deid.scrub.journal import Journal
from deid.scrub.options import Options
from deid.scrub.plan import Plan
from mami_core.files import write_csv

if TYPE_CHECKING:
    from deid.scrub.models import Models

#: Columns of the report, in order (DESIGN section 9).
COLUMNS = (
    "n",
    "input",
    "output",
    "status",
    "reason",
    "modality",
    "region",
    "edit",
    "text",
    "risk_before",
    "risk",
    "risk_basis",
    "utility",
    "findings",
    "fidelity",
    "detail",
)
#: What `deid audit` found of the bundled remover (``weights/remover.md``).
BROKEN = (
    "attackers who learn from pictures that they edited themselves found about as many patients "
    "behind this remover as without it: the risk after the edit is no protection against them"
)
#: What spreadsheets take for the start of a formula, in both widths.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
#: Distinct values of one attribute that the inventory keeps.
DISTINCT = 1000


@dataclass(frozen=True)
class Result:
    """How a run ended.

    Attributes
    ----------
    rows
        One a regular file, with the columns of DESIGN section 9.
    summary
        Counts, options, versions, warnings, and what was not tested.
    report
        The private page to read before signing.
    """

    rows: list[dict[str, Any]]
    summary: dict[str, Any]
    report: Path

    @property
    def exit_status(self) -> int:
        """0 when every file is done, 1 when something was withheld."""
        return int(any(row["status"] != "done" for row in self.rows))


def finish(
    options: Options,
    found: Sequence[Found],
    journal: Journal,
    planned: Plan,
    state: dict[str, Any],
    *,
    models: Models,
    seconds: float,
    fresh_key: bool,
    put_off: int,
) -> Result:
    """Write the manifest under OUTPUT and all the rest into the run folder."""
    run = options.run_dir or Path()
    rows = [_row(n, one, journal.entries[n]) for n, one in enumerate(found, start=1)]
    _manifest(options.output, journal)
    _mapping(run, rows, journal, planned)
    summary = _summary(options, rows, planned, state, models, seconds, fresh_key, put_off)
    report.write_csv(run / "report.csv", rows)
    report.write_jsonl(run / "report.jsonl", rows)
    page = run / "report.html"
    report.write_html(page, rows, summary, _inventory(journal), run / folders.THUMBS)
    folders.note(run, {**state, "counts": summary["counts"], "seconds": round(seconds, 2)})
    return Result(rows, summary, page)


def _row(n: int, found: Found, entry: dict[str, Any]) -> dict[str, Any]:
    unknown = {
        "modality": "unknown",
        "region": "unknown",
        "edit": "none",
        "text": "not searched",
        "risk_before": "unknown",
        "risk": "unknown",
        "risk_basis": "unknown",
        "utility": "unknown",
        "findings": "unknown",
        "fidelity": "unknown",
    }
    values = {
        **unknown,
        **entry["row"],
        "n": n,
        "input": found.relative,
        "output": entry["output"],
    }
    return {name: values[name] for name in COLUMNS}


def _manifest(output: Path, journal: Journal) -> None:
    """``manifest.csv`` under OUTPUT: it may be shared, so pseudonyms only, and no times."""
    header = folders.COLUMNS
    software = f"mami-deid {deid.__version__}"
    rows = sorted(
        (
            entry["output"],
            entry["patient"],
            *(entry["row"][name] for name in header[2:6]),
            entry["sha256"],
            software,
        )
        for entry in journal.entries.values()
        if entry["output"]
    )
    write_csv(output / folders.MANIFEST, header, rows, mode=0o666)


def _mapping(run: Path, rows: list[dict[str, Any]], journal: Journal, planned: Plan) -> None:
    """Who is who: ``patients.csv``, ``uids.csv`` (``id_old,id_new``) and ``files.csv``.

    An old identifier that a spreadsheet would run as a formula, or that begins with an apostrophe,
    has an apostrophe in front: take one off to have it back. ``files.csv`` is for programs (`deid
    audit` reads it) and has every name as it is.
    """
    uids: dict[str, str] = {}
    for line in journal.entries.values():
        uids.update(line.get("uids", {}))
    pairs = ("id_old", "id_new")
    for name, table in (("patients", planned.identities), ("uids", sorted(uids.items()))):
        harmless = [(_harmless(old), new) for old, new in table]
        write_csv(run / f"{name}.csv", pairs, harmless)
    files = [(row["n"], row["input"], row["output"]) for row in rows]
    write_csv(run / "files.csv", ("n", "input", "output"), files)


def _harmless(old: str) -> str:
    return f"'{old}" if old.lstrip()[:1] in _FORMULA or old.startswith("'") else old


def _inventory(journal: Journal) -> dict[str, Counter[str]]:
    """Every attribute that was kept, with how often each value occurs in the release."""
    inventory: dict[str, Counter[str]] = defaultdict(Counter)
    for line in journal.entries.values():
        for attribute, value in line.get("kept", ()):
            values = inventory[attribute]
            if value in values or len(values) < DISTINCT:
                values[value] += 1
            else:
                values["(more)"] += 1
    return dict(inventory)


def _summary(
    options: Options,
    rows: list[dict[str, Any]],
    planned: Plan,
    state: dict[str, Any],
    models: Models,
    seconds: float,
    fresh_key: bool,
    put_off: int,
) -> dict[str, Any]:
    counts = Counter(row["status"] for row in rows)
    reasons = Counter(row["reason"] for row in rows if row["reason"])
    warnings = [*models.warnings]
    if fresh_key:
        warnings.append(
            "a fresh key was made in the run folder; keep it there, "
            "and give --key-file to link this release with another"
        )
    if put_off:
        warnings.append(
            f"{put_off} files are withheld only because memory ran short; free some or lower "
            "--workers, then --resume tries them again"
        )
    if planned.keyed_on_study:
        warnings.append(
            f"{len(planned.keyed_on_study)} files name no patient "
            f"({report.files(planned.keyed_on_study)}); their study, folder or file stands in: one "
            "person may carry several pseudonyms, and one pseudonym may stand for several people; "
            "a manifest.csv in INPUT (columns file, patient) says who is who"
        )
    if any("identity" in row["edit"] for row in rows if row["status"] == "done"):
        warnings.append(BROKEN)
    if options.text == "off" or options.metadata_only:
        what = "text or for a face" if options.metadata_only else "text"
        warnings.append(
            f"pixels were not searched for {what}: nothing here claims that they are clean"
        )
    return {
        "counts": {
            "files": len(rows),
            "done": counts["done"],
            "withheld": counts["withheld"],
            "reasons": dict(sorted(reasons.items())),
        },
        "options": state["options"],
        "versions": {"mami-deid": deid.__version__, **state["weights"]},
        "warnings": warnings,
        "seconds": seconds,
        "images_per_second": len(rows) / seconds if seconds else 0.0,
        "gallery_size": options.gallery_size,
        "report": str(options.run_dir),
        "not_tested": _not_tested(rows, options),
    }


def _not_tested(rows: list[dict[str, Any]], options: Options) -> list[str]:
    """What no figure of this run speaks about; printed last, always."""
    done = [row for row in rows if row["status"] == "done"]
    gaps = []
    unproven = sum(row["risk"] == "unknown" for row in done)
    if unproven:
        gaps.append(
            f"re-identification from the pixels of {unproven} of {len(done)} released files"
        )
    if any(row["risk"] != "unknown" for row in done):
        gaps.append("attackers that adapt to the edit (risk is that of fixed attackers)")
        gaps.append("links between releases")
    if any("identity" in row["edit"] for row in done):
        gaps.append("reversal of the edit")
        gaps.append("whether a reader can still make a diagnosis on what was edited")
    if options.text == "off" or options.metadata_only:
        gaps.append("text in the pixels")
    faces = "faces in any picture (headers alone were read)"
    gaps.append(f"handwriting, and {faces if options.metadata_only else 'faces outside CT and MR'}")
    return gaps
