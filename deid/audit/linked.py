"""The figures of one linkage: every attacker, the largest of them, and whom that one finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from deid.audit.attackers.registry import is_floor
from deid.audit.bench import Bench
from deid.audit.exposure import Exposed, most_exposed, subgroups
from deid.audit.figures import (
    Draws,
    Scores,
    by_patient,
    difference,
    figures,
    found_first,
    largest,
)
from deid.audit.inference import inference, speaks_of
from deid.audit.linkages import ADAPTIVE, LINKAGES, ORIGINAL, Linkage


def linked(
    bench: Bench,
    linkage: Linkage,
    basis: str,
    *,
    gallery_size: int | None,
    draws: Draws,
    name_exposed: Callable[[Exposed], None],
) -> dict[str, Any]:
    """Every attacker on one linkage, and the largest of them with whom it finds.

    Parameters
    ----------
    basis
        `FIXED` or `ADAPTIVE`.
    gallery_size
        People to search among; as many as there are where it is None.
    name_exposed
        Is given the patients whom the largest finds most.

    Returns
    -------
    As `deid.audit.run.audit` says of ``linkages``.
    """
    adaptive = basis == ADAPTIVE
    plain, bench = bench, bench.of(linkage)
    found = {
        name: folds
        for name in bench.attackers
        if (folds := bench.tried(name, linkage, adaptive=adaptive))
    }
    said = {name: figures(folds, gallery_size, draws) for name, folds in found.items()}
    if linkage.name != ORIGINAL and not linkage.copies:
        for name, folds in found.items():
            before = plain.tried(name, LINKAGES[ORIGINAL], adaptive=False)
            people = min(fold.size for fold in (*before, *folds))
            said[name]["fewer"] = difference(before, folds, people, draws)
    for name in found:
        if fits := bench.told(name, linkage, adaptive=adaptive):
            said[name]["fits"] = fits
    first = _largest(found, gallery_size, draws) if found else None
    told: dict[str, Any] = {"attackers": said, "largest": first}
    if first and "value" in first:
        folds, people = found[first["attacker"]], first["n"]
        told["subgroups"] = subgroups(folds, people)
        if speaks_of(linkage):
            told["inference"] = inference(
                bench,
                first["attacker"],
                linkage,
                adaptive=adaptive,
                finds=first["low"] > first["guess"],
                draws=draws,
            )
        # Whoever holds the very image finds everybody: that says nothing of a patient.
        if not linkage.copies:
            source = folds[0].records[0].source
            for one in most_exposed(
                folds, people, (source, linkage.name, basis, first["attacker"])
            ):
                name_exposed(one)
    return told


def _largest(
    found: Mapping[str, Sequence[Scores]], gallery_size: int | None, draws: Draws
) -> dict[str, Any]:
    """The attacker that finds most, at a number of people that all of them can be asked about."""
    size = min(fold.size for folds in found.values() for fold in folds)
    wanted = gallery_size or size
    if wanted > size:
        return {
            "n": wanted,
            "undecidable": f"the data holds {size} people to search among, "
            f"and {wanted} were asked for",
        }
    means = {
        name: by_patient(
            found_first(folds, wanted), np.concatenate([fold.people for fold in folds])
        )
        for name, folds in found.items()
    }
    common = sorted(set.intersection(*(set(values) for values in means.values())))
    table = {
        name: np.array([values[person] for person in common]) for name, values in means.items()
    }
    best = max(table, key=lambda name: float(table[name].mean()))
    floors = [values.mean() for name, values in table.items() if is_floor(name)]
    main = largest(list(table.values()), draws)
    control = float(max(floors)) if floors else None
    return {
        "n": wanted,
        "guess": 1.0 / wanted,
        "attacker": best,
        **main.as_dict(),
        "control": control,
        "added": None if control is None or control == 1.0 else _added(main.value, control),
    }


def _added(main: float, control: float) -> float:
    """What the images give beyond what their use alone gives away (Giomi et al., PETS 2023)."""
    return (main - control) / (1.0 - control)
