"""What attackers learn by gradient on top of the closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, softplus

#: Of InfoNCE.
TEMPERATURE = 0.1
#: Of the Siamese head: numbers of an image (Packhaeuser et al.), and steps of each in a code.
NUMBERS, LEVELS = 128, 32
#: What the sum over its numbers is divided by, so that unequal images begin near no decision.
SCALE = 4.0


class Residual(nn.Module):
    """Rows plus a linear map of them, which is zero at first: a map for each kind of role.

    Parameters
    ----------
    width
        d of the rows ``(n, d)``.
    one_kind
        Whether queries and gallery are of one kind.
    """

    def __init__(self, width: int, one_kind: bool) -> None:
        super().__init__()
        first = nn.Parameter(torch.zeros(width, width))
        second = first if one_kind else nn.Parameter(torch.zeros(width, width))
        self.added = nn.ParameterList([first, second])

    def embed(self, rows: Tensor, side: int) -> Tensor:
        """Rows to embeddings of length one, ``(n, d)`` both."""
        return normalize(rows + rows @ self.added[side], dim=1)

    def loss(self, query: Tensor, gallery: Tensor, same: Tensor) -> Tensor:
        """InfoNCE, both ways (see `deid.audit.gradient.Head` for what is handed in)."""
        scores = self.embed(query, 0) @ self.embed(gallery, 1).T / TEMPERATURE
        count = len(query)
        # A third image of a person is neither mate nor impostor.
        third = same & ~torch.eye(count, len(gallery), dtype=torch.bool)
        scores = scores.masked_fill(third, -1e4)
        mate = torch.arange(count)
        return cross_entropy(scores, mate) + cross_entropy(scores[:, :count].T, mate)


class Siamese(nn.Module):
    """A row through one layer and a sigmoid; a pair by the absolute difference and one layer more.

    Packhaeuser et al. (Scientific Reports 2022), who train a ResNet-50 under it. Both roles go
    through the same layer, after the closed form has carried either to one space. His last layer is
    free in sign; here a difference never speaks for one person, so that the score of a pair falls
    with a distance, a weighted L1, and can be searched by.

    Parameters
    ----------
    width
        d of the rows ``(n, d)``.
    one_kind
        Is all the same to it.
    """

    def __init__(self, width: int, one_kind: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(width, NUMBERS)
        # Rows have length one: their numbers would hardly leave the middle of the sigmoid.
        nn.init.normal_(self.layer.weight, std=1.0)
        nn.init.zeros_(self.layer.bias)
        self.strength = nn.Parameter(torch.zeros(NUMBERS))
        self.bias = nn.Parameter(torch.tensor(4.0))
        # Draws of its own: nobody else's change what it learns.
        self._random = torch.Generator().manual_seed(int(torch.randint(2**31, ())))

    def embed(self, rows: Tensor, side: int) -> Tensor:
        """Rows to codes ``(n, NUMBERS * LEVELS)``, all of one length.

        A number is written as a thermometer, +1 for each level below it and -1 for each above:
        two of them differ in as many places as the numbers lie apart. The cosine of two codes is
        thus one less twice the mean distance, in steps of ``1 / LEVELS``.
        """
        levels = (torch.arange(LEVELS) + 0.5) / LEVELS
        marks = torch.where(self._numbers(rows)[:, :, None] > levels, 1.0, -1.0)
        weighed = marks * softplus(self.strength).sqrt()[:, None]
        return weighed.flatten(1)

    def loss(self, query: Tensor, gallery: Tensor, same: Tensor) -> Tensor:
        """Binary cross-entropy, as many pairs of one person as of two."""
        asked, held = self._numbers(query), self._numbers(gallery)
        count = len(query)
        shift = int(torch.randint(1, max(len(gallery), 2), (), generator=self._random))
        other = (torch.arange(count) + shift) % len(gallery)
        two = ~same[torch.arange(count), other]
        mated = self._logit(asked, held[:count])
        apart = self._logit(asked[two], held[other[two]])
        return softplus(-mated).mean() + (softplus(apart).sum() / max(int(two.sum()), 1))

    def _numbers(self, rows: Tensor) -> Tensor:
        return torch.sigmoid(self.layer(rows))

    def _logit(self, one: Tensor, other: Tensor) -> Tensor:
        return self.bias - (one - other).abs() @ softplus(self.strength) / SCALE
