"""`whiten`: frozen ImageNet networks, their features of several depths, and one linear map.

The map is fitted in closed form (`mami_core.closed_form`); no gradient is taken. What an encoder
that was trained for hours has to beat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

#: Stages whose maps are averaged beside the last one (strides 8 and 16).
EARLY = (2, 3)
#: Weight of the last map's maximum beside its mean.
MAXIMUM_SHARE = 0.3


@dataclass(frozen=True)
class WhitenConfig:
    """Sizes of the encoder.

    Attributes
    ----------
    trunks
        timm's names of convolutional networks.
    sizes
        Side of the pictures that each of them sees.
    image
        Side of the pictures that go in, the largest of `sizes`.
    features
        Width of an embedding.
    """

    trunks: tuple[str, ...] = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")
    sizes: tuple[int, ...] = (224, 320)
    image: int = 320
    features: int = 1024


@dataclass(frozen=True)
class Whitened:
    """What the encoder says of a batch.

    Attributes
    ----------
    identity
        ``(B, D)``; compare by cosine.
    pooled
        Features of all depths before the linear map, ``(B, P)``.
    """

    identity: Tensor
    pooled: Tensor


class Depths(nn.Module):
    """One frozen network: means of two early maps, then maximum and mean of the last.

    Attributes
    ----------
    width
        Of the features; the last map's mean stands at their end.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trunk: str) -> None:
        super().__init__()
        network: Any = timm.create_model(trunk, pretrained=False, num_classes=0)
        self.trunk: Any = network.to(memory_format=torch.channels_last)
        early = [network.feature_info[stage]["num_chs"] for stage in EARLY]
        self.width = sum(early) + 2 * int(network.num_features)
        for name in ("mean", "std"):
            value = torch.tensor(network.default_cfg[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in 0..1 to ``(B, width)``."""
        normal = (images - self.mean) / self.std
        last, early = self.trunk.forward_intermediates(normal, indices=EARLY)
        means = [one.mean(dim=(2, 3)) for one in (*early, last)]
        return torch.cat([*means[:2], MAXIMUM_SHARE * last.amax(dim=(2, 3)), means[2]], dim=1)


class Whiten(nn.Module):
    """The encoder. Input: ``(B, 3, S, S)`` in 0..1, S the configured `image`."""

    def __init__(self, config: WhitenConfig) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleList(Depths(name) for name in config.trunks)
        #: Widths of the parts of `Whitened.pooled`, one a network.
        self.depths = tuple(int(one.width) for one in self.networks)  # type: ignore[arg-type]
        self.head = nn.Linear(sum(self.depths), config.features)

    def forward(self, images: Tensor) -> Whitened:
        """Embeddings of a batch."""
        pooled = torch.cat(
            [
                network(_resized(images, size))
                for network, size in zip(self.networks, self.config.sizes, strict=True)
            ],
            dim=1,
        )
        return Whitened(self.head(pooled), pooled)


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[-1] == size:
        return images
    return nn.functional.interpolate(
        images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
