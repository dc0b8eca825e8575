"""Where a file has its identifiers: at every depth, private elements and wrong VRs included."""

from __future__ import annotations

import re
from contextlib import suppress
from enum import Enum, auto
from functools import cache
from typing import Any

from pydicom import DataElement, Dataset, Sequence
from pydicom._dicom_dict import DicomDictionary
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.tag import BaseTag

from deid.tags.tables import basic_profile
from deid.tags.values import MAX_DEPTH, decoded, texts

#: Numbers and addresses of a person or of what was done to one. Each word of them counts, since a
#: patient's number is now and then a name.
_OF_A_PERSON = frozenset(
    (
        "PatientID",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientInstitutionResidence",
        "MedicalRecordLocator",
        "AdmissionID",
        "ServiceEpisodeID",
        "AccessionNumber",
        "FillerOrderNumberImagingServiceRequest",
        "PlacerOrderNumberImagingServiceRequest",
        "ClinicalTrialSubjectID",
        "ClinicalTrialSubjectReadingID",
        "SpecimenIdentifier",
        "SpecimenAccessionNumber",
        "ContainerIdentifier",
        "DeviceSerialNumber",
    )
)
#: Names of places: their words count but for those that devices have, too (``repeats._COMMON``).
_OF_A_PLACE = frozenset(
    (
        "InstitutionName",
        "InstitutionAddress",
        "ClinicalTrialSiteName",
        "ReferringPhysicianAddress",
        "PersonAddress",
    )
)
#: Attributes that say what was examined, why and with what, in the words that protocols, kernels
#: and parts of the body have: were they compared, an X-ray of a hand could not be called HAND.
_OF_THE_EXAMINATION = re.compile(
    "Description$|Comments$|Labels?$|Agent$|Alerts$|Needs$|Processing|^(Protocol|Reason|RT|ROI|"
    "Structure|Selector|Treatment|Timezone|Text|Position|Topic|PreMedication|Allergies|Entity"
    "|SourceManufacturer|Ethnic|Confidentiality|Visit)"
)
#: Of the rest (stations, devices, issuers, departments, steps of procedures) only the whole value
#: counts: their words are CT, SIEMENS, RADIOLOGY and CHEST, which repeat nobody.
_SHORT = frozenset(("AE", "LO", "SH", "UC"))

#: Private texts that look like a person's name, or like a number that somebody was given. What else
#: devices write there (kernels, versions, copies of standard attributes) is no identifier.
_PERSON = re.compile(r"[^\W\d_][^\d^=\\/:]{0,40}\^[^\d\\/:]{1,60}")
_NUMBER = re.compile(r"[A-Za-z]{0,5}[ _-]?[0-9]{6,12}")
_LONGEST = 128
_PRIVATE = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "UN", "AE", "OB"))
_NOTHING: tuple[Kind | None, str] = (None, "")
#: How an item of a sequence begins that a file calls UN.
_ITEM = (b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")


class Kind(Enum):
    """What an attribute holds, and so which parts of its value count."""

    NAME = auto()
    NUMBER = auto()
    PLACE = auto()
    WHOLE = auto()
    BIRTH = auto()
    DATE = auto()
    ITEMS = auto()


def identifiers(dataset: Dataset) -> dict[Kind, set[str]]:
    """The values of a file, its file meta information included, that identify somebody."""
    found: dict[Kind, set[str]] = {kind: set() for kind in Kind}
    kinds = _kinds()
    # Written out, not recursed into, and no deeper than what is kept.
    work = [(dataset, 0)]
    meta = getattr(dataset, "file_meta", None)
    if meta is not None:
        work.append((meta, 0))
    while work:
        source, depth = work.pop()
        # Elements as read: only what matters is decoded.
        for tag, element in list(source.items()):
            number = int(tag)  # A tag compares slowly.
            kind, vr = kinds.get(number, _NOTHING)
            if kind is None and number >> 16 & 1:
                kind, vr = _private(source, tag, element)
            if kind is Kind.ITEMS:
                value = getattr(decoded(source, tag), "value", None)
                if isinstance(value, Sequence) and depth < MAX_DEPTH:
                    work += [(item, depth + 1) for item in value]
            elif kind is not None:
                found[kind].update(_said(source, tag, element, vr))
    return found


@cache
def _kinds() -> dict[int, tuple[Kind | None, str]]:
    """Kind and VR of the attributes of the dictionary that matter, by tag."""
    kinds = {
        tag: (_kind(tag, vr, name), vr) for tag, (vr, _, _, _, name) in DicomDictionary.items()
    }
    return {tag: found for tag, found in kinds.items() if found[0] is not None}


def _kind(tag: int, vr: str, keyword: str) -> Kind | None:
    if vr in ("PN", "SQ"):
        return Kind.NAME if vr == "PN" else Kind.ITEMS
    if keyword in _OF_A_PERSON:
        return Kind.NUMBER
    if keyword in _OF_A_PLACE:
        return Kind.PLACE
    if keyword == "PatientBirthDate":
        return Kind.BIRTH
    # The table does not name the titles of applications in the file meta information.
    if tag not in basic_profile() and tag >> 16 != 2:
        return None
    if vr in ("DA", "DT"):
        return Kind.DATE
    return Kind.WHOLE if vr in _SHORT and not _OF_THE_EXAMINATION.search(keyword) else None


def _private(
    source: Dataset, tag: BaseTag, element: DataElement | RawDataElement
) -> tuple[Kind | None, str]:
    value: Any = element.value
    vr = element.VR
    if vr == "SQ" or (isinstance(value, bytes) and value.startswith(_ITEM)):
        return Kind.ITEMS, "SQ"
    if vr == "PN":
        return Kind.NAME, vr
    if isinstance(value, bytes) and len(value) <= _LONGEST:
        value = value.decode("latin-1")
    if not isinstance(value, str) or (vr or "UN") not in _PRIVATE or tag.is_private_creator:
        return _NOTHING
    value = value.strip(" \0")
    if _PERSON.fullmatch(value):
        return Kind.NAME, "PN"
    if not _NUMBER.fullmatch(value):
        return _NOTHING
    # Where the file does not tell, the element may be one of those that are known to be measures.
    known = decoded(source, tag)
    return (Kind.NUMBER, "LO") if known is not None and known.VR in _PRIVATE else _NOTHING


def _said(
    source: Dataset, tag: BaseTag, element: DataElement | RawDataElement, vr: str
) -> list[str]:
    """The values of an element, read as `vr` whatever the file calls it."""
    value = element.value
    if not isinstance(value, bytes):
        return _twice(texts(decoded(source, tag)))
    if value.isascii() and b"\x1b" not in value:
        # Most are, and most go, so that nothing else decodes them.
        return [text.strip(" \0") for text in value.decode().split("\\")]
    try:
        encodings = convert_encodings(source.original_character_set)
        raw = RawDataElement(tag, vr, len(value), value, 0, False, True)
        return _twice(texts(convert_raw_data_element(raw, encoding=encodings)))
    except Exception:
        # Whatever a hostile value raises: it can not be read, so that nothing can repeat it.
        return []


def _twice(values: list[str]) -> list[str]:
    """The values, and as UTF-8 those that were read in the wrong character set."""
    again = []
    for value in values:
        if not value.isascii():
            with suppress(UnicodeError):
                again.append(value.encode("latin-1").decode())
    return values + again
