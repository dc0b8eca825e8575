"""An edit turned back, as pairs of pictures before and after it teach.

Each pixel of the original is regressed on those pixels of the edited picture that vary with it from
patient to patient, wherever they lie. Blocks that were moved, tones that were bent and blurs that
were laid over come back so; what a random draw covered becomes its mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

#: Pixels of the edited picture that one of the original is regressed on.
NEAREST = 16
#: Penalty of the regression, in units of a pixel's variance.
PENALTY = 0.01
#: Most pictures that are learnt from, and pixels that are learnt at a time.
MOST, AT_ONCE = 1200, 512
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


def learnt(edited: Tensor, original: Tensor) -> Back:
    """Learn from pairs of rows ``(n, Q)`` and ``(n, P)``, grey values in 0..255."""
    drawn = torch.randperm(len(edited), generator=torch.Generator().manual_seed(0))[:MOST]
    before, after = original[drawn], edited[drawn]
    middle, target = after.mean(dim=0), before.mean(dim=0)
    places = torch.zeros((before.shape[1], NEAREST), dtype=torch.long)
    weights = torch.zeros((before.shape[1], NEAREST))
    seen = (after.std(dim=0) > STILL).nonzero().flatten()
    wanted = (before.std(dim=0) > STILL).nonzero().flatten()
    if len(seen) >= NEAREST:
        moved = after[:, seen] - middle[seen]
        unit = moved / moved.square().mean(dim=0).sqrt()
        # A pixel's row lies together: that makes gathering them fast.
        moved = moved.T.contiguous().T
        for some in wanted.split(AT_ONCE):
            nearest, weight = _of_some(moved, unit, before[:, some] - target[some])
            places[some], weights[some] = seen[nearest], weight
    return Back(places, weights, target - (middle[places] * weights).sum(dim=1))


def _of_some(moved: Tensor, unit: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Places and weights ``(p, k)`` for pixels ``(n, p)`` of the originals."""
    places = (wanted.T @ unit).abs().topk(NEAREST, dim=1).indices
    chosen = moved.T[places]
    gram = chosen @ chosen.mT / len(moved)
    aim = (chosen @ wanted.T[:, :, None])[..., 0] / len(moved)
    level = gram.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
    penalty = (PENALTY * level + 1e-6) * torch.eye(NEAREST)
    return places, torch.linalg.solve(gram + penalty, aim)


def out_of_fold(edited: Tensor, original: Tensor, half: Tensor) -> Tensor:
    """Each row turned back by what the other half of the patients taught.

    Parameters
    ----------
    half
        Which half a row's patient belongs to, ``(n,)`` bool. All teach all where one is empty.
    """
    if half.all() or not half.any():
        return learnt(edited, original)(edited)
    restored = torch.empty_like(original)
    for own in (half, ~half):
        restored[own] = learnt(edited[~own], original[~own])(edited[own])
    return restored
