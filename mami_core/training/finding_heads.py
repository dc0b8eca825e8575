"""The last layer of the medical encoder: logistic regression on its key features.

Gradients make the features, and leave the heads of rare findings far behind what these say: on the
same features 0.70 to 0.75 in place of 0.46 for age-related macular degeneration (AUC on `val`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

#: Inverse penalties that are tried, the strongest first.
STRENGTHS = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
FOLDS = 3
ITERATIONS = 300


def fit(
    keys: NDArray[np.floating], truth: NDArray[np.floating], people: Sequence[object]
) -> tuple[NDArray[np.float64], float]:
    """Weight ``(D,)`` and bias of one finding's head.

    The penalty is the one by which people who were left out have the likeliest findings; the
    strongest, where too few people have the finding or too few have it not.

    Parameters
    ----------
    keys
        ``(n, D)``.
    truth
        1 where the finding is present, 0 where it is absent, ``(n,)``; both occur.
    people
        Whose picture each is.
    """
    names = {person: number for number, person in enumerate(dict.fromkeys(people))}
    who = np.array([names[person] for person in people])
    fewest = min(len(np.unique(who[truth == value])) for value in (0, 1))
    strength = _chosen(keys, truth, who) if fewest >= 2 * FOLDS else STRENGTHS[0]
    with _unconverged():
        scale, head = (step for _, step in _regression(strength).fit(keys, truth).steps)
    weight = head.coef_[0] / scale.scale_
    return weight, float(head.intercept_[0] - weight @ scale.mean_)


def _chosen(
    keys: NDArray[np.floating], truth: NDArray[np.floating], who: NDArray[np.intp]
) -> float:
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)

    def loss(strength: float) -> float:
        with _unconverged():
            told = cross_val_predict(
                _regression(strength), keys, truth, groups=who, cv=folds, method="predict_proba"
            )
        return float(log_loss(truth, told[:, 1]))

    return min(STRENGTHS, key=loss)


def _regression(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=ITERATIONS))


@contextmanager
def _unconverged() -> Iterator[None]:
    """A fit may end before it has converged: where, is part of its penalty."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
