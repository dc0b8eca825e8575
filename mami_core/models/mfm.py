"""The medical encoder: what a diagnosis needs of an image, as key features and finding
probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mami_core.models.encoder import MEAN, STD, widths
from mami_core.models.of_timm import local, rebuilt


@dataclass(frozen=True)
class MedicalConfig:
    """Sizes of the medical encoder; `findings` names the outputs.

    Attributes
    ----------
    trunk
        By timm's name.
    image
        Side of the pictures.
    own
        Of a trunk that a user gave, which stays frozen: its `mami_core.models.of_timm.plan`. Empty
        for ours.
    """

    findings: tuple[str, ...]
    trunk: str = "tf_efficientnet_lite0"
    image: int = 224
    width: int = 192
    queries: int = 8
    # Out of the text by which a training is known again: those that were begun without it go on.
    own: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)


@dataclass(frozen=True)
class Medical:
    """What the medical encoder says of a batch.

    Attributes
    ----------
    keys
        Key features, ``(B, N, D)`` (paper, section 3.3).
    logits
        ``(B, K)``, one a finding, before calibration.
    tokens
        Local features, ``(B, N', D)``: what the key features are pooled from.
    """

    keys: Tensor
    logits: Tensor
    tokens: Tensor


class MedicalEncoder(nn.Module):
    """A trunk, key features by attention pooling (paper, Eq. 1), and finding heads.

    Input: ``(B, 3, S, S)`` in 0..1, S the configured size.

    Parameters
    ----------
    trunk
        The user's own, where it is at hand: else it is built without its weights. It stays in
        evaluation mode and has no gradient of its own; pictures have theirs through it.
    """

    mean: Tensor
    std: Tensor
    slope: Tensor
    offset: Tensor

    def __init__(self, config: MedicalConfig, trunk: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        mean, std = MEAN, STD
        if config.own:
            told = config.own["told"]
            mean, std = told["mean"], told["std"]
            network: Any = rebuilt(config.own) if trunk is None else trunk
            self.trunk: Any = network.eval().requires_grad_(False)
            with torch.no_grad():
                probe = torch.zeros(1, 3, config.image, config.image)
                channels = self._local(probe).shape[2]
            self.project: nn.Module = nn.Linear(channels, config.width)
        else:
            self.trunk = timm.create_model(
                config.trunk, pretrained=False, features_only=True, out_indices=(3, 4)
            )
            self.project = nn.Conv2d(sum(widths(self.trunk)), config.width, 1)
        self.norm = nn.LayerNorm(config.width)
        self.queries = nn.Parameter(torch.randn(config.queries, config.width))
        self.key = nn.Linear(config.width, config.width)
        # A trunk of one's own may be trained on pictures of which no finding is known.
        self.heads = (
            nn.Linear(config.queries * config.width, len(config.findings))
            if config.findings or not config.own
            else None
        )
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        # Platt scaling, fitted on `val`.
        self.register_buffer("slope", torch.ones(len(config.findings)))
        self.register_buffer("offset", torch.zeros(len(config.findings)))

    def forward(self, images: Tensor) -> Medical:
        """Key features and finding logits of a batch."""
        grid = self.norm(self._map((images - self.mean) / self.std))
        scores = self.queries @ self.key(grid).transpose(1, 2) / grid.shape[2] ** 0.5
        keys = scores.softmax(dim=2) @ grid
        logits = keys.new_zeros(len(keys), 0) if self.heads is None else self.heads(keys.flatten(1))
        return Medical(keys, logits, grid)

    def _map(self, images: Tensor) -> Tensor:
        """What the trunk sees, as tokens of the configured width."""
        if self.config.own:
            return self.project(self._local(images))
        middle, late = self.trunk(images)
        late = nn.functional.interpolate(late, size=middle.shape[2:], mode="nearest")
        return self.project(torch.cat([middle, late], dim=1)).flatten(2).transpose(1, 2)

    def _local(self, images: Tensor) -> Tensor:
        return local(self.trunk, self.trunk.forward_features(images))

    def train(self, mode: bool = True) -> MedicalEncoder:
        """A user's own trunk stays as it is."""
        super().train(mode)
        if self.config.own:
            self.trunk.eval()
        return self

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, for the prior of the validation samples."""
        return torch.sigmoid(logits * self.slope + self.offset)
