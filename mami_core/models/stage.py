"""The last stage of the encoder by itself: it can learn anew where all below it stays as it was."""

from __future__ import annotations

import copy
from math import isqrt
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from mami_core.models.encoder import MaMI


class Stage(nn.Module):
    """The last block with the updates that ComPA makes for each image, its norm, and the mean.

    Copies of an encoder's own; the nets that make ComPA's updates serve all blocks, and stay.

    Raises
    ------
    ValueError
        Where the encoder has no block, or a class token among its patches.
    """

    def __init__(self, model: MaMI) -> None:
        super().__init__()
        if not model.blocks or model.config.clip:
            raise ValueError("an encoder without a block of patches alone has no last stage")
        self.block: Any = copy.deepcopy(model.blocks[-1]).requires_grad_(True)
        self.norm = copy.deepcopy(model.norm).requires_grad_(True)
        nets = [net for net in (model.attention_net, model.ffn_net) if net is not None]
        self.nets = nn.ModuleList(copy.deepcopy(net).requires_grad_(False) for net in nets)

    def forward(self, tokens: Tensor, modality: Tensor) -> Tensor:
        """``(B, N, width)`` and M ``(B, width)`` to the part of `Identity.pooled` at its end."""
        updates = {name: one for net in self.nets for name, one in net(modality)[-1].items()}
        return self.norm(self.block(tokens, updates)).mean(dim=1)


def coarse(tokens: Tensor) -> Tensor:
    """Tokens of a square grid ``(B, N, width)``, four by four made one: ``(B, N / 4, width)``."""
    side = isqrt(tokens.shape[1])
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))
    return avg_pool2d(grid, 2).flatten(2).transpose(1, 2)
