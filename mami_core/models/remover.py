"""The remover: a U-Net that takes out of a picture what lets a patient be recognised (paper,
section 4.4).

A secret code chooses the decoy: the residual carries identity evidence for somebody who does not
exist. The residual is smooth (its finest detail is four pixels of the square), so that it can be
resized to native size.
"""

from __future__ import annotations

from dataclasses import dataclass

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class RemoverConfig:
    """Sizes of the remover; `amplitude` is the largest change of a pixel at strength 1."""

    encoder: str = "timm-mobilenetv3_small_100"
    image: int = 256
    code: int = 16
    planes: int = 4
    amplitude: float = 0.45


class Remover(nn.Module):
    """U-Net with a code input.

    Input: images ``(B, 3, S, S)`` in 0..1, code ``(B, C)``, strength ``(B,)`` in 0..1.
    """

    def __init__(self, config: RemoverConfig) -> None:
        super().__init__()
        self.config = config
        self.spread = nn.Linear(config.code, config.planes * 8 * 8)
        self.unet = smp.Unet(
            config.encoder,
            encoder_weights=None,
            in_channels=3 + config.planes,
            classes=3,
            decoder_channels=(96, 64, 32, 24, 16),
        )

    def residual(self, images: Tensor, code: Tensor) -> Tensor:
        """The change at strength 1, ``(B, 3, S, S)``, smooth; grey where the picture is grey."""
        planes = self.spread(code).unflatten(1, (self.config.planes, 8, 8))
        # What is finer than four pixels is not in the residual: half the size sees enough of it.
        half = nn.functional.avg_pool2d(images, 2)
        planes = nn.functional.interpolate(planes, size=half.shape[2:], mode="bilinear")
        raw = self.unet(torch.cat([half - 0.5, planes], dim=1))
        small = nn.functional.avg_pool2d(torch.tanh(raw), 2)
        smooth = nn.functional.interpolate(small, size=images.shape[2:], mode="bicubic")
        grey = (images.amax(dim=1, keepdim=True) - images.amin(dim=1, keepdim=True)).amax(
            dim=(2, 3), keepdim=True
        ) == 0
        smooth = torch.where(grey, smooth.mean(dim=1, keepdim=True), smooth)
        return self.config.amplitude * smooth

    def forward(self, images: Tensor, code: Tensor, strength: Tensor) -> Tensor:
        """The protected picture, ``(B, 3, S, S)``; identical at strength 0."""
        change = strength.view(-1, 1, 1, 1) * self.residual(images, code)
        return (images + change).clamp(0.0, 1.0)
