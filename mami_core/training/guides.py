"""Guides: networks that know medicine and teach the encoder what to look at (paper, section 3.3).

A guide is frozen and gives local features ``(B, N, D)``. It is a medical encoder of ours, any model
that timm builds, by name or from a file, or a module of the caller's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mami_core.models.encoder import MEAN, STD
from mami_core.models.of_timm import TIMM, local, of_timm
from mami_core.weights import WeightsError, load


class Guide(nn.Module):
    """A frozen network's local features.

    Parameters
    ----------
    network
        Takes ``(B, 3, S, S)``, normalised by `mean` and `std`; gives tokens ``(B, N, D)`` or a map
        ``(B, D, H, W)``.
    image
        S, the side of the pictures that the network is fed.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        *,
        image: int,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
    ) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)
        self.image = image
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    @property
    def width(self) -> int:
        """D."""
        probe = torch.zeros(1, 3, self.image, self.image, device=self.mean.device)
        return int(self(probe).shape[2])

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """``(B, 3, H, W)`` in 0..1 to ``(B, N, D)``."""
        if images.shape[-1] != self.image:
            images = nn.functional.interpolate(
                images, size=(self.image, self.image), mode="bilinear", antialias=True
            )
        found: Tensor = self.network((images - self.mean) / self.std)
        return found.flatten(2).transpose(1, 2) if found.ndim == 4 else found

    def train(self, mode: bool = True) -> Guide:
        """A guide stays as it is."""
        return super().train(False) if mode else super().train(mode)


def guide(spec: str) -> Guide:
    """The guide by name: ``mfm_tiny``, a path of weights of ours, or ``timm:NAME[=FILE]``.

    Without a file timm fetches the weights that it has for the name.

    Raises
    ------
    WeightsError
        No such network or file, or weights that are not those of a medical encoder.
    HubError
        Where timm can not fetch any.
    """
    if not spec.startswith(TIMM):
        given = load(spec)
        if given.kind != "mfm":
            raise WeightsError("a guide is a medical encoder; these weights are of another kind")
        model: Any = given.model
        return Guide(_Grid(model), image=model.config.image, mean=(0.0,) * 3, std=(1.0,) * 3)
    name, _, file = spec.removeprefix(TIMM).partition("=")
    network = of_timm(name, file)
    fed = network.pretrained_cfg
    return Guide(_Local(network), image=fed["input_size"][-1], mean=fed["mean"], std=fed["std"])


class _Local(nn.Module):
    """The local features of a network of timm."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, images: Tensor) -> Tensor:
        return local(self.network, self.network.forward_features(images))


class _Grid(nn.Module):
    """The local features of a medical encoder, which normalises by itself."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.model(images).tokens
        return tokens
