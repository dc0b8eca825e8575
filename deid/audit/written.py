"""Which files of a release are those that its run wrote.

A folder of another run under the same key has the same names, and a file that was replaced has its
own: neither says anything of what the run made.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path

from deid.audit.trouble import AuditError

#: Share of the files from which on the folder is another than the run's, or was worked on since.
MANY = 0.1


def not_as_written(names: Sequence[str], protected: Path, run_dir: Path) -> set[str]:
    """Those of the files whose SHA-256 is not the one that was noted when they were written.

    The private journal of the run says it; where it is gone, the manifest of the release.

    Parameters
    ----------
    names
        Of files under `protected`.

    Raises
    ------
    AuditError
        Where neither says it, or more than `MANY` of the files are others.
    """
    noted = _noted(protected, run_dir)
    every = set(names)
    changed = {name for name in every if _sha256(protected / name) != noted.get(name)}
    if len(changed) > MANY * len(every):
        raise AuditError(
            f"--protected: {len(changed)} of {len(every)} files are not as the run wrote them; "
            "name the folder that this very run wrote, or run `deid scrub` again"
        )
    return changed


def _noted(protected: Path, run_dir: Path) -> dict[str, str]:
    # Whoever audits no release need not load what reads DICOM.
    from deid.scrub.folders import JOURNAL, MANIFEST
    from deid.scrub.journal import hashes

    try:
        noted = hashes(run_dir / JOURNAL)
    except OSError:
        noted = {}
    noted = noted or _of_manifest(protected / MANIFEST)
    if not noted:
        raise AuditError(
            f"neither {JOURNAL} of --run-dir nor {MANIFEST} of --protected says what the run "
            "wrote; name the folders as `deid scrub` left them"
        )
    return noted


def _of_manifest(path: Path) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8", newline="", errors="surrogateescape") as file:
            rows = list(csv.DictReader(file, restval=""))
    except (OSError, csv.Error):
        return {}
    return {row["file"]: row["sha256"] for row in rows if row.get("file") and row.get("sha256")}


def _sha256(path: Path) -> str:
    """Empty where it can not be read."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
