"""Ablations: the rows of the paper's tables (section 4.4), trained alike on the data at hand."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mami_core.data import Dataset
from mami_core.evaluation import Figures, by_source
from mami_core.evaluation.difference import Difference, both, difference
from mami_core.evaluation.embed import embedder
from mami_core.models.encoder import SIZES, Config
from mami_core.training.batches import digest
from mami_core.training.guides import Guide
from mami_core.training.loop import TrainingError
from mami_core.training.mami import GUIDES, train_mami
from mami_core.training.priors import Alignment
from mami_core.training.recipe import PRESETS, Recipe


@dataclass(frozen=True)
class Row:
    """One row of a table: what differs from ours, and what the paper found.

    Attributes
    ----------
    config
        Changed fields of the network's configuration.
    recipe
        Changed fields of the recipe.
    alignment
        Changed fields of the medical term; None for no such term.
    paper
        CMC-R1 in per cent by the table's columns; not a number where the paper has none.
    """

    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    alignment: Mapping[str, Any] | None = field(default_factory=dict)
    paper: tuple[float, ...] = ()
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The same for rows of several tables that are the same training."""
        text = json.dumps([dict(self.config), dict(self.recipe), self.alignment], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def applied(self, config: Config, recipe: Recipe) -> tuple[Config, Recipe]:
        """The network and the recipe of this row."""
        changed: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.config.items()
        }
        how = None if self.alignment is None else Alignment(**self.alignment)
        return replace(config, **changed), replace(recipe, **self.recipe, alignment=how)


#: What every row differs from.
OURS = Row("M_ours")


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    number: int
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Judged:
    """One training, judged on `val`.

    Attributes
    ----------
    sources
        Its figures by source.
    beside_ours
        What it finds more than ours of the same seed on the same images, over the patients of all
        sources; None of ours, and where ours was not trained.
    """

    sources: Mapping[str, Figures]
    beside_ours: Difference | None = None


def tables() -> list[Table]:
    """All of them, as ``ablations.toml`` has them."""
    text = (files("mami_core.training") / "ablations.toml").read_text("utf-8")
    return [
        Table(
            one["number"], one["title"], tuple(one["columns"]), tuple(_row(r) for r in one["rows"])
        )
        for one in tomllib.loads(text)["tables"]
    ]


def _row(row: dict[str, Any]) -> Row:
    alignment = row.get("alignment", {})
    return Row(
        row["name"],
        row.get("config", {}),
        None if alignment is False else alignment,
        tuple(row["paper"]),
        row.get("recipe", {}),
    )


def ablate(
    data: Sequence[Dataset],
    output: Path,
    chosen: Sequence[Table],
    *,
    recipe: Recipe = PRESETS["small"],
    config: Config | None = None,
    guides: Mapping[str, str | Guide] = GUIDES,
    max_minutes: float | None = None,
    steps: int | None = None,
    seeds: int = 1,
    device: str = "cpu",
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Judged]]:
    """Train every row of `chosen` once a seed and score it on `val`.

    Parameters
    ----------
    output
        A private folder; one folder a training. Those that ended are not trained again, and one
        that was cut off goes on.
    max_minutes, steps
        Budget of each training.
    progress
        Told which training begins.

    Returns
    -------
    By the rows' keys, a training a seed.

    Raises
    ------
    TrainingError, mami_core.data.DatasetError, mami_core.weights.WeightsError
        One line: what is wrong and what to do.
    """
    rows = {row.key: row for table in chosen for row in table.rows}
    found: dict[str, list[Judged]] = {key: [] for key in rows}
    network = config or SIZES[recipe.size]
    joined = Dataset.join(data)
    val = joined.select(lambda record: record.split == "val")
    if not len(val) or not by_source(val.records, lambda members: np.zeros((len(members), 1))):
        raise TrainingError("nobody in split 'val' has a second visit: there is nothing to score")
    taught = sorted((name, str(one)) for name, one in guides.items())
    for seed in range(seeds):
        seen: dict[str, NDArray[np.float32]] = {}
        for number, (key, row) in enumerate(rows.items(), start=1):
            progress(f"{row.name}, seed {seed} ({number} of {len(rows)})")
            changed, how = row.applied(network, recipe)
            # Named for all that it depends on, so that no other training is taken for it.
            depends = (changed, how, max_minutes, steps, taught)
            folder = output / f"{digest(joined.records, depends)[:12]}-{seed}"
            path = folder / "mami.safetensors"
            if not path.is_file():
                path = train_mami(
                    data,
                    folder,
                    recipe=how,
                    config=changed,
                    guides=guides,
                    max_minutes=max_minutes,
                    steps=steps,
                    seed=seed,
                    device=device,
                    resume=folder.is_dir(),
                )
            encoder = embedder(path, device)
            seen[key] = encoder.embed(val.squares(encoder.size))
        for key in rows:
            found[key].append(
                _judged(seen[key], seen.get(OURS.key) if key != OURS.key else None, val)
            )
    return found


def _judged(own: NDArray[np.float32], ours: NDArray[np.float32] | None, val: Dataset) -> Judged:
    sources = by_source(val.records, lambda members: own[members])
    if ours is None:
        return Judged(sources)
    paired = []
    for name in sources:
        members = [row for row, record in enumerate(val.records) if record.source == name]
        if two := both(own[members], ours[members], [val.records[row] for row in members]):
            paired.append(two)
    return Judged(sources, difference(paired))
