"""MaMI, the identity encoder: a vision transformer whose layers are adjusted to each image by
ComPA.

The patch embedding of the sizes `tiny` and `small` is a convolutional trunk with ImageNet weights
down to stride 16 (few medical images can not teach a transformer its first layers); that of `base`
is the paper's, one convolution. Contexts for ComPA come from the raw patches in each of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mami_core.models.compa import Factors, ModalityContext, ParameterNet
from mami_core.models.own_maps import OwnMaps
from mami_core.models.verifier import NUMBERS, Verifier

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)

#: The layers of a block that ComPA may update, by the PNet that serves them (paper, section 3.2).
ATTENTION, FFN = ("qkv", "out"), ("fc1", "fc2")

#: Early maps see how a hospital takes its pictures: without them, and with the squares of the late
#: ones, a network finds more people of a hospital that it has not seen (card of `mami_tiny`).
LAST = ("all", "deep")


@dataclass(frozen=True)
class Config:
    """Sizes of an encoder (paper, sections 3.2 and 4.1: L = 32, rank 16, 64 groups).

    Attributes
    ----------
    trunk
        timm's name of a convolutional network; "" for one convolution over patches of 16.
    hidden
        Width of the PNets; a multiple of 128 can be had in 32, 64 and 128 groups.
    updates
        Layers that ComPA updates, of ``qkv``, ``out``, ``fc1``, ``fc2``; none is a plain ViT. (The
        paper says "attention and FFN"; its code updates the first layer of either.)
    context
        One of `mami_core.models.compa.CONTEXTS`.
    clip
        Whether class token, first norm and activation are CLIP's, whose weights then fit.
    verifier
        Whether images are compared as Packhaeuser et al. do, by `Verifier`, in place of the cosine
        of their features; there are `mami_core.models.verifier.NUMBERS` of these then.
    mean, std
        What the trunk was trained with.
    last
        What the last layer reads, one of `LAST`: the maps of ``all`` depths, or the two ``deep``
        ones and their squares.
    own
        Modalities whose pictures the last layer maps by `OwnMaps` as well.
    sets
        The modality of each set that it was trained on; without any there are no own maps.
    """

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
    updates: tuple[str, ...] = ("qkv", "fc1")
    context: str = "codebook"
    clip: bool = False
    verifier: bool = False
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD
    classes: tuple[str, ...] = ("xray/chest", "fundus/eye", "ct/chest", "ct/head")
    last: str = "all"
    own: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()


SIZES = {
    "tiny": Config(mean=HALF, std=HALF, last="deep", own=("ct",)),
    "small": Config(
        width=384, depth=6, heads=6, hidden=384, mean=HALF, std=HALF, last="deep", own=("ct",)
    ),
    # No transformer, another trunk: an outside judge of what was made against the others.
    "judge": Config(
        trunk="tf_efficientnet_lite2", image=192, depth=0, updates=(), mean=HALF, std=HALF
    ),
    "base": Config(
        trunk="",
        width=768,
        depth=12,
        heads=12,
        hidden=384,
        features=768,
        clip=True,
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    ),
}


@dataclass(frozen=True)
class Identity:
    """What the encoder says of a batch.

    Attributes
    ----------
    identity
        ``(B, D)``, the mean of `tokens`, or the verifier's code of it; compare by cosine.
    tokens
        ``(B, N, D)``, one a patch.
    modality
        M, ``(B, width)``; zeros without ComPA.
    weights
        Probabilities over the pseudo modalities, ``(B, L)``; zeros without ComPA.
    pooled
        Means of all depths before the last layer, ``(B, P)``.
    read
        Means of what the last layer may read, ``(B, F)``: what its maps are fitted on.
    entering
        What enters the last block, ``(B, N, width)``; the class token first, where there is one.
    """

    identity: Tensor
    tokens: Tensor
    modality: Tensor
    weights: Tensor
    pooled: Tensor
    read: Tensor
    entering: Tensor


def widths(trunk: Any) -> list[int]:
    """Channels of the maps that a trunk gives."""
    found: list[int] = trunk.feature_info.channels()
    return found


class QuickGELU(nn.Module):
    """CLIP's activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        if torch.is_grad_enabled():
            return x * torch.sigmoid(1.702 * x)
        return (1.702 * x).sigmoid_().mul_(x)


class Block(nn.Module):
    """Attention and feed-forward network, any of whose layers may take low-rank updates."""

    def __init__(self, width: int, heads: int, *, clip: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.activation: nn.Module = QuickGELU() if clip else nn.GELU()

    def forward(self, x: Tensor, updates: dict[str, Factors]) -> Tensor:
        """``(B, N, width)`` to the same; `updates` by the name of the layer."""

        def layer(name: str, tokens: Tensor) -> Tensor:
            output: Tensor = getattr(self, name)(tokens)
            return updates[name].added(output, tokens) if name in updates else output

        q, k, v = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in layer("qkv", self.norm1(x)).chunk(3, dim=2)
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        x = x + layer("out", mixed)
        return x + layer("fc2", self.activation(layer("fc1", self.norm2(x))))


class MaMI(nn.Module):
    """The identity encoder.

    Input: ``(B, 3, S, S)`` in 0..1, S the configured size.

    Raises
    ------
    ValueError
        A layer that there is not, groups that do not divide the widths, a verifier of another
        number of features, or deep maps of a network that has one map only.

    Attributes
    ----------
    depths, reads
        Widths of the parts of `Identity.pooled` and of `Identity.read`.
    level
        What the last layer divides `Identity.read` by, ``(F,)``.
    common
        Widths of the parts of that which the map of all modalities reads.
    """

    mean: Tensor
    std: Tensor
    level: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        w, count = config.width, (config.image // 16) ** 2
        channels: list[int] = []
        self.trunk: Any = None
        if config.trunk:
            self.trunk = timm.create_model(
                config.trunk, pretrained=False, features_only=True, out_indices=(2, 3, 4)
            )
            channels = widths(self.trunk)
            self.embed = nn.Conv2d(channels[1], w, 1)
        else:
            self.embed = nn.Conv2d(3, w, 16, stride=16, bias=not config.clip)
        self.depths = (*channels, w)
        self.reads, self.common = self._reads()
        self.position = nn.Parameter(0.02 * torch.randn(1, count + config.clip, w))
        if config.clip:
            self.token = nn.Parameter(0.02 * torch.randn(1, 1, w))
            self.first_norm = nn.LayerNorm(w)
        # What nothing would be updated by is not looked at.
        self.context: ModalityContext | None = None
        if config.updates:
            self.context = ModalityContext(w, config.bases, config.context)
            self.modality_head = nn.Linear(w, len(config.classes))
        self.attention_net = self._net(ATTENTION, {"qkv": (w, 3 * w), "out": (w, w)})
        self.ffn_net = self._net(FFN, {"fc1": (w, 4 * w), "fc2": (4 * w, w)})
        self.blocks = nn.ModuleList(
            Block(w, config.heads, clip=config.clip) for _ in range(config.depth)
        )
        self.norm = nn.LayerNorm(w)
        self.head = nn.Linear(sum(self.common), config.features)
        # Weights of squares would be too small for half precision without it.
        self.register_buffer("level", torch.ones(sum(self.reads)), persistent=self._deep)
        self.own: OwnMaps | None = None
        if config.own and config.sets:
            widths_of = sum(self.depths), sum(self.reads)
            self.own = OwnMaps(config.own, config.sets, *widths_of, config.features)
        self.verifier: Verifier | None = None
        if config.verifier:
            if config.features != NUMBERS:
                raise ValueError(f"a verifier compares {NUMBERS} features")
            self.verifier = Verifier()
        self.register_buffer("mean", torch.tensor(config.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(config.std).view(1, 3, 1, 1), persistent=False)

    @property
    def _deep(self) -> bool:
        return self.config.last == "deep"

    def _reads(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.config.last not in LAST:
            raise ValueError(f"the last layer reads one of {', '.join(LAST)}")
        if not self._deep:
            return self.depths, self.depths
        if len(self.depths) == 1:
            raise ValueError("a network without a convolutional trunk has no deep maps")
        return self.depths * 2, self.depths[-2:] * 2

    def _net(
        self, names: tuple[str, ...], shapes: dict[str, tuple[int, int]]
    ) -> ParameterNet | None:
        config = self.config
        if unknown := set(config.updates) - {*ATTENTION, *FFN}:
            raise ValueError(f"a block has no layer {', '.join(sorted(unknown))}")
        layers = {name: shapes[name] for name in names if name in config.updates}
        if not layers:
            return None
        return ParameterNet(
            config.width,
            layers,
            config.depth,
            rank=config.rank,
            hidden=config.hidden,
            groups=config.groups,
        )

    def forward(self, images: Tensor) -> Identity:
        """Identity features of a batch (paper, section 3.2, "Feature Extraction")."""
        modality, weights = self._context(images)
        updates: list[dict[str, Factors]] = [{} for _ in self.blocks]
        for net in (self.attention_net, self.ffn_net):
            if net is not None:
                updates = [a | b for a, b in zip(updates, net(modality), strict=True)]
        normal = (images - self.mean) / self.std
        maps = self.trunk(normal) if self.trunk is not None else []
        x = self.embed(maps[1] if maps else normal).flatten(2).transpose(1, 2)
        if self.config.clip:
            x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1)
        x = x + self.position
        if self.config.clip:
            x = self.first_norm(x)
        entering = x
        for block, update in zip(self.blocks, updates, strict=True):
            entering, x = x, block(x, update)
        grid = self.norm(x[:, int(self.config.clip) :])
        if maps:
            grid = torch.cat([_on_one_grid(maps), grid], dim=2)
        pooled = means = grid.mean(dim=1)
        read = grid
        if self._deep:
            read = torch.cat([grid, grid.square()], dim=2)
            means = read.mean(dim=1)
        # The mean over patches commutes with the last layer.
        tokens = self.last(read, pooled)
        identity = self.compared(tokens.mean(dim=1))
        return Identity(identity, tokens, modality, weights, pooled, means, entering)

    def _context(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """M and the weights of the bases; zeros without ComPA."""
        if self.context is None:
            count, config = len(images), self.config
            return images.new_zeros(count, config.width), images.new_zeros(count, config.bases)
        found: tuple[Tensor, Tensor] = self.context(images - 0.5)
        return found

    def last(self, read: Tensor, pooled: Tensor) -> Tensor:
        """The last layer, of all patches ``(B, N, F)`` or of the means over them ``(B, F)``."""
        rows = read / self.level if self._deep else read
        common: Tensor = self.head(self.for_all(rows))
        return common if self.own is None else self.own(common, rows, pooled)

    def for_all(self, rows: Tensor) -> Tensor:
        """What the map of all modalities reads of rows ``(..., F)``; the others read all of it."""
        if not self._deep:
            return rows
        late = sum(self.depths[-2:])
        return rows.unflatten(-1, (2, -1))[..., -late:].flatten(-2)

    def compared(self, features: Tensor) -> Tensor:
        """What is compared by cosine of the mean of tokens ``(B, D)``."""
        return features if self.verifier is None else self.verifier.code(features)


def _on_one_grid(maps: list[Tensor]) -> Tensor:
    """Maps of strides 8, 16 and 32 on the grid of the patches: ``(B, N, channels)``."""
    early = nn.functional.avg_pool2d(maps[0], 2)
    late = nn.functional.interpolate(maps[2], size=maps[1].shape[2:], mode="nearest")
    return torch.cat([early, maps[1], late], dim=1).flatten(2).transpose(1, 2)
