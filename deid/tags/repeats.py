"""Identifiers of a file that stand again where nobody expects them: a name in the kernel's.

Attributes of table E.1-1 go wherever they stand. What is kept has a technical meaning, but devices
and curators write what they like, so that each kept text and number is compared with the file's own
identifiers. A term that the standard defines for the attribute stays: it is there because of the
picture, whatever the patient is called.
"""

from __future__ import annotations

import re
from datetime import date
from itertools import pairwise, permutations
from typing import Any

from pydicom import Dataset

from deid.tags.identifiers import Kind, identifiers
from deid.tags.spelling import DENSE, WORD, spellings, variants
from deid.tags.tables import terms, terms_everywhere
from deid.tags.values import decoded, texts

#: A shorter word of ours is too often something else: "CT", a kernel, a year's last digits. In
#: other scripts it is a name, and hardly anything technical is written in them.
_SHORTEST, _SHORTEST_ELSEWHERE = 4, 2
#: From this length on a word is looked for within words also: "v2SURNAME".
_SHORTEST_WITHIN = 6
#: Of names with more parts only these many are put together.
_MOST_PARTS = 5

#: From how many digits on, leading zeros apart, a number that repeats an identifier does not count
#: or measure something. Labels have no other use, so that they may go sooner; instances are
#: counted into the thousands, exposures into the ten thousands, and fractions of a millimetre are
#: floats. Numbers of 16 bits, which are sizes and values of pixels, are not compared at all.
_DIGITS_OF_A_TEXT = 4
_DIGITS_OF_A_LABEL = 4
_DIGITS_OF_A_COUNT = 5
_DIGITS_OF_A_MEASURE = 6
_MAKER_AND_MODEL = (0x00080070, 0x00081090)
_LABELS = frozenset(("SeriesNumber", "AcquisitionNumber"))

#: Names of nobody, which earlier tools and tests leave.
_NOBODY = re.compile("anonymous|anonymi[sz]ed|unknown|none|test|phantom|patient")
#: Words that places have in common with the devices in them and with anatomy.
_COMMON = re.compile(
    "medical|health|healthcare|hospital|center|centre|clinic|klinik|university|research|imaging|"
    "radiology|image|scanner|digital|general|systems?|chest|head|abdomen|pelvis|spine|thorax|breast|"
    "skull|hand|foot|knee|heart|siemens|philips|toshiba|canon|hitachi|fuji|fujifilm|agfa|hologic|"
    "shimadzu|kodak|carestream|samsung|varian|elekta|bruker|konica|minolta"
)

_RUN = re.compile(r"\d+")
_TOKEN = re.compile(r"\d+|[a-z]+")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            "jan january januar",
            "feb february februar",
            "mar march mrz maerz marz",
            "apr april",
            "may mai",
            "jun june juni",
            "jul july juli",
            "aug august",
            "sep sept september",
            "oct october okt oktober",
            "nov november",
            "dec december dez dezember",
        ),
        start=1,
    )
    for name in names.split()
}


class Repeats:
    """Says whether a value repeats an identifier of the file that it stands in.

    Parameters
    ----------
    dataset
        The file; what `identifiers` finds in it counts.
    """

    def __init__(self, dataset: Dataset) -> None:
        found = identifiers(dataset)
        devices = _devices(dataset)
        #: What may not be a word of a text, two of its words joined, or all of them.
        self._words: set[str] = set()
        #: What may not be the whole of a text, signs and spaces apart.
        self._wholes: set[str] = set()
        #: What may not be a number, or one within a text; without leading zeros.
        self._numbers: set[str] = set()
        #: Dates as year, month and day in the orders that people write.
        self._dates: set[tuple[int, int, int]] = set()
        for value in found[Kind.NAME]:
            for group in value.split("="):
                self._add_words(group)
                self._add_numbers(group, least=_DIGITS_OF_A_COUNT)
        for value in found[Kind.NUMBER]:
            self._add_words(value)
            self._add_whole(value, shortest=2)
            self._add_numbers(value, least=_DIGITS_OF_A_TEXT)
        for value in found[Kind.PLACE]:
            self._add_words(value, common=_COMMON)
        for value in found[Kind.WHOLE]:
            if value.casefold() not in devices:
                self._add_whole(value, shortest=_SHORTEST)
            self._add_numbers(value, least=_DIGITS_OF_A_COUNT)
        for kind in (Kind.BIRTH, Kind.DATE):
            for value in found[kind]:
                self._add_date(value, short=kind is Kind.BIRTH)
        self._within = [
            word for word in self._words if len(word) >= _SHORTEST_WITHIN or DENSE.search(word)
        ]
        self._known: dict[str, bool] = {}

    def found(self, keyword: str, value: Any) -> bool:
        """Whether a value of the attribute repeats an identifier, however it is spelt."""
        if not isinstance(value, str):
            return self._in_number(keyword, value)
        if value in terms_everywhere() or value in terms().get(keyword, ()):
            return False
        # Frames repeat one another.
        known = self._known.get(value)
        if known is None:
            known = self._known[value] = any(map(self._in_text, spellings(value)))
        return known

    def _in_text(self, text: str) -> bool:
        parts = WORD.findall(text)
        whole = "".join(parts)
        return (
            not self._words.isdisjoint(parts)
            or whole in self._wholes
            or whole in self._words
            or any(one + other in self._words for one, other in pairwise(parts))
            or any(word in whole for word in self._within)
            or any(run.lstrip("0") in self._numbers for run in _RUN.findall(f"{text} {whole}"))
            or self._has_date(text)
        )

    def _has_date(self, text: str) -> bool:
        """Whether the date stands there in three parts: 12.3.67, 12 MAR 1967."""
        parts = [
            int(token) if token.isdecimal() else _MONTHS[token]
            for token in _TOKEN.findall(text)
            if token in _MONTHS or (token.isdecimal() and len(token) <= 4)
        ]
        return any(three in self._dates for three in zip(parts, parts[1:], parts[2:], strict=False))

    def _in_number(self, keyword: str, value: Any) -> bool:
        size = abs(value)
        # Whatever is not finite is not whole either.
        if size < 1000 or size % 1:
            return False
        least = _DIGITS_OF_A_COUNT if isinstance(value, int) else _DIGITS_OF_A_MEASURE
        digits = str(int(size))
        if keyword in _LABELS:
            least = _DIGITS_OF_A_LABEL
        return len(digits) >= least and digits in self._numbers

    # -- what is looked for ----------------------------------------------------------------------

    def _add_words(self, value: str, common: re.Pattern[str] = _NOBODY) -> None:
        """The words of a value, each two of them joined, and all, forwards and backwards.

        MUSTERMANNHANS and HANSMUSTERMANN are words of Mustermann^Hans^Peter.
        """
        for text in spellings(value):
            parts = [part for part in WORD.findall(text) if not common.fullmatch(part)]
            words = {*parts, "".join(parts), "".join(reversed(parts))}
            words.update(map("".join, permutations(parts[:_MOST_PARTS], 2)))
            self._words.update(
                spelt
                for word in words
                for spelt in variants(word)
                if len(spelt) >= _shortest(spelt) and not _NOBODY.fullmatch(spelt)
            )

    def _add_whole(self, value: str, *, shortest: int) -> None:
        for text in spellings(value):
            whole = "".join(WORD.findall(text))
            if len(whole) >= shortest and not whole.isdecimal() and not _NOBODY.fullmatch(whole):
                self._wholes |= variants(whole)

    def _add_numbers(self, value: str, *, least: int) -> None:
        """The numbers of a value, whatever letters and zeros stand before them."""
        text = spellings(value)[0]
        whole = _RUN.findall("".join(WORD.findall(text)))
        runs = _RUN.findall(text)
        # A number that stands beside others may be a year; the only one is the identifier.
        if len(runs) > 1:
            least = _DIGITS_OF_A_COUNT
        bare = (run.lstrip("0") for run in (*whole, *runs))
        self._numbers.update(run for run in bare if len(run) >= least)

    def _add_date(self, value: str, *, short: bool) -> None:
        digits = re.sub(r"\D", "", value)[:8]
        try:
            day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
        except ValueError:
            return
        for years in ("%Y", "%y") if short else ("%Y",):
            for order in (f"{years} %m %d", f"%d %m {years}", f"%m %d {years}"):
                parts = day.strftime(order).split()
                self._dates.add((int(parts[0]), int(parts[1]), int(parts[2])))
                self._numbers.add("".join(parts).lstrip("0"))
                if years == "%Y":
                    self._words.add("".join(parts))


def _devices(dataset: Dataset) -> set[str]:
    """Maker and model, if without a digit: a station that is called so is called after them."""
    named = (decoded(dataset, tag) for tag in _MAKER_AND_MODEL)
    found = {text.casefold() for element in named for text in texts(element)}
    return {text for text in found if not _RUN.search(text)}


def _shortest(word: str) -> int:
    """How long a word must be to count."""
    if not word.isascii():
        return _SHORTEST_ELSEWHERE
    # As with numbers: of four digits it is a year.
    return _DIGITS_OF_A_COUNT if word.isdecimal() else _SHORTEST
