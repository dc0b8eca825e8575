"""Where the random draws of a step come from: (seed, step, process), and nothing else."""

from __future__ import annotations

import numpy as np
import torch

from mami_core.training.parallel import rank


class Draws:
    """The generators of one step; two of the same (seed, step) draw the same numbers."""

    def __init__(self, seed: int, step: int) -> None:
        # The first process draws as one that is alone.
        others = [rank()] if rank() else []
        self.choice = np.random.default_rng([seed, step, *others])
        self.torch = torch.Generator().manual_seed(seed * 1_000_003 + step + rank() * 10**15)

    def uniform(self, *shape: int) -> torch.Tensor:
        """Uniform in 0..1."""
        return torch.rand(*shape, generator=self.torch)

    def centred(self, *shape: int) -> torch.Tensor:
        """Uniform in -1/2..1/2."""
        return self.uniform(*shape) - 0.5

    def normal(self, *shape: int) -> torch.Tensor:
        """Standard normal."""
        return torch.randn(*shape, generator=self.torch)
