"""The losses (paper, section 3.4), on small tensors and without state."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(vectors: Tensor, identity: Tensor, temperature: float) -> Tensor:
    """InfoNCE: each vector has to find those of its identity among all others of the batch.

    Parameters
    ----------
    vectors
        ``(B, D)``, compared by cosine.
    identity
        ``(B,)`` integers. Of several positives the mean is taken (Khosla et al., 2020, Eq. 2); a
        vector without one is left out.
    """
    rows = functional.normalize(vectors, dim=1)
    itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
    positive = (identity[:, None] == identity[None, :]) & ~itself
    # Finite, since the gradient of an infinite logit is not a number on some devices.
    logits = (rows @ rows.T / temperature).masked_fill(itself, -1e9)
    each = (logits.log_softmax(dim=1) * positive).sum(dim=1)
    count = positive.sum(dim=1)
    return -(each / count.clamp(min=1)).sum() / (count > 0).sum().clamp(min=1)


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


def nearest_others(scores: Tensor, own: Tensor, *, most: int = 20) -> Tensor | None:
    """Mean similarity to the most similar pictures of other people, ``(B,)``.

    Parameters
    ----------
    scores
        ``(B, n)``.
    own
        Which are of the own person, ``(B, n)`` bool.
    most
        Of how many the mean is taken, or of all where somebody has fewer; None where somebody has
        none.
    """
    count = min(most, int((~own).sum(dim=1).min()))
    if count == 0:
        return None
    return scores.masked_fill(own, -9.0).topk(count, dim=1).values.mean(dim=1)


def alignment(ours: Tensor, theirs: Tensor, temperature: float) -> Tensor:
    """Contrastive alignment of features of two networks (paper, Eq. 2 and 3).

    The n-th feature of a pair of images (or of one image) has to find the other network's among all
    tokens of all pairs. Both are brought to length one: raw products of wide features, divided by
    the temperature, would overflow.

    Parameters
    ----------
    ours, theirs
        ``(R, N, D)``.
    """
    u, v = (functional.normalize(one.flatten(0, 1), dim=1) for one in (ours, theirs))
    return functional.cross_entropy(u @ v.T / temperature, torch.arange(len(u), device=u.device))


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
