"""One source of a data set as it is tested: its forms, and what attackers see of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker
from deid.audit.bench import Features
from deid.audit.linkages import LINKAGES, ORIGINAL, PROTECTED, SECOND, Linkage
from deid.audit.looking import Form, look, unchanged
from deid.audit.release import key, protected
from deid.audit.removers import Remover
from deid.audit.trials import Plan
from mami_core.data import Dataset

#: Forms by name, of the tested images and of the attacker's own.
Forms = tuple[dict[str, Form], dict[str, Form]]


@dataclass(frozen=True)
class Source:
    """Images of one source, and how they come to be protected.

    Attributes
    ----------
    remover
        Makes protected images, the attacker's own among them; None where there is none to run.
    release
        Protected images that are given, in the order of `data`; None where the audit makes them.
    """

    data: Dataset
    plan: Plan
    remover: Remover | None = None
    release: Dataset | None = None

    @property
    def teaching(self) -> str:
        """Where an adaptive attacker has its protected images from, in words."""
        if self.remover is not None:
            return "images that it edited itself under its own keys"
        if self.release is not None:
            return "protected images of other patients of the release itself"
        return "images as they are"

    def linkages(self, names: Sequence[str], *, adaptive: bool) -> list[Linkage]:
        """Those of `names` whose forms there are; where none are given, all but the undone ones.

        These look at every picture once more with every network, and `undo` asks much the same.

        Without a remover there is no second release: `inner` is within the one; and nobody can
        learn to turn its edit back.
        """
        forms = {ORIGINAL}
        if self.remover is not None or self.release is not None:
            forms.add(PROTECTED)
        if self.remover is not None:
            forms.add(SECOND)
        asked = [
            one for one in LINKAGES.values() if (one.name in names if names else not one.undone)
        ]
        if SECOND not in forms:
            asked = [
                replace(one, gallery=PROTECTED) if one.gallery == SECOND else one for one in asked
            ]
        learns = adaptive and self.remover is not None and bool(self.plan.trials)
        return [one for one in asked if set(one.roles) <= forms and (learns or not one.undone)]

    def forms(
        self, linkages: Sequence[Linkage], seed: int, strength: float, *, adaptive: bool
    ) -> Forms:
        """What is looked at for `linkages`; the attacker edits its own under keys of its own."""
        tested: dict[str, Form] = {ORIGINAL: unchanged}
        own: dict[str, Form] = {ORIGINAL: unchanged}
        needed = {form for linkage in linkages for form in linkage.roles} - {ORIGINAL}
        for form in sorted(needed):
            if self.remover is not None:
                secrets = (key(seed, form), key(seed, f"the attacker's {form}"))
                tested[form], own[form] = (
                    protected(self.remover, self.data.records, secret, strength)
                    for secret in secrets
                )
            if self.release is not None and form == PROTECTED:
                tested[form] = self._released
                own.setdefault(form, self._released)
        return tested, own if adaptive else {ORIGINAL: unchanged}

    def seen(
        self,
        attackers: Mapping[str, Attacker],
        learners: Mapping[str, Attacker],
        forms: Forms,
        told: Callable[[int, int], None],
    ) -> tuple[Features, Features, dict[int, str]]:
        """Look at the tested images, and with the learners at the attacker's own.

        Returns
        -------
        Twice features by attacker and form, a row an image of the source; NaN or 0 where none is
        needed. And rows that can not be decoded, with why.
        """
        tested, own_forms = forms
        own = np.unique(np.concatenate([self.plan.tested[:0], *(t.own for t in self.plan.trials)]))
        # Where tested patients teach one another, their originals are seen already.
        fresh = np.setdiff1d(own, self.plan.tested)
        edited = {name: form for name, form in own_forms.items() if name != ORIGINAL}
        stages: list[tuple[int, NDArray[np.intp], Mapping[str, Attacker], Mapping[str, Form]]] = [
            (0, self.plan.tested, attackers, tested),
            (1, fresh, learners, own_forms),
            (1, np.intersect1d(own, self.plan.tested), learners, edited),
        ]
        stages = [stage for stage in stages if len(stage[1]) and stage[2] and stage[3]]
        total, done = sum(len(rows) for _, rows, _, _ in stages), 0

        def more(count: int) -> None:
            nonlocal done
            done += count
            told(done, total)

        tables: tuple[dict[tuple[str, str], NDArray[Any]], ...] = ({}, {})
        lost: dict[int, str] = {}
        for whose, rows, looking, changes in stages:
            seen, undecodable = look(self.data, rows.tolist(), looking, changes, more)
            lost |= undecodable
            for what, found in seen.items():
                nothing = np.nan if np.issubdtype(found.dtype, np.floating) else 0
                empty = np.full((len(self.data), found.shape[1]), nothing, dtype=found.dtype)
                tables[whose].setdefault(what, empty)[rows] = found
        if len(fresh) < len(own):
            for name in learners:
                tables[1].setdefault((name, ORIGINAL), tables[0][name, ORIGINAL])
        return tables[0], tables[1], lost

    def _released(self, row: int, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self.release is not None
        return self.release.picture(row)
