"""Pairs of images that were found, as they are written down."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.audit.doubles import SAME
from deid.match.looking import Seen
from mami_core.data import Record
from mami_core.evaluation.search import above, cosines, nearest

Array = NDArray[np.float64]
Places = NDArray[np.int64]

#: How a pair was found.
COPY, NEAR_COPY, MATCH, NEAREST = "copy", "near copy", "match", "nearest"


@dataclass(frozen=True)
class Pairs:
    """Rows of the first and the second set, and their similarity, ``(m,)`` each."""

    first: Places
    second: Places
    score: Array


NO_PAIRS = Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True)
class Found:
    """One pair.

    Attributes
    ----------
    probability
        That it is of one person; None where nothing supports one.
    rate
        At which pairs of different people are as alike; None likewise.
    """

    left: Record
    right: Record
    found_as: str
    similarity: float
    probability: float | None = None
    rate: float | None = None

    @property
    def named_alike(self) -> bool | None:
        """Whether the two have one name already; None where either has none."""
        named = self.left.patient and self.right.patient
        return self.left.patient == self.right.patient if named else None


def by_name(pairs: Sequence[Found]) -> dict[str, int]:
    """How many were known: under ``one name``, under ``two names``, ``without a name``."""
    words = {True: "one name", False: "two names", None: "without a name"}
    counts = Counter(words[one.named_alike] for one in pairs)
    return {word: counts[word] for word in words.values()}


def alike(
    queries: NDArray[np.floating], gallery: NDArray[np.floating] | None, least: float, engine: str
) -> Pairs:
    """Pairs that are `least` alike or more; without a gallery, of the queries among themselves."""
    held = queries if gallery is None else gallery
    parts = list(above(queries, held, least, engine=engine))
    if not parts:
        return NO_PAIRS
    first, second, score = (np.concatenate(column) for column in zip(*parts, strict=True))
    kept = first < second if gallery is None else np.full(len(first), True)
    return Pairs(first[kept], second[kept], score[kept])


def neighbours(
    queries: NDArray[np.floating], gallery: NDArray[np.floating] | None, k: int, engine: str
) -> Pairs:
    """The `k` nearest of each query; without a gallery each pair once, and none with itself."""
    alone = gallery is None
    held = queries if gallery is None else gallery
    k = min(k, len(held) - alone)
    if k < 1:
        return NO_PAIRS
    scores, places = nearest(queries, held, k + alone, engine=engine)
    first = np.repeat(np.arange(len(queries)), places.shape[1])
    pairs = np.stack([first, places.ravel()])
    if alone:
        pairs = np.unique(np.sort(pairs[:, pairs[0] != pairs[1]], axis=0), axis=1)
        return Pairs(pairs[0], pairs[1], cosines(queries, held, pairs[0], pairs[1]))
    return Pairs(pairs[0], pairs[1], scores.ravel())


def copies(left: Seen, right: Seen | None, engine: str) -> dict[tuple[int, int], tuple[str, float]]:
    """Pairs of rows that show one picture: how they were found, and how alike they are."""
    other = left if right is None else right
    found: dict[tuple[int, int], tuple[str, float]] = {}
    near = alike(left.thumbs, None if right is None else right.thumbs, SAME, engine)
    for first, second, score in zip(near.first, near.second, near.score, strict=True):
        found[int(first), int(second)] = (NEAR_COPY, float(score))
    rows: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(other.digests):
        rows[digest].append(row)
    for row, digest in enumerate(left.digests):
        for second in rows[digest] if digest else ():
            if right is not None or row < second:
                found[row, second] = (COPY, 1.0)
    return found
