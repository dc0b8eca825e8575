"""What happens to an attribute, decided once for each class, parent sequence and tag."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import cache

from pydicom.datadict import dictionary_has_tag, get_entry, tag_for_keyword
from pydicom.tag import BaseTag

from deid.tags.tables import (
    attribute_type,
    basic_profile,
    image_classes,
    only_original,
)

#: Attributes that table E.1-1 does not name and that go all the same. One character set for the
#: whole replaces all. Versions of context groups are dates that everybody can look up, so that a
#: shifted one would give the patient's shift away, and what else names the group goes with them.
#: UIDs of coding schemes would be replaced by untrue ones. Where an object can be had names a site.
#: The last few may stand only beside an attribute that the table removes.
_ALSO_GONE = frozenset(
    (
        "SpecificCharacterSet",
        "ContextIdentifier",
        "ContextUID",
        "ContextGroupVersion",
        "ContextGroupLocalVersion",
        "ContextGroupExtensionFlag",
        "ContextGroupExtensionCreatorUID",
        "MappingResource",
        "MappingResourceName",
        "MappingResourceUID",
        "ContextGroupIdentificationSequence",
        "MappingResourceIdentificationSequence",
        "CodingSchemeUID",
        "CodingSchemeResponsibleOrganization",
        "DICOMRetrievalSequence",
        "DICOMMediaRetrievalSequence",
        "HL7StructuredDocumentReferenceSequence",
        "WADORetrievalSequence",
        "WADORSRetrievalSequence",
        "XDSRetrievalSequence",
        "EncryptedAttributesSequence",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "PatientIdentityRemoved",
        "LongitudinalTemporalInformationModified",
        "ClinicalTrialProtocolEthicsCommitteeName",
        "PatientAlternativeCalendar",
        "ResponsiblePersonRole",
    )
)
_CODES = frozenset(("CodeValue", "CodeMeaning", "CodingSchemeDesignator"))
_PIXELS = frozenset(("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
_TIMES = frozenset(("DA", "TM", "DT"))
#: Kinds of UIDs of the standard (PS3.6 table A-1), which stay in attributes that name such a thing.
#: In any other, of an instance or a frame of reference, the same UID is an identifier.
_SOP_CLASSES = frozenset(("SOP Class", "Meta SOP Class"))
_TRANSFER_SYNTAXES = frozenset(("Transfer Syntax",))
_PALETTES = frozenset(("Well-known SOP Instance",))
_NAMES_PALETTE = frozenset(("PaletteColorLookupTableUID", "ReferencedColorPaletteInstanceUID"))
_UNBOUNDED = 1 << 30


class Act(Enum):
    """What to do with a value."""

    GONE = auto()
    EMPTY = auto()
    DUMMY = auto()
    KEEP = auto()
    PIXELS = auto()
    CODE = auto()
    PROFILE = auto()
    UID = auto()
    SHIFT = auto()
    DESCEND = auto()


@dataclass(frozen=True)
class Rule:
    """The treatment of an attribute.

    Attributes
    ----------
    vrs
        The VRs that the dictionary allows; whatever a file says, these count.
    instead
        What to do where the value can not be treated so: `GONE`, `EMPTY` or `DUMMY`.
    least, most
        How many values the dictionary allows.
    twin
        Tag of the time that belongs to a date, or the reverse; 0 for none.
    named
        Kinds of things, of those that the standard defines, whose UIDs stay.
    only_original
        Whether it goes from an image whose pixels were altered.
    """

    keyword: str
    vrs: tuple[str, ...]
    act: Act
    instead: Act
    least: int
    most: int
    twin: int
    named: frozenset[str]
    only_original: bool

    @property
    def vr(self) -> str:
        """The VR to write where the file's is not one of the dictionary's."""
        return self.vrs[0]


def rule_for(parent: str, tag: int, sop_class: str = "") -> Rule | None:
    """The rule for `tag` in items of the sequence `parent` ("" at top level); None: it goes.

    Parameters
    ----------
    sop_class
        Of the whole object. One that is no image class of the standard's gets the rules that serve
        all of them.
    """
    # Looked up before the cache, which unknown classes would fill.
    return _rule(parent, tag, sop_class if sop_class in image_classes() else "")


@cache
def _rule(parent: str, tag: int, sop_class: str) -> Rule | None:
    place = BaseTag(tag)
    if place.is_private or _group_is_gone(place) or not dictionary_has_tag(place):
        return None
    vr, vm, _, _, keyword = get_entry(place)
    if not keyword or keyword in _ALSO_GONE:
        return None
    vrs = tuple(vr.split(" or "))
    kind = attribute_type(sop_class, parent, keyword)
    instead = {"1": Act.DUMMY, "2": Act.EMPTY}.get(kind[0], Act.GONE)
    act = _act(basic_profile().get(tag), vrs[0], keyword, kind)
    if act is Act.PIXELS and parent:
        return None
    if act is Act.CODE:
        instead = Act.DUMMY
    elif act is Act.SHIFT and instead is Act.GONE:
        instead = Act.EMPTY
    least, most = _multiplicity(vm)
    return Rule(
        keyword,
        vrs,
        act,
        instead,
        least,
        most,
        _twin(keyword),
        named(keyword),
        (sop_class, keyword) in only_original()
        # It counts the pixels as they were: untrue of others, and a fingerprint of the original.
        or keyword == "HistogramSequence",
    )


def named(keyword: str) -> frozenset[str]:
    """The kinds of UIDs of the standard that may stand in an attribute of this keyword."""
    if "SOPClass" in keyword:
        return _SOP_CLASSES
    if "TransferSyntax" in keyword:
        return _TRANSFER_SYNTAXES
    return _PALETTES if keyword in _NAMES_PALETTE else frozenset()


def _group_is_gone(tag: BaseTag) -> bool:
    """Commands, file meta, curves, overlays and group lengths, whatever they hold."""
    return (
        tag.group in (0x0000, 0x0002)
        or tag.element == 0
        or 0x5000 <= tag.group <= 0x50FF
        or 0x6000 <= tag.group <= 0x60FF
        or tag in (0xFFFCFFFC, 0xFFFAFFFA)
    )


def _act(listed: tuple[str, bool] | None, vr: str, keyword: str, kind: str) -> Act:
    if listed is None:
        if keyword in _CODES:
            return Act.CODE
        if keyword in _PIXELS:
            return Act.PIXELS
        if keyword == "ICCProfile":
            return Act.PROFILE
        return Act.SHIFT if vr in _TIMES else _kept(vr)
    action, shifted = listed
    if shifted and vr in _TIMES:
        return Act.SHIFT
    if "U" in action:
        return Act.DESCEND if vr == "SQ" else Act.UID
    if action == "X":
        # Where an IOD asks for a value under a condition only, the condition holds no more.
        return {"1": _dummy(vr), "2": Act.EMPTY, "2C": Act.EMPTY}.get(kind, Act.GONE)
    if kind[0] == "1" or action == "D":
        return _dummy(vr)
    if kind[0] == "2" or "X" not in action:
        return Act.EMPTY
    return Act.GONE


def _kept(vr: str) -> Act:
    return {"SQ": Act.DESCEND, "UI": Act.UID}.get(vr, Act.KEEP)


def _dummy(vr: str) -> Act:
    return Act.DESCEND if vr == "SQ" else Act.DUMMY


def _multiplicity(vm: str) -> tuple[int, int]:
    low, _, high = vm.partition("-")
    if not high:
        high = low
    return int(low), int(high) if high.isdigit() else _UNBOUNDED


def _twin(keyword: str) -> int:
    if keyword.endswith("DateTime"):
        return 0
    for one, other in (("Date", "Time"), ("Time", "Date")):
        if keyword.endswith(one):
            return tag_for_keyword(keyword.removesuffix(one) + other) or 0
        if keyword.startswith(one + "Of"):
            return tag_for_keyword(other + keyword.removeprefix(one)) or 0
    return 0
