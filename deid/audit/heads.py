"""What attackers learn by gradient on top of the closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from mami_core.models.verifier import NUMBERS, Verifier

#: Of InfoNCE.
TEMPERATURE = 0.1


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
    """A row through one layer, and the verifier of Packhaeuser et al. on what that gives.

    He trains a ResNet-50 under it. Both roles go through the same layer, after the closed form has
    carried either to one space.

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
        self.verifier = Verifier()
        # Draws of its own: nobody else's change what it learns.
        self._random = torch.Generator().manual_seed(int(torch.randint(2**31, ())))

    def embed(self, rows: Tensor, side: int) -> Tensor:
        """Rows to codes (see `Verifier.code`)."""
        return self.verifier.code(self.layer(rows))

    def loss(self, query: Tensor, gallery: Tensor, same: Tensor) -> Tensor:
        """See `Verifier.loss`; who is compared with whom is drawn."""
        shift = int(torch.randint(1, max(len(gallery), 2), (), generator=self._random))
        return self.verifier.loss(self.layer(query), self.layer(gallery), same, shift)
