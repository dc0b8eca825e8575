"""The remover's training (paper, section 4.4): identity similarity down, medical similarity up.

Level losses are blind to ranking, so the identity term is about order: the protected picture has to
be less like its own person than like the nearest others. A code draws a decoy, a direction among
identities, towards which the picture moves. The encoders stay as they are; the critic is trained on
what the remover makes (`mami_core.training.critic`), and finds its people again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mami_core.data import Dataset
from mami_core.models.encoder import Identity, MaMI
from mami_core.models.mfm import MedicalEncoder
from mami_core.models.remover import Remover, RemoverConfig
from mami_core.training.batches import digest, draw_modality, parts
from mami_core.training.critic import CriticTask
from mami_core.training.draws import Draws
from mami_core.training.loop import Budget, TrainingError, train
from mami_core.training.losses import nearest_others, order_loss
from mami_core.training.measure import Curve, resized, strength_curve
from mami_core.training.originals import Originals
from mami_core.training.start import begin
from mami_core.weights import Weights, load

RATE = 1.5e-3
#: (modality, region) that the remover can learn, given both encoders know the modality.
PAIRS = {"xray": "chest", "fundus": "eye"}
KEEP, KEEP_FINDING = 0.93, 0.05
LEAST_UTILITY = 0.9
#: Weight of the critic's verdict.
CRITIC_SHARE = 0.5
#: Originals of other people among whom the critic searches.
SEARCHED = 512


def train_unet(
    data: Sequence[Dataset],
    output: Path,
    *,
    max_minutes: float | None = None,
    steps: int | None = None,
    batch: int = 12,
    seed: int = 0,
    device: str = "cpu",
    init: str = "none",
    resume: bool = False,
    bf16: bool = False,
    encoder: str | Path = "mami_tiny",
    medical: str | Path = "mfm_tiny",
    config: RemoverConfig = RemoverConfig(),  # noqa: B008 - frozen
) -> Path:
    """Train the remover on the `train` split; write ``OUTPUT/remover.safetensors``.

    Beside it lies its adversary, ``critic.safetensors``: an attacker for the audit of this remover.

    Parameters
    ----------
    batch
        Images a step, two of each person; no fewer than two.
    encoder, medical
        What to hide from, and what to keep: bundled names or paths.

    See `train_mami` for the other parameters, the result and the errors.
    """

    def task() -> RemoverTask:
        judges = load(encoder), load(medical)
        joined = Dataset.join(data)
        return RemoverTask(
            joined, *judges, config, init=init, batch=batch, seed=seed, device=device
        )

    return train(task, Budget(max_minutes, steps), output, device=device, resume=resume, bf16=bf16)


class RemoverTask:
    """A `Task`: the remover against an identity encoder and a medical encoder, both frozen."""

    kind = "remover"

    def __init__(
        self,
        dataset: Dataset,
        encoder: Weights,
        medical: Weights,
        config: RemoverConfig,
        *,
        init: str,
        batch: int,
        seed: int,
        device: str,
    ) -> None:
        torch.manual_seed(seed)
        self.seed, self.batch, self.device = seed, batch, device
        if not isinstance(encoder.model, MaMI) or not isinstance(medical.model, MedicalEncoder):
            raise TrainingError("give weights of train-mami and of train-mfm")
        self.encoder = _frozen(encoder.model, device)
        self.medical = _frozen(medical.model, device)
        self.zero: dict[str, float] = medical.facts["zero"]
        names = self.medical.config.findings
        self.spoken = {
            modality: [i for i, name in enumerate(names) if name.startswith(f"{modality}:")]
            for modality in self.zero
        }
        known = set(PAIRS) & set(self.zero)
        if not known:
            raise TrainingError("the medical encoder knows neither X-ray nor fundus photos")
        data, self.val = parts(dataset, known)
        self.model = Remover(config)
        # Cosine similarity is flat where nothing is changed: the start is a small edit.
        head = self.model.unet.segmentation_head[0]
        nn.init.normal_(head.weight, std=0.02)
        self.start = begin(self.model, self.kind, init)
        self.model.to(device)
        self.learner = self.model
        self.adversary = CriticTask(self.encoder, encoder.sha256, device)
        people = dict.fromkeys(record.person for record in data.records)
        numbers = {person: number for number, person in enumerate(people)}
        self.originals: dict[str, Originals] = {}
        for name in sorted({record.modality or "" for record in data.records}):
            part = data.select(lambda record, name=name: record.modality == name)  # type: ignore[misc]
            self.originals[name] = Originals(part, config.image, numbers, device)
            self.originals[name].look(self._seen, self.adversary.model.features)
        generator = torch.Generator().manual_seed(5)
        width = self.encoder.config.features
        self.decoys = torch.randn(
            self.model.config.code, width, generator=generator, dtype=torch.float32
        ).to(device)
        hashes = (encoder.sha256, medical.sha256)
        options = ("remover and critic", seed, batch, init, config, *hashes)
        self.identity = digest(data.records, options)

    def groups(self) -> list[dict[str, Any]]:
        """One group: all of the remover."""
        return [{"params": list(self.model.parameters()), "lr": RATE}]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Order of identities, decoy, the critic, key features, findings, size of the edit."""
        draws = Draws(self.seed, step)
        name = draw_modality(list(self.originals), draws)
        originals = self.originals[name]
        chosen = originals.pairs(self.batch, draws)
        people = len(chosen) // 2
        images = originals.pictures(chosen)
        code = draws.normal(len(chosen), self.model.config.code).to(self.device)
        full = draws.uniform(people) < 0.5
        strength = torch.where(full, 1.0, 0.3 + 0.7 * draws.uniform(people)).to(self.device)
        edited = self.model(images, code, strength.repeat(2))

        seen = self._seen(moved(edited, draws) if draws.choice.random() < 0.6 else edited)
        mated, nearest, decoy = self._likeness(originals, chosen, seen, code)
        hidden = order_loss(mated, nearest) + 0.3 * mated - 0.15 * decoy
        identity = (hidden * strength.repeat(2)).mean()
        found = (self._verdict(originals, chosen, seen, draws) * strength).mean()
        kept, change = self._usefulness(name, images, edited)
        useful = 6.0 * functional.relu(KEEP - kept).mean()
        useful = useful + 2.0 * functional.relu(change - KEEP_FINDING).mean()
        size = (edited - images).abs().mean()
        figures = {
            "mated": mated.mean().item(),
            "nearest": nearest.mean().item(),
            "verdict": found.item(),
            "utility": kept.mean().item(),
            "finding": change.mean().item(),
            "change": size.item(),
        }
        return identity + CRITIC_SHARE * found + useful + size, figures

    def facts(self) -> dict[str, Any]:
        """The strength-utility curve on `val`, and the default strength that follows from it."""
        curves = self.curves()
        strengths = [curve.default(LEAST_UTILITY) for curve in curves.values()]
        return {
            "pairs": [[name, PAIRS[name]] for name in self.originals],
            "strength": min(strengths, default=1.0),
            "curve": {name: curve.as_dict() for name, curve in curves.items()},
            "judged_on": "val" if curves else "nothing",
        }

    def curves(self) -> dict[str, Curve]:
        """One a modality that has `val` images."""
        found = {}
        for name in self.originals:
            part = self.val.select(lambda record, name=name: record.modality == name)  # type: ignore[misc]
            if len(part):
                found[name] = strength_curve(
                    self.model, self.encoder, self.medical, part, self.zero[name], seed=self.seed
                )
        return found

    def _seen(self, images: Tensor) -> Identity:
        seen: Identity = self.encoder(resized(images, self.encoder.config.image))
        return seen

    def _likeness(
        self, originals: Originals, chosen: list[int], seen: Identity, code: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Similarity to the own person (the nearest image), to the nearest others, to the decoy."""
        vectors = functional.normalize(seen.identity, dim=1)
        scores = vectors @ originals.vectors.T
        own = originals.person[chosen][:, None] == originals.person[None, :]
        mated = scores.masked_fill(~own, -9.0).amax(dim=1)
        nearest = nearest_others(scores, own)
        if nearest is None:
            raise TrainingError("the data shows one person only; there is nobody to be taken for")
        direction = functional.normalize(code @ self.decoys, dim=1)
        decoy = functional.normalize(originals.middle[None] + 0.5 * direction, dim=1)
        return mated, nearest, (vectors * decoy).sum(dim=1)

    def _verdict(
        self, originals: Originals, chosen: list[int], seen: Identity, draws: Draws
    ) -> Tensor:
        """What the critic makes the remover pay for each of the people that are `chosen`."""
        person = originals.person[chosen[: len(chosen) // 2]]
        others = originals.strangers(person, SEARCHED, draws)
        return self.adversary.verdict(
            self.adversary.model.features(seen),
            originals.features[chosen],
            person,
            originals.features[others],
        )

    def _usefulness(self, name: str, images: Tensor, edited: Tensor) -> tuple[Tensor, Tensor]:
        """Utility of each picture, and the largest change of a finding's probability."""
        size = self.medical.config.image
        with torch.no_grad():
            before = self.medical(resized(images, size))
        after = self.medical(resized(edited, size))
        cosine = functional.cosine_similarity(before.keys, after.keys, dim=2).mean(dim=1)
        kept = (cosine - self.zero[name]) / (1.0 - self.zero[name])
        change = self.medical.probabilities(after.logits) - self.medical.probabilities(
            before.logits
        )
        spoken = self.spoken[name]
        if not spoken:
            return kept, torch.zeros_like(kept)
        return kept, change[:, spoken].abs().amax(dim=1)


def _frozen(model: Any, device: str) -> Any:
    model = model.to(device).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model


def moved(images: Tensor, draws: Draws) -> Tensor:
    """All pictures slightly turned, scaled and shifted, so that no single alignment is met."""
    angle, scale = 0.12 * draws.centred(1), 1.0 + 0.12 * draws.centred(1)
    shift = 0.08 * draws.centred(2)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack(
        [torch.cat([cosine, -sine, shift[:1]]), torch.cat([sine, cosine, shift[1:]])]
    )
    theta = theta.to(images.device)[None].repeat(len(images), 1, 1)
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
