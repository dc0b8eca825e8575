"""The figures of one attacker on one linkage, in the words of Opinion 05/2014."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.linkages import Linkage
from mami_core.data import Record
from mami_core.evaluation import Estimate, gallery, linkability, pairs, patient_mean
from mami_core.evaluation.coverage import coverage_of_auc
from mami_core.evaluation.curves import density
from mami_core.evaluation.d_sys import Grid, d_sys, grid
from mami_core.evaluation.detection import detection, found_among
from mami_core.evaluation.intervals import mean_difference, resampled
from mami_core.evaluation.llr import FEWEST as FEWEST_TO_CALIBRATE
from mami_core.evaluation.llr import c_llr
from mami_core.evaluation.protocol import Gallery, Pairs, cosines, normalised, pooled, usable
from mami_core.evaluation.several import Pool, pool
from mami_core.evaluation.singling_out import FEWEST, guess, most_people, singling_out

Array = NDArray[np.float64]

#: Sizes of gallery at which curves are drawn, as far as the data holds so many people.
PEOPLE = (2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
#: How many images of one person are pooled to one query; None for all of them.
IMAGES = {"1": 1, "2": 2, "5": 5, "all": None}
#: Patients with a mate that a sentence about a data set takes.
FEWEST_PATIENTS = 30
#: Divisions of people that singling out is averaged over for each query of several images.
DRAWS_POOLED = 25


@dataclass(frozen=True)
class Draws:
    """Random draws behind figures.

    Attributes
    ----------
    seed
        Of every one.
    resamples
        Of patients, behind each interval that is a bootstrap's.
    """

    seed: int = 0
    resamples: int = 1000


@dataclass(frozen=True)
class Scores:
    """What one fit says of the people that it is tested on.

    Attributes
    ----------
    records
        Of the queries, ``q`` of them.
    pools
        Searches with several images of a person at a time, by how many; none where the very image
        is looked for.
    tested
        Of all images that are compared, to which `Pool` refers.
    """

    search: Gallery
    compared: Pairs
    cells: Grid
    records: Sequence[Record]
    pools: Mapping[str, Pool]
    tested: Sequence[Record]

    @property
    def people(self) -> NDArray[np.str_]:
        """Names of the queries' patients, ``(q,)``."""
        return np.array(["/".join(record.person) for record in self.records])

    @property
    def size(self) -> int:
        """The most people that every query can be searched among, its own person included."""
        return int((~np.isnan(self.search.impostors)).sum(axis=1).min()) + 1


def score(
    query: NDArray[np.floating],
    reference: NDArray[np.floating],
    records: Sequence[Record],
    linkage: Linkage,
) -> Scores | None:
    """Compare embeddings ``(n, d)`` of both forms of the tested images.

    Returns
    -------
    None where nobody has an image to be found, or nobody else is there.
    """
    keep = usable(records)
    if not keep.size:
        return None
    some = [records[index] for index in keep]
    asked, kept = pooled(np.asarray(query)[keep], some)
    held, _ = pooled(np.asarray(reference)[keep], some)
    asking = np.ones(len(kept), dtype=bool)
    if linkage.mixed:
        # Either form of every image is there; both are of the query's own unit.
        held, asked, kept = np.vstack([held, asked]), np.vstack([asked, asked]), kept * 2
        asking = np.concatenate([~asking, asking])
    same = linkage.roles[0] == linkage.roles[1]
    searched = gallery(held, kept, queries=asked, asking=asking, copies=linkage.copies)
    if not searched.own.size or searched.size < 2:
        return None
    compared = pairs(
        held, kept, queries=None if same else asked, asking=asking, copies=linkage.copies
    )
    cells = grid(
        cosines(normalised(asked), normalised(held)),
        kept,
        ordered=not same,
        asking=asking,
        copies=linkage.copies,
    )
    several = {
        name: pool(held, kept, images, queries=asked, asking=asking)
        for name, images in ({} if linkage.copies else IMAGES).items()
    }
    return Scores(
        searched,
        compared,
        cells,
        [kept[index] for index in searched.query],
        several,
        kept,
    )


def figures(
    folds: Sequence[Scores], gallery_size: int | None, draws: Draws = Draws()
) -> dict[str, Any]:
    """What is found pair by pair, person by person, and over people; each patient weighs the same.

    Parameters
    ----------
    folds
        One a fit; figures are of people who are searched within a fold.
    gallery_size
        N of the headline; by default all people that the data holds.

    Returns
    -------
    ``auc``, whose interval is ``reliable`` where simulated intervals of its kind are (see
    `mami_core.evaluation.coverage`);
    ``eer``, ``tpr`` and ``roc`` (see `mami_core.evaluation.detection`); ``d_sys``, with
    the bounds of its null, and ``c_llr``, or why there is none (see `mami_core.evaluation.d_sys`,
    `mami_core.evaluation.llr`); ``similarity``,
    densities of both kinds of pairs in the fit that tests most people, and the number of ``fits``;
    ``rank1`` at the largest gallery, with ``gallery`` and ``chance``; ``cmc`` there, a list over
    the rank ``n``, ``linkability`` and ``singling_out``, over the number of people ``n``, with
    ``guess`` beside each;
    ``by_images``, both over the number of images that are pooled (see `by_images`);
    ``patients`` with a mate; ``asked``: `linkability` at `gallery_size`, or why there is none.
    """
    size = min(fold.size for fold in folds)
    people = np.concatenate([fold.people for fold in folds])
    _, patient = np.unique(people, return_inverse=True)
    sizes = sorted({count for count in PEOPLE if count < size} | {size})
    wanted = size if gallery_size is None else gallery_size
    compared = [fold.compared for fold in folds]
    apart = [n for n in PEOPLE if FEWEST <= n <= most_people(size - 1)]
    asked: dict[str, Any] = {
        "n": wanted,
        "undecidable": f"the data holds {size} people to search among, and {wanted} were asked for",
    }
    if wanted <= size:
        asked = _point(wanted, found_first(folds, wanted), patient, 1.0 / wanted)
    told = detection(compared, resamples=draws.resamples, seed=draws.seed)
    seed = draws.seed
    return {
        "auc": told.auc.as_dict() | coverage_of_auc(told.auc).as_dict(),
        **told.as_dict(),
        "d_sys": d_sys([fold.cells for fold in folds], seed=seed).as_dict(),
        "c_llr": _worth(compared, seed),
        "similarity": _similarity(max(compared, key=lambda one: one.people)) | {"fits": len(folds)},
        "rank1": patient_mean(found_first(folds, size), patient).as_dict()
        | {"gallery": size, "chance": 1.0 / size},
        "cmc": [_point(k, _within(folds, size, k), patient, k / size) for k in (1, *sizes)],
        "linkability": [_point(n, found_first(folds, n), patient, 1.0 / n) for n in sizes],
        "singling_out": [_point(n, _isolated(folds, n, seed), patient, guess(n)) for n in apart],
        "by_images": by_images(folds, size, apart[-1] if apart else None, seed),
        "patients": int(patient.max(initial=-1)) + 1,
        "asked": asked,
    }


def by_images(
    folds: Sequence[Scores], people: int, apart: int | None, seed: int
) -> list[dict[str, Any]]:
    """What is found by several images of one person, whose visits the gallery does not hold.

    Parameters
    ----------
    people
        Searched for linkability.
    apart
        Searched for singling out; None where they are too few.

    Returns
    -------
    A list of ``images`` (one of `IMAGES`), their ``mean`` number, ``linkability`` among ``n``,
    ``alone``, what the very same images find one by one, with ``guess``, and ``singling_out``; or
    of ``images, undecidable``. Empty where the very image is looked for.
    """
    told: list[dict[str, Any]] = []
    for name in IMAGES if folds[0].pools else ():
        pools = [fold.pools[name] for fold in folds]
        whose = np.concatenate([_owners(fold, fold.pools[name]) for fold in folds])
        _, patient = np.unique(whose, return_inverse=True)
        patients = int(patient.max(initial=-1)) + 1
        if patients < FEWEST_PATIENTS:
            reason = f"{patients} patients have that many, and a figure takes {FEWEST_PATIENTS}"
            told.append({"images": name, "undecidable": reason})
            continue
        together, alone = zip(*(_found_by(one, people) for one in pools), strict=True)
        count = np.concatenate([one.images for one in pools])
        mean = (np.bincount(patient, count) / np.bincount(patient)).mean()
        point: dict[str, Any] = {
            "images": name,
            "mean": float(mean),
            "linkability": _point(people, np.concatenate(together), patient, 1.0 / people),
            "alone": patient_mean(np.concatenate(alone), patient).value,
        }
        if apart is not None:
            found = [
                singling_out(
                    one.together.own, one.together.impostors, apart, draws=DRAWS_POOLED, seed=seed
                )
                for one in pools
            ]
            point["singling_out"] = _point(apart, np.concatenate(found), patient, guess(apart))
        told.append(point)
    return told


def _owners(fold: Scores, found: Pool) -> NDArray[np.str_]:
    return np.array(["/".join(fold.tested[row].person) for row in found.together.query], dtype=str)


def _found_by(found: Pool, people: int) -> tuple[Array, Array]:
    """Of each draw: whether its person comes first, and the mean of its images one by one."""
    together, alone = (
        linkability(one.own, one.impostors, people) for one in (found.together, found.alone)
    )
    return together, np.bincount(found.draw, alone, len(together)) / found.images


def found_first(folds: Sequence[Scores], people: int) -> Array:
    """Of each query: the probability that its person comes first among `people`."""
    return np.concatenate(
        [linkability(fold.search.own, fold.search.impostors, people) for fold in folds]
    )


def _within(folds: Sequence[Scores], people: int, rank: int) -> Array:
    return np.concatenate(
        [found_among(fold.search.own, fold.search.impostors, people, rank) for fold in folds]
    )


def _worth(compared: Sequence[Pairs], seed: int) -> dict[str, Any]:
    value = c_llr(compared, seed=seed)
    if np.isnan(value):
        return {
            "undecidable": f"calibrating takes {FEWEST_TO_CALIBRATE} patients with mates beside "
            "those whom it is read on, in every fit"
        }
    return {"value": value}


def _similarity(found: Pairs) -> dict[str, list[float]]:
    return {name: np.round(values, 4).tolist() for name, values in asdict(density(found)).items()}


def by_patient(values: Array, people: NDArray[np.str_]) -> dict[str, float]:
    """Each patient's own mean."""
    names, index = np.unique(people, return_inverse=True)
    means = np.bincount(index, weights=values) / np.bincount(index)
    return dict(zip(names.tolist(), means.tolist(), strict=True))


def difference(
    before: Sequence[Scores], after: Sequence[Scores], people: int, draws: Draws = Draws()
) -> dict[str, Any]:
    """How many fewer are found than before, patient by patient, with a bootstrap over patients.

    Parameters
    ----------
    people
        N, for both.

    Returns
    -------
    ``n, before, after, value, low, high, patients``; the value is the mean of before less after,
    from -1 to 1, over the patients who are in both.
    """
    found = [
        by_patient(found_first(folds, people), np.concatenate([fold.people for fold in folds]))
        for folds in (before, after)
    ]
    common = sorted(set(found[0]) & set(found[1]))
    earlier, later = (np.array([means[person] for person in common]) for means in found)
    return {
        "n": people,
        "before": float(earlier.mean()),
        "after": float(later.mean()),
        **mean_difference(earlier - later, resamples=draws.resamples, seed=draws.seed).as_dict(),
    }


def _isolated(folds: Sequence[Scores], people: int, seed: int) -> Array:
    return np.concatenate(
        [singling_out(fold.search.own, fold.search.impostors, people, seed=seed) for fold in folds]
    )


def _point(
    people: int, values: Array, patient: NDArray[np.intp], by_guess: float
) -> dict[str, Any]:
    return {"n": people, **patient_mean(values, patient).as_dict(), "guess": by_guess}


def largest(found: Sequence[Array], draws: Draws = Draws()) -> Estimate:
    """The largest mean over attackers, with the maximum taken inside every resample of patients.

    Parameters
    ----------
    found
        Per attacker, each patient's proportion ``(p,)``, the same patients in the same order.

    Returns
    -------
    Its interval is the wider of the bootstrap's and Wilson's of the attacker that is largest: near
    0 and 1 no resample differs.
    """
    table = np.stack(list(found))
    patients = table.shape[1]
    best = patient_mean(table[table.mean(axis=1).argmax()], np.arange(patients))
    drawn = [
        (table @ some.T / patients).max(axis=0)
        for some in resampled(patients, draws.resamples, draws.seed)
    ]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    return replace(best, low=float(min(low, best.low)), high=float(max(high, best.high)))
