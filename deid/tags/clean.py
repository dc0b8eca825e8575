"""PS3.15 Annex E, Basic Application Level Confidentiality Profile, at every depth of a data set."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydicom import DataElement, Dataset, FileDataset, Sequence
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataset import FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID

import deid
from deid.tags.dates import shifted_date, shifted_datetime, shifted_pair, shifted_time
from deid.tags.pseudonyms import Pseudonyms, Shift
from deid.tags.tables import attribute_types, basic_profile, coded_concepts, technical

#: Our own root (from a UUID) for the file meta information.
IMPLEMENTATION = "2.25.302914761530098145172986045193411752038"

#: VRs that can not carry prose. DS, IS and AS are text, and are kept only if they read as what they say.
_PLAIN = frozenset("CS DS IS AS FL FD SL SS SV UL US UV AT OB OD OF OL OV OW SQ".split())
_NUMERIC = frozenset("FL FD SL SS SV UL US UV AT".split())
_BULK = frozenset("OB OD OF OL OV OW".split())
#: Bulk attributes that are a picture's own; any other could hold anything.
_BULK_KEPT = frozenset(
    "PixelData FloatPixelData DoubleFloatPixelData RedPaletteColorLookupTableData "
    "GreenPaletteColorLookupTableData BluePaletteColorLookupTableData LUTData "
    "SegmentedRedPaletteColorLookupTableData SegmentedGreenPaletteColorLookupTableData "
    "SegmentedBluePaletteColorLookupTableData".split()
)
_PIXELS = frozenset("PixelData FloatPixelData DoubleFloatPixelData".split())
_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")
_DECIMAL = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
_INTEGER = re.compile(r"\s*[+-]?\d{1,12}\s*")
_AGE = re.compile(r"\d{3}[DWMY]")
#: UIDs that name a composite object, whose pixels may be edited.
_INSTANCES = frozenset(
    "SOPInstanceUID ReferencedSOPInstanceUID MediaStorageSOPInstanceUID "
    "ReferencedSOPInstanceUIDInFile SourceSOPInstanceUID FailedSOPInstanceUIDList".split()
)
_DUMMY = {
    "PN": "ANONYMOUS",
    "LO": "ANONYMIZED",
    "SH": "ANONYMIZED",
    "ST": "ANONYMIZED",
    "LT": "ANONYMIZED",
    "UT": "ANONYMIZED",
    "UC": "ANONYMIZED",
    "AE": "ANONYMIZED",
    "CS": "ANONYMIZED",
    "DA": "19000101",
    "TM": "000000",
    "DT": "19000101000000",
    "AS": "000Y",
    "DS": "0",
    "IS": "0",
    "UR": "urn:anonymized",
}
#: Deeper than any real object; what lies below goes.
MAX_DEPTH = 64


@dataclass(frozen=True)
class PixelFacts:
    """What was done to the pixels, for the attributes that have to tell it.

    Attributes
    ----------
    text
        ``clean``: searched, blanked, searched again; ``unknown``: not searched.
    edited
        The remover changed the picture.
    text_blanked
        Boxes were blanked.
    """

    text: str = "unknown"
    edited: bool = False
    text_blanked: bool = False


@dataclass(frozen=True)
class Cleaned:
    """A data set without identifiers.

    Attributes
    ----------
    kept
        (path of keywords, keyword, value) of each attribute that stands as it was.
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
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _Cleaner(pseudonyms, patient).run(dataset, pixels)


class _Cleaner:
    def __init__(self, pseudonyms: Pseudonyms, patient: str) -> None:
        self.pseudonyms, self.patient = pseudonyms, patient
        self.shift: Shift = pseudonyms.shift(patient)
        self.kept: list[tuple[str, str, str]] = []
        self.uids: dict[str, str] = {}

    def run(self, dataset: FileDataset, pixels: PixelFacts) -> Cleaned:
        result = FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
        # Written out, not recursed into: a hostile file may nest deeper than Python's stack.
        work: list[tuple[Dataset, Dataset, tuple[str, ...]]] = [(dataset, result, ())]
        while work:
            source, target, path = work.pop()
            for element in _elements(source):
                self._element(source, element, target, path, work)
        self._identity(result)
        self._say_what_was_done(dataset, result, pixels)
        self._meta(dataset, result)
        notes = [] if str(dataset.get("PatientID", "")).strip() else ["the patient ID was empty"]
        return Cleaned(result, self.kept, self.uids, notes)

    # -- one element -----------------------------------------------------------------------------

    def _element(
        self,
        source: Dataset,
        element: DataElement,
        target: Dataset,
        path: tuple[str, ...],
        work: list[tuple[Dataset, Dataset, tuple[str, ...]]],
    ) -> None:
        tag = element.tag
        keyword = keyword_for_tag(tag)
        if tag.is_private or not keyword or _is_gone(tag):
            return
        parent = path[-1] if path else ""
        kind = attribute_types().get((parent, keyword), "3")
        action = _resolve(basic_profile().get(tag), kind, element.VR)
        vr = element.VR
        if action == "shift":
            self._date(source, element, target, keyword, kind)
        elif action == "U" and vr == "UI":
            self._uid(element, target, keyword)
        elif vr == "SQ" and action in ("K", "U", "D"):
            self._sequence(element, target, (*path, keyword), work)
        elif keyword in ("CodeValue", "CodeMeaning"):
            self._code(source, element, target, path)
        elif action == "K" and self._may_stay(element, keyword):
            if vr == "UI":
                self._uid(element, target, keyword)
                return
            target.add(DataElement(tag, vr, element.value))
            if keyword not in _PIXELS:
                self.kept.append((">".join((*path, keyword)), keyword, _text(element)))
        else:
            self._fallback(element, target, kind if action != "Z" else max(kind, "2")[:2])

    def _code(
        self, source: Dataset, element: DataElement, target: Dataset, path: tuple[str, ...]
    ) -> None:
        """A code stays with the meaning that the standard gives it, else as a dummy: a local code or a
        meaning in somebody's own words could be anything."""
        scheme, value = (_partner(source, k)[:1] for k in ("CodingSchemeDesignator", "CodeValue"))
        meaning = coded_concepts().get((*scheme, *value)) if scheme and value else None  # type: ignore[arg-type]
        if meaning is None:
            self._fallback(element, target, "1")
            return
        keyword = keyword_for_tag(element.tag)
        text = value[0] if keyword == "CodeValue" else meaning
        target.add(DataElement(element.tag, element.VR, text))
        self.kept.append((">".join((*path, keyword)), keyword, text))

    def _may_stay(self, element: DataElement, keyword: str) -> bool:
        """Whether an attribute that table E.1-1 does not name can not carry prose."""
        vr, values = element.VR, _values(element)
        if keyword in technical():
            return True
        if vr in _BULK:
            return keyword in _BULK_KEPT
        if vr == "UI":
            return True
        if vr not in _PLAIN:
            return False
        if vr == "CS":
            return all(isinstance(v, str) and _CODE.fullmatch(v) for v in values)
        if vr == "DS":
            return all(_DECIMAL.fullmatch(str(v)) for v in values)
        if vr == "IS":
            return all(_INTEGER.fullmatch(str(v)) for v in values)
        if vr == "AS":
            return all(_AGE.fullmatch(str(v)) for v in values)
        return not any(isinstance(v, (bytes, str)) for v in values) if vr in _NUMERIC else True

    def _fallback(self, element: DataElement, target: Dataset, kind: str) -> None:
        """Gone; but what its IOD requires stays, empty (Type 2) or with a dummy (Type 1)."""
        vr = element.VR if element.VR in _DUMMY or element.VR == "SQ" else _dictionary_vr(element)
        if kind.startswith("2"):
            target.add(DataElement(element.tag, vr, Sequence() if vr == "SQ" else None))
        elif kind.startswith("1") and vr in _DUMMY:
            target.add(DataElement(element.tag, vr, _DUMMY[vr]))

    def _sequence(
        self,
        element: DataElement,
        target: Dataset,
        path: tuple[str, ...],
        work: list[tuple[Dataset, Dataset, tuple[str, ...]]],
    ) -> None:
        if len(path) > MAX_DEPTH or not isinstance(element.value, Sequence):
            return
        items = []
        for item in element.value:
            copy = Dataset()
            items.append(copy)
            work.append((item, copy, path))
        target.add(DataElement(element.tag, "SQ", Sequence(items)))

    def _uid(self, element: DataElement, target: Dataset, keyword: str) -> None:
        renew = (
            self.pseudonyms.instance_uid if keyword in _INSTANCES else self.pseudonyms.uid
        )
        new = []
        for old in _values(element):
            uid = renew(str(old))
            # A text that is no UID is an identifier all the same: it was replaced as one.
            new.append(uid)
            if uid != str(old):
                self.uids[str(old)] = uid
        target.add(DataElement(element.tag, "UI", new if len(new) != 1 else new[0]))

    def _date(
        self, source: Dataset, element: DataElement, target: Dataset, keyword: str, kind: str
    ) -> None:
        values = [str(value) for value in _values(element)]
        vr = element.VR
        if vr == "DT":
            moved = [shifted_datetime(value, self.shift) for value in values]
        else:
            stem, other = (keyword[:-4], "Time") if vr == "DA" else (keyword[:-4], "Date")
            partner = _partner(source, stem + other)
            moved = []
            for index, value in enumerate(values):
                twin = partner[index] if index < len(partner) else ""
                if vr == "DA":
                    pair = shifted_pair(value, twin, self.shift)
                    moved.append(pair[0] or shifted_date(value, self.shift))
                else:
                    pair = shifted_pair(twin, value, self.shift)
                    moved.append(pair[1] or shifted_time(value, self.shift))
        if values and all(moved):
            target.add(DataElement(element.tag, vr, moved if len(moved) > 1 else moved[0]))
        else:
            self._fallback(element, target, kind if kind[0] in "12" else "2")

    # -- the whole -------------------------------------------------------------------------------

    def _identity(self, result: Dataset) -> None:
        result.PatientName = self.patient
        result.PatientID = self.patient
        for keyword in ("PatientBirthDate", "PatientSex"):
            if keyword not in result:
                setattr(result, keyword, "")

    def _say_what_was_done(
        self, dataset: Dataset, result: Dataset, pixels: PixelFacts
    ) -> None:
        """PS3.15 E.1.1 and C.7.1.1: the truth and nothing more."""
        codes = [
            ("113100", "Basic Application Confidentiality Profile"),
            ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
        ]
        if pixels.text == "clean":
            codes.append(("113101", "Clean Pixel Data Option"))
            result.BurnedInAnnotation = "NO"
        elif str(dataset.get("BurnedInAnnotation", "")) in ("YES", "NO"):
            result.BurnedInAnnotation = str(dataset.BurnedInAnnotation)
        result.PatientIdentityRemoved = "YES"
        result.DeidentificationMethod = f"mami-deid {deid.__version__}"
        items = []
        for value, meaning in codes:
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
            items.append(item)
        result.DeidentificationMethodCodeSequence = Sequence(items)
        result.LongitudinalTemporalInformationModified = "MODIFIED"
        if pixels.edited or pixels.text_blanked:
            kind = [str(value) for value in _values(result["ImageType"])] if "ImageType" in result else []
            result.ImageType = ["DERIVED", *(kind[1:] or ["PRIMARY"])]
            result.DerivationDescription = "altered pixels, not for diagnosis"
        # Only ASCII is left: nothing that is kept can carry prose.
        result.SpecificCharacterSet = "ISO_IR 192"

    def _meta(self, dataset: FileDataset, result: FileDataset) -> None:
        meta = result.file_meta
        old = getattr(dataset, "file_meta", None) or Dataset()
        meta.MediaStorageSOPClassUID = UID(str(result.get("SOPClassUID", "")))
        meta.MediaStorageSOPInstanceUID = UID(str(result.get("SOPInstanceUID", "")))
        if "TransferSyntaxUID" in old:
            meta.TransferSyntaxUID = UID(str(old.TransferSyntaxUID))
        meta.ImplementationClassUID = UID(IMPLEMENTATION)
        meta.ImplementationVersionName = "MAMI_DEID_0_1"


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """The elements that decode; the others are dropped without a word about their content."""
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            element.VM  # noqa: B018 - decodes the value
        except Exception:  # noqa: S112, BLE001 - whatever a hostile value raises, it goes
            continue
        yield element


def _is_gone(tag: BaseTag) -> bool:
    """Groups that go whatever they hold: commands, file meta, curves, overlays, group lengths."""
    return (
        tag.group in (0x0000, 0x0002)
        or tag.element == 0
        or 0x5000 <= tag.group <= 0x50FF
        or 0x6000 <= tag.group <= 0x60FF
        or tag in (0xFFFCFFFC, 0xFFFAFFFA)
        or not dictionary_has_tag(tag)
    )


def _resolve(action: str | None, kind: str, vr: str) -> str:
    """One of K (kept if it can not carry prose), shift, U, D, Z or X."""
    if action is None:
        return "shift" if vr in ("DA", "TM", "DT") else "K"
    if action == "shift":
        return action
    if "U" in action:
        return "U"
    if kind in ("1", "1C"):
        return "D" if vr == "SQ" else "X"
    if "X" in action:
        return "X"
    return "Z"


def _values(element: DataElement) -> list[Any]:
    value = element.value
    if value is None or value == "":
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def _text(element: DataElement) -> str:
    if element.VR in _BULK:
        return f"({len(element.value or b'')} bytes)"
    return "\\".join(str(value) for value in _values(element))


def _partner(source: Dataset, keyword: str) -> list[str]:
    try:
        element = source[keyword]
    except Exception:  # noqa: BLE001 - absent, or a hostile value: then there is no partner
        return []
    return [str(value) for value in _values(element)]


def _dictionary_vr(element: DataElement) -> str:
    return dictionary_VR(element.tag).split(" ")[0]
