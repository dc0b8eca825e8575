"""The originals that a remover is trained on, one modality: who is who, and what encoders see."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from mami_core.data import Dataset, Record
from mami_core.models.encoder import Identity
from mami_core.training.batches import Pictures
from mami_core.training.draws import Draws

#: Images that the encoder looks at together.
TOGETHER = 32

Person = tuple[str, str]


class Originals:
    """Images of one modality.

    Parameters
    ----------
    size
        Side of the pictures.
    numbers
        Of each person, over all modalities.
    device
        Where the tensors lie.

    Attributes
    ----------
    person
        The number of each image's person, ``(n,)``.
    vectors, features
        Identities, normalised, ``(n, D)``, and what the critic takes, ``(n, F)``; see `look`.
    middle
        Mean of `vectors`.
    """

    vectors: Tensor
    features: Tensor
    middle: Tensor

    def __init__(
        self, dataset: Dataset, size: int, numbers: Mapping[Person, int], device: str
    ) -> None:
        self._records, self._device = dataset.records, device
        self._pictures = Pictures(dataset, size)
        self._often = evenly(self._records)
        self._images: dict[Person, list[int]] = defaultdict(list)
        for row, record in enumerate(self._records):
            self._images[record.person].append(row)
        self.person = torch.tensor([numbers[r.person] for r in self._records], device=device)

    @torch.no_grad()
    def look(
        self, encoder: Callable[[Tensor], Identity], features: Callable[[Identity], Tensor]
    ) -> None:
        """Keep what an encoder sees of each image, and what the critic takes of that."""
        seen = []
        for at in range(0, len(self._records), TOGETHER):
            rows = range(at, min(at + TOGETHER, len(self._records)))
            one = encoder(self.pictures(rows))
            seen.append((functional.normalize(one.identity, dim=1), features(one)))
        self.vectors, self.features = (torch.cat(part) for part in zip(*seen, strict=True))
        self.middle = self.vectors.mean(dim=0)

    def pictures(self, rows: Sequence[int]) -> Tensor:
        """``(B, 3, S, S)`` in 0..1."""
        return self._pictures.batch(rows).to(self._device)

    def pairs(self, images: int, draws: Draws) -> list[int]:
        """Rows of a batch: a picture each of some people, then another each of the same people.

        Who has one picture only shows it twice.

        Parameters
        ----------
        images
            At most so many rows, but no fewer than two.
        """
        count = max(1, min(images, len(self._records)) // 2)
        drawn = draws.choice.choice(len(self._records), count, replace=False, p=self._often)
        first = [int(row) for row in drawn]
        return first + [self._another(row, draws) for row in first]

    def strangers(self, person: Tensor, most: int, draws: Draws) -> Tensor:
        """Rows of images of other people than these."""
        rows = torch.nonzero(~torch.isin(self.person, person))[:, 0].cpu().numpy()
        return torch.from_numpy(draws.choice.permutation(rows)[:most]).to(self._device)

    def _another(self, row: int, draws: Draws) -> int:
        others = [one for one in self._images[self._records[row].person] if one != row]
        return int(draws.choice.choice(others or [row]))


def evenly(records: Sequence[Record]) -> NDArray[np.float64]:
    """How often each image is drawn: all sources alike, or the largest would be learned alone."""
    images = Counter(record.source for record in records)
    return np.array([1.0 / (len(images) * images[record.source]) for record in records])
