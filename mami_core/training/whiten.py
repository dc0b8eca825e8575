"""``python -m mami_core.training.whiten DATA... OUTPUT``: make the encoder `whiten`.

Frozen ImageNet networks, and linear maps fitted in closed form on the people of `train`: no step
of gradient, and on one machine with one number of threads the same bytes each time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mami_core.closed_form import principal, whiten
from mami_core.data import Dataset, DatasetError, Record, open_dataset
from mami_core.evaluation.embed import Embedder, embeddings, in_batches
from mami_core.evaluation.yardsticks import SHRINK, AbsentError, fit_on, identities
from mami_core.imagenet import PACKAGES, load_into, weights_file
from mami_core.models.whiten import Whiten, WhitenConfig
from mami_core.training.loop import TrainingError, claim
from mami_core.weights import WHITEN, save


def fit_whiten(
    data: Sequence[Dataset], output: Path, *, config: WhitenConfig | None = None
) -> Path:
    """Fit the encoder on the `train` split; write ``OUTPUT/whiten.safetensors``.

    Parameters
    ----------
    data
        One a source. Who is reserved (`mami_core.data.reserved`) is left out.

    Returns
    -------
    The path of the weights.

    Raises
    ------
    TrainingError
        The package with a network's ImageNet weights is not installed, or too few people of a
        source have several images.
    mami_core.data.DatasetError
        An image can not be decoded.
    """
    try:
        fitted = Dataset.join([fit_on(one) for one in data])
    except AbsentError as reason:
        raise TrainingError(str(reason)) from None
    claim(output)
    sets = sorted({_set_of(record) for record in fitted.records})
    model = frozen(replace(config or WhitenConfig(), sets=tuple(kind for kind, _ in sets)))
    look = in_batches(lambda pictures: model(pictures).pooled, "cpu")
    seen = embeddings(Embedder(look, model.config.image, ""), fitted)
    set_maps(model, seen, fitted.records)
    path = output / f"{WHITEN}.safetensors"
    facts = {"sources": [source for _, source in sets], "fitted_on": len(fitted)}
    save(path, WHITEN, model, facts)
    return path


def set_maps(model: Whiten, seen: NDArray[np.floating], records: Sequence[Record]) -> None:
    """Fit the maps on features ``(n, P)``: one PCA for all, whitening for each modality.

    Measured on `val`: one whitening for all costs each set 0.001 to 0.009 AUC.
    """
    config, people = model.config, identities(records)
    of = [_set_of(record) for record in records]
    first = _firsts(records)
    sources = [of[row][1] for row in first]
    axes = principal(seen[first], sources, model.depths, config.components)
    reduced = seen @ axes.weight.T + axes.bias
    _put(model.axes.weight, axes.weight)
    _put(model.axes.bias, axes.bias)
    for place, one in enumerate(sorted(set(of))):
        _put(model.centres[place], reduced[[other == one for other in of]].mean(axis=0))
    for place, name in enumerate(config.modalities):
        rows = [row for row, (kind, _) in enumerate(of) if kind == name]
        found = whiten(
            reduced[rows],
            [people[row] for row in rows],
            (config.components,),
            config.features,
            shrink=SHRINK,
        )
        _put(model.maps[place], found.weight)
        _put(model.offsets[place], found.bias)


def _firsts(records: Sequence[Record]) -> list[int]:
    """One image a visit: the slices of a scan are much alike, and would crowd other sets out."""
    units = [(record.person, record.subject, record.unit) for record in records]
    return sorted({unit: row for row, unit in reversed(list(enumerate(units)))}.values())


def _set_of(record: Record) -> tuple[str, str]:
    """Modality and source."""
    return record.modality or "unknown", record.source


@torch.no_grad()
def _put(place: Tensor, values: NDArray[np.float64]) -> None:
    place.copy_(torch.from_numpy(values))


def frozen(config: WhitenConfig) -> Whiten:
    """The networks with their ImageNet weights, as half precision keeps them; maps are empty."""
    model = Whiten(config).eval().requires_grad_(False)
    networks: Any = model.networks
    for name, network in zip(config.trunks, networks, strict=True):
        file = weights_file(name)
        if file is None:
            package = PACKAGES.get(name, f"a package with the weights of {name}")
            raise TrainingError(f"{package} is not installed; see mami-deid[train]")
        load_into(network.trunk, file)
    # The maps are fitted to what the file will hold.
    return model.half().float()


def main(*arguments: str) -> None:
    """Read the data sets and write the weights."""
    if len(arguments) < 2:
        sys.exit("give one or more data sets, and a folder for the weights")
    try:
        path = fit_whiten([open_dataset(one) for one in arguments[:-1]], Path(arguments[-1]))
    except (DatasetError, TrainingError) as error:
        sys.exit(str(error))
    print(f"weights: {path.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
