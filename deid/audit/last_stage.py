"""The last stage of the bundled encoder, which learns under the closed form, on a CPU.

All below it stays, and what enters it is looked at once: a row holds the features of all depths,
then what the stage reads. That is coarser than the encoder's own (four patches made one: 22 kB an
image and form in place of 76, and a quarter of the time). So to the features is added what the
stage makes of it now, less what it made of it at first: until it has learnt, the closed form finds
what it finds without a stage.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from deid.audit.forms import Read
from deid.audit.matching import Training
from mami_core.models.encoder import Identity
from mami_core.models.stage import Stage, coarse

#: Images that the stage looks at together.
AT_ONCE = 64


def rows(seen: Identity) -> Tensor:
    """What an attacker keeps of a batch, ``(B, 2 d + width + N / 4 width)``, in half precision.

    The features come in two, the second what the first leaves of them: faint differences of
    pictures tell people apart too, and half precision alone would lose these.
    """
    main = seen.pooled.half()
    rest = seen.pooled - main.float()
    parts = (main, rest, seen.modality, coarse(seen.entering).flatten(1))
    return torch.cat([part.half() for part in parts], dim=1)


@dataclass(frozen=True)
class LastStage:
    """The stage as it was trained, by the rows that `rows` makes.

    Attributes
    ----------
    depths
        Widths of the parts of the features.
    width
        Of the modality and of each token.
    rate
        Of AdamW.
    sha256
        Of the encoder's weights.
    stage
        On the CPU.
    """

    depths: tuple[int, ...]
    width: int
    rate: float
    sha256: str
    stage: Stage = field(repr=False)

    def features(self, table: NDArray[Any]) -> NDArray[Any]:
        """The features of all depths, ``(n, d)``."""
        main, rest, _ = np.split(table, [sum(self.depths), 2 * sum(self.depths)], axis=1)
        found: NDArray[Any] = main.astype(np.float32) + rest
        return found

    def by_features(self, training: Training) -> Training:
        """What the features alone teach."""
        return replace(
            training,
            query=[self.features(draw) for draw in training.query],
            gallery=[self.features(draw) for draw in training.gallery],
            original=self.features(training.original),
            depths=self.depths,
        )

    def read(self, table: NDArray[Any]) -> Read:
        """What stands behind them, and what the stage makes of it as it was trained."""
        inputs = torch.from_numpy(table[:, 2 * sum(self.depths) :])
        with torch.no_grad():
            first = [self.seen(self.stage, part) for part in inputs.split(AT_ONCE)]
        return Read(inputs, torch.cat(first))

    def build(self) -> Moving:
        """One that will learn."""
        return Moving(self)

    def seen(self, stage: Any, inputs: Tensor) -> Tensor:
        """What a stage makes of inputs ``(n, t)``: ``(n, width)``."""
        modality, tokens = inputs.float().split([self.width, inputs.shape[1] - self.width], dim=1)
        found: Tensor = stage(tokens.unflatten(1, (-1, self.width)), modality)
        return found


class Moving(nn.Module):
    """The stage, each of whose weights is what it was and what was learnt: so it decays to that."""

    def __init__(self, start: LastStage) -> None:
        super().__init__()
        self._start = start
        self._still = {
            name: one.detach() for name, one in start.stage.named_parameters() if one.requires_grad
        }
        self.moves = nn.ParameterList(torch.zeros_like(one) for one in self._still.values())

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, t)`` to ``(n, width)``."""
        now = {
            name: one + move
            for (name, one), move in zip(self._still.items(), self.moves, strict=True)
        }
        return self._start.seen(
            lambda *parts: functional_call(self._start.stage, now, parts), inputs
        )
