"""The bundled encoder, whose last stage is trained with the head."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.mami import WEIGHTS
from deid.audit.attackers.registry import Attacker, attacker

if TYPE_CHECKING:
    from deid.audit.last_stage import LastStage
    from deid.audit.matching import Matcher, Training
    from mami_core.weights import Weights

NAME = "stage"
#: Of AdamW, for the weights of the stage.
RATE = 3e-4


@attacker(NAME, needs=f"bundled weights {WEIGHTS}", gradient=True)
def stage(device: str) -> Attacker:
    """The head of `trained`, and under it the last block of mami, which learns too."""
    from mami_core.weights import load

    return of_encoder(load(WEIGHTS), device)


def of_encoder(loaded: Weights, device: str) -> Attacker:
    """An identity encoder of ours that has transformer blocks."""
    from deid.audit.last_stage import LastStage, rows
    from mami_core.device import chosen
    from mami_core.evaluation.embed import in_batches
    from mami_core.models.stage import Stage

    model: Any = loaded.model
    last = LastStage(model.depths, model.config.width, RATE, loaded.sha256, Stage(model))
    where = chosen(device)
    model.to(where)
    look = in_batches(lambda pictures: rows(model(pictures)), where)

    def embed(pictures: NDArray[np.uint8]) -> NDArray[Any]:
        return look(pictures).astype(np.float16)

    return Attacker(embed, int(loaded.facts["image"]), fit=partial(fitted, last=last))


def fitted(training: Training, last: LastStage) -> Matcher:
    """What a gradient makes of the stage and adds to the closed form, or the closed form alone.

    As `deid.audit.attackers.trained.fitted` learns a head, and both together.
    """
    from deid.audit.gradient import learnt
    from deid.audit.heads import Residual
    from deid.audit.learner import Recipe

    # Of nih's own patients behind a blur most was found after 16 to 40 such steps, at any rate of
    # the stage from 1e-4 to 1e-3. Three times the people a step cost three times as much, and found
    # no more there (0.588 in place of 0.590) and hardly more on lidc (0.634, 0.629).
    return learnt(training, Recipe(Residual, 3e-4, 1.0, stops=5, every=8, people=32, below=last))
