"""The identity encoder's training (paper, sections 3.4 and 4.1): batches of one modality, a term of
identity, a triplet, and the alignment with a medical guide, by a `Recipe`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mami_core.data import Dataset
from mami_core.evaluation import by_source
from mami_core.evaluation.protocol import mated
from mami_core.files import as_bytes
from mami_core.models.encoder import SIZES, Config, Identity, MaMI
from mami_core.training import last_layer, own_maps
from mami_core.training.augment import VIEWS
from mami_core.training.batches import (
    REGIONS,
    Pictures,
    Scan,
    digest,
    draw_modality,
    identities,
    parts,
    pools,
    stored,
)
from mami_core.training.draws import Draws
from mami_core.training.guides import Guide, guide
from mami_core.training.loop import Budget, TrainingError, train
from mami_core.training.losses import info_nce, soft_triplet
from mami_core.training.priors import Priors
from mami_core.training.recipe import PRESETS, Recipe
from mami_core.training.recognised import Seen, class_of, rules
from mami_core.training.recognised import seen as seen_of
from mami_core.training.start import begin, freeze_statistics

TEMPERATURE, TRIPLET_SCALE = 0.08, 5.0
#: Patients with a mate that a set needs to have a say in which state is kept.
FEWEST_TO_CHOOSE = 30
#: Images by which the head is whitened for that.
MOST_TO_WHITEN = 2000
#: Who teaches medicine, where nobody else is named.
GUIDES: Mapping[str, str] = {"xray": "mfm_tiny", "fundus": "mfm_tiny"}


def train_mami(
    data: Sequence[Dataset],
    output: Path,
    *,
    recipe: Recipe = PRESETS["small"],
    config: Config | None = None,
    guides: Mapping[str, str | Guide] = GUIDES,
    max_minutes: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    bf16: bool = False,
) -> Path:
    """Train the identity encoder on the `train` split; write ``OUTPUT/mami.safetensors``.

    Parameters
    ----------
    config
        Of the network, where it is not that of the recipe's size.
    guides
        By modality a medical encoder, as `mami_core.training.guides.guide` names it or as a module;
        batches of other modalities go without the medical term.
    max_minutes, steps
        When it ends; the recipe's steps where neither is given.

    Returns
    -------
    The path of the weights.

    Raises
    ------
    TrainingError, mami_core.data.DatasetError, mami_core.weights.WeightsError
        One line: what is wrong and what to do.
    """

    def task() -> EncoderTask:
        network = config or SIZES[recipe.size]
        joined = Dataset.join(data)
        return EncoderTask(joined, network, recipe, guides=guides, seed=seed, device=device)

    if max_minutes is None and steps is None:
        steps = recipe.steps
    return train(task, Budget(max_minutes, steps), output, device=device, resume=resume, bf16=bf16)


class EncoderTask:
    """A `Task`: MaMI on all modalities of a data set."""

    kind = "mami"

    def __init__(
        self,
        dataset: Dataset,
        config: Config,
        recipe: Recipe,
        *,
        guides: Mapping[str, str | Guide] = GUIDES,
        seed: int,
        device: str,
    ) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed, self.device = recipe, seed, device
        self.data, self.val = parts(dataset, REGIONS)
        self.judges = _judges(self.data, self.val)
        self.pools = pools(self.data.records, recipe.slices)
        # A batch of one identity has nobody to be told from.
        self.usable = [
            name for name, p in sorted(self.pools.items()) if len(p.several) + len(p.single) > 1
        ]
        if not self.usable:
            raise TrainingError("the data shows one person only; identity needs two or more")
        if config.verifier != (recipe.identity == "verify"):
            raise TrainingError(
                "identity 'verify' is for networks with a verifier, and for no other"
            )
        self.sets = own_maps.sets_of(self.data.records)
        config = own_maps.with_sets(config, self.sets)
        self.model = MaMI(config)
        self.start = begin(self.model, self.kind, recipe.init)
        if self.model.own is not None:
            # They have the last word, and none before.
            self.model.own.clear()
        self.guides = self._guides(guides)
        self.learner: nn.ModuleDict = self._learner().to(device)
        self.pictures = Pictures(self.data, stored(config.image))
        self.classes = [config.classes.index(class_of(record)) for record in self.data.records]
        told = {name: str(one) for name, one in guides.items() if name in self.guides}
        self.identity = digest(self.data.records, ("mami", seed, recipe, config, sorted(told)))
        if recipe.closed_form and recipe.init == "imagenet":
            with torch.no_grad():
                last_layer.fit_common(self.model, self._seen(self.data), self.data.records)

    def _guides(self, guides: Mapping[str, str | Guide]) -> dict[str, Guide]:
        if self.recipe.alignment is None:
            return {}
        found: dict[str, Guide] = {}
        for name in self.usable:
            if name in guides:
                given = guides[name]
                found[name] = (guide(given) if isinstance(given, str) else given).to(self.device)
        return found

    def _learner(self) -> nn.ModuleDict:
        """The encoder, its medical priors, and a classifier of identities where the recipe asks."""
        config, how = self.model.config, self.recipe.alignment
        learner = nn.ModuleDict({"encoder": self.model})
        if how is not None and self.guides:
            widths = {name: one.width for name, one in self.guides.items()}
            free = not config.updates
            learner["priors"] = Priors(config.width, config.features, widths, how, free=free)
        if self.recipe.identity == "classify":
            self.numbers = identities(self.data.records)
            learner["classifier"] = nn.Linear(config.features, max(self.numbers) + 1)
        return learner

    def groups(self) -> list[dict[str, Any]]:
        """Each part of the encoder at the recipe's rate for it; what it does not name, at `rest`.

        In preset `small` the trunk moves slowly, the whitened head less so, and what starts from
        nothing most.
        """
        rates = self.recipe.rates
        groups: dict[str, list[Tensor]] = {name: [] for name in rates}
        for name, parameter in self.learner.named_parameters():
            part = name.removeprefix("encoder.").split(".")[0]
            groups[part if part in rates else "rest"].append(parameter)
        return [{"params": groups[name], "lr": rate} for name, rate in rates.items()]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Identity, soft-margin batch-hard triplet, modality, and the medical term (Eq. 4)."""
        recipe, draws = self.recipe, Draws(self.seed, step)
        name = draw_modality(self.usable, draws)
        pool = self.pools[name]
        groups = pool.groups(max(2, recipe.people // pool.deepest), recipe.images, draws)
        scans = [scan for group in groups for scan in group]
        chosen = [index for scan in scans for index in scan]
        images = self.pictures.batch(chosen)
        images = VIEWS[recipe.views](images, self.model.config.image, draws).to(self.device)
        freeze_statistics(self.model)
        seen: Identity = self.model(images)
        who = torch.arange(len(groups), device=self.device).repeat_interleave(recipe.images)
        # Distances in units of their own mean, since the head's scale is free.
        vectors = _of_scans(seen.tokens.mean(dim=1).float(), scans)
        level = torch.pdist(vectors.detach()).mean().clamp(min=1e-6)
        classes = torch.tensor([self.classes[index] for index in chosen], device=self.device)
        terms = {
            recipe.identity: (1.0, self._identity(vectors, who, scans, draws)),
            "triplet": (recipe.triplet, soft_triplet(vectors * (TRIPLET_SCALE / level), who)),
        }
        if self.model.context is not None:
            terms["modality"] = (recipe.modality, self._modality(seen, classes))
        if name in self.guides and recipe.alignment is not None:
            priors = self.learner["priors"]
            told = self.guides[name](images)
            loss = priors(seen.tokens, seen.modality, told, name, draws.choice)
            terms["alignment"] = (recipe.alignment.share, loss)
        figures = {term: loss.item() for term, (_, loss) in terms.items()}
        figures["found"] = _found(vectors.detach(), who)
        return torch.stack([share * loss for share, loss in terms.values()]).sum(), figures

    def _identity(self, vectors: Tensor, who: Tensor, scans: list[Scan], draws: Draws) -> Tensor:
        if self.recipe.identity == "contrast":
            return info_nce(vectors, who, TEMPERATURE)
        if self.model.verifier is not None:
            # Two images a person, one in either role.
            first, second = (torch.arange(one, len(who), self.recipe.images) for one in (0, 1))
            same = who[first][:, None] == who[second][None, :]
            shift = int(draws.choice.integers(1, len(first)))
            return self.model.verifier.loss(vectors[first], vectors[second], same, shift)
        numbers = torch.tensor([self.numbers[scan[0]] for scan in scans], device=self.device)
        return functional.cross_entropy(self.learner["classifier"](vectors), numbers)

    def _modality(self, seen: Identity, classes: Tensor) -> Tensor:
        loss = functional.cross_entropy(self.model.modality_head(seen.modality), classes)
        if self.model.config.context == "discrete":
            # The labels choose the basis; there is one a class.
            loss = loss + functional.nll_loss(seen.weights.clamp(min=1e-6).log(), classes)
        return loss

    def score(self) -> float | None:
        """Mean AUC on `val` of the sets that taught us and have enough patients there.

        Patient-weighted verification, the head whitened on some of the images that taught.
        """
        if not len(self.judges):
            return None
        if self.recipe.closed_form:
            some = _some(self.data)
            fitted = self._seen(some)
            last_layer.fit(self.model, self.sets, fitted, some.records)
        found = by_source(self.judges.records, self._embeddings(self._seen(self.judges)))
        return float(np.mean([one.auc.value for one in found.values()]))

    def _embeddings(self, seen: Seen) -> Callable[[NDArray[np.intp]], NDArray[np.float32]]:
        pooled, read = (
            torch.from_numpy(one).float().to(self.device) for one in (seen.pooled, seen.read)
        )

        def of(rows: NDArray[np.intp]) -> NDArray[np.float32]:
            tokens = self.model.last(read[rows], pooled[rows])
            found: NDArray[np.float32] = self.model.compared(tokens).cpu().numpy()
            return found

        return of

    def facts(self) -> dict[str, Any]:
        """Whiten the head again where the recipe says so, and find the rejection rule."""
        fitted = self._seen(self.data)
        if self.recipe.closed_form:
            last_layer.fit(self.model, self.sets, fitted, self.data.records)
        judged = self.val if len(self.val) else self.data
        features = self._seen(self.val) if len(self.val) else fitted
        return {
            "pictures": rules(fitted.pooled, self.data.records, features.pooled, judged.records),
            "judged_on": "val" if len(self.val) else "train",
        }

    def _seen(self, dataset: Dataset) -> Seen:
        return seen_of(self.model, dataset, self.device)


def _judges(data: Dataset, val: Dataset) -> Dataset:
    """The images of `val` that choose between states of one training."""
    enough = {
        name
        for name in {record.source for record in data.records}
        if mated([one for one in val.records if one.source == name]) >= FEWEST_TO_CHOOSE
    }
    return val.select(lambda record: record.source in enough)


def _some(dataset: Dataset) -> Dataset:
    """At most `MOST_TO_WHITEN` images, of people drawn by a hash of their names."""
    people = sorted(
        {record.person for record in dataset.records},
        key=lambda person: hashlib.sha256(as_bytes("/".join(person))).digest(),
    )
    images = Counter(record.person for record in dataset.records)
    total = accumulate(images[person] for person in people)
    kept = {person for person, count in zip(people, total, strict=True) if count <= MOST_TO_WHITEN}
    return dataset.select(lambda record: record.person in kept)


def _of_scans(vectors: Tensor, scans: Sequence[Scan]) -> Tensor:
    """Pictures ``(B, D)`` to scans ``(S, D)``, the means over their slices (paper, 3.2)."""
    return torch.stack([one.mean(dim=0) for one in vectors.split([len(scan) for scan in scans])])


def _found(vectors: Tensor, who: Tensor) -> float:
    """Share of a batch whose nearest other picture is of the same identity."""
    rows = functional.normalize(vectors, dim=1)
    scores = rows @ rows.T
    scores.fill_diagonal_(-2.0)
    return float((who[scores.argmax(dim=1)] == who).float().mean())
