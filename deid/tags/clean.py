"""PS3.15 Annex E, Basic Application Level Confidentiality Profile, at every depth of a data set."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from pydicom import DataElement, Dataset, FileDataset, Sequence
from pydicom.datadict import tag_for_keyword
from pydicom.tag import BaseTag

from deid.tags import lookup
from deid.tags.dates import shifted_date, shifted_datetime, shifted_pair, shifted_time
from deid.tags.pseudonyms import Pseudonyms, is_standard
from deid.tags.repeats import Repeats
from deid.tags.rules import Act, Rule, named, rule_for
from deid.tags.statements import (
    PixelFacts,
    derived_type,
    file_meta,
    new_file,
    say_derived,
    state,
)
from deid.tags.tables import coded_concepts, coding_schemes
from deid.tags.values import (
    MAX_DEPTH,
    decoded,
    dummy,
    empty,
    kept,
    listed,
    spelt,
    texts,
    told,
    without,
)

#: Stands for the class of an object that does not name one; no reader knows it, which is true.
_NO_CLASS = "2.25.151873960542277403561294861036174502119"

#: What the inventory shows of a date or a time, and of a UID that names something of the input's.
SHIFTED, REPLACED = "(shifted)", "(replaced)"

#: Whose first value says ORIGINAL, MIXED or DERIVED.
_TYPES = ("ImageType", "FrameType")

#: PhotometricInterpretation and PixelPresentation.
_COLOURS = (0x00280004, 0x00089205)

#: An input data set, its copy, and the keywords of the sequences that lead to it.
_Work = tuple[Dataset, Dataset, tuple[str, ...]]


@dataclass(frozen=True)
class Cleaned:
    """A data set without identifiers.

    Attributes
    ----------
    kept
        (path of keywords, keyword, value) of each attribute of the input that stands in the release
        with a value: as it was, or `SHIFTED` or `REPLACED`.
    uids
        New UID by old one.
    notes
        What a curator should know; no values.
    """

    dataset: FileDataset
    kept: list[tuple[str, str, str]] = field(default_factory=list)
    uids: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def clean(
    dataset: FileDataset, *, pseudonyms: Pseudonyms, patient: str, pixels: PixelFacts
) -> Cleaned:
    """The data set with every attribute treated by the Basic Profile.

    Parameters
    ----------
    dataset
        Read from a file; it is not changed.
    patient
        The patient's pseudonym; it becomes name and ID and chooses the date shift.

    Returns
    -------
    Cleaned
        With new file meta information and a preamble of zeros. What can not be decoded is gone.

    Raises
    ------
    Withheld
        ``undecodable``: a look-up table that the picture needs holds something else.
    """
    with _quiet():
        return _Cleaner(pseudonyms, patient, pixels).run(dataset)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence pydicom's warnings and log lines, which quote the values that they warn of."""
    logger = logging.getLogger("pydicom")
    before, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = before


class _Cleaner:
    def __init__(self, pseudonyms: Pseudonyms, patient: str, pixels: PixelFacts) -> None:
        self.pseudonyms, self.patient, self.pixels = pseudonyms, patient, pixels
        self.shift = pseudonyms.shift(patient)
        self.kept: list[tuple[str, str, str]] = []
        self.uids: dict[str, str] = {}
        self.repeated = 0

    def run(self, dataset: FileDataset) -> Cleaned:
        result = new_file()
        self.repeats = Repeats(dataset)
        colours = [texts(decoded(dataset, tag)) for tag in _COLOURS]
        sop_class = _sop_class(dataset)
        # Written out, not recursed into: a hostile file may nest deeper than Python's stack.
        work: list[_Work] = [(dataset, result, ())]
        while work:
            source, target, path = work.pop()
            parent = path[-1] if path else ""
            for tag in list(source.keys()):
                rule = rule_for(parent, int(tag), sop_class)
                if rule is not None and lookup.is_palette(rule.keyword):
                    rule = rule if lookup.palette_serves(parent, *colours) else None
                if rule is not None:
                    new = self._treated(source, tag, rule, path, work)
                    if new is not None:
                        target.add(new)
        burned_in = "".join(texts(decoded(dataset, 0x00280301)))
        state(
            result,
            patient=self.patient,
            pixels=self.pixels,
            burned_in=burned_in,
            sop_class=sop_class,
        )
        self._name(dataset, result)
        if self.pixels.altered:
            say_derived(result, sop_class, source=self.pseudonyms.uid(_instance(dataset)))
        notes = [] if any(texts(decoded(dataset, 0x00100020))) else ["the patient ID was empty"]
        if self.repeated:
            notes.append(f"{self.repeated} technical attributes repeated an identifier of the file")
        return Cleaned(result, self.kept, self.uids, notes)

    # -- one element -----------------------------------------------------------------------------

    def _treated(
        self, source: Dataset, tag: BaseTag, rule: Rule, path: tuple[str, ...], work: list[_Work]
    ) -> DataElement | None:
        act = rule.act
        if rule.only_original and self.pixels.altered:
            return None
        if act in (Act.GONE, Act.EMPTY, Act.DUMMY):
            return _stand_in(tag, rule, act)
        element = decoded(source, tag)
        new = None
        if element is not None:
            if act is Act.DESCEND:
                new = self._sequence(element, (*path, rule.keyword), work)
            elif act is Act.UID:
                new = self._uid(element, rule, path)
            elif act is Act.SHIFT:
                new = self._date(source, element, rule, path)
            elif act is Act.PIXELS:
                return DataElement(
                    tag,
                    element.VR,
                    element.value,
                    is_undefined_length=element.is_undefined_length,
                    already_converted=True,
                )
            else:
                new = self._standing(source, element, rule, path)
        if new is not None:
            return new
        new = _stand_in(tag, rule, rule.instead)
        if new is not None and rule.keyword in _TYPES and self.pixels.altered:
            new.value = derived_type([])
        return new

    def _standing(
        self, source: Dataset, element: DataElement, rule: Rule, path: tuple[str, ...]
    ) -> DataElement | None:
        """What stays as it is."""
        if rule.act is Act.CODE:
            # The standard's own words, whatever the patient is called.
            new = _code(source, element, rule)
        else:
            new = kept(element, rule, lambda keyword: _entries(source, keyword))
            found = partial(self.repeats.found, rule.keyword)
            if new is not None and any(map(found, told(new))):
                self.repeated += 1
                new = without(new, found)
        if new is None:
            return None
        if rule.keyword in _TYPES and self.pixels.altered:
            new.value = derived_type(listed(new))
        self._tell(rule, path, spelt(new))
        return new

    def _tell(self, rule: Rule, path: tuple[str, ...], value: str) -> None:
        """Put into the inventory what stands in the release."""
        self.kept.append((">".join((*path, rule.keyword)), rule.keyword, value))

    def _sequence(
        self, element: DataElement, path: tuple[str, ...], work: list[_Work]
    ) -> DataElement | None:
        if len(path) > MAX_DEPTH or not isinstance(element.value, Sequence):
            return None
        items = []
        for item in element.value:
            copy = Dataset()
            items.append(copy)
            work.append((item, copy, path))
        return DataElement(element.tag, "SQ", Sequence(items))

    def _uid(self, element: DataElement, rule: Rule, path: tuple[str, ...]) -> DataElement | None:
        # Pixels may be edited, and then the name of the instance is another: so wherever it stands.
        instance = "SOPInstanceUID" in rule.keyword
        renew = self.pseudonyms.instance_uid if instance else self.pseudonyms.uid
        new, shown = [], []
        # A text that is no UID is an identifier all the same: it is replaced as one.
        for old in texts(element)[: rule.most]:
            if is_standard(old, rule.named):
                new.append(old)
                shown.append(old)
                continue
            new.append(renew(old))
            shown.append(REPLACED)
            if old:
                self.uids[old] = new[-1]
        self._tell(rule, path, "\\".join(shown))
        return DataElement(element.tag, "UI", new if len(new) != 1 else new[0])

    def _date(
        self, source: Dataset, element: DataElement, rule: Rule, path: tuple[str, ...]
    ) -> DataElement | None:
        values = texts(element)[: rule.most]
        if rule.vr == "DT":
            moved = [shifted_datetime(value, self.shift) for value in values]
        else:
            twins = texts(decoded(source, rule.twin)) if rule.twin else []
            twins += [""] * (len(values) - len(twins))
            moved = [
                self._moved(value, twin, rule.vr)
                for value, twin in zip(values, twins, strict=False)
            ]
        if not moved or not all(moved):
            return None
        self._tell(rule, path, SHIFTED)
        return DataElement(element.tag, rule.vr, moved if len(moved) > 1 else moved[0])

    def _moved(self, value: str, twin: str, vr: str) -> str:
        if vr == "DA":
            return shifted_pair(value, twin, self.shift)[0] or shifted_date(value, self.shift)
        return shifted_pair(twin, value, self.shift)[1] or shifted_time(value, self.shift)

    # -- the whole -------------------------------------------------------------------------------

    def _name(self, dataset: FileDataset, result: FileDataset) -> None:
        """Class and instance; the file meta information needs both, whatever the data set has."""
        stated = _stated(dataset, 0x00020002)
        if not result.get("SOPClassUID") and not stated:
            result.SOPClassUID = _NO_CLASS
        kind = result.get("SOPClassUID") or stated
        if not is_standard(kind, named("SOPClassUID")):
            kind = result.get("SOPClassUID") or self.pseudonyms.uid(stated)
        if not result.get("SOPInstanceUID"):
            result.SOPInstanceUID = self.pseudonyms.instance_uid(_instance(dataset))
        syntax = _stated(dataset, 0x00020010)
        known = is_standard(syntax, named("TransferSyntaxUID"))
        instance = str(result.SOPInstanceUID)
        result.file_meta = file_meta(str(kind), instance, syntax if known else "")


def _stated(dataset: FileDataset, tag: int) -> str:
    """The first value of an element of the file meta information, or ""."""
    meta = getattr(dataset, "file_meta", None) or Dataset()
    return "".join(texts(decoded(meta, tag))[:1])


def _sop_class(dataset: FileDataset) -> str:
    return "".join(texts(decoded(dataset, 0x00080016))[:1]) or _stated(dataset, 0x00020002)


def _instance(dataset: FileDataset) -> str:
    """The instance UID of the input, or what stands for it."""
    own = "".join(texts(decoded(dataset, 0x00080018))[:1])
    return own or _stated(dataset, 0x00020003) or _print(dataset)


def _stand_in(tag: BaseTag, rule: Rule, act: Act) -> DataElement | None:
    if act is Act.DUMMY:
        return dummy(tag, rule)
    return empty(tag, rule) if act is Act.EMPTY else None


def _code(source: Dataset, element: DataElement, rule: Rule) -> DataElement | None:
    """Part of a code, if the standard knows the code; the meaning is the standard's.

    A local code, or a meaning in somebody's own words, could be anything.
    """
    scheme = "".join(texts(decoded(source, 0x00080102)))
    if rule.keyword == "CodingSchemeDesignator":
        return DataElement(element.tag, "SH", scheme) if scheme in coding_schemes() else None
    value = "".join(texts(decoded(source, 0x00080100)))
    meaning = coded_concepts().get((scheme, value))
    if meaning is None:
        return None
    return DataElement(element.tag, rule.vr, value if rule.keyword == "CodeValue" else meaning)


def _entries(source: Dataset, keyword: str) -> tuple[int, int]:
    """Number of entries of a look-up table by its descriptor (PS3.3 C.11.1.1.1), 0 without one.

    And the number of bits of each.
    """
    values = listed(decoded(source, tag_for_keyword(keyword) or 0))
    if len(values) != 3 or not all(isinstance(value, int) for value in values):
        return 0, 0
    return values[0] % 65536 or 65536, values[2]


def _print(dataset: Dataset) -> str:
    """A name for an instance that has none, from its picture."""
    element = decoded(dataset, 0x7FE00010)
    value = element.value if element is not None else b""
    return hashlib.sha256(value if isinstance(value, bytes) else b"").hexdigest()
