"""``python -m mami_core.training.whiten DATA... OUTPUT``: make the encoder `whiten`.

Frozen ImageNet networks, and one linear map that is fitted in closed form on the people of `train`:
no step of gradient, and on one machine with one number of threads the same bytes each time.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from mami_core.closed_form import whiten
from mami_core.data import Dataset, DatasetError, open_dataset
from mami_core.evaluation.embed import Embedder, embeddings, in_batches
from mami_core.evaluation.yardsticks import SHRINK, AbsentError, fit_on, identities
from mami_core.files import private_folder
from mami_core.imagenet import PACKAGES, load_into, weights_file
from mami_core.models.whiten import Whiten, WhitenConfig
from mami_core.training.loop import TrainingError
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
    model = frozen(config or WhitenConfig())
    try:
        fitted = Dataset.join([fit_on(one) for one in data])
    except AbsentError as reason:
        raise TrainingError(str(reason)) from None
    look = in_batches(lambda pictures: model(pictures).pooled, "cpu")
    seen = embeddings(Embedder(look, model.config.image, ""), fitted)
    people = identities(fitted.records)
    found = whiten(seen, people, model.depths, model.config.features, shrink=SHRINK)
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(found.weight))
        model.head.bias.copy_(torch.from_numpy(found.bias))
    path = output / f"{WHITEN}.safetensors"
    private_folder(output)
    sources = sorted({record.source for record in fitted.records})
    save(path, WHITEN, model, {"sources": sources, "fitted_on": len(fitted)})
    return path


def frozen(config: WhitenConfig) -> Whiten:
    """The networks with their ImageNet weights, as half precision keeps them; the map is empty."""
    model = Whiten(config).eval().requires_grad_(False)
    networks: Any = model.networks
    for name, network in zip(config.trunks, networks, strict=True):
        file = weights_file(name)
        if file is None:
            package = PACKAGES.get(name, f"a package with the weights of {name}")
            raise TrainingError(f"{package} is not installed; see mami-deid[train]")
        load_into(network.trunk, file)
    # The map is fitted to what the file will hold.
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
