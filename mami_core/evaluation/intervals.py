"""Intervals whose unit is the patient."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_Z = 1.959963984540054  # 95 %

#: Resamples that are drawn and looked at together.
AT_ONCE = 64


@dataclass(frozen=True)
class Estimate:
    """A figure, its 95 % interval, and the number of patients behind it."""

    value: float
    low: float
    high: float
    patients: int

    def as_dict(self) -> dict[str, float | int]:
        """The four numbers by name."""
        return asdict(self)


def wilson(value: float, patients: int) -> Estimate:
    """Wilson's score interval for a mean of per-patient proportions, with n = patients.

    A patient's proportion varies less than one yes or no, so the interval errs to the wide side.
    """
    if patients < 1:
        return Estimate(float("nan"), 0.0, 1.0, 0)
    square = _Z**2 / patients
    middle = (value + square / 2) / (1 + square)
    half = _Z / (1 + square) * np.sqrt(value * (1 - value) / patients + square / (4 * patients))
    # The bounds at 0 and 1 are exact; rounding must not move them past the value.
    return Estimate(
        value,
        float(max(0.0, min(middle - half, value))),
        float(min(1.0, max(middle + half, value))),
        patients,
    )


def patient_mean(values: Array, patient: NDArray[np.intp]) -> Estimate:
    """Mean over patients of each patient's own mean, with Wilson's interval.

    Parameters
    ----------
    values
        One proportion an image, ``(q,)``.
    patient
        Whose image it is, ``(q,)``, any integers.
    """
    if not values.size:
        return wilson(float("nan"), 0)
    _, index = np.unique(patient, return_inverse=True)
    means = np.bincount(index, weights=values) / np.bincount(index)
    return wilson(float(means.mean()), means.size)


def patient_bootstrap(
    statistic: Callable[[Array], float],
    people: int,
    patients: int,
    *,
    resamples: int = 400,
    seed: int = 0,
) -> Estimate:
    """Interval of a pair statistic in 0..1: people are drawn again, pairs weigh ``w_i w_j``.

    Resampling pairs would treat the thousands of pairs of one person as independent. The spread is
    measured on the logit scale, where it is close to normal also near 1; resamples in which the
    statistic is not defined are left out.

    Parameters
    ----------
    statistic
        The figure for multiplicities ``(people,)`` of the people; NaN where it is not defined.
    people
        How many people are drawn from.
    patients
        How many of them have mates: what the estimate reports, and the fallback's n.
    """
    value = statistic(np.ones(people))
    drawn = [statistic(times) for some in resampled(people, resamples, seed) for times in some]
    return on_logits(value, np.array(drawn), patients)


def resampled(people: int, resamples: int, seed: int) -> Iterator[Array]:
    """How often each of so many people is drawn, ``(k, people)``: `AT_ONCE` resamples at a time.

    Memory does not grow with the number of resamples.
    """
    generator = np.random.default_rng(seed)
    even = np.full(people, 1.0 / people)
    for start in range(0, resamples, AT_ONCE):
        drawn = generator.multinomial(people, even, size=min(AT_ONCE, resamples - start))
        yield drawn.astype(np.float64)


def on_logits(value: float, drawn: Array, patients: int) -> Estimate:
    """The interval of `patient_bootstrap` from the figure in each resample, ``(resamples,)``."""
    logits = _logit(drawn[~np.isnan(drawn)])
    spread = float(logits.std(ddof=1)) if logits.size > 1 else 0.0
    if not 0.0 < value < 1.0 or spread < 1e-9:
        # No resample says anything where all agree: then as if each patient were one trial.
        return wilson(value, patients)
    middle = float(_logit(np.array([value]))[0])
    low, high = (float(1 / (1 + np.exp(-(middle + side * _Z * spread)))) for side in (-1, 1))
    return Estimate(value, low, high, patients)


def mean_difference(values: Array, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean of what each patient differs by, with the percentiles of a bootstrap over patients.

    Parameters
    ----------
    values
        One number a patient, ``(p,)``, from -1 to 1: what one finds less what another finds.
    """
    patients = len(values)
    if not patients:
        return _spread(float("nan"), values, 0)
    drawn = [some @ values / patients for some in resampled(patients, resamples, seed)]
    return _spread(float(values.mean()), np.concatenate(drawn), patients)


def paired_bootstrap(
    first: Callable[[Array], float],
    second: Callable[[Array], float],
    people: int,
    patients: int,
    *,
    resamples: int = 400,
    seed: int = 0,
) -> Estimate:
    """`first` less `second`, two pair statistics of the same people, who are drawn for both alike.

    Parameters
    ----------
    first, second
        As `patient_bootstrap` takes a statistic.
    people, patients
        As there.
    """
    drawn = np.array(
        [
            first(times) - second(times)
            for some in resampled(people, resamples, seed)
            for times in some
        ]
    )
    everybody = np.ones(people)
    value = first(everybody) - second(everybody)
    return _spread(value, drawn[~np.isnan(drawn)], patients)


def _spread(value: float, drawn: Array, patients: int) -> Estimate:
    """A difference between the 2.5th and the 97.5th percentile of its resamples."""
    if not drawn.size:
        return Estimate(value, -1.0, 1.0, patients)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high), patients)


def _logit(values: Array) -> Array:
    inside = np.clip(values, 1e-6, 1 - 1e-6)
    return np.log(inside / (1 - inside))
