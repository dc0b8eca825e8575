"""``python -m mami_core.training.refit WEIGHTS DATA... OUTPUT``: fit anew what of an encoder is in
closed form and needs no training: its last layer, and the rule of what a picture is.

All below the last layer stays as it is, bit by bit. DATA is what the encoder was trained on.
Pictures of a folder given as ``pictures=FOLDER`` are recognised as well; nobody in them is fitted
on. For the phantoms::

    deid phantoms PHANTOMS --patients 20
    sed -i '/\\.nii/d' PHANTOMS/manifest.csv
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import torch

from mami_core.data import Dataset, DatasetError, open_dataset
from mami_core.models.encoder import Config, MaMI
from mami_core.training import last_layer
from mami_core.training.batches import REGIONS, parts
from mami_core.training.loop import TrainingError, claim
from mami_core.training.own_maps import sets_of, with_sets
from mami_core.training.recognised import rules, seen
from mami_core.weights import WeightsError, load, save

PICTURES = "pictures="


def refit(
    weights: str,
    data: Sequence[Dataset],
    output: Path,
    *,
    last: str | None = None,
    own: Sequence[str] | None = None,
    pictures: Sequence[Dataset] = (),
) -> Path:
    """Fit the last layer and the rule of pictures of an identity encoder anew.

    Parameters
    ----------
    weights
        A bundled name or a file.
    data
        What it was trained on.
    last, own
        What the last layer reads, and the modalities that get a map of their own (see
        `mami_core.models.encoder.Config`); as it was where they are not given.
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
    claim(output)
    sets = sets_of(train.records)
    config = given.model.config
    own = config.own if own is None else tuple(own)
    model = MaMI(with_sets(replace(config, last=last or config.last, own=own), sets))
    kept = {k: v for k, v in given.model.state_dict().items() if not k.startswith(last_layer.PARTS)}
    model.load_state_dict(kept, strict=False)
    known, judged = train, val
    if pictures:
        both = zip((train, val), parts(Dataset.join(pictures), REGIONS), strict=True)
        known, judged = (Dataset.join(pair) for pair in both)
    with torch.no_grad():
        found = seen(model, known)
        last_layer.fit(model, sets, found[: len(train)], train.records)
        # As in training: where nobody is in `val`, those who were fitted on judge.
        by = judged if len(judged) else known
        told = rules(found.pooled, known.records, seen(model, by).pooled, by.records)
    path = output / "mami.safetensors"
    facts = {"pictures": told, "judged_on": "val" if len(judged) else "train"}
    save(path, "mami", model, _rest(given.facts) | facts)
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
