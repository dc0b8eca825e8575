"""Fits by gradient that are finished, kept on disk beside what the attackers saw.

They cost minutes each, and how far one comes within its budget depends on the machine: one that was
finished is taken as it was, so that an audit that was stopped goes on with the same figures.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deid
from deid.audit import sealed
from deid.audit.digests import digest
from deid.audit.matching import Array, Training
from mami_core.evaluation.protocol import usable


@dataclass(frozen=True)
class Finished:
    """What a fit by gradient leaves.

    Attributes
    ----------
    query, gallery
        The closed form that the head stands on, ``(d, e)``; empty where it stands on none.
    head
        Its parameters in their order, or all that a network holds; none where the closed form
        alone went to work.
    told
        What the fit says of itself (see `deid.audit.gradient.learnt`).
    """

    query: Array
    gallery: Array
    head: Sequence[NDArray[Any]]
    told: Mapping[str, Any]


def finished(
    training: Training, recipe: object, fit: Callable[[], Finished | None]
) -> Finished | None:
    """The fit that is kept where ``training.effort`` says, else what `fit` makes, which is kept.

    Parameters
    ----------
    recipe
        Whatever else decides the fit, as its `repr` says it.
    fit
        Gives None where there is nothing to be learnt, and then nothing is kept.
    """
    folder = training.effort.keep
    if folder is None:
        return fit()
    name = _name(training, recipe)
    path = folder / f"{name}.fit"
    kept = _read(path, name)
    if kept is None:
        kept = fit()
        if kept is not None:
            _write(path, name, kept)
    return kept


def _name(training: Training, recipe: object) -> str:
    """A hash of all that decides a fit; whose recipe and features it is, is all an attacker is."""
    effort = training.effort
    said = (
        deid.__version__,
        recipe,
        training.roles,
        training.depths,
        (effort.restarts, effort.minutes, effort.seed),
        (len(training.query), len(training.gallery)),
        [(one.person, one.modality, one.subject, one.unit) for one in training.records],
        usable(training.records).tolist(),
    )
    features = digest([*training.query, *training.gallery, training.original])
    return hashlib.sha256(repr(said).encode() + features).hexdigest()


def _read(path: Path, name: str) -> Finished | None:
    """None where nothing is kept, or what is there is not what was written under this name."""
    body = sealed.read(path, name, behind=False)
    if body is None:
        return None
    with np.load(io.BytesIO(body), allow_pickle=False) as parts:
        head = [parts[f"head{number}"] for number in range(len(parts.files) - 3)]
        told = json.loads(str(parts["told"]))
        return Finished(parts["query"], parts["gallery"], head, told)


def _write(path: Path, name: str, fit: Finished) -> None:
    body = io.BytesIO()
    head: dict[str, Any] = {f"head{number}": one for number, one in enumerate(fit.head)}
    told = np.array(json.dumps(fit.told))
    np.savez(body, query=fit.query, gallery=fit.gallery, told=told, **head)
    sealed.write(path, name, body.getvalue(), behind=False)
