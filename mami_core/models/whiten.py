"""`whiten`: frozen ImageNet networks, features of several depths, and a linear map a modality.

The maps are fitted in closed form (`mami_core.closed_form`); no gradient is taken. What an encoder
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
    components
        How many principal components of the features all modalities share.
    features
        Width of an embedding.
    sets
        The modality of each set that the maps were fitted on.
    """

    trunks: tuple[str, ...] = ("tf_efficientnet_lite0", "tf_efficientnet_lite2")
    sizes: tuple[int, ...] = (224, 320)
    image: int = 320
    components: int = 1024
    features: int = 1024
    sets: tuple[str, ...] = ("xray",)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Those of which there is a map."""
        return tuple(sorted(set(self.sets)))


@dataclass(frozen=True)
class Whitened:
    """What the encoder says of a batch.

    Attributes
    ----------
    identity
        ``(B, D)``; compare by cosine.
    kind
        Place in `WhitenConfig.modalities` of the map that was taken, ``(B,)``.
    pooled
        Features of all depths before the linear maps, ``(B, P)``.
    """

    identity: Tensor
    kind: Tensor
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
    """The encoder. Input: ``(B, 3, S, S)`` in 0..1, S the configured `image`.

    Which modality's map a picture gets is told from the picture: that of the set whose mean is
    nearest among the principal components.
    """

    centres: Tensor
    maps: Tensor
    offsets: Tensor

    def __init__(self, config: WhitenConfig) -> None:
        super().__init__()
        self.config = config
        self.networks = nn.ModuleList(Depths(name) for name in config.trunks)
        #: Widths of the parts of `Whitened.pooled`, one a network.
        self.depths = tuple(int(one.width) for one in self.networks)  # type: ignore[arg-type]
        kinds, width = len(config.modalities), config.components
        self.axes = nn.Linear(sum(self.depths), width)
        self.register_buffer("centres", torch.zeros(len(config.sets), width))
        self.register_buffer("maps", torch.zeros(kinds, config.features, width))
        self.register_buffer("offsets", torch.zeros(kinds, config.features))

    def forward(self, images: Tensor) -> Whitened:
        """Embeddings of a batch."""
        pooled = torch.cat(
            [
                network(_resized(images, size))
                for network, size in zip(self.networks, self.config.sizes, strict=True)
            ],
            dim=1,
        )
        reduced = self.axes(pooled)
        nearest = (reduced[:, None] - self.centres).square().sum(dim=2).argmin(dim=1).tolist()
        names, sets = self.config.modalities, self.config.sets
        kind = torch.tensor([names.index(sets[one]) for one in nearest], device=images.device)
        every = torch.einsum("bc,mdc->bmd", reduced, self.maps) + self.offsets
        return Whitened(every[torch.arange(len(kind)), kind], kind, pooled)


def _resized(images: Tensor, size: int) -> Tensor:
    if images.shape[-1] == size:
        return images
    return nn.functional.interpolate(
        images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
