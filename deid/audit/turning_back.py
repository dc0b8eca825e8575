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
#: Penalties of the regression, in units of a pixel's variance: each pixel has its own of them. What
#: little a blur left wants a small one, as does the grain of a scan; noise wants a large one.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
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
    values, axes = torch.linalg.eigh(chosen @ chosen.mT / len(moved))
    along = (axes.mT @ (chosen @ wanted.T[:, :, None]))[..., 0] / len(moved)
    level = values.mean(dim=1)
    best, weights = torch.full_like(level, torch.inf), torch.zeros_like(along)
    for penalty in PENALTIES:
        shrunk = values + (penalty * level + 1e-6)[:, None]
        kept = values / shrunk
        left = wanted.square().mean(dim=0) - (along.square() / shrunk * (2.0 - kept)).sum(dim=1)
        # Generalised cross-validation (Golub, Heath and Wahba 1979).
        error = left.clamp(min=0.0) / (1.0 - kept.sum(dim=1) / len(moved)).square()
        better = error < best
        best = torch.where(better, error, best)
        weights[better] = (along / shrunk)[better]
    return places, (axes @ weights[..., None])[..., 0]


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
