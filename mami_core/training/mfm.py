"""The medical encoder's training: findings with masked labels, and key features that survive
augmentation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mami_core.data import Dataset, Record
from mami_core.evaluation import auc
from mami_core.models.mfm import MedicalConfig, MedicalEncoder
from mami_core.training import finding_heads, own_trunk
from mami_core.training.augment import views
from mami_core.training.batches import REGIONS, Pictures, digest, draw_modality, parts, stored
from mami_core.training.draws import Draws
from mami_core.training.loop import Budget, TrainingError, train
from mami_core.training.losses import masked_bce
from mami_core.training.start import begin, freeze_statistics

RATES = {"trunk": 2e-4, "rest": 1e-3}
CONTRAST_SHARE, TEMPERATURE = 0.1, 0.2
#: A finding is learned from so many positive images in `train`, given so many in `val`.
FEWEST = (30, 15)
#: What our own trunk is trained on; a user's may know others.
MODALITIES = ("xray", "fundus")


def train_mfm(
    data: Sequence[Dataset],
    output: Path,
    *,
    max_minutes: float | None = None,
    steps: int | None = None,
    batch: int = 24,
    seed: int = 0,
    device: str = "cpu",
    init: str = "imagenet",
    resume: bool = False,
    bf16: bool = False,
    trunk: str = "",
    config: MedicalConfig = MedicalConfig(()),  # noqa: B008 - frozen
) -> Path:
    """Train the medical encoder on the `train` split; write ``OUTPUT/mfm.safetensors``.

    Parameters
    ----------
    batch
        Images a step.
    trunk
        ``timm:NAME[=FILE]``: the user's own network in place of ours. It stays as it is; what is
        trained on top are key features, also of CT and of pictures without findings, and finding
        heads.
    config
        Sizes; its findings are replaced by those that the data can teach, and with a `trunk` of the
        user's the side of the pictures by that which it looks at.

    See `train_mami` for the other parameters, the result and the errors.
    """

    def task() -> MedicalTask:
        joined = Dataset.join(data)
        return MedicalTask(
            joined, config, init=init, batch=batch, seed=seed, device=device, trunk=trunk
        )

    return train(task, Budget(max_minutes, steps), output, device=device, resume=resume, bf16=bf16)


class MedicalTask:
    """A `Task`: finding heads and key features on X-rays and fundus photos.

    On a user's own trunk, on whatever is in the data; only what stands on the trunk learns then.
    """

    kind = "mfm"

    def __init__(
        self,
        dataset: Dataset,
        config: MedicalConfig,
        *,
        init: str,
        batch: int,
        seed: int,
        device: str,
        trunk: str = "",
    ) -> None:
        torch.manual_seed(seed)
        self.seed, self.batch, self.device = seed, batch, device
        self.data, self.val = parts(dataset, REGIONS if trunk else MODALITIES)
        self.findings = learnable(self.data.records, self.val.records, some=not trunk)
        self.labels = table(self.data.records, self.findings)
        share = np.clip(np.nanmean(self.labels, axis=0), 1e-3, 1.0 - 1e-3)
        weight = np.clip((1.0 - share) / share, 0.3, 8.0) ** 0.5
        self.weight = torch.from_numpy(weight.astype(np.float32)).to(device)
        config = replace(config, findings=self.findings)
        self.model, self.learner, self.start, whose = (
            own_trunk.begin(trunk, config, init) if trunk else _begin(config, init)
        )
        self.model.to(device)
        self.pictures = Pictures(self.data, stored(self.model.config.image))
        self.by_modality = {
            name: [i for i, record in enumerate(self.data.records) if record.modality == name]
            for name in sorted({record.modality or "" for record in self.data.records})
        }
        self.identity = digest(
            self.data.records, ("mfm", seed, batch, init, self.model.config, *whose)
        )

    def groups(self) -> list[dict[str, Any]]:
        """The trunk moves slowly, and a user's own not at all."""
        if self.model.config.own:
            return [{"params": list(self.learner.parameters()), "lr": RATES["rest"]}]
        trunk = list(self.model.trunk.parameters())
        rest = [p for name, p in self.model.named_parameters() if not name.startswith("trunk.")]
        return [{"params": trunk, "lr": RATES["trunk"]}, {"params": rest, "lr": RATES["rest"]}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Masked cross-entropy of findings; key features of two views of one picture agree."""
        draws = Draws(self.seed, step)
        members = self.by_modality[draw_modality(list(self.by_modality), draws)]
        chosen = draws.choice.choice(members, min(self.batch, len(members)), replace=False)
        images = self.pictures.batch([int(index) for index in chosen])
        size = self.model.config.image
        freeze_statistics(self.model.trunk)
        first = self.model(views(images, size, draws).to(self.device))
        second = self.model(views(images, size, draws).to(self.device))
        labels = torch.from_numpy(self.labels[chosen]).to(self.device)
        findings = torch.stack(
            [masked_bce(seen.logits, labels, self.weight) for seen in (first, second)]
        ).mean()
        one, other = (functional.normalize(m.keys.flatten(1), dim=1) for m in (first, second))
        itself = torch.arange(len(chosen), device=self.device)
        contrast = functional.cross_entropy(one @ other.T / TEMPERATURE, itself)
        figures = {"findings": findings.item(), "contrast": contrast.item()}
        return findings + CONTRAST_SHARE * contrast, figures

    def facts(self) -> dict[str, Any]:
        """Fit the heads anew; Platt scaling on `val`, AUC of each finding there, and what utility 0
        means.
        """
        self._fit_heads()
        part = self.val if len(self.val) else self.data
        logits, keys = self._seen(part)
        labels = table(part.records, self.findings)
        slope, offset = self.model.get_buffer("slope"), self.model.get_buffer("offset")
        held: dict[str, dict[str, float]] = {}
        for index, name in enumerate(self.findings):
            known = ~np.isnan(labels[:, index])
            truth, scores = labels[known, index], logits[known, index].astype(np.float64)
            held[name] = {"positives": int(truth.sum()), "images": int(known.sum())}
            if 0 < truth.sum() < len(truth):
                slope[index], offset[index] = platt(scores, truth)
                held[name]["auc"] = round(auc(scores[truth == 1], scores[truth == 0]), 4)
        zero = utility_zero(keys, part.records)
        if set(zero) != set(self.by_modality):
            # `val` may be one person of a modality, who can not be compared with another.
            zero = utility_zero(self._seen(self.data)[1], self.data.records) | zero
        return {
            "zero": zero,
            "judged_on": "val" if len(self.val) else "train",
            "findings_val": held,
        }

    @torch.no_grad()
    def _fit_heads(self) -> None:
        heads = self.model.heads
        if heads is None:
            return
        keys = self._seen(self.data)[1].reshape(len(self.data), -1)
        people = [record.person for record in self.data.records]
        for index in range(len(self.findings)):
            known = np.flatnonzero(~np.isnan(self.labels[:, index]))
            truth = self.labels[known, index]
            weight, bias = finding_heads.fit(keys[known], truth, [people[row] for row in known])
            heads.weight[index] = torch.from_numpy(weight)
            heads.bias[index] = bias

    def _seen(self, dataset: Dataset) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pictures = Pictures(dataset, self.model.config.image)
        self.model.eval()
        seen = [
            self.model(pictures.batch(range(at, min(at + 32, len(dataset)))).to(self.device))
            for at in range(0, len(dataset), 32)
        ]
        logits = torch.cat([one.logits for one in seen]).cpu().numpy()
        return logits, torch.cat([one.keys for one in seen]).cpu().numpy()


def _begin(config: MedicalConfig, init: str) -> own_trunk.Begun:
    model = MedicalEncoder(config)
    return own_trunk.Begun(model, model, begin(model, MedicalTask.kind, init))


def named(record: Record, finding: str) -> str:
    """``modality:finding``."""
    return f"{record.modality}:{finding}"


def learnable(
    train: Sequence[Record], val: Sequence[Record], *, some: bool = True
) -> tuple[str, ...]:
    """Findings with enough positive and some negative images in both splits.

    Where no finding has that many, those with one of each in `train`: a small set is better than
    none.

    Raises
    ------
    TrainingError
        Where no finding is both present and absent in `train`, if there must be `some`.
    """
    enough = _frequent(train, FEWEST[0]) & _frequent(val, FEWEST[1]) or _frequent(train, 1)
    if some and not enough:
        raise TrainingError(
            "no finding is present in one `train` image and absent in another; "
            "give labels in the manifest, or the archive's table of findings"
        )
    return tuple(sorted(enough))


def _frequent(records: Sequence[Record], least: int) -> set[str]:
    counts = Counter(
        (named(record, finding), int(value))
        for record in records
        for finding, value in record.findings.items()
    )
    return {name for name, _ in counts if counts[name, 1] >= least and counts[name, 0] > 0}


def table(records: Sequence[Record], findings: Sequence[str]) -> NDArray[np.float32]:
    """``(n, K)``: 1, 0, or NaN where not known."""
    place = {name: index for index, name in enumerate(findings)}
    rows = np.full((len(records), len(findings)), np.nan, np.float32)
    for index, record in enumerate(records):
        for finding, value in record.findings.items():
            if (name := named(record, finding)) in place:
                rows[index, place[name]] = value
    return rows


def platt(scores: NDArray[np.floating], truth: NDArray[np.floating]) -> tuple[float, float]:
    """Slope (never negative) and offset of the calibrated ``sigmoid(slope * score + offset)``."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e3).fit(scores[:, None], truth)
    return max(float(fitted.coef_[0, 0]), 1e-3), float(fitted.intercept_[0])


def utility_zero(keys: NDArray[np.floating], records: Sequence[Record]) -> dict[str, float]:
    """By modality: mean cosine of key features over pairs of different patients."""
    zero = {}
    for name in sorted({record.modality or "" for record in records}):
        members = [index for index, record in enumerate(records) if record.modality == name]
        rows = keys[members] / np.linalg.norm(keys[members], axis=2, keepdims=True)
        people = [records[index].person for index in members]
        number = {person: index for index, person in enumerate(dict.fromkeys(people))}
        who = np.array([number[person] for person in people])
        different = who[:, None] != who[None, :]
        if different.any():
            scores = np.einsum("ind,jnd->ij", rows, rows) / rows.shape[1]
            zero[name] = float(scores[different].mean())
    return zero
