"""Exact search among embeddings by cosine, in chunks: memory is bounded whatever is searched.

A cosine is taken in double precision and rounded to `DIGITS`, so that equal pictures tie; ties are
in order of the index. Matrix products in single precision only propose, with a margin for what they
may be wrong by; what they propose is scored anew. So the answer depends neither on chunks nor on
threads, nor on who proposes: torch, or faiss (the extra of that name).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mami_core.evaluation.protocol import DIGITS

Rows = NDArray[np.float32]
Places = NDArray[np.int64]
Scores = NDArray[np.float64]

#: By how much a cosine in single precision may be wrong, per root of the dimensions (measured: a
#: tenth of that at 512).
SLACK = 1e-6
#: How many more than asked for are proposed, so that few queries have to be looked at whole.
SPARE = 16
#: Queries and gallery rows whose scores are held at a time (16 MiB), and the neighbours of which at
#: first only the highest is looked at.
QUERIES, GALLERY, TOGETHER = 1024, 4096, 32
#: Pairs whose embeddings are held in double precision at a time.
PAIRS = 8192


class Engine(Protocol):
    """Proposes from single precision; holds the gallery's rows, which have length one."""

    def best(self, queries: Rows, k: int) -> tuple[Rows, Places]:
        """The `k` highest scores of each query ``(q, k)``, and where they are."""

    def above(self, queries: Rows, least: float) -> tuple[Places, Places]:
        """All pairs (row of the queries, row of the gallery) that score `least` or more."""


class Torch:
    """Chunks of queries against chunks of the gallery."""

    def __init__(self, rows: Rows) -> None:
        import torch

        self._rows = torch.from_numpy(rows)

    def best(self, queries: Rows, k: int) -> tuple[Rows, Places]:
        import torch

        asked = torch.from_numpy(queries)
        values = torch.full((len(asked), k), -torch.inf)
        places = torch.zeros((len(asked), k), dtype=torch.int64)
        within = torch.arange(TOGETHER)
        for start, scores in self._scores(asked):
            pad = -scores.shape[1] % TOGETHER
            padded = torch.nn.functional.pad(scores, (0, pad), value=-torch.inf) if pad else scores
            groups = padded.view(len(asked), -1, TOGETHER)
            peaks = groups.amax(dim=2)
            # Of a later chunk hardly any group holds one of the k highest.
            better = int((peaks > values[:, -1:]).sum(dim=1).max())
            if not better:
                continue
            chosen = peaks.topk(min(better, k), dim=1).indices[..., None]
            fresh = groups.gather(1, chosen.expand(-1, -1, TOGETHER)).flatten(1)
            where = (start + chosen * TOGETHER + within).flatten(1)
            values, order = torch.cat([values, fresh], dim=1).topk(k, dim=1)
            places = torch.cat([places, where], dim=1).gather(1, order)
        return values.numpy(), places.numpy()

    def above(self, queries: Rows, least: float) -> tuple[Places, Places]:
        import torch

        found = [
            (scores >= least).nonzero() + torch.tensor([0, start])
            for start, scores in self._scores(torch.from_numpy(queries))
        ]
        rows, places = torch.cat(found).numpy().T
        return rows, places

    def _scores(self, asked: Any) -> Iterator[tuple[int, Any]]:
        for start in range(0, len(self._rows), GALLERY):
            yield start, asked @ self._rows[start : start + GALLERY].T


class Faiss:
    """``IndexFlatIP`` of faiss."""

    def __init__(self, rows: Rows) -> None:
        self._index: Any = importlib.import_module("faiss").IndexFlatIP(rows.shape[1])
        self._index.add(rows)

    def best(self, queries: Rows, k: int) -> tuple[Rows, Places]:
        values, places = self._index.search(queries, k)
        return values, places

    def above(self, queries: Rows, least: float) -> tuple[Places, Places]:
        ends, _, places = self._index.range_search(queries, least)
        return np.repeat(np.arange(len(queries)), np.diff(ends.astype(np.int64))), places


ENGINES: dict[str, Callable[[Rows], Engine]] = {"torch": Torch, "faiss": Faiss}


def nearest(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    k: int,
    *,
    engine: str = "torch",
) -> tuple[Scores, Places]:
    """The `k` rows of the gallery that are nearest to each query.

    Parameters
    ----------
    queries, gallery
        ``(q, d)`` and ``(n, d)``, of any length; a row of zeros scores 0 with everything.
    k
        At most n.
    engine
        A name of `ENGINES`; the answer is the same.

    Returns
    -------
    Cosines ``(q, k)``, highest first, and the rows that have them, lowest first where they tie.

    Raises
    ------
    ValueError
        Where the gallery has fewer than `k` rows.
    ImportError
        Where the engine's package is not installed.
    """
    if not 1 <= k <= len(gallery):
        raise ValueError(f"the gallery has {len(gallery)} rows, and {k} were asked for")
    rows, held = normalised(queries), normalised(gallery)
    proposer, margin = ENGINES[engine](held), _margin(held)
    proposed = min(k + SPARE, len(held))
    scores = np.empty((len(rows), k))
    places = np.empty((len(rows), k), dtype=np.int64)
    for start in range(0, len(rows), QUERIES):
        asked = rows[start : start + QUERIES]
        rough, where = proposer.best(asked, proposed)
        first = np.repeat(np.arange(start, start + len(asked)), proposed)
        exact = cosines(queries, gallery, first, where.ravel()).reshape(where.shape)
        order = np.lexsort((where, -exact))[:, :k]
        scores[start : start + len(asked)] = np.take_along_axis(exact, order, axis=1)
        places[start : start + len(asked)] = np.take_along_axis(where, order, axis=1)
        least = scores[start : start + len(asked), -1] - margin
        # Where the last that was proposed may tie with the k-th, so may others: look at all.
        unsure = rough.min(axis=1) >= least if proposed < len(held) else np.zeros(len(asked), bool)
        for one in np.flatnonzero(unsure):
            _, more = proposer.above(asked[one : one + 1], float(least[one]))
            found = cosines(queries, gallery, np.full(len(more), start + one), more)
            best = np.lexsort((more, -found))[:k]
            scores[start + one], places[start + one] = found[best], more[best]
    return scores, places


def above(
    queries: NDArray[np.floating],
    gallery: NDArray[np.floating],
    least: float,
    *,
    engine: str = "torch",
) -> Iterator[tuple[Places, Places, Scores]]:
    """All pairs whose cosine is `least` or more, some queries at a time.

    Yields
    ------
    Rows of the queries, rows of the gallery, and cosines, ``(m,)`` each, ordered by the first and
    then the second.
    """
    rows, held = normalised(queries), normalised(gallery)
    proposer, margin = ENGINES[engine](held), _margin(held)
    for start in range(0, len(rows), QUERIES):
        asked = rows[start : start + QUERIES]
        index, where = proposer.above(asked, least - margin)
        order = np.lexsort((where, index))
        index, where = index[order] + start, where[order]
        exact = cosines(queries, gallery, index, where)
        kept = exact >= least
        yield index[kept], where[kept], exact[kept]


def normalised(rows: NDArray[np.floating]) -> Rows:
    """Rows brought to length one in single precision, some at a time."""
    held = np.empty(rows.shape, dtype=np.float32)
    for start in range(0, len(rows), PAIRS):
        part = np.asarray(rows[start : start + PAIRS], dtype=np.float64)
        length = np.linalg.norm(part, axis=1, keepdims=True)
        held[start : start + PAIRS] = part / np.where(length > 0, length, 1.0)
    return held


def cosines(
    queries: NDArray[np.floating], gallery: NDArray[np.floating], first: Places, second: Places
) -> Scores:
    """Of pairs of rows ``(m,)``, each by itself: no sum depends on what else is scored."""
    found = np.empty(len(first))
    for start in range(0, len(first), PAIRS):
        part = slice(start, start + PAIRS)
        left = np.asarray(queries[first[part]], dtype=np.float64)
        right = np.asarray(gallery[second[part]], dtype=np.float64)
        lengths = np.sqrt(_dots(left, left) * _dots(right, right))
        found[part] = _dots(left, right) / np.where(lengths > 0, lengths, 1.0)
    return found.round(DIGITS)


def _dots(left: Scores, right: Scores) -> Scores:
    return np.einsum("md,md->m", left, right)


def _margin(held: Rows) -> float:
    return SLACK * float(np.sqrt(held.shape[1]))
