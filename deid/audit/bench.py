"""Attackers on the bench: fitted on their own patients, tried on others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker
from deid.audit.closed_form import closed_form
from deid.audit.doubles import DIGESTS
from deid.audit.figures import Scores, score
from deid.audit.linkages import AGAIN, ORIGINAL, PROTECTED, UNDO, Linkage
from deid.audit.matching import Effort, Matcher, Training
from deid.audit.trials import Plan, Trial
from deid.audit.undoing import Memory, undoing
from mami_core.data import Record

#: By attacker and form, ``(n, d)``.
Features = Mapping[tuple[str, str], NDArray[Any]]


@dataclass
class Bench:
    """One source, what attackers see of it, and the fits that were made so far.

    Attributes
    ----------
    records
        All images of the source.
    seen
        Features of the tested images, a row a record.
    own
        Features of the attacker's own images, which it has edited under its own keys.
    effort
        Of attackers that learn by gradient.
    """

    records: Sequence[Record]
    plan: Plan
    attackers: Mapping[str, Attacker]
    seen: Features
    own: Features
    effort: Effort = field(default_factory=Effort)
    _fits: dict[tuple[str, int, tuple[str, str]], Matcher] = field(default_factory=dict)
    _undoing: list[Bench] = field(default_factory=list)

    def of(self, linkage: Linkage) -> Bench:
        """The bench on which `linkage` is tried: that of attackers who undo, where it asks so."""
        if not linkage.undone:
            return self
        if not self._undoing:
            memory = Memory()
            them = {
                name: undoing(one, name, memory, always=True)
                for name, one in self.attackers.items()
                if one.adapts and one.reads is None and one.behind is None
            }
            seen, own = (
                {
                    (name, form): features
                    for (eyes, form), features in table.items()
                    if eyes == UNDO
                    for name in them
                }
                for table in (self.seen, self.own)
            )
            instead = replace(self, attackers=them, seen=seen, own=own, _fits={}, _undoing=[])
            self._undoing.append(instead)
        return self._undoing[0]

    def tried(self, name: str, linkage: Linkage, *, adaptive: bool) -> list[Scores]:
        """Scores of one attacker, a fold each; none where it can not be tried so.

        Fixed is as it was fitted to originals, adaptive as fitted in the linkage's own roles.
        """
        folds = (
            score(query, gallery, [self.records[index] for index in tested], linkage)
            for tested, query, gallery in self.embedded(name, linkage, adaptive=adaptive)
        )
        return [fold for fold in folds if fold is not None]

    def embedded(
        self, name: str, linkage: Linkage, *, adaptive: bool
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.floating], NDArray[np.floating]]]:
        """Of each fold the tested rows, and their embeddings in the forms of `linkage`."""
        attacker = self.attackers[name]
        if adaptive and not attacker.adapts:
            return
        roles = linkage.roles if adaptive else (ORIGINAL, ORIGINAL)
        learns = adaptive or attacker.fit is not None
        # One that learns nothing is tested on everybody at once.
        everybody = (Trial(self.plan.tested[:0], self.plan.tested),)
        for number, trial in enumerate(self.plan.trials if learns else everybody):
            matcher = self._fitted(name, number, roles) if learns else Matcher()
            query, gallery = (
                attacker.seen(self.seen[name, form][trial.tested], learnt=learns)
                for form in linkage.roles
            )
            yield trial.tested, matcher.of_queries(query), matcher.of_gallery(gallery)

    def told(self, name: str, linkage: Linkage, *, adaptive: bool) -> list[Mapping[str, Any]]:
        """What the fits of one attacker that were made for `tried` say of themselves."""
        roles = linkage.roles if adaptive else (ORIGINAL, ORIGINAL)
        fits = [self._fits.get((name, number, roles)) for number in range(len(self.plan.trials))]
        return [fit.told for fit in fits if fit is not None and fit.told]

    def same_for_everybody(self) -> bool:
        """Whether a release shows everybody the same picture, to the last grey value."""
        told = self.seen.get((DIGESTS, PROTECTED))
        return told is not None and len(np.unique(told[self.plan.tested])) == 1

    def blank(self) -> list[str]:
        """Attackers who read the same of every image."""
        return [
            name
            for name, one in self.attackers.items()
            if one.reads is not None
            and not np.ptp(self.seen[name, ORIGINAL][self.plan.tested], axis=0).any()
        ]

    def _fitted(self, name: str, number: int, roles: tuple[str, str]) -> Matcher:
        if (name, number, roles) not in self._fits:
            turned = self._fits.get((name, number, roles[::-1]))
            self._fits[name, number, roles] = (
                turned.turned
                if turned is not None
                else self._learnt(name, self.plan.trials[number], roles)
            )
        return self._fits[name, number, roles]

    def join(self, name: str, attacker: Attacker) -> None:
        """Put an attacker on the bench who sees what another there sees (`Attacker.eyes`)."""
        self.attackers = {**self.attackers, name: attacker}
        self.seen, self.own = (
            table
            | {(name, form): one for (eyes, form), one in table.items() if eyes == attacker.eyes}
            for table in (dict(self.seen), dict(self.own))
        )

    def _learnt(self, name: str, trial: Trial, roles: tuple[str, str]) -> Matcher:
        fit = self.attackers[name].fit or closed_form
        return fit(self.training(name, trial, roles))

    def training(self, name: str, trial: Trial, roles: tuple[str, str]) -> Training:
        """What an attacker learns by in these roles: the features of its own images."""
        attacker, rows = self.attackers[name], trial.own
        query, gallery = (self._draws(name, form, roles, rows) for form in roles)
        (original,) = self._draws(name, ORIGINAL, (ORIGINAL, ORIGINAL), rows)
        own = [self.records[index] for index in rows]
        return Training(query, gallery, original, roles, own, attacker.depths, self.effort)

    def _draws(
        self, name: str, form: str, roles: tuple[str, str], rows: NDArray[np.intp]
    ) -> list[NDArray[Any]]:
        """A form of the attacker's own images; against originals, every draw that it has made."""
        forms = [form]
        again = AGAIN.get(form)
        if again and ORIGINAL in roles and (name, again) in self.own:
            forms.append(again)
        learnt = (self.own[name, one][rows] for one in forms)
        return [self.attackers[name].seen(one, learnt=True) for one in learnt]
