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

from mami_core.closed_form import whiten
from mami_core.data import Dataset, Record
from mami_core.models.encoder import SIZES, Config, MaMI, widths
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
from mami_core.training.draws import Draws
from mami_core.training.loop import Budget, TrainingError, train
from mami_core.training.losses import paired_info_nce, partners, soft_triplet
from mami_core.training.start import begin, freeze_statistics

TEMPERATURE, TRIPLET_SHARE, MODALITY_SHARE, TRIPLET_SCALE = 0.08, 0.3, 0.2, 5.0
RATES = {"trunk": 1e-4, "head": 2e-4, "centre": 2e-4, "rest": 4e-4}
#: The rejection rule accepts all judged images, with this margin.
MARGIN = 1.02
#: Kinds of pairs that are no pairs of visits, studies or eyes.
SCAN_KINDS = ("slice", "place")


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
        features = self._seen(self.val)[0] if len(self.val) else pooled
        return {
            "pictures": rules(pooled, self.data.records, features, judged.records),
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
        # Places and slices of one scan differ by far more than visits do: no pairs of those.
        persons = [
            (r.source, r.name if r.kind in SCAN_KINDS else f"{r.patient}/{r.subject}")
            for r in self.data.records
        ]
        modalities = ["" if r.kind in SCAN_KINDS else r.modality or "" for r in self.data.records]
        blocks = (*widths(self.model.trunk), config.width)
        found = whiten(pooled, weights, persons, blocks, config.features, modalities=modalities)
        self.model.head.weight.copy_(torch.from_numpy(found.weight))
        self.model.head.bias.copy_(torch.from_numpy(found.bias))
        self.model.centre.weight.copy_(torch.from_numpy(found.centre))


def rules(
    fitted: NDArray[np.float64],
    fitted_records: Sequence[Record],
    judged: NDArray[np.float64],
    judged_records: Sequence[Record],
) -> dict[str, list[dict[str, Any]]]:
    """By class, and in it by set: mean and spread of the pooled features, and the farthest of ours.

    The distance is the root mean square of the features' deviations in units of their spread. A set
    without judged images takes its limit from the fitted ones.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    fitted_kinds = [(class_of(record), record.source) for record in fitted_records]
    judged_kinds = [(class_of(record), record.source) for record in judged_records]
    for kind in sorted(set(fitted_kinds)):
        rows = fitted[[one == kind for one in fitted_kinds]]
        mean = rows.mean(axis=0)
        # Features that hardly vary in a class would outvote all others, so spreads have a floor.
        spread = rows.std(axis=0) + 0.1 * rows.std() + 1e-6
        seen = judged[[one == kind for one in judged_kinds]]
        seen = seen if len(seen) else rows
        distance = np.sqrt((((seen - mean) / spread) ** 2).mean(axis=1))
        name, source = kind
        found.setdefault(name, []).append(
            {
                "source": source,
                "mean": [round(float(value), 5) for value in mean],
                "spread": [round(float(value), 5) for value in spread],
                "limit": round(float(distance.max() * MARGIN), 4),
            }
        )
    return found
