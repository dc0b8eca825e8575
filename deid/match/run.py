"""One matching, from two sets of images (or one) to the pairs that show one patient."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deid
from deid.audit.attackers import Attacker, named
from deid.audit.attackers.mami import taught_the_bundled
from deid.audit.doubles import doubles
from deid.audit.kept import keeping
from deid.audit.linkages import ORIGINAL
from deid.audit.matching import Matcher, Training
from deid.match.calibration import OutOfFold, UndecidableError
from deid.match.expected import false_matches, prior_of, spread_of
from deid.match.found import (
    COPY,
    MATCH,
    NEAR_COPY,
    NEAREST,
    Found,
    Pairs,
    alike,
    by_name,
    copies,
    neighbours,
)
from deid.match.images import Images
from deid.match.known import few, known_pairs
from deid.match.looking import Seen, look
from deid.match.trouble import MatchError
from mami_core.data import Record
from mami_core.evaluation.protocol import usable
from mami_core.evaluation.yardsticks import FEWEST, AbsentError

#: Of the record that a matching gives; raised when a field changes its meaning.
SCHEMA = 1
#: Whose pairs a calibration learns by.
THEMSELVES, OTHERS = "the images themselves", "other images"
#: Matches that are held; more are no answer.
MOST_MATCHES = 1_000_000

Features = NDArray[np.floating]
Told = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Options:
    """What a matching is asked for; the fields are those of ``deid match``."""

    attacker: str = "mami"
    false_match_rate: float | None = None
    prior: float | None = None
    across: bool = False
    nearest: int = 5
    seed: int = 0
    device: str = "auto"
    engine: str = "torch"


@dataclass(frozen=True)
class Matching:
    """The record that ``deid match --json`` prints, and the pairs, which only a file may name."""

    record: dict[str, Any]
    found: list[Found]
    left_out: list[list[tuple[str, str]]]


def match(
    sets: Sequence[Images],
    options: Options,
    known: Images | None = None,
    *,
    told: Told = lambda what, done, total: None,
    keep: Path | None = None,
) -> Matching:
    """Find the pairs of images that show one patient.

    Parameters
    ----------
    sets
        Two, or one that is compared with itself.
    known
        Images whose people are known, to calibrate on: people of `train` and `val` whom no network
        was taught by. Without it, those of the sets themselves.
    keep
        Private folder for what the encoder saw, so that the next run need not look again.

    Raises
    ------
    MatchError, deid.audit.AuditError, mami_core.data.DatasetError
        Where nothing can be matched.
    """
    encoder = _encoder(options, keep)
    seen = [
        look(images, encoder, lambda done, total: told("looking at the images", done, total))
        for images in sets
    ]
    modalities = {one.modality for side in seen for one in side.records}
    taught = seen
    if known is not None:
        wanted = _teaching(known, modalities, learns=encoder.fit is not None)
        taught = [look(wanted, encoder, lambda d, t: told("looking at known people", d, t))]
    left, right = seen[0], seen[1] if len(seen) > 1 else None
    twins = copies(left, right, options.engine)
    sides = (left.records, (right or left).records)
    found = [
        Found(sides[0][one], sides[1][other], how, score)
        for (one, other), (how, score) in twins.items()
    ]
    groups = {}
    for ours, theirs in _groups(left, right, options.across):
        group = _Group(left, right, ours, theirs)
        name = group.name
        if group.pairs:
            groups[name], pairs = _matched(group, taught, encoder, set(twins), options)
            found += pairs
    if not groups:
        raise MatchError("there is no pair of images to compare; give two or more of one modality")
    record = {
        "schema": SCHEMA,
        "software": f"mami-deid {deid.__version__}",
        "options": asdict(options),
        "calibrated_on": THEMSELVES if known is None else OTHERS,
        "sets": [_set(one) for one in seen],
        "copies": {
            how: by_name([one for one in found if one.found_as == how]) for how in (COPY, NEAR_COPY)
        },
        "modalities": groups,
    }
    return Matching(record, found, [one.left_out for one in seen])


@dataclass(frozen=True)
class _Group:
    """Images of one modality of each set (None: not known), which are compared."""

    left: Seen
    right: Seen | None
    ours: str | None
    theirs: str | None

    @property
    def name(self) -> str:
        names = [one or "unknown" for one in (self.ours, self.theirs)]
        return names[0] if self.ours == self.theirs else "/".join(names)

    @property
    def alone(self) -> bool:
        """Whether images are compared among themselves."""
        return self.right is None and self.ours == self.theirs

    @property
    def rows(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        return (
            self.left.rows(lambda one: one.modality == self.ours),
            (self.right or self.left).rows(lambda one: one.modality == self.theirs),
        )

    @property
    def pairs(self) -> int:
        ours, theirs = (len(rows) for rows in self.rows)
        return ours * (ours - 1) // 2 if self.alone else ours * theirs


def _encoder(options: Options, keep: Path | None) -> Attacker:
    (entry,) = named([options.attacker])
    try:
        encoder = entry.build(options.device)
    except AbsentError as reason:
        raise MatchError(f"--attacker {entry.name}: {reason}") from None
    return encoder if keep is None else keeping(encoder, entry.name, keep)


def _groups(left: Seen, right: Seen | None, across: bool) -> list[tuple[str | None, str | None]]:
    """The modalities that are compared with one another."""
    ours, theirs = (
        sorted({record.modality for record in one.records}, key=str)
        for one in (left, right or left)
    )
    same = [(one, one) for one in ours if one in theirs]
    if not across:
        return same
    apart = [(one, other) for one in ours for other in theirs if one != other]
    return same + [pair for pair in apart if right is not None or str(pair[0]) < str(pair[1])]


def _teaching(known: Images, modalities: set[str | None], *, learns: bool) -> Images:
    """Of the known people: those who calibrate, and those whom the encoder learns from."""
    part = known.select(lambda one: one.modality in modalities and one.split != "test")
    records = [entry.record for entry in part.entries]
    taken = few([one for one in records if _calibrates(one, learns=learns)])
    if learns:
        taken |= few([one for one in records if one.split == "train"])
    return part.select(lambda one: one.person in taken)


def _calibrates(record: Record, *, learns: bool) -> bool:
    """Whether a person may: one of `train` or `val` who has not taught the encoder."""
    teaches = learns and record.split == "train"
    return record.split != "test" and not teaches and not taught_the_bundled(record)


class _Compared:
    """The images of one group as an encoder tells them apart."""

    def __init__(self, group: _Group, matcher: Matcher, twins: set[tuple[int, int]]) -> None:
        second = group.right or group.left
        self.rows, self.alone, self.twins = group.rows, group.alone, twins
        self.sides = (group.left.records, second.records)
        self.queries = _embedded(group.left, self.rows[0], matcher)
        self.gallery = None if self.alone else _embedded(second, self.rows[1], matcher)

    @property
    def records(self) -> tuple[list[Record], list[Record]]:
        """Of all images of either side."""
        ours, theirs = (
            [side[row] for row in rows] for side, rows in zip(self.sides, self.rows, strict=True)
        )
        return ours, theirs

    @property
    def images(self) -> list[int]:
        """How many there are of either side, each counted once."""
        return [len(self.rows[0]), 0 if self.alone else len(self.rows[1])]

    @property
    def taught(self) -> int:
        """How many of them are of people who taught the encoder."""
        counted = zip(self.records, self.images, strict=True)
        return sum(taught_the_bundled(one) for side, count in counted for one in side[:count])

    def whose(self, pairs: Pairs) -> tuple[list[Record], list[Record]]:
        """The records of either side of each pair."""
        ours, theirs = (
            [side[row] for row in rows[of]]
            for side, rows, of in zip(
                self.sides, self.rows, (pairs.first, pairs.second), strict=True
            )
        )
        return ours, theirs

    def untwinned(self, pairs: Pairs) -> Pairs:
        """The pairs that are no copies of one another, which are listed already."""
        left, right = self.rows[0][pairs.first], self.rows[1][pairs.second]
        kept = np.array(
            [pair not in self.twins for pair in zip(left.tolist(), right.tolist(), strict=True)],
            dtype=bool,
        )
        return Pairs(pairs.first[kept], pairs.second[kept], pairs.score[kept])


def _matched(
    group: _Group,
    taught: Sequence[Seen],
    encoder: Attacker,
    twins: set[tuple[int, int]],
    options: Options,
) -> tuple[dict[str, Any], list[Found]]:
    """One group: its figures, and its pairs."""
    matcher = _learned(taught, encoder, group.ours)
    compared = _Compared(group, matcher, twins)
    figures: dict[str, Any] = {
        "images": compared.images,
        "pairs": group.pairs,
        "taught_the_encoder": compared.taught,
    }
    try:
        if group.ours != group.theirs:
            raise UndecidableError("nobody is known by images of two modalities")
        judge = _judge(taught, matcher, group.ours, learns=encoder.fit is not None)
        said, matches = _decided(group, compared, judge, options)
    except UndecidableError as reason:
        listed = _nearest(compared, options)
        return figures | {"undecidable": str(reason), "nearest": len(listed)}, listed
    return figures | said, matches


def _decided(
    group: _Group, compared: _Compared, judge: OutOfFold, options: Options
) -> tuple[dict[str, Any], list[Found]]:
    """What a calibration says of a group: figures, and the pairs that match.

    Raises
    ------
    UndecidableError
        Where the known people, or those outside of some pair's parts, do not support it.
    """
    rate = judge.supported(options.false_match_rate)
    if group.pairs * rate > MOST_MATCHES:
        raise MatchError(
            f"{group.pairs * rate:,.0f} false matches are to be expected at this false-match rate; "
            "give a lower --false-match-rate"
        )
    prior = options.prior
    if prior is None:
        prior = prior_of(spread_of(compared.queries, compared.gallery, options.seed), judge.whole)
    matches = _matches(compared, judge, rate, prior, options.engine)
    threshold, known = judge.whole.threshold(rate), judge.known
    figures = {
        "known": {
            "patients": known.patients,
            "people": len(known.numbers),
            "pairs_of_people": known.pairs_of_people(),
            "least_false_match_rate": judge.least_rate,
        },
        "false_match_rate": rate,
        "threshold": threshold,
        "prior": {"value": prior, "given": options.prior is not None},
        "expected_pairs": prior * group.pairs,
        "false_matches": false_matches(known, threshold, group.pairs * (1.0 - prior), options.seed),
        "matches": len(matches),
        "expected_true": float(sum(one.probability or 0.0 for one in matches)),
        "named": by_name(matches),
    }
    return figures, matches


def _nearest(compared: _Compared, options: Options) -> list[Found]:
    """What is most alike, where nothing says what that means."""
    pairs = compared.untwinned(
        neighbours(compared.queries, compared.gallery, options.nearest, options.engine)
    )
    found = zip(*compared.whose(pairs), pairs.score.tolist(), strict=True)
    return [Found(left, right, NEAREST, score) for left, right, score in found]


def _matches(
    compared: _Compared, judge: OutOfFold, rate: float, prior: float, engine: str
) -> list[Found]:
    """The pairs above the threshold of the fit that has seen neither person."""
    least = judge.least(*compared.records, rate)
    pairs = compared.untwinned(alike(compared.queries, compared.gallery, least, engine))
    whose = compared.whose(pairs)
    probability, rates = judge.judged(*whose, pairs.score, prior)
    found = zip(*whose, pairs.score.tolist(), probability.tolist(), rates.tolist(), strict=True)
    return [
        Found(left, right, MATCH, score, sure, reached)
        for left, right, score, sure, reached in found
        if reached <= rate
    ]


def _judge(
    taught: Sequence[Seen], matcher: Matcher, modality: str | None, *, learns: bool
) -> OutOfFold:
    """Calibrated on the known people of a modality, copies left out."""
    if modality is None:
        raise UndecidableError("the modality is not known; give --modality")
    sets = []
    for seen in taught:
        rows = seen.rows(lambda one: one.modality == modality)
        calibrating = np.array(
            [_calibrates(seen.records[row], learns=learns) for row in rows], dtype=bool
        )
        # The centre is that of all images, so that it is the same as where these are matched.
        embedded = _embedded(seen, rows, matcher)[calibrating]
        rows = rows[calibrating]
        records = [seen.records[row] for row in rows]
        taken = few(records)
        single = ~doubles(seen.thumbs[rows]) & np.array(
            [record.person in taken for record in records], dtype=bool
        )
        sets.append((embedded[single], [records[i] for i in np.flatnonzero(single)]))
    if not any(len(usable(records)) > 1 for _, records in sets):
        raise UndecidableError("nothing says whose an image is; give --calibrate DATASET")
    return OutOfFold(known_pairs(sets))


def _learned(taught: Sequence[Seen], encoder: Attacker, modality: str | None) -> Matcher:
    """What the encoder learns from the known people of `train`, where it learns."""
    if encoder.fit is None:
        return Matcher()
    for seen in taught:
        rows = seen.rows(lambda one: one.modality == modality and one.split == "train")
        records = [seen.records[row] for row in rows]
        images = Counter(records[index].person for index in usable(records))
        if sum(count > 1 for count in images.values()) >= FEWEST:
            features = np.asarray(seen.features[rows], dtype=np.float64)
            roles = (ORIGINAL, ORIGINAL)
            return encoder.fit(
                Training([features], [features], features, roles, records, encoder.depths)
            )
    raise MatchError(
        f"--attacker: it learns from {FEWEST} or more people of 'train' with several images of the "
        "modality; give such a set with --calibrate, or take mami"
    )


def _embedded(seen: Seen, rows: NDArray[np.intp], matcher: Matcher) -> Features:
    return matcher.of_gallery(seen.features[rows])


def _set(seen: Seen) -> dict[str, Any]:
    """What is said of a set: numbers, no names."""
    modalities = Counter(record.modality or "unknown" for record in seen.records)
    return {
        "images": len(seen.records),
        "modalities": dict(sorted(modalities.items())),
        "people": len({record.person for record in seen.records if record.patient}),
        "without_a_name": sum(not record.patient for record in seen.records),
        "left_out": dict(Counter(reason for _, reason in seen.left_out)),
    }
