"""The continuous modality-based parameter adapter, ComPA (paper, section 3.2).

From the raw 16 x 16 patches of an image comes one continuous modality representation M, and from M
the low-rank updates of all blocks' layers, for this image alone. Full matrices are never formed:
the update of a layer is ``(x A^T) B`` with ``A``, ``B`` of rank r.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

PATCH = 16
CONTEXTS = ("codebook", "free", "discrete")


@dataclass(frozen=True)
class Factors:
    """Low-rank factors of one layer for each image of a batch.

    Attributes
    ----------
    down
        ``(B, r, in)``.
    up
        ``(B, r, out)``.
    """

    down: Tensor
    up: Tensor

    def added(self, output: Tensor, tokens: Tensor) -> Tensor:
        """A layer's own output ``(B, N, out)`` for `tokens` ``(B, N, in)``, updated in place.

        A linear layer's gradient does not need its output, and a second one of that size would cost
        as much as the update.
        """
        kind = output.dtype
        low = tokens.to(kind) @ self.down.to(kind).transpose(1, 2)
        return output.baddbmm_(low, self.up.to(kind))


class GroupedLinear(nn.Module):
    """A linear layer in `groups` independent parts (paper, section 3.2, last layer of the
    PNets)."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        if inputs % groups or outputs % groups:
            raise ValueError(f"{inputs} and {outputs} must both be multiples of {groups} groups")
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(groups, inputs // groups, outputs // groups))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.normal_(self.weight, std=(inputs // groups) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs)`` to ``(B, outputs)``."""
        parts = torch.einsum("bgi,gio->bgo", x.unflatten(1, (self.groups, -1)), self.weight)
        return parts.flatten(1) + self.bias


class ModalityContext(nn.Module):
    """Raw patches to the continuous modality representation.

    Parameters
    ----------
    width
        Width of the contexts and of M.
    bases
        L, the number of pseudo modalities.
    kind
        One of `CONTEXTS`: ``codebook`` is the paper's; ``free`` takes the context itself as M;
        ``discrete`` takes the basis of the likeliest class alone (rows of the paper's table 6).
    """

    def __init__(self, width: int, bases: int, kind: str = "codebook") -> None:
        super().__init__()
        if kind not in CONTEXTS:
            raise ValueError(f"a context is one of {', '.join(CONTEXTS)}")
        self.kind = kind
        self.local = nn.Sequential(
            nn.Linear(3 * PATCH * PATCH, width), nn.GELU(), nn.Linear(width, width)
        )
        self.probabilities = nn.Sequential(
            nn.Linear(width, width), nn.GELU(), nn.Linear(width, bases)
        )
        self.bases = nn.Parameter(torch.randn(bases, width))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 3, H, W)`` to M ``(B, width)`` and the probabilities ``(B, L)``."""
        patches = nn.functional.unfold(images, PATCH, stride=PATCH).transpose(1, 2)
        first, activation, last = self.local
        # The mean over patches commutes with the last layer.
        context = last(activation(first(patches)).mean(dim=1))
        weights = self.probabilities(context).softmax(dim=1)
        if self.kind == "free":
            return context, weights
        if self.kind == "discrete":
            # The choice has no gradient; it is given that of the probabilities.
            chosen = nn.functional.one_hot(weights.argmax(dim=1), weights.shape[1])
            return (weights + (chosen - weights).detach()) @ self.bases, weights
        return weights @ self.bases, weights


class ParameterNet(nn.Module):
    """One PNet: M to the factors of a set of layers in all blocks, in one call.

    Parameters
    ----------
    width
        Width of M.
    layers
        By name (inputs, outputs) of each layer of a block that is updated.
    depth
        Number of blocks.

    Notes
    -----
    The update starts at zero, by zero `up` factors in the last layer's part that makes them, while
    the `down` factors start random: both get gradient from the second step on. (The published code
    starts with every factor at zero, from where no gradient leads away.)
    """

    def __init__(
        self,
        width: int,
        layers: dict[str, tuple[int, int]],
        depth: int,
        *,
        rank: int,
        hidden: int,
        groups: int,
    ) -> None:
        super().__init__()
        self.layers, self.depth, self.rank = layers, depth, rank
        downs = rank * depth * sum(inputs for inputs, _ in layers.values())
        ups = rank * depth * sum(outputs for _, outputs in layers.values())
        self.body = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.down = GroupedLinear(hidden, downs, groups)
        self.up = GroupedLinear(hidden, ups, groups)
        nn.init.normal_(self.down.bias, std=0.5)
        nn.init.zeros_(self.up.weight)

    def forward(self, modality: Tensor) -> list[dict[str, Factors]]:
        """``(B, width)`` to factors by block and layer."""
        hidden = self.body(modality)
        shape = (self.depth, self.rank, -1)
        sizes = self.layers.values()
        downs = self.down(hidden).unflatten(1, shape).split([size[0] for size in sizes], dim=3)
        ups = self.up(hidden).unflatten(1, shape).split([size[1] for size in sizes], dim=3)
        return [
            {
                name: Factors(down[:, block] * inputs**-0.5, up[:, block])
                for (name, (inputs, _)), down, up in zip(
                    self.layers.items(), downs, ups, strict=True
                )
            }
            for block in range(self.depth)
        ]
