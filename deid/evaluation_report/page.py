"""``evaluate.html``: one page, complete in itself, without a script and without a name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from deid.evaluation_report import figures
from deid.evaluation_report.gather import Gathered
from deid.evaluation_report.log import TrainingLog
from deid.evaluation_report.table import absences, beside_whiten, lines
from deid.report.frame import render


def pieces(
    found: Mapping[str, Any],
    gathered: Gathered,
    log: TrainingLog | None,
    encoder: Mapping[str, str],
) -> Iterator[str]:
    """The page, piece by piece.

    Parameters
    ----------
    found
        What `mami_core.evaluation.report.evaluate` returned.
    gathered
        Its witness.
    log
        Of the training that made the weights.
    encoder
        Facts about the weights, by name; `encoder` is what the page calls it.
    """
    sources = found["sources"]
    seen = {source: (sources[source], curves) for source, curves in gathered.curves.items()}
    roc = {source: figures.verifying(source, curves) for source, (_, curves) in seen.items()}
    return render(
        "deid.evaluation_report",
        "evaluate.html.j2",
        styles=["evaluate.css"],
        split=found["split"],
        encoder=encoder,
        table={source: (of, lines(of)) for source, of in sources.items()},
        absences=[*absences(sources), *beside_whiten(found)],
        pairs=[
            figures.similarity(source, of, curves["encoder"])
            for source, (of, curves) in seen.items()
        ],
        searching=[figures.searching(source, *both) for source, both in seen.items()],
        verifying=[plot for plot in roc.values() if plot],
        without_roc=[source for source, plot in roc.items() if not plot],
        modalities=[figures.modality_map(gathered.modalities)] if gathered.modalities else [],
        training=_training(log),
    )


def _training(log: TrainingLog | None) -> list[figures.Figure]:
    if log is None:
        return []
    return [figures.loss(log.loss), *([figures.val(log.val)] if log.val else [])]
