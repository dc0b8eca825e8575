"""Maps of some modalities' own, which add to the last layer that all modalities share.

One whitening for all modalities has to do without the pairs within one scan, which differ by far
more than visits do, and so finds fewer people by CT than the closed form does on CT alone. A
modality with a map of its own is whitened by itself, on all that the last layer may read: early
maps too, which in CT tell scanner and kernel. Kept is what that adds to the common map: nothing
where it was not fitted. Pictures of other modalities are mapped as without it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

#: How far from the middle of a set a picture of its kind may lie: noise and textures lie beyond,
#: and few of our own pictures do (2 % of lidc).
FARTHEST = 1.3


class OwnMaps(nn.Module):
    """What is added to the map of all modalities.

    Whether a picture is of one of the modalities is told from the picture, by the set whose centre
    is nearest in the pooled features: root mean square, each feature in units of its spread in the
    set. What lies beyond `FARTHEST` of all of them gets no map: an X-ray under noise is nearer to
    CT than to X-rays (measured), and has to be comparable with its original.

    Parameters
    ----------
    own
        The modalities that have a map.
    sets
        The modality of each set whose centre is kept.
    seen, read, features
        P, F, and how many numbers the maps give.

    Attributes
    ----------
    centres, spread
        The middle of each set's features and how much they vary, ``(sets, P)``.
    weight, bias
        The maps, ``(own, features, F)`` and ``(own, features)``.
    """

    place: Tensor
    centres: Tensor
    spread: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(
        self, own: Sequence[str], sets: Sequence[str], seen: int, read: int, features: int
    ) -> None:
        super().__init__()
        # By set the place of its modality's map, and -1 for those that have none.
        place = torch.tensor([own.index(one) if one in own else -1 for one in sets])
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("centres", torch.zeros(len(sets), seen))
        self.register_buffer("spread", torch.ones(len(sets), seen))
        self.register_buffer("weight", torch.zeros(len(own), features, read))
        self.register_buffer("bias", torch.zeros(len(own), features))

    def clear(self) -> None:
        """Add nothing."""
        for one in (self.weight, self.bias):
            one.zero_()

    def which(self, pooled: Tensor) -> Tensor:
        """The place of the map of each picture's modality, -1 for none: ``(B,)``."""
        away = (pooled[:, None] - self.centres) / self.spread
        distance, near = away.square().mean(dim=2).sqrt().min(dim=1)
        return torch.where(distance <= FARTHEST, self.place[near], -1)

    def forward(self, common: Tensor, rows: Tensor, pooled: Tensor) -> Tensor:
        """What the common map made of `rows`, with what the maps of the pictures add.

        Parameters
        ----------
        common
            ``(B, D)`` or ``(B, N, D)``.
        rows
            What the last layer may read, ``(B, F)`` or ``(B, N, F)``.
        pooled
            The means of the features, ``(B, P)``.
        """
        which = self.which(pooled)
        for place in range(len(self.bias)):
            members = torch.nonzero(which == place)[:, 0]
            if len(members):
                more = linear(rows[members], self.weight[place], self.bias[place])
                common = common.index_add(0, members, more.to(common.dtype))
        return common
