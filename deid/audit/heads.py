"""What attackers learn by gradient on top of the closed form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

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
