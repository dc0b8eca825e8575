"""Run by torchrun: train the toy of test_parallel.py and keep what this process ended with."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mami_core.models.remover import Remover, RemoverConfig
from mami_core.training import Budget, train
from mami_core.training.draws import Draws
from mami_core.training.parallel import rank


class Toy:
    """Fits one layer to the mean of what is drawn."""

    kind, start, identity = "remover", "starting from nowhere", "a"

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.model = self.learner = Remover(RemoverConfig(image=64))

    def groups(self) -> list[dict[str, Any]]:
        """The layer alone."""
        return [{"params": [*self.model.spread.parameters()], "lr": 0.05}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Another one in each process."""
        drawn = Draws(0, step).normal(4, 16)
        return ((self.model.spread(drawn) - drawn.mean()) ** 2).mean(), {
            "drawn": drawn.sum().item()
        }

    def facts(self) -> dict[str, Any]:
        """None."""
        return {"strength": 0.5}


def main(output: Path) -> None:
    """Train three steps."""
    toys: list[Toy] = []

    def make() -> Toy:
        toys.append(Toy())
        return toys[0]

    train(make, Budget(steps=3), output / "out", device="cpu")
    torch.save(toys[0].model.spread.state_dict(), output / f"{rank()}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
