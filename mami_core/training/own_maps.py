"""``python -m mami_core.training.own_maps WEIGHTS DATA... OUTPUT``: fit what is in closed form of
trained weights and needs no training: their own maps, and the rule of what a picture is.

The trunk and the map that all modalities share stay as they are, bit by bit, and so do the
embeddings of modalities without a map of their own. Pictures of a folder given as
``pictures=FOLDER`` (phantoms, say) are recognised as well; nobody in them is fitted on.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mami_core.closed_form import whiten
from mami_core.data import Dataset, DatasetError, Record, open_dataset
from mami_core.evaluation.yardsticks import FEWEST, identities
from mami_core.files import private_folder
from mami_core.models.encoder import SIZES, Config, MaMI
from mami_core.models.own_maps import OwnMaps
from mami_core.training.batches import REGIONS, parts
from mami_core.training.loop import TrainingError
from mami_core.training.recognised import Seen, rules, seen
from mami_core.weights import WeightsError, load, save

PICTURES = "pictures="


def sets_of(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Modality and source of each set."""
    return sorted({_set_of(record) for record in records})


def with_sets(config: Config, sets: Sequence[tuple[str, str]]) -> Config:
    """The configuration of a network that knows these sets, where it has own maps."""
    return replace(config, sets=tuple(name for name, _ in sets)) if config.own else config


def _set_of(record: Record) -> tuple[str, str]:
    return record.modality or "unknown", record.source


@torch.no_grad()
def fit(
    model: MaMI, sets: Sequence[tuple[str, str]], seen: Seen, records: Sequence[Record]
) -> None:
    """Fit the own maps on images that taught, after the common map.

    Other than for the common map, two places of one scan are a pair: on scans alone that finds more
    people, where X-rays would lose by it. A modality without enough people keeps the common map.
    """
    own = model.own
    if own is None:
        return
    own.clear()
    of = [_set_of(record) for record in records]
    groups = [seen.pooled[[other == one for other in of]] for one in sets]
    _put(own.scale, _scale(groups, model.depths))
    scale = own.scale.cpu().double().numpy()
    for place, pooled in enumerate(groups):
        # A set without an image here is nobody's nearest.
        _put(own.centres[place], pooled.mean(axis=0) / scale if len(pooled) else 0 * scale + np.inf)
    for place, name in enumerate(model.config.own):
        rows = [row for row, (modality, _) in enumerate(of) if modality == name]
        people = identities([records[row] for row in rows])
        if sum(count > 1 for count in Counter(people).values()) >= FEWEST:
            _fit_one(model, own, place, seen[rows], people)


def _scale(groups: Sequence[NDArray[np.float64]], depths: Sequence[int]) -> NDArray[np.float64]:
    """The root mean square of each depth's deviations from their set's mean, ``(P,)``."""
    apart = np.concatenate([rows - rows.mean(axis=0) for rows in groups if len(rows)])
    edges = np.cumsum([0, *depths])
    levels = [np.sqrt((apart[:, a:b] ** 2).mean()) for a, b in pairwise(edges)]
    # As half precision keeps them: the maps are fitted to what the file will hold.
    return np.repeat(np.maximum(levels, 1e-3), depths).astype(np.float16).astype(np.float64)


def _fit_one(
    model: MaMI, own: OwnMaps, place: int, seen: Seen, people: Sequence[tuple[str, str]]
) -> None:
    scale = own.scale.cpu().double().numpy()
    both = np.concatenate([seen.pooled / scale, seen.squares / scale**2], axis=1)
    blocks = (*model.depths, *model.depths)
    found = whiten(both, people, blocks, model.config.features)
    weight, bias = (one.double().cpu().numpy() for one in (model.head.weight, model.head.bias))
    _put(own.weight[place], found.weight[:, : len(scale)] - weight * scale)
    _put(own.second[place], found.weight[:, len(scale) :])
    _put(own.bias[place], found.bias - bias)


def _put(place: Tensor, values: NDArray[np.float64]) -> None:
    place.copy_(torch.from_numpy(values))


def refit(
    weights: str,
    data: Sequence[Dataset],
    output: Path,
    *,
    own: Sequence[str] = SIZES["tiny"].own,
    pictures: Sequence[Dataset] = (),
) -> Path:
    """Fit the own maps and the rule of pictures of an identity encoder anew.

    Parameters
    ----------
    weights
        A bundled name or a file.
    data
        What it was trained on.
    own
        The modalities that get a map of their own.
    pictures
        What is recognised besides.

    Returns
    -------
    The path of the new weights, ``OUTPUT/mami.safetensors``.

    Raises
    ------
    TrainingError, mami_core.data.DatasetError, mami_core.weights.WeightsError
        One line: what is wrong and what to do.
    """
    given = load(weights)
    if not isinstance(given.model, MaMI):
        raise TrainingError("these weights are not an identity encoder's; give those of train-mami")
    train, val = parts(Dataset.join(data), REGIONS)
    sets = sets_of(train.records)
    model = MaMI(with_sets(replace(given.model.config, own=tuple(own)), sets))
    kept = {k: v for k, v in given.model.state_dict().items() if not k.startswith("own.")}
    model.load_state_dict(kept, strict=False)
    known, judged = train, val
    if pictures:
        both = zip((train, val), parts(Dataset.join(pictures), REGIONS), strict=True)
        known, judged = (Dataset.join(pair) for pair in both)
    with torch.no_grad():
        found = seen(model, known)
        fit(model, sets, found[: len(train)], train.records)
        told = rules(found.pooled, known.records, seen(model, judged).pooled, judged.records)
    private_folder(output)
    path = output / "mami.safetensors"
    save(path, "mami", model, _rest(given.facts) | {"pictures": told, "judged_on": "val"})
    return path


def _rest(facts: dict[str, Any]) -> dict[str, Any]:
    """What is known of weights besides their configuration."""
    config = {"kind", *(field.name for field in fields(Config))}
    return {name: value for name, value in facts.items() if name not in config}


def main(*arguments: str) -> None:
    """Read the data sets and write the weights."""
    shown = [one.removeprefix(PICTURES) for one in arguments if one.startswith(PICTURES)]
    plain = [one for one in arguments if not one.startswith(PICTURES)]
    if len(plain) < 3:
        sys.exit("give weights, one or more data sets, and a folder for the new weights")
    weights, *data, output = plain
    try:
        path = refit(
            weights,
            [open_dataset(one) for one in data],
            Path(output),
            pictures=[open_dataset(one) for one in shown],
        )
    except (DatasetError, TrainingError, WeightsError) as error:
        sys.exit(str(error))
    print(f"weights: {path.name}")


if __name__ == "__main__":
    main(*sys.argv[1:])
