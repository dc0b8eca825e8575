"""What ComPA costs: the paper's base configuration over timm's plain ViT-B/16, alternating.

python benchmarks/compa_cost.py [--device cuda --batch 128] [--dtype bfloat16]

The paper states 151.56 ms over 141.21 ms at batch 128 on one RTX 4090: 1.073. Two CPU cores, batch
8, float32, 2026-11: 1.083 (0.971 to 1.271).
"""

from __future__ import annotations

import argparse
import statistics
import time

import timm
import torch
from torch import Tensor, nn

from mami_core.models.encoder import SIZES, MaMI


def seconds(model: nn.Module, images: Tensor) -> float:
    """One forward pass."""
    began = time.perf_counter()
    model(images)
    if images.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    """Print the median ratio of alternating pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--dtype", default="float32")
    given = parser.parse_args()
    kind = getattr(torch, given.dtype)
    torch.manual_seed(0)
    plain = timm.create_model("vit_base_patch16_224", pretrained=False, num_classes=0)
    models = [one.eval().to(given.device, kind) for one in (plain, MaMI(SIZES["base"]))]
    images = torch.rand(given.batch, 3, 224, 224, device=given.device, dtype=kind)
    with torch.inference_mode():
        for model in models:
            seconds(model, images)
        pairs = [[seconds(model, images) for model in models] for _ in range(given.pairs)]
    ratios = [ours / theirs for theirs, ours in pairs]
    spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
    print(f"{given.device}, batch {given.batch}, {given.dtype}, {given.pairs} pairs")
    print(f"ViT-B/16 {statistics.median(pair[0] for pair in pairs):.3f} s")
    print(f"with ComPA over without: median {statistics.median(ratios):.3f} ({spread})")


if __name__ == "__main__":
    main()
