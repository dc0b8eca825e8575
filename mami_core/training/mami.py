"""The identity encoder's training (paper, sections 3.4 and 4.1, preset `small` for little data).

Batches of one modality; pairs of images of one identity, two augmented views where there is one
image. The head starts from whitening in closed form and is whitened again at the end: gradients
make the features better and the head narrower, so that the closed form has the last word.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mami_core.data import Dataset, Record
from mami_core.models.encoder import SIZES, Config, MaMI
from mami_core.training.augment import views
from mami_core.training.batches import (
    REGIONS,
    Pictures,
    digest,
    draw_modality,
    parts,
    pools,
    region_of,
    stored,
)
from mami_core.training.closed_form import whiten
from mami_core.training.draws import Draws
from mami_core.training.loop import Budget, TrainingError, train
from mami_core.training.losses import paired_info_nce, partners, soft_triplet
from mami_core.training.start import begin, freeze_statistics

TEMPERATURE, TRIPLET_SHARE, MODALITY_SHARE, TRIPLET_SCALE = 0.08, 0.3, 0.2, 5.0
RATES = {"trunk": 1e-4, "head": 2e-4, "centre": 2e-4, "rest": 4e-4}
#: Of the images it was made for, the rejection rule accepts this share; and its margin.
ACCEPTED, MARGIN = 0.998, 1.05


def train_mami(
    data: Sequence[Dataset],
    output: Path,
    *,
    max_minutes: float | None = None,
    steps: int | None = None,
    batch: int = 18,
    seed: int = 0,
    device: str = "cpu",
    init: str = "imagenet",
    resume: bool = False,
    config: Config = SIZES["tiny"],
) -> Path:
    """Train the identity encoder on the `train` split; write ``OUTPUT/mami.safetensors``.

    Parameters
    ----------
    batch
        People a step, two pictures each.
    init
        ``imagenet``, ``none``, or weights of an encoder (a bundled name or a path).

    Returns
    -------
    The path of the weights.

    Raises
    ------
    TrainingError, mami_core.data.DatasetError, mami_core.weights.WeightsError
        One line: what is wrong and what to do.
    """

    def task() -> EncoderTask:
        joined = Dataset.join(data)
        return EncoderTask(joined, config, init=init, batch=batch, seed=seed, device=device)

    return train(task, Budget(max_minutes, steps), output, resume=resume)


def class_of(record: Record) -> str:
    """The ``modality/region`` of a training image."""
    return f"{record.modality}/{region_of(record)}"


class EncoderTask:
    """A `Task`: MaMI on all modalities of a data set."""

    kind = "mami"

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        *,
        init: str,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        torch.manual_seed(seed)
        self.seed, self.batch, self.device = seed, batch, device
        self.data, self.val = parts(dataset, REGIONS)
        self.pools = pools(self.data.records)
        if all(len(pool.several) + len(pool.single) < 2 for pool in self.pools.values()):
            raise TrainingError("the data shows one person only; identity needs two or more")
        self.model = MaMI(config)
        self.start = begin(self.model, self.kind, init)
        self.model.to(device)
        self.pictures = Pictures(self.data, stored(config.image))
        self.classes = [config.classes.index(class_of(record)) for record in self.data.records]
        self.identity = digest(self.data.records, ("mami", seed, batch, init, config))
        if init == "imagenet":
            with torch.no_grad():
                self._whiten(*self._seen(self.data))

    def groups(self) -> list[dict[str, Any]]:
        """The trunk moves slowly, the whitened head less so, what starts from nothing most."""
        groups: dict[str, list[Tensor]] = {name: [] for name in RATES}
        for name, parameter in self.model.named_parameters():
            part = name.split(".")[0]
            groups[part if part in RATES else "rest"].append(parameter)
        return [{"params": groups[name], "lr": rate} for name, rate in RATES.items()]

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
        pooled, weights = self._seen(self.data)
        self._whiten(pooled, weights)
        judged = self.val if len(self.val) else self.data
        return {
            "reject": rejection(
                pooled,
                [class_of(record) for record in self.data.records],
                self._seen(self.val)[0] if len(self.val) else pooled,
                [class_of(record) for record in judged.records],
            ),
            "judged_on": "val" if len(self.val) else "train",
        }

    def _seen(self, dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features before the head and pseudo modalities, of the pictures as they are."""
        pictures = Pictures(dataset, self.model.config.image)
        self.model.eval()
        seen = [
            self.model(pictures.batch(range(at, min(at + 32, len(dataset)))).to(self.device))
            for at in range(0, len(dataset), 32)
        ]
        self.model.train()
        pooled = torch.cat([one.pooled for one in seen]).cpu()
        weights = torch.cat([one.weights for one in seen]).cpu()
        return pooled.double().numpy(), weights.double().numpy()

    def _whiten(self, pooled: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        config = self.model.config
        channels: list[int] = self.model.trunk.feature_info.channels()  # type: ignore[operator, union-attr]
        persons = [
            (record.source, f"{record.patient}/{record.subject}") for record in self.data.records
        ]
        found = whiten(pooled, weights, persons, (*channels, config.width), config.features)
        self.model.head.weight.copy_(torch.from_numpy(found.weight))
        self.model.head.bias.copy_(torch.from_numpy(found.bias))
        self.model.centre.weight.copy_(torch.from_numpy(found.centre))


def rejection(
    fitted: NDArray[np.float64],
    fitted_classes: list[str],
    judged: NDArray[np.float64],
    judged_classes: list[str],
) -> dict[str, dict[str, Any]]:
    """By class: mean and spread of the pooled features, and the distance up to which it is ours.

    The distance is the root mean square of the features' deviations in units of their spread. A
    class without judged images takes its limit from the fitted ones.
    """
    rules = {}
    for name in sorted(set(fitted_classes)):
        rows = fitted[[label == name for label in fitted_classes]]
        mean = rows.mean(axis=0)
        # Features that hardly vary in a class would outvote all others, so spreads have a floor.
        spread = rows.std(axis=0) + 0.1 * rows.std() + 1e-6
        seen = judged[[label == name for label in judged_classes]]
        seen = seen if len(seen) else rows
        distance = np.sqrt((((seen - mean) / spread) ** 2).mean(axis=1))
        rules[name] = {
            "mean": [round(float(value), 5) for value in mean],
            "spread": [round(float(value), 5) for value in spread],
            "limit": float(np.quantile(distance, ACCEPTED) * MARGIN),
        }
    return rules
