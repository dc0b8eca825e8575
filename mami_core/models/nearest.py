"""Which set of those that a network was fitted on a picture is most like."""

from __future__ import annotations

from torch import Tensor


def nearest(rows: Tensor, centres: Tensor) -> Tensor:
    """The place in `centres` ``(S, C)`` of the one nearest to each of `rows` ``(B, C)``: ``(B,)``.

    A set has a centre of its own, since the pictures of two hospitals lie farther apart than those
    of two modalities may.
    """
    return (rows[:, None] - centres).square().sum(dim=2).argmin(dim=1)
