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

from mami_core.models.of_timm import local
from mami_core.weights import WeightsError

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

    The early ones of a pyramid are the two before its last (strides 8 and 16); where all maps are
    of one size (a transformer's blocks), those at half and at three quarters.

    Parameters
    ----------
    network
        One of timm's, without its classifier.

    Attributes
    ----------
    width
        Of the features; the last map's mean stands at their end.
    side
        Of the pictures that the network was made for.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.trunk: Any = network.to(memory_format=torch.channels_last)
        told = network.feature_info
        stages = told if isinstance(told, list) else told.info
        count = len(stages)
        one_size = stages[0]["reduction"] == stages[-1]["reduction"]
        self.early = [count // 2 - 1, 3 * count // 4 - 1] if one_size else [count - 3, count - 2]
        widths = [stages[stage]["num_chs"] for stage in self.early]
        self.width = sum(widths) + 2 * int(network.num_features)
        fed = network.pretrained_cfg
        self.side = int(fed["input_size"][-1])
        for name in ("mean", "std"):
            value = torch.tensor(fed[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, S, S)`` in 0..1 to ``(B, width)``."""
        normal = (images - self.mean) / self.std
        last, early = self.trunk.forward_intermediates(normal, indices=self.early)
        means = [one.mean(dim=(2, 3)) for one in early]
        ends = local(self.trunk, last)
        return torch.cat([*means, MAXIMUM_SHARE * ends.amax(dim=1), ends.mean(dim=1)], dim=1)


def depths(network: Any) -> Depths:
    """The features of any network of timm, frozen, once they are seen to be what they should be.

    Raises
    ------
    WeightsError
        Where it gives none of several depths.
    """
    try:
        found = Depths(network).eval().requires_grad_(False)
        with torch.inference_mode():
            seen = found(torch.zeros(1, 3, found.side, found.side))
    except Exception as error:
        # What a network lacks, it says in words of its own.
        raise _without_depths(network) from error
    if seen.shape[1] != found.width:
        raise _without_depths(network)
    return found


def _without_depths(network: Any) -> WeightsError:
    name = network.pretrained_cfg["architecture"]
    return WeightsError(f"timm's '{name}' gives no features of several depths; name another")


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
        self.networks = nn.ModuleList(
            Depths(timm.create_model(name, num_classes=0)) for name in config.trunks
        )
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
                network(resized(images, size))
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


def resized(images: Tensor, size: int) -> Tensor:
    """Square images ``(B, C, S, S)`` at another size."""
    if images.shape[-1] == size:
        return images
    return nn.functional.interpolate(
        images, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )
