"""An attacker who turns the edit back, pixel by pixel, before he looks.

What is kept of a picture is a row of grey values and, coarser, of its colours. The attacker learns
to turn rows of his own edited pictures back (`deid.audit.turning_back`), looks at what comes of it
as any attacker looks at a picture, and learns to match as that one does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker
from deid.audit.closed_form import closed_form
from deid.audit.digests import digest
from deid.audit.linkages import ORIGINAL
from deid.audit.matching import Map, Matcher, Training, part_of
from deid.audit.own_patients import owners
from mami_core.data.square import MASTER
from mami_core.evaluation.embed import HELD

if TYPE_CHECKING:
    from torch import Tensor

    from deid.audit.turning_back import Back

#: Side of the grey picture that is turned back; of the two of its colours it is half. No picture is
#: looked at that was not of this side before.
SIDE = MASTER

#: Of pictures, as 0..255, or of features.
Rows = NDArray[Any]
#: The attacker's own protected rows turned back, a draw each; and what turns back those of others.
Turned = tuple[Sequence[Rows], Map]
#: Rows to features.
Look = Callable[[Rows], Rows]
#: Most pictures by which it tries whether to turn back at all.
MOST_TO_TRY = 600


@dataclass(frozen=True)
class Memory:
    """What was learnt and seen already: attackers who undo one edit share it.

    Attributes
    ----------
    turned
        By the pictures that taught it.
    seen
        Features, by whose eyes and of which pictures.
    """

    turned: dict[bytes, Turned] = field(default_factory=dict)
    seen: dict[tuple[str, bytes], Rows] = field(default_factory=dict)


def undoing(behind: Attacker, name: str, memory: Memory, *, always: bool) -> Attacker:
    """The attacker that looks at what it has turned back as `behind` does, whose name is `name`.

    Parameters
    ----------
    always
        Whether it turns back what it finds more in as it is, too.
    """
    eyes = behind.eyes or name

    def look(rows: Rows) -> Rows:
        key = eyes, digest([rows])
        if key not in memory.seen:
            parts = [
                behind.embed(pictures(rows[start : start + HELD], behind.size))
                for start in range(0, len(rows), HELD)
            ]
            memory.seen[key] = np.concatenate(parts)
        return behind.seen(memory.seen[key], learnt=True)

    def fit(training: Training) -> Matcher:
        key = digest([training.original, *training.protected])
        if key not in memory.turned:
            memory.turned[key] = _turned(training)
        turned = memory.turned[key]
        if not always and training.protected and _better_as_it_is(training, look, behind, turned):
            turned = training.protected, np.asarray
        return _fitted(training, look, behind, turned)

    return Attacker(rows_of, SIDE, fit=fit, behind=(name, behind))


def _fitted(training: Training, look: Look, behind: Attacker, turned: Turned) -> Matcher:
    """What `behind` learns from what `look` sees of pictures that were turned back."""
    restored, back = turned
    known = (behind.fit or closed_form)(_seen(training, look, behind, restored))
    query_eyes, gallery_eyes = (
        look if role == ORIGINAL else lambda rows: look(back(rows)) for role in training.roles
    )
    return Matcher(
        lambda rows: known.of_queries(query_eyes(rows)),
        lambda rows: known.of_gallery(gallery_eyes(rows)),
        known.told,
    )


def _seen(training: Training, look: Look, behind: Attacker, restored: Sequence[Rows]) -> Training:
    """The features that it learns by; `restored` stand in the place of its protected pictures."""
    original, draws = look(training.original), iter([look(rows) for rows in restored])
    query, gallery = (
        [original if role == ORIGINAL else next(draws) for _ in forms]
        for role, forms in zip(training.roles, (training.query, training.gallery), strict=True)
    )
    return replace(training, query=query, gallery=gallery, original=original, depths=behind.depths)


def _better_as_it_is(training: Training, look: Look, behind: Attacker, turned: Turned) -> bool:
    """Whether more of its own patients, left out, are found in the edit than in it turned back.

    A warp that is drawn anew for each picture has no way back but into a blur.
    """
    from deid.audit.gradient import left_out

    people = owners(training.records)
    some = np.flatnonzero(people <= people[min(len(people), MOST_TO_TRY) - 1])
    found = [
        left_out(_seen(training.of(some), look, behind, [rows[some] for rows in one]))
        for one in (turned[0], training.protected)
    ]
    back, as_it_is = (float(np.mean(list(one.values()))) if one else 0.0 for one in found)
    return as_it_is > back


def _turned(training: Training) -> Turned:
    """The attacker's protected pictures, each turned back by other patients'; and what turns back
    those of whom it is tested on.
    """
    import torch

    from deid.audit.turning_back import learnt, out_of_fold

    draws = len(training.protected)
    if not draws:
        return [], np.asarray
    edited = torch.from_numpy(np.concatenate(training.protected))
    original = torch.from_numpy(training.original)
    half = torch.tensor([part_of(record) % 2 == 0 for record in training.records])
    squares = sides(edited.shape[1])
    back = learnt(edited, original, squares)
    restored = torch.empty_like(edited)
    for rows, other in out_of_fold(edited, original, half, squares):
        own = rows.repeat(draws)
        restored[own] = _bytes(other, edited[own])
    return [one.numpy() for one in restored.chunk(draws)], lambda rows: _bytes(
        back, torch.from_numpy(np.asarray(rows))
    ).numpy()


def _bytes(back: Back, edited: Tensor) -> Tensor:
    """Rows turned back, few at a time: as numbers that are no bytes they are large."""
    import torch

    return torch.cat(
        [back(some.float()).round().clamp(0, 255).byte() for some in edited.split(HELD)]
    )


def rows_of(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures ``(n, 3, side, side)``, side even, as rows of grey values and, coarser, of red and
    blue, ``(n, 1.5 side^2)``.
    """
    red, _, blue = planes = pictures.astype(np.float32).transpose(1, 0, 2, 3)
    grey = planes.mean(axis=0)
    colours = [_halved(128.0 + (colour - grey) / 2.0) for colour in (red, blue)]
    rows = [part.reshape(len(pictures), -1) for part in (grey, *colours)]
    return np.rint(np.concatenate(rows, axis=1)).astype(np.uint8)


def sides(width: int) -> tuple[int, int, int]:
    """Of the squares that a row of so many numbers consists of: grey, red, blue."""
    side = isqrt(width * 2 // 3)
    return side, side // 2, side // 2


def pictures(rows: Rows, size: int) -> NDArray[np.uint8]:
    """Rows of any side as pictures ``(n, 3, size, size)``."""
    import torch
    from torch.nn.functional import interpolate

    def plane(low: int, side: int) -> Tensor:
        square = np.asarray(rows[:, low : low + side * side], dtype=np.float32)
        given = torch.from_numpy(square).view(-1, 1, side, side)
        # As `mami_core.data.square` does it.
        return interpolate(given, size=(size, size), mode="bilinear", antialias=True)

    side, half, _ = sides(rows.shape[1])
    grey = plane(0, side)
    red, blue = (2.0 * (plane(low, half) - 128.0) for low in (side**2, side**2 * 5 // 4))
    planes = torch.cat([grey + red, grey - red - blue, grey + blue], dim=1)
    return planes.round().clamp(0, 255).byte().numpy()


def _halved(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    half = plane.shape[1] // 2
    cells = plane.reshape(len(plane), half, 2, half, 2)
    return cells.mean(axis=(2, 4))
