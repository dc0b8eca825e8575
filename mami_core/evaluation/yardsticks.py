"""What one finds without a medical training: the rows that an encoder has to beat.

`frozen` is a network with ImageNet weights, the mean of its last map. `whiten` is the closed form
on the same network: features of several depths, PCA, and whitening by the within-patient covariance
of other patients of the same data set. Both are centred by source; no identity enters that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mami_core.closed_form import MOST_FOR_PCA, whiten
from mami_core.data import Dataset, Record, reserved
from mami_core.evaluation.embed import Embedder, in_batches
from mami_core.evaluation.protocol import usable
from mami_core.files import as_bytes

Array = NDArray[np.float64]

SIDE = 224
#: Features of its last map, which stand at the end.
LAST = 1280
COMPONENTS, SHRINK = 1024, 0.3
#: Whitening helps from about five people on (nih: AUC 0.93 without, 0.94 with 5, 0.95 with 20).
FEWEST = 10


class AbsentError(ValueError):
    """A row can not be had: one line that says why."""


def yardsticks(
    network: Embedder, part: Dataset, whole: Dataset
) -> tuple[dict[str, Array], dict[str, str]]:
    """Embed one split of one source.

    Parameters
    ----------
    network
        That of `imagenet`.
    part
        The split.
    whole
        All splits of the source. Whitening that is fitted on several sources finds fewer people in
        each of them (measured on four: AUC lower by 0.001 to 0.02), so that each has its own.

    Returns
    -------
    By row (``frozen``, ``whiten``) the embeddings of the part's images, and by row why it is
    absent.
    """
    seen = network.embed(part.squares(network.size)).astype(np.float64)
    seen -= seen.mean(axis=0)
    rows = {"frozen": seen[:, -LAST:]}
    try:
        if any(record.split == "train" for record in part.records):
            raise AbsentError("'train' is what it is fitted on")
        fitted = fit_on(whole)
    except AbsentError as reason:
        return rows, {"whiten": str(reason)}
    learnt = closed_form(network.embed(fitted.squares(network.size)), fitted.records)
    return rows | {"whiten": seen @ learnt.T}, {}


def imagenet(where: str) -> Embedder:
    """The frozen network: means of two early maps, then maximum and mean of the last.

    Raises
    ------
    AbsentError
        Where the package with its weights is not installed.
    """
    import timm

    from mami_core.imagenet import LITE0, PACKAGES, load_into, weights_file
    from mami_core.models.whiten import Depths

    file = weights_file()
    if file is None:
        raise AbsentError(f"{PACKAGES[LITE0]} is not installed")
    network = Depths(timm.create_model(LITE0, num_classes=0)).eval()
    load_into(network.trunk, file)
    network.to(where)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return Embedder(in_batches(network, where), SIDE, digest)


def fit_on(dataset: Dataset) -> Dataset:
    """The people of `train` whom the closed form may see: not the reserved ones; the first of a
    draw by name where they have more images than it takes.

    Raises
    ------
    AbsentError
        Where too few of them have several images.
    """
    spare = iter(reserved(dataset.records))
    free = dataset.select(lambda record: not next(spare) and record.split == "train")
    images = Counter(record.person for record in free.records)
    left, taken = MOST_FOR_PCA, set()
    for person in sorted(images, key=lambda one: hashlib.sha256(as_bytes("/".join(one))).digest()):
        if images[person] <= left:
            taken.add(person)
            left -= images[person]
    part = free.select(lambda record: record.person in taken)
    several = sum(count > 1 for count in Counter(identities(part.records)).values())
    if several < FEWEST:
        raise AbsentError(f"{several} people in 'train' have several images, and it takes {FEWEST}")
    return part


def closed_form(
    features: NDArray[np.floating], records: Sequence[Record], depths: Sequence[int] = ()
) -> Array:
    """The map ``(D, P)`` from centred features to whitened ones, fitted on `records`.

    Parameters
    ----------
    depths
        Widths of the parts that are scaled one by one; all features are one part without it.
    """
    blocks = depths or (features.shape[1],)
    found = whiten(features, identities(records), blocks, COMPONENTS, shrink=SHRINK)
    return found.weight


def identities(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Whose an image is, as a figure would match it; nobody else's where the id is not reliable."""
    sure = set(usable(records).tolist())
    return [
        (record.source, f"{record.patient}/{record.subject}" if index in sure else f"//{index}")
        for index, record in enumerate(records)
    ]
