"""What a DICOM header says the object is: image or not, modality, region, head in view or not."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from functools import cache
from importlib import resources
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import UID

from deid.images.dicom_parse import Parsed

#: Texts that name what was examined, best witness first. Nested ones count too: enhanced objects
#: and request attributes carry them in sequences.
_BODY_PART = "BodyPartExamined"
_DESCRIPTIONS = (
    "ProtocolName",
    "SeriesDescription",
    "StudyDescription",
    "PerformedProcedureStepDescription",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepDescription",
    "AcquisitionProtocolDescription",
)
#: Sequences whose items code an anatomic region or a procedure.
_REGION_SEQUENCES = frozenset(
    (
        0x00082218,  # Anatomic Region Sequence
        0x00082220,  # Anatomic Region Modifier Sequence
        0x00082228,  # Primary Anatomic Structure Sequence
        0x00081032,  # Procedure Code Sequence
        0x00321064,  # Requested Procedure Code Sequence
        0x00400008,  # Scheduled Protocol Code Sequence
        0x00400260,  # Performed Protocol Code Sequence
    )
)
_PIXEL_ATTRIBUTES = ("Rows", "Columns", "BitsAllocated", "PhotometricInterpretation")


@cache
def _kinds() -> dict[str, Any]:
    return tomllib.loads((resources.files("deid.images") / "dicom_kinds.toml").read_text("utf-8"))


def text(dataset: Dataset, keyword: str) -> str:
    """An element's value as stripped text; "" where it is absent or cannot be read."""
    tag = tag_for_keyword(keyword)
    if tag is None or tag not in dataset._dict:  # most are absent, and `get` is slow to say so
        return ""
    try:
        value = dataset[tag].value
    except Exception:  # a value that its VR does not allow names nothing
        return ""
    return "" if value is None else str(value).strip(" \0")


def is_image(parsed: Parsed) -> bool:
    """Whether the object is an image: not of a class or modality that is none, with pixels.

    An unknown class (a private one, say) is an image when it has pixel attributes.
    """
    dataset = parsed.dataset
    table = _kinds()["not_image"]
    uid = sop_class(parsed)
    if in_classes(uid, table["classes"]) or text(dataset, "Modality") in table["modalities"]:
        return False
    if "Image Storage" in UID(uid).name:
        return True
    return parsed.pixel is not None or any(word in dataset for word in _PIXEL_ATTRIBUTES)


def sop_class(parsed: Parsed) -> str:
    """The SOP class UID, the file meta information's where the data set has none."""
    return text(parsed.dataset, "SOPClassUID") or text(
        parsed.dataset.file_meta, "MediaStorageSOPClassUID"
    )


def in_classes(uid: str, prefixes: list[str]) -> bool:
    """Whether `uid` is one of the given UIDs or stands below one."""
    return any(uid == prefix or uid.startswith(prefix + ".") for prefix in prefixes)


def modality(dataset: Dataset) -> str | None:
    """``xray``, ``ct``, ``fundus``, another defined term in lower case, ``other``, or None."""
    term = text(dataset, "Modality").upper()
    if not term:
        return None
    kinds = _kinds()
    if term in kinds["modalities"]:
        return str(kinds["modalities"][term])
    return term.lower() if term in kinds["known"]["terms"] else "other"


def region(dataset: Dataset, witnesses: list[str]) -> str | None:
    """The region that the header names (`witnesses` says where), None for none that is known."""
    if implied := _kinds()["implied"].get(text(dataset, "Modality").upper()):
        return str(implied)
    for words in witnesses:
        if names_head(words):
            return "head"
        if (found := _region_of(words)) is not None:
            return found
    return None


def section(parsed: Parsed) -> str | None:
    """``ct`` or ``mr`` where the object is a section of a body, whatever its modality says.

    By its modality, else by its class, else by what only a section has; None for a projection.
    """
    if (named := _named_section(parsed)) is not None:
        return named
    kinds = _kinds()["sections"]
    for kind in ("mr", "ct"):  # an MR has a place and a thickness as well
        if any(word in parsed.dataset for word in kinds[kind]["attributes"]):
            return kind
    return None


def _named_section(parsed: Parsed) -> str | None:
    kinds: dict[str, dict[str, list[str]]] = _kinds()["sections"]
    if (named := text(parsed.dataset, "Modality").lower()) in kinds:
        return named
    uid = sop_class(parsed)
    return next((kind for kind, one in kinds.items() if in_classes(uid, one["classes"])), None)


def head_in_view(parsed: Parsed, witnesses: list[str]) -> bool:
    """Whether it is a CT or MR whose header names a head, or a part of one, anywhere."""
    return _named_section(parsed) is not None and any(names_head(words) for words in witnesses)


def region_witnesses(parsed: Parsed) -> list[str]:
    """Texts that may name the region, the most reliable first, spelt for `names_head`."""
    found = []
    for _, item in parsed.levels:
        found.append(plain_words(text(item, _BODY_PART)))
    for tag, item in parsed.levels:
        if tag in _REGION_SEQUENCES:
            found.append(plain_words(text(item, "CodeMeaning")))
            if text(item, "CodeValue") in _kinds()["head"]["codes"]:
                found.append("head")
    for keyword in _DESCRIPTIONS:
        for _, item in parsed.levels:
            found.append(plain_words(text(item, keyword)))
    return [words for words in found if words]


def plain_words(value: str) -> str:
    """Lower case, accents taken off, everything but letters and digits turned into blanks."""
    if not value:
        return ""
    decomposed = unicodedata.normalize("NFKD", value.lower().replace("ß", "ss"))
    letters = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(re.sub(r"[\W_]+", " ", letters).split())


def names_head(words: str) -> bool:
    """Whether text out of `plain_words` names a head or a part of one."""
    return _head_pattern().search(words) is not None


@cache
def _head_pattern() -> re.Pattern[str]:
    table = _kinds()["head"]
    # The scripts are decomposed like the text they are sought in.
    anywhere = [plain_words(word) for word in table["inside"] + table["script"]]
    start = "|".join(table["start"])
    whole = "|".join(table["word"])
    return re.compile(
        rf"{'|'.join(anywhere)}|(?:\b|(?<=\d)|(?<=\b[cm][tr]))(?:(?:{start})|(?:{whole})\b)"
    )


def _region_of(words: str) -> str | None:
    """The region whose stem stands first in `words`."""
    hits = [
        (match.start(), name)
        for name, pattern in _region_patterns().items()
        if (match := pattern.search(words + " ")) is not None
    ]
    return min(hits)[1] if hits else None


@cache
def _region_patterns() -> dict[str, re.Pattern[str]]:
    return {
        name: re.compile(rf"(?:\b|(?<=\b[cm][tr]))(?:{'|'.join(stems)})")
        for name, stems in _kinds()["regions"].items()
    }
