"""Identifiers of a file that stand again where nobody expects them: a name in the kernel's.

Attributes of table E.1-1 go wherever they stand. What is kept has a technical meaning, but devices
and curators write what they like, so that a kept text is compared with the file's own identifiers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydicom import Dataset, Sequence
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword

from deid.tags.values import decoded, texts

_IDENTIFIERS = frozenset(
    tag
    for keyword in (
        "PatientID",
        "OtherPatientIDs",
        "PatientBirthName",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "MedicalRecordLocator",
        "AdmissionID",
        "AccessionNumber",
        "InstitutionName",
        "InstitutionAddress",
        "DeviceSerialNumber",
        "FillerOrderNumberImagingServiceRequest",
        "PlacerOrderNumberImagingServiceRequest",
    )
    if (tag := tag_for_keyword(keyword)) is not None
)
_PATIENT_ID = 0x00100020
_BIRTH_DATE = 0x00100030
_OTHER_IDS = 0x00101002
_WORD = re.compile(r"[^\W_]+")
#: A shorter word is too often something else: "CT", a kernel, a year's last digits.
_SHORTEST = 4
#: From this length on a word is looked for within words also: "v2SURNAME".
_SHORTEST_WITHIN = 6
#: Words that institutions and stations have in common with the devices in them, and with anatomy.
_COMMON = re.compile(
    "medical|health|hospital|center|centre|clinic|klinik|university|research|imaging|radiology|"
    "image|scanner|digital|general|chest|head|abdomen|pelvis|spine|thorax|breast|skull|hand|foot|"
    "knee|anonymous|anonymi[sz]ed|unknown|none|test|phantom|patient"
)


class Repeats:
    """Says whether a text repeats an identifier of the file that it stands in.

    Parameters
    ----------
    dataset
        The file; its names of persons, numbers of patient and study, places, and date of birth are
        read at top level. Words of fewer than four letters or digits are not looked for.
    """

    def __init__(self, dataset: Dataset) -> None:
        words = {word for value in _identifying(dataset) for word in _words(value)}
        self._words = {
            word for word in words if len(word) >= _SHORTEST and not _COMMON.fullmatch(word)
        }
        self._within = [word for word in self._words if len(word) >= _SHORTEST_WITHIN]

    def found(self, text: str) -> bool:
        """Whether the text holds one of the identifiers, whatever case and signs it is in."""
        parts = _WORD.findall(text.casefold())
        # A number that counts something has four digits soon enough.
        if not text.strip("0123456789") and len(text) < _SHORTEST_WITHIN:
            return False
        if not self._words.isdisjoint(parts):
            return True
        whole = "".join(parts)
        return any(word in whole for word in self._within)


def _identifying(dataset: Dataset) -> Iterator[str]:
    for tag in dataset.keys():  # noqa: SIM118 (a data set iterates over decoded elements)
        if tag in _IDENTIFIERS or (dictionary_has_tag(tag) and dictionary_VR(tag) == "PN"):
            yield from texts(decoded(dataset, tag))
    for value in texts(decoded(dataset, _BIRTH_DATE)):
        year, month, day = value[:4], value[4:6], value[6:8]
        yield from (year + month + day, day + month + year, month + day + year)
    others = decoded(dataset, _OTHER_IDS)
    if others is not None and isinstance(others.value, Sequence):
        for item in others.value:
            yield from texts(decoded(item, _PATIENT_ID))


def _words(value: str) -> Iterator[str]:
    """The words of a value, and all of them as one, forwards and backwards: SURNAMEJOHN."""
    parts = _WORD.findall(value.casefold())
    yield from parts
    yield "".join(parts)
    yield "".join(reversed(parts))
