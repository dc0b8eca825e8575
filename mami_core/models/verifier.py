"""The verifier of Packhaeuser et al. (Scientific Reports 2022): are two images of one person?"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

#: Numbers of an image (Packhaeuser et al.), and steps of each in a code.
NUMBERS, LEVELS = 128, 32
#: What the sum over its numbers is divided by, so that unequal images begin near no decision.
SCALE = 4.0


class Verifier(nn.Module):
    """A sigmoid, the absolute difference of two images' numbers, and one layer.

    His last layer is free in sign; here a difference never speaks for one person, so that the score
    of a pair falls with a distance, a weighted L1, and can be searched by.
    """

    def __init__(self) -> None:
        super().__init__()
        self.strength = nn.Parameter(torch.zeros(NUMBERS))
        self.bias = nn.Parameter(torch.tensor(4.0))

    def code(self, features: Tensor) -> Tensor:
        """Features ``(B, NUMBERS)`` to codes ``(B, NUMBERS * LEVELS)``, all of one length.

        A number is written as a thermometer, +1 for each level below it and -1 for each above:
        two of them differ in as many places as the numbers lie apart. The cosine of two codes is
        thus one less twice the mean distance, in steps of ``1 / LEVELS``.
        """
        levels = (torch.arange(LEVELS, device=features.device) + 0.5) / LEVELS
        marks = torch.where(torch.sigmoid(features)[:, :, None] > levels, 1.0, -1.0)
        return (marks * softplus(self.strength).sqrt()[:, None]).flatten(1)

    def loss(self, query: Tensor, gallery: Tensor, same: Tensor, shift: int) -> Tensor:
        """Binary cross-entropy, as many pairs of one person as of two.

        Parameters
        ----------
        query, gallery
            Features ``(m, NUMBERS)`` and ``(k, NUMBERS)``, k at least m: the mate of query i is
            row i.
        same
            Which are of one person, ``(m, k)`` bool.
        shift
            How many rows further the other one of a pair of two people stands.
        """
        asked, held = torch.sigmoid(query), torch.sigmoid(gallery)
        row = torch.arange(len(query), device=query.device)
        other = (row + shift) % len(gallery)
        two = ~same[row, other]
        mated = self._logit(asked, held[: len(query)])
        apart = self._logit(asked[two], held[other[two]])
        return softplus(-mated).mean() + softplus(apart).sum() / max(int(two.sum()), 1)

    def _logit(self, one: Tensor, other: Tensor) -> Tensor:
        return self.bias - (one - other).abs() @ softplus(self.strength) / SCALE
