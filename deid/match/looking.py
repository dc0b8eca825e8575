"""One pass over a set's pictures: what the encoder sees, and what tells copies."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker
from deid.audit.doubles import thumbnails
from deid.match.images import Images, Picture
from deid.match.trouble import LeftOutError
from mami_core.data import Record, square
from mami_core.evaluation.embed import HELD


@dataclass(frozen=True)
class Seen:
    """A set that was looked at; a row an entry that could be.

    Attributes
    ----------
    features
        Of the encoder, ``(n, d)``.
    thumbs
        Of `deid.audit.doubles.thumbnails`, ``(n, e)``; zero for a scan.
    digests
        Equal where the decoded pictures are; empty for a blank.
    """

    records: list[Record]
    features: NDArray[np.float32]
    thumbs: NDArray[np.float32]
    digests: list[str]
    left_out: list[tuple[str, str]]

    def rows(self, keep: Callable[[Record], bool]) -> NDArray[np.intp]:
        """Where `keep` accepts the record."""
        return np.array([i for i, one in enumerate(self.records) if keep(one)], dtype=np.intp)


def look(
    images: Images, encoder: Attacker, told: Callable[[int, int], None] = lambda done, total: None
) -> Seen:
    """Look at every entry once, a few at a time: memory does not grow with the pictures."""
    lookers = (encoder, thumbnails())
    features: tuple[list[NDArray[np.float32]], ...] = ([], [])
    records, digests, frames, left_out = [], [], [], list(images.left_out)
    for start in range(0, len(images.entries), HELD):
        held: list[Sequence[Picture]] = []
        for entry in images.entries[start : start + HELD]:
            try:
                pictures = entry.pictures()
            except LeftOutError as reason:
                left_out.append((entry.record.name, str(reason)))
                continue
            held.append(pictures)
            records.append(entry.record)
            digests.append(_digest(pictures))
            frames.append(len(pictures))
        for looker, parts in zip(lookers, features, strict=True):
            if held:
                parts.append(_means(looker, held))
        told(min(start + HELD, len(images.entries)), len(images.entries))
    seen, thumbs = (
        np.concatenate(parts) if parts else np.empty((0, 1), np.float32) for parts in features
    )
    # Scans of different people are alike as wholes: these are copies where they are equal only.
    thumbs[np.array(frames, dtype=int) > 1] = 0.0
    return Seen(records, seen, thumbs, digests, left_out)


def _means(looker: Attacker, held: Sequence[Sequence[Picture]]) -> NDArray[np.float32]:
    """Features of each entry: the mean over its frames."""
    frames = [
        np.rint(square(frame, looker.size) * 255.0).astype(np.uint8)
        for pictures in held
        for frame in pictures
    ]
    found = looker.seen(looker.embed(np.stack(frames)), learnt=looker.fit is not None)
    ends = np.cumsum([0, *(len(pictures) for pictures in held)])
    means = np.add.reduceat(found, ends[:-1], axis=0) / np.diff(ends)[:, None]
    return means.astype(np.float32)


def _digest(pictures: Sequence[Picture]) -> str:
    if all(np.ptp(frame) == 0.0 for frame in pictures):
        return ""
    digest = hashlib.sha256()
    for frame in pictures:
        digest.update(f"{frame.shape}".encode() + np.ascontiguousarray(frame).tobytes())
    return digest.hexdigest()
