"""What learns by gradient: a head on the closed form, and where there is one a stage under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deid.audit.forms import Carried
from deid.audit.last_stage import LastStage
from deid.audit.linkages import ORIGINAL
from deid.audit.matching import Array, Training

#: Images that are embedded at a time.
AT_ONCE = 256


class Head(Protocol):
    """What is learnt on top of the closed form."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """What an optimiser moves; all that it learns is in them."""
        ...

    def loss(self, query: Tensor, gallery: Tensor, same: Tensor) -> Tensor:
        """Of one step.

        Parameters
        ----------
        query, gallery
            Rows ``(m, d)`` and ``(k, d)``, k at least m: the mate of query i is row i.
        same
            Which are of one person, ``(m, k)`` bool.
        """
        ...

    def embed(self, rows: Tensor, side: int) -> Tensor:
        """Rows ``(n, d)`` of queries (side 0) or of the gallery (1) to embeddings ``(n, e)``."""
        ...


@dataclass(frozen=True)
class Recipe:
    """How a head is learnt, and where there is one the stage under the closed form with it.

    Attributes
    ----------
    build
        A new head: of width d, and whether both roles are of one kind.
    rate, decay
        Of AdamW; the rate falls along half a cosine. A head decays to what it was built as.
    stops, every
        How often it is measured, and steps in between.
    falls_back
        Whether the closed form is kept where it is not beaten.
    people
        Of a step at most; as many images of other people are beside them.
    below
        The stage; None where only a head learns.
    """

    build: Callable[[int, bool], Head]
    rate: float
    decay: float
    stops: int
    every: int
    falls_back: bool = True
    people: int = 256
    below: LastStage | None = None


class Learner:
    """A head, and under the closed form a stage where there is one."""

    def __init__(self, recipe: Recipe, training: Training, width: int, *, seed: int) -> None:
        one_kind = (training.roles[0] == ORIGINAL) == (training.roles[1] == ORIGINAL)
        # Nobody else's draws change.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._head = recipe.build(width, one_kind)
        self._under = None if recipe.below is None else recipe.below.build()
        self._all = list(self._head.parameters())
        self.groups: list[dict[str, Any]] = [{"params": list(self._all), "lr": recipe.rate}]
        if recipe.below is not None and self._under is not None:
            under = list(self._under.parameters())
            self.groups.append({"params": under, "lr": recipe.below.rate})
            self._all += under

    def loss(self, query: Carried, gallery: Carried, same: Tensor) -> Tensor:
        """See `Head.loss`."""
        return self._head.loss(self._rows(query), self._rows(gallery), same)

    def embed(self, images: Carried, side: int) -> Array:
        """To embeddings ``(n, e)``."""
        with torch.no_grad():
            parts = [
                self._head.embed(self._rows(images.of(slice(low, low + AT_ONCE))), side)
                for low in range(0, len(images.rows), AT_ONCE)
            ]
            return torch.cat(parts).double().numpy()

    def take(self, parameters: Sequence[NDArray[Any]]) -> None:
        """What was learnt before."""
        with torch.no_grad():
            for parameter, values in zip(self._all, parameters, strict=True):
                parameter.copy_(torch.from_numpy(values))

    @property
    def parameters(self) -> list[NDArray[np.float32]]:
        """As they are now."""
        return [one.detach().numpy().copy() for one in self._all]

    def _rows(self, images: Carried) -> Tensor:
        if self._under is None or images.read is None:
            return images.rows
        return images.moved(self._under(images.read.inputs))
