"""The medical encoder: what a diagnosis needs of an image, as key features and finding
probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mami_core.models.encoder import MEAN, STD, widths


@dataclass(frozen=True)
class MedicalConfig:
    """Sizes of the medical encoder; `findings` names the outputs."""

    findings: tuple[str, ...]
    trunk: str = "tf_efficientnet_lite0"
    image: int = 224
    width: int = 192
    queries: int = 8


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
    """A convolutional trunk, key features by attention pooling (paper, Eq. 1), and finding heads.

    Input: ``(B, 3, S, S)`` in 0..1, S the configured size.
    """

    mean: Tensor
    std: Tensor
    slope: Tensor
    offset: Tensor

    def __init__(self, config: MedicalConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk: Any = timm.create_model(
            config.trunk, pretrained=False, features_only=True, out_indices=(3, 4)
        )
        channels = widths(self.trunk)
        self.project = nn.Conv2d(sum(channels), config.width, 1)
        self.norm = nn.LayerNorm(config.width)
        self.queries = nn.Parameter(torch.randn(config.queries, config.width))
        self.key = nn.Linear(config.width, config.width)
        self.heads = nn.Linear(config.queries * config.width, len(config.findings))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        # Platt scaling, fitted on `val`.
        self.register_buffer("slope", torch.ones(len(config.findings)))
        self.register_buffer("offset", torch.zeros(len(config.findings)))

    def forward(self, images: Tensor) -> Medical:
        """Key features and finding logits of a batch."""
        middle, late = self.trunk((images - self.mean) / self.std)
        late = nn.functional.interpolate(late, size=middle.shape[2:], mode="nearest")
        grid = self.project(torch.cat([middle, late], dim=1)).flatten(2).transpose(1, 2)
        grid = self.norm(grid)
        scores = self.queries @ self.key(grid).transpose(1, 2) / grid.shape[2] ** 0.5
        keys = scores.softmax(dim=2) @ grid
        return Medical(keys, self.heads(keys.flatten(1)), grid)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Calibrated probabilities, for the prior of the validation samples."""
        return torch.sigmoid(logits * self.slope + self.offset)
