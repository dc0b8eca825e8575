"""The losses (paper, section 3.4), on small tensors and without state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def paired_info_nce(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """InfoNCE over P pairs: each of the 2P vectors has to find its partner among the others.

    Parameters
    ----------
    first, second
        ``(P, D)``; row i of the two is one identity. Compared by cosine.
    """
    vectors = functional.normalize(torch.cat([first, second]), dim=1)
    logits = vectors @ vectors.T / temperature
    count = len(first)
    # Finite, since the gradient of an infinite logit is not a number on some devices.
    itself = torch.eye(2 * count, dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(itself, -1e9)
    return functional.cross_entropy(logits, partners(count, logits.device))


def partners(count: int, device: torch.device | None = None) -> Tensor:
    """Index of each vector's partner in the concatenation of two times `count` vectors."""
    index = torch.arange(count, device=device)
    return torch.cat([index + count, index])


def soft_triplet(vectors: Tensor, identity: Tensor) -> Tensor:
    """Batch-hard triplet loss with soft margin, ``softplus(hardest positive - hardest negative)``.

    Parameters
    ----------
    vectors
        ``(B, D)``, compared by Euclidean distance as they are.
    identity
        ``(B,)`` integers. A vector without a positive or without a negative is left out.
    """
    distance = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist")
    same = identity[:, None] == identity[None, :]
    itself = torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
    positive = same & ~itself
    usable = positive.any(dim=1) & ~same.all(dim=1)
    if not usable.any():
        return vectors.sum() * 0.0
    farthest = distance.masked_fill(~positive, -1.0).amax(dim=1)
    nearest = distance.masked_fill(same, float("inf")).amin(dim=1)
    return functional.softplus(farthest[usable] - nearest[usable]).mean()


def order_loss(
    mated: Tensor, nearest: Tensor, *, margin: float = 0.05, steepness: float = 12.0
) -> Tensor:
    """What is to be paid where a picture is more like its own person than like others, ``(B,)``.

    A smooth hinge: about ``2 (mated - nearest + margin)`` where the own person is ahead, 0 where
    the others are. Levels of similarity do not matter to a ranking, and not to it.

    Parameters
    ----------
    mated, nearest
        ``(B,)``: similarity to the own person, and to the nearest others.
    """
    return 2.0 * functional.softplus(steepness * (mated - nearest + margin)) / steepness


def masked_bce(logits: Tensor, labels: Tensor, positive_weight: Tensor) -> Tensor:
    """Binary cross-entropy over known labels.

    Parameters
    ----------
    labels
        ``(B, K)``: 0, 1, or NaN where not known.
    positive_weight
        ``(K,)``.
    """
    known = ~torch.isnan(labels)
    each = functional.binary_cross_entropy_with_logits(
        logits, torch.nan_to_num(labels), pos_weight=positive_weight, reduction="none"
    )
    return (each * known).sum() / known.sum().clamp(min=1)
