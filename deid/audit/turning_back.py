"""An edit turned back, as pairs of pictures before and after it teach.

Each pixel of the original is regressed on those pixels of the edited picture that vary with it from
patient to patient, wherever they lie. Blocks that were moved, tones that were bent and blurs that
were laid over come back so; what a random draw covered becomes its mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

#: Pixels of the edited picture that one of the original is regressed on.
NEAREST = 16
#: Penalties of the regression, in units of a pixel's variance: each pixel has its own of them. What
#: little a blur left wants a small one, as does the grain of a scan; noise wants a large one.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
#: Most pictures that are learnt from, and pixels that are learnt at a time.
MOST, AT_ONCE = 800, 128
#: Pixels that vary less, in grey values of 0..255, are the same for everybody.
STILL = 0.25


@dataclass(frozen=True)
class Back:
    """How pictures are turned back.

    Attributes
    ----------
    places, weights
        For each pixel of the original its pixels in the edited picture, ``(P, k)`` both.
    offset
        What is added, ``(P,)``.
    """

    places: Tensor
    weights: Tensor
    offset: Tensor

    def __call__(self, edited: Tensor) -> Tensor:
        """Edited pictures ``(n, Q)`` to pictures ``(n, P)`` as they may have been."""
        restored = self.offset.repeat(len(edited), 1)
        for places, weights in zip(self.places.T, self.weights.T, strict=True):
            restored += edited[:, places] * weights
        return restored


def learnt(edited: Tensor, original: Tensor, sides: Sequence[int] = ()) -> Back:
    """Learn from pairs of rows, grey values in 0..255.

    Parameters
    ----------
    edited
        ``(m n, Q)``: m draws of the edit, one below the other.
    original
        ``(n, P)``.
    sides
        Of the squares that a row consists of, both before and after: pixels are looked for where
        pixels of half the size were found, since all of them are too many to be looked through.
        Without any they are looked for everywhere.
    """
    drawn = torch.randperm(len(edited), generator=torch.Generator().manual_seed(0))[:MOST]
    before, after = original[drawn % len(original)].float(), edited[drawn].float()
    if sides:
        groups = _parts(sides)
        candidates = groups[_nearest(_halved(after, sides), _halved(before, sides))].flatten(1)
    else:
        groups = torch.arange(before.shape[1])[:, None]
        candidates = _nearest(after, before)
    # Grey pictures have no colours to be turned back.
    varies = (before.std(dim=0) > STILL)[groups].any(dim=1)
    groups, candidates = groups[varies], candidates[varies]
    target, middle = before.mean(dim=0), after.mean(dim=0)
    # A pixel's row lies together: that makes gathering them fast. What is done with is let go, for
    # it is large.
    moved = after.sub_(middle).T.contiguous()
    del after
    apart = before.sub_(target).T.contiguous()
    del before
    places = torch.zeros((len(apart), NEAREST), dtype=torch.long)
    weights = torch.zeros((len(apart), NEAREST))
    for low in range(0, len(groups), AT_ONCE):
        some = groups[low : low + AT_ONCE]
        places[some], weights[some] = _regressed(
            moved, apart[some], candidates[low : low + AT_ONCE]
        )
    return Back(places, weights, target - (middle[places] * weights).sum(dim=1))


def _nearest(after: Tensor, before: Tensor) -> Tensor:
    """Places ``(P, NEAREST)`` in the edited rows that vary most with each pixel of the originals.

    Any places where nothing varies: what is regressed on them is nothing.
    """
    places = torch.zeros((before.shape[1], NEAREST), dtype=torch.long)
    seen = (after.std(dim=0) > STILL).nonzero().flatten()
    wanted = (before.std(dim=0) > STILL).nonzero().flatten()
    if len(seen) >= NEAREST:
        moved = after[:, seen] - after[:, seen].mean(dim=0)
        unit = moved / moved.square().mean(dim=0).sqrt()
        for some in wanted.split(AT_ONCE):
            apart = before[:, some] - before[:, some].mean(dim=0)
            places[some] = seen[(apart.T @ unit).abs().topk(NEAREST, dim=1).indices]
    return places


def _halved(rows: Tensor, sides: Sequence[int]) -> Tensor:
    """The same squares, each of half the side."""
    edges = np.cumsum([0, *(side * side for side in sides)]).tolist()
    squares = [
        rows[:, low:high].view(-1, side // 2, 2, side // 2, 2).mean(dim=(2, 4)).flatten(1)
        for (low, high), side in zip(pairwise(edges), sides, strict=True)
    ]
    return torch.cat(squares, dim=1)


def _parts(sides: Sequence[int]) -> Tensor:
    """Which four pixels each pixel of `_halved` is made of, ``(P / 4, 4)``."""
    start, parts = 0, []
    for side in sides:
        square = torch.arange(start, start + side * side).view(side // 2, 2, side // 2, 2)
        parts.append(square.transpose(1, 2).reshape(-1, 4))
        start += side * side
    return torch.cat(parts)


def _regressed(moved: Tensor, wanted: Tensor, candidates: Tensor) -> tuple[Tensor, Tensor]:
    """Places and weights ``(g, m, k)`` for pixels of the originals, m of which are of one group.

    Parameters
    ----------
    moved
        Pixels of the edited pictures, ``(Q, n)``, without their mean.
    wanted
        Those of the originals, ``(g, m, n)``.
    candidates
        The pixels among which those of a group are looked for, ``(g, c)``.
    """
    images = moved.shape[1]
    chosen = moved[candidates]
    aim = wanted @ chosen.mT / images
    spread = (chosen.square().sum(dim=2) / images).sqrt().clamp(min=STILL)
    best = (aim / spread[:, None]).abs().topk(NEAREST, dim=2).indices
    group = torch.arange(len(best))[:, None, None]
    chosen, aim = chosen[group, best], aim.gather(2, best)
    values, axes = torch.linalg.eigh(chosen @ chosen.mT / images)
    along = (axes.mT @ aim[..., None])[..., 0]
    level = values.mean(dim=2)
    least, weights = torch.full_like(level, torch.inf), torch.zeros_like(along)
    for penalty in PENALTIES:
        shrunk = values + (penalty * level + 1e-6)[..., None]
        kept = values / shrunk
        left = wanted.square().mean(dim=2) - (along.square() / shrunk * (2.0 - kept)).sum(dim=2)
        # Generalised cross-validation (Golub, Heath and Wahba 1979).
        error = left.clamp(min=0.0) / (1.0 - kept.sum(dim=2) / images).square()
        better = error < least
        least = torch.where(better, error, least)
        weights[better] = (along / shrunk)[better]
    return candidates[group, best], (axes @ weights[..., None])[..., 0]


def out_of_fold(
    edited: Tensor, original: Tensor, half: Tensor, sides: Sequence[int] = ()
) -> Iterator[tuple[Tensor, Back]]:
    """Which originals are turned back by what: the other half of the patients teaches it.

    Parameters
    ----------
    edited, original
        As in `learnt`.
    half
        Which half a row's patient belongs to, ``(n,)`` bool. All teach all where one is empty.
    """
    if half.all() or not half.any():
        yield torch.ones_like(half), learnt(edited, original, sides)
        return
    for own in (half, ~half):
        others = ~own
        draws = len(edited) // len(original)
        yield own, learnt(edited[others.repeat(draws)], original[others], sides)
