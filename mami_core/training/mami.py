"""The identity encoder's training (paper, sections 3.4 and 4.1, preset `small` for little data).

Batches of one modality; pairs of images of one identity, two augmented views where there is one image. The
head starts from whitening in closed form and is whitened again at the end: gradients make the features better and
the head narrower, so that the closed form has the last word.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mami_core.data import Dataset, Record
from mami_core.models.encoder import SIZES, MaMI
from mami_core.training.augment import views
from mami_core.training.batches import Pictures, digest, draw_modality, for_training, pools
from mami_core.training.closed_form import whiten
from mami_core.training.draws import Draws
from mami_core.training.loop import TrainingError
from mami_core.training.losses import paired_info_nce, partners, soft_triplet
from mami_core.training.start import begin, freeze_statistics

STORED = 256  # side of the pictures that crops are drawn from
TEMPERATURE, TRIPLET_SHARE, MODALITY_SHARE, TRIPLET_SCALE = 0.08, 0.3, 0.2, 5.0
RATES = {"trunk": 1e-4, "head": 2e-4, "rest": 4e-4}
#: Of the images the encoder was made for, this share is accepted by the rejection rule; and the margin.
ACCEPTED, MARGIN = 0.998, 1.05

#: Region by modality and set, where the body part of the table does not say it in our words.
REGIONS = {"xray": "chest", "fundus": "eye", "ct": "chest"}


def class_of(record: Record) -> str:
    """The ``modality/region`` of a training image."""
    head = record.modality == "ct" and "head" in record.body_part
    return f"{record.modality}/{'head' if head else REGIONS[record.modality or '']}"


class EncoderTask:
    """A `Task`: MaMI of size `tiny` on all modalities of a data set."""

    kind = "mami"

    def __init__(
        self,
        dataset: Dataset,
        *,
        init: str = "imagenet",
        batch: int = 18,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        torch.manual_seed(seed)
        self.seed, self.batch, self.device = seed, batch, device
        self.model = MaMI(SIZES["tiny"])
        self.start = begin(self.model, init)
        self.model.to(device)
        known = dataset.select(lambda record: record.modality in REGIONS)
        self.val = known.select(lambda record: record.split == "val")
        self.data = for_training(known)
        self.pools = pools(self.data.records)
        if all(len(pool.several) + len(pool.single) < 2 for pool in self.pools.values()):
            raise TrainingError("the data shows one person only; identity needs two or more")
        self.pictures = Pictures(self.data, STORED)
        self.classes = [
            self.model.config.classes.index(class_of(record)) for record in self.data.records
        ]
        self.identity = digest(self.data.records, ("mami", seed, batch, init))
        if init == "imagenet":
            with torch.no_grad():
                self._whiten(self._pooled(self.data))

    def groups(self) -> list[dict[str, Any]]:
        """The trunk moves slowly, the whitened head less so, what starts from nothing most."""
        parts: dict[str, list[Tensor]] = {name: [] for name in RATES}
        for name, parameter in self.model.named_parameters():
            part = name.split(".")[0]
            parts[part if part in RATES else "rest"].append(parameter)
        return [{"params": parts[name], "lr": rate} for name, rate in RATES.items()]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """InfoNCE over pairs, soft-margin batch-hard triplet, modality."""
        draws = Draws(self.seed, step)
        # A batch of one identity has nobody to be told from.
        usable = [n for n, p in sorted(self.pools.items()) if len(p.several) + len(p.single) > 1]
        pairs = self.pools[draw_modality(usable, draws)].pairs(max(2, self.batch), draws)
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        images = self.pictures.batch(first + second)
        images = views(images, self.model.config.image, draws).to(self.device)
        freeze_statistics(self.model.trunk)
        seen = self.model(images)
        count = len(pairs)
        contrast = paired_info_nce(seen.identity[:count], seen.identity[count:], TEMPERATURE)
        # Distances in units of their own mean, since the head's scale is free.
        level = torch.pdist(seen.identity.detach()).mean().clamp(min=1e-6)
        who = torch.arange(count, device=self.device).repeat(2)
        triplet = soft_triplet(seen.identity * (TRIPLET_SCALE / level), who)
        classes = torch.tensor([self.classes[i] for i in first + second], device=self.device)
        modality = functional.cross_entropy(self.model.modality_head(seen.modality), classes)
        vectors = functional.normalize(seen.identity.detach(), dim=1)
        scores = vectors @ vectors.T
        scores.fill_diagonal_(-2.0)
        right = (scores.argmax(dim=1) == partners(count, scores.device)).float().mean()
        figures = {
            "contrast": contrast.item(),
            "triplet": triplet.item(),
            "modality": modality.item(),
            "found": right.item(),
        }
        return contrast + TRIPLET_SHARE * triplet + MODALITY_SHARE * modality, figures

    def facts(self) -> dict[str, Any]:
        """Whiten the head again, and find the rejection rule."""
        pooled = self._pooled(self.data)
        self._whiten(pooled)
        val = self._pooled(self.val) if len(self.val) else pooled
        records = self.val.records if len(self.val) else self.data.records
        return {
            "reject": rejection(
                pooled,
                [class_of(record) for record in self.data.records],
                val,
                [class_of(record) for record in records],
            ),
            "classes": list(self.model.config.classes),
        }

    def _pooled(self, dataset: Dataset) -> NDArray[np.float64]:
        """Features before the head, of the pictures as they are."""
        size = self.model.config.image
        pictures = Pictures(dataset, size)
        self.model.eval()
        rows = [
            self.model(
                pictures.batch(range(at, min(at + 32, len(dataset)))).to(self.device)
            ).pooled.cpu()
            for at in range(0, len(dataset), 32)
        ]
        self.model.train()
        return torch.cat(rows).double().numpy()

    def _whiten(self, pooled: NDArray[np.float64]) -> None:
        config = self.model.config
        channels = self.model.trunk.feature_info.channels()
        persons = [
            (record.source, f"{record.patient}/{record.subject}") for record in self.data.records
        ]
        found = whiten(pooled, persons, (*channels, config.width), config.features)
        self.model.head.weight.copy_(torch.from_numpy(found.weight))
        self.model.head.bias.copy_(torch.from_numpy(found.bias))


def rejection(
    train: NDArray[np.float64],
    train_classes: list[str],
    val: NDArray[np.float64],
    val_classes: list[str],
) -> dict[str, dict[str, Any]]:
    """By class: mean and spread of the pooled features, and the distance up to which it is ours.

    The distance is the root mean square of the features' deviations in units of their spread.
    """
    rules = {}
    for name in sorted(set(train_classes)):
        rows = train[[label == name for label in train_classes]]
        mean, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-3
        judged = val[[label == name for label in val_classes]]
        judged = judged if len(judged) else rows
        distance = np.sqrt((((judged - mean) / spread) ** 2).mean(axis=1))
        rules[name] = {
            "mean": [round(float(value), 5) for value in mean],
            "spread": [round(float(value), 5) for value in spread],
            "limit": float(np.quantile(distance, ACCEPTED) * MARGIN),
        }
    return rules
