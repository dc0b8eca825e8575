"""One source of a data set as it is tested: its forms, and what attackers see of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid.audit.attackers.registry import Attacker
from deid.audit.bench import Features
from deid.audit.linkages import (
    BY_RELEASE,
    FIRST,
    LINKAGES,
    ORIGINAL,
    OTHERS,
    OWN_KEY,
    PROTECTED,
    SECOND,
    SEVERAL,
    Linkage,
)
from deid.audit.looking import Form, look, unchanged
from deid.audit.release import keys, protected
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
    donors_teach
        Whether the remover is made from pictures of people who are the attacker's too.
    """

    data: Dataset
    plan: Plan
    remover: Remover | None = None
    release: Dataset | None = None
    donors_teach: bool = False

    @property
    def teaching(self) -> str:
        """Where an adaptive attacker has its protected images from, in words."""
        if self.remover is not None:
            whose = ", the remover's own donors among them" if self.donors_teach else ""
            return f"images that it edited itself under its own keys{whose}"
        if self.release is not None:
            return BY_RELEASE
        return "images as they are"

    def linkages(self, names: Sequence[str], *, adaptive: bool) -> list[Linkage]:
        """Those of `names` whose forms there are.

        Without a remover there is no second release: `inner` is within the one; whoever learns,
        learns by its own pairs; and nobody can learn to turn its edit back.
        """
        asked = [one for one in LINKAGES.values() if one.name in names]
        forms = {ORIGINAL}
        if self.remover is not None:
            forms |= {PROTECTED, SECOND, SEVERAL, OTHERS, OWN_KEY}
        elif self.release is not None:
            forms.add(PROTECTED)
            instead = dict.fromkeys((SECOND, OWN_KEY), PROTECTED)
            asked = [
                replace(
                    one,
                    query=instead.get(one.query, one.query),
                    gallery=instead.get(one.gallery, one.gallery),
                )
                for one in asked
                if not one.undone
            ]
        taught = adaptive and bool(self.plan.trials)
        return [one for one in asked if set(one.roles) <= forms and (taught or not one.learns)]

    def forms(
        self,
        linkages: Sequence[Linkage],
        seed: int,
        strength: float,
        *,
        releases: int,
        adaptive: bool,
    ) -> Forms:
        """What is looked at for `linkages`; the attacker edits its own under keys of its own.

        Parameters
        ----------
        releases
            Of each image, for those who pool several.
        """
        tested: dict[str, Form] = {ORIGINAL: unchanged}
        own: dict[str, Form] = {ORIGINAL: unchanged}
        needed = {form for linkage in linkages for form in linkage.roles} - {ORIGINAL}

        def made(form: str, whose: str) -> Form:
            assert self.remover is not None
            secrets = keys(seed, whose, releases if form in FIRST else 1)
            return protected(self.remover, self.data.records, secrets, strength)

        for form in sorted(needed):
            whose = PROTECTED if form == OWN_KEY else FIRST.get(form, form)
            given = self.release is not None and form in (PROTECTED, OWN_KEY)
            tested[form] = self._released if given else made(form, whose)
            shared = form == OWN_KEY or self.remover is None
            own[form] = tested[form] if shared else made(form, f"the attacker's {whose}")
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
        # Where tested patients teach one another, what both are shown is seen already.
        fresh = np.setdiff1d(own, self.plan.tested)
        common = [name for name, form in own_forms.items() if form == tested.get(name)]
        edited = {name: form for name, form in own_forms.items() if name not in common}
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
                shape = (len(self.data), found.shape[1])
                # Rows of pictures are long: zeros that nobody writes cost no memory.
                empty = np.zeros(shape, dtype=found.dtype)
                if np.issubdtype(found.dtype, np.floating):
                    empty[:] = np.nan
                tables[whose].setdefault(what, empty)[rows] = found
        if len(fresh) < len(own):
            for name, form in product(learners, common):
                tables[1].setdefault((name, form), tables[0][name, form])
        return tables[0], tables[1], lost

    def _released(self, row: int, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        assert self.release is not None
        return self.release.picture(row)
