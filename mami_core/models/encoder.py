"""MaMI, the identity encoder: a vision transformer whose layers are adjusted to each image by
ComPA.

The patch embedding of size `tiny` is a convolutional trunk with ImageNet weights down to stride 16
(few medical images can not teach a transformer its first layers); contexts for ComPA come from the
raw patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mami_core.models.compa import Factors, ModalityContext, ParameterNet

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Config:
    """Sizes of an encoder (paper, sections 3.2 and 4.1: L = 32, rank 16, 64 groups)."""

    trunk: str = "tf_efficientnet_lite0"
    image: int = 224
    width: int = 192
    depth: int = 4
    heads: int = 3
    bases: int = 32
    rank: int = 16
    groups: int = 64
    hidden: int = 256
    features: int = 512
    classes: tuple[str, ...] = ("xray/chest", "fundus/eye", "ct/chest", "ct/head")


SIZES = {"tiny": Config()}


@dataclass(frozen=True)
class Identity:
    """What the encoder says of a batch.

    Attributes
    ----------
    identity
        ``(B, D)``, the mean of `tokens`; compare by cosine.
    tokens
        ``(B, N, D)``, one a patch.
    modality
        M, ``(B, width)``.
    weights
        Probabilities over the pseudo modalities, ``(B, L)``.
    pooled
        Means of all depths before the last linear map, ``(B, P)``: what that map is fitted on.
    """

    identity: Tensor
    tokens: Tensor
    modality: Tensor
    weights: Tensor
    pooled: Tensor


def widths(trunk: Any) -> list[int]:
    """Channels of the maps that a trunk gives."""
    found: list[int] = trunk.feature_info.channels()
    return found


class Block(nn.Module):
    """Attention and feed-forward layer whose q, k, v and first FFN layer take low-rank updates."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, attention: list[Factors], ffn: list[Factors]) -> Tensor:
        """``(B, N, width)`` to the same."""
        y = self.norm1(x)
        qkv = self.qkv(y) + attention[0].update(y)
        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in qkv.chunk(3, dim=2)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + self.out(mixed)
        y = self.norm2(x)
        return x + self.fc2(nn.functional.gelu(self.fc1(y) + ffn[0].update(y)))


class MaMI(nn.Module):
    """The identity encoder.

    Input: ``(B, 3, S, S)`` in 0..1, S the configured size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.trunk: Any = timm.create_model(
            config.trunk, pretrained=False, features_only=True, out_indices=(2, 3, 4)
        )
        channels = widths(self.trunk)
        side = config.image // 16
        self.embed = nn.Conv2d(channels[1], config.width, 1)
        self.position = nn.Parameter(0.02 * torch.randn(1, side * side, config.width))
        self.context = ModalityContext(config.width, config.bases)
        w = config.width
        nets: dict[str, Any] = {
            "rank": config.rank,
            "hidden": config.hidden,
            "groups": config.groups,
        }
        self.attention_net = ParameterNet(w, ((w, 3 * w),), config.depth, **nets)
        self.ffn_net = ParameterNet(w, ((w, 4 * w),), config.depth, **nets)
        self.blocks = nn.ModuleList(Block(w, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(w)
        self.head = nn.Linear(sum(channels) + w, config.features)
        # The middle of the identities differs by modality, and cosine sees it: M says which.
        self.centre = nn.Linear(config.bases, config.features, bias=False)
        nn.init.zeros_(self.centre.weight)
        self.modality_head = nn.Linear(w, len(config.classes))
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Identity:
        """Identity features of a batch (paper, section 3.2, "Feature Extraction")."""
        modality, weights = self.context(images - 0.5)
        maps = self.trunk((images - self.mean) / self.std)
        x = self.embed(maps[1]).flatten(2).transpose(1, 2) + self.position
        attention, ffn = self.attention_net(modality), self.ffn_net(modality)
        for block, a, f in zip(self.blocks, attention, ffn, strict=True):
            x = block(x, a, f)
        # All depths on the grid of the patches; the mean over it commutes with the linear map.
        side = maps[1].shape[2:]
        early = nn.functional.avg_pool2d(maps[0], 2)
        late = nn.functional.interpolate(maps[2], size=side, mode="nearest")
        grid = torch.cat([early, maps[1], late], dim=1).flatten(2).transpose(1, 2)
        grid = torch.cat([grid, self.norm(x)], dim=2)
        tokens = self.head(grid) + self.centre(weights)[:, None]
        return Identity(tokens.mean(dim=1), tokens, modality, weights, grid.mean(dim=1))
