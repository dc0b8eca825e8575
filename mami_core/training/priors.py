"""Medical priors: key features of two networks, and the alignment of their differences (paper,
section 3.3).

Only training needs this: nothing of it is in an encoder's weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np
import torch
from torch import Tensor, nn

from mami_core.training.losses import alignment

FEATURES = ("selected", "local", "global")
RELATIONS = ("subtraction", "mlp", "none")
#: Side of the grid on which local features of two networks meet.
GRID = 7


@dataclass(frozen=True)
class Alignment:
    """How the priors are learned; the defaults are the paper's, the rest rows of its table 8.

    Attributes
    ----------
    share
        Lambda, the weight of the term (Eq. 4).
    features
        One of `FEATURES`: what is compared of an image.
    relation
        One of `RELATIONS`: what is compared of two images; ``none`` compares single ones.
    queries
        N.
    pairs
        At most so many pairs of a batch.
    temperature
        Tau (Eq. 3).
    """

    share: float = 0.01
    features: str = "selected"
    relation: str = "subtraction"
    queries: int = 8
    pairs: int = 256
    temperature: float = 0.07

    def __post_init__(self) -> None:
        if self.features not in FEATURES or self.relation not in RELATIONS:
            raise ValueError(
                f"features are one of {', '.join(FEATURES)}; relation of {', '.join(RELATIONS)}"
            )


class Priors(nn.Module):
    """Key features by attention pooling, for the encoder and for a guide of each modality.

    Parameters
    ----------
    modality
        Width of M.
    width
        Width of the encoder's tokens.
    guides
        By modality the width of its guide's tokens.
    free
        Whether query tokens are free parameters of each modality instead of a function of M: for an
        encoder without ComPA.
    """

    def __init__(
        self,
        modality: int,
        width: int,
        guides: Mapping[str, int],
        how: Alignment,
        *,
        free: bool = False,
    ) -> None:
        super().__init__()
        self.how = how
        self.project = nn.ModuleDict({n: nn.Linear(g, width) for n, g in guides.items()})
        self.free: nn.ParameterDict | None = None
        if how.features == "selected":
            count = how.queries * width
            self.key = nn.Linear(width, width)
            self.guide_key = nn.ModuleDict({name: nn.Linear(width, width) for name in guides})
            if free:
                self.free = nn.ParameterDict(
                    {name: torch.randn(how.queries, width) for name in guides}
                )
            else:
                self.to_queries = nn.Sequential(
                    nn.Linear(modality, width),
                    nn.GELU(),
                    nn.Linear(width, width),
                    nn.GELU(),
                    nn.Linear(width, count),
                )
        if how.relation == "mlp":
            self.relate = nn.ModuleList(_relation(width) for _ in range(2))

    def forward(
        self,
        tokens: Tensor,
        modality: Tensor,
        guide: Tensor,
        name: str,
        choice: np.random.Generator,
    ) -> Tensor:
        """The loss of a batch of one modality (Eq. 2 and 3).

        Parameters
        ----------
        tokens, modality
            What the encoder says, ``(B, N, D)`` and ``(B, W)``.
        guide
            Local features of the guide of modality `name`, ``(B, N', D')``.
        choice
            Draws the pairs where there are more than are compared.
        """
        ours, theirs = self._features(tokens, modality, self.project[name](guide), name)
        if self.how.relation == "none":
            return alignment(ours, theirs, self.how.temperature)
        first, second = np.triu_indices(len(ours), 1)
        if len(first) > self.how.pairs:
            drawn = choice.choice(len(first), self.how.pairs, replace=False)
            first, second = first[drawn], second[drawn]
        related = [
            self._related(features[first], features[second], side)
            for side, features in enumerate((ours, theirs))
        ]
        return alignment(related[0], related[1], self.how.temperature)

    def _features(
        self, tokens: Tensor, modality: Tensor, guide: Tensor, name: str
    ) -> tuple[Tensor, Tensor]:
        if self.how.features == "global":
            return tokens.mean(dim=1, keepdim=True), guide.mean(dim=1, keepdim=True)
        if self.how.features == "local":
            return _on_grid(tokens), _on_grid(guide)
        if self.free is not None:
            queries = self.free[name].expand(len(tokens), -1, -1)
        else:
            queries = self.to_queries(modality).unflatten(1, (self.how.queries, -1))
        return (
            pooled(queries, self.key(tokens), tokens),
            pooled(queries, self.guide_key[name](guide), guide),
        )

    def _related(self, first: Tensor, second: Tensor, side: int) -> Tensor:
        if self.how.relation == "mlp":
            related: Tensor = self.relate[side](torch.cat([first, second], dim=2))
            return related
        return first - second


def pooled(queries: Tensor, keys: Tensor, features: Tensor) -> Tensor:
    """Attention pooling (Eq. 1): queries ``(B, Q, D)``, keys and features ``(B, N, D)``."""
    scores = queries @ keys.transpose(1, 2) / queries.shape[2] ** 0.5
    return scores.softmax(dim=2) @ features


def _relation(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2 * width, width),
        nn.GELU(),
        nn.Linear(width, width),
        nn.GELU(),
        nn.Linear(width, width),
    )


def _on_grid(tokens: Tensor) -> Tensor:
    side = isqrt(tokens.shape[1])
    if side * side != tokens.shape[1]:
        raise ValueError("local features are compared on square grids only")
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))
    return nn.functional.adaptive_avg_pool2d(grid, GRID).flatten(2).transpose(1, 2)
