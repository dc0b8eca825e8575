"""The folder of the report: claimed before an hour's work, filled after it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deid import __version__
from deid.evaluation_report.gather import Gathered
from deid.evaluation_report.log import training_log
from deid.evaluation_report.page import pieces
from mami_core.evaluation.embed import embedder
from mami_core.files import private_folder, write_text
from mami_core.weights import checked, facts_of, locate

FIGURES, PAGE = "figures.json", "evaluate.html"


class ReportError(ValueError):
    """The report can not be written: one line that says what to do."""


class Report:
    """A report that is going to be written.

    Parameters
    ----------
    folder
        A new or an empty one; made for its owner alone.
    weights, device
        As `mami_core.evaluation.embed.embedder` takes them.

    Attributes
    ----------
    gathered
        The witness to hand to `mami_core.evaluation.report.evaluate`.

    Raises
    ------
    ReportError
        The folder is none, is not empty, or can not be made.
    """

    def __init__(self, folder: Path | str, weights: str, device: str) -> None:
        if not str(folder):
            raise ReportError("--report is empty; name a folder")
        self._folder, self._weights = Path(folder), locate(weights)
        _claim(self._folder)
        has_modality = bool(facts_of(weights).get("updates"))
        modality = embedder(weights, device, feature="modality") if has_modality else None
        self.gathered = Gathered(modality)
        # A path may name a person or a project; a bundled name does not.
        bundled = self._weights.stem == weights
        self._encoder = {
            "encoder": weights if bundled else "an unnamed encoder",
            "SHA-256": checked(self._weights),
            "mami-deid": __version__,
        }

    def write(self, found: Mapping[str, Any]) -> None:
        """Write both files; the same figures give the same bytes.

        Parameters
        ----------
        found
            What `evaluate` returned.

        Raises
        ------
        ReportError
            The disk is full, say.
        """
        page = pieces(found, self.gathered, training_log(self._weights), self._encoder)
        try:
            write_text(self._folder / FIGURES, [json.dumps(found, indent=2), "\n"])
            write_text(self._folder / PAGE, page)
        except OSError as error:
            raise _unwritable(error) from None


def _claim(folder: Path) -> None:
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ReportError("the report's folder is not empty; name a new or an empty one")
        private_folder(folder)
    except OSError as error:
        raise _unwritable(error) from None


def _unwritable(error: OSError) -> ReportError:
    return ReportError(f"the report can not be written ({error.strerror}); name another folder")
