"""Values: which may stand as they are, and what stands where they may not."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from math import isfinite
from typing import Any, Literal

from pydicom import DataElement, Dataset, Sequence
from pydicom.tag import BaseTag
from pydicom.valuerep import DSfloat, PersonName

from deid.icc import standard
from deid.tags.lookup import TABLES, fitted
from deid.tags.rules import Act, Rule
from deid.tags.tables import technical

#: Deeper than any real object; what lies below goes.
MAX_DEPTH = 64

_CODE = re.compile(r"[A-Z0-9_ ]{0,16}")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|")
_INTEGER = re.compile(r"[+-]?\d{1,12}|")
_AGE = re.compile(r"\d{3}[DWMY]|")
#: A technical text may be anything but a person's name or an address.
_TECHNICAL = re.compile(r"[^\^@\x00-\x1f\x7f]{0,64}")
#: A DS has 16 characters; many writers use more for digits that a float does carry.
_LONGEST_DECIMAL = 32

_INTEGERS: dict[str, tuple[int, int]] = {
    "US": (0, 0xFFFF),
    "SS": (-0x8000, 0x7FFF),
    "UL": (0, 0xFFFFFFFF),
    "SL": (-0x80000000, 0x7FFFFFFF),
    "UV": (0, (1 << 64) - 1),
    "SV": (-(1 << 63), (1 << 63) - 1),
    "AT": (0, 0xFFFFFFFF),
}
_FLOATS = frozenset(("FL", "FD"))
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_LARGEST_FL = 3.4028234663852886e38
_TEXTS = frozenset(("LO", "SH", "ST", "LT", "UT", "UC", "CS"))
BULK = frozenset(("OB", "OD", "OF", "OL", "OV", "OW"))
_DUMMY: dict[str, Any] = {
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
    "DS": "1",
    "IS": "1",
    "UR": "urn:anonymized",
}
#: That many printable characters in a row are a text; numbers have bytes that are none. Of floats
#: more are needed: two of 0.7 read as eight characters.
_PRINTABLE = re.compile(rb"[\x20-\x7e]{8,}")
_PRINTABLE_FLOATS = {
    "FL": re.compile(rb"[\x20-\x7e]{12,}"),
    "FD": re.compile(rb"[\x20-\x7e]{16,}"),
}
#: In an attribute of so few bytes fewer are one already, if they are such as words and dates have,
#: and not all alike (0.7 ends in 666666): measures that are written as floats mostly begin with "?"
#: or "@", and whole numbers of 32 bits are rarely that large.
_SHORT, _DIFFERENT = 64, 4
_LEAST_WORD = {"FD": 7, "FL": 8, "US": 6, "SS": 6, "AT": 6}
_LEAST_WORD_OF_OTHERS = 4
_WORD = re.compile(rb"[A-Za-z0-9 ^.,/_-]{4,}")
#: Values in `kept` beyond this many are not spelt out.
_SPELT = 64


def listed(element: DataElement | None) -> list[Any]:
    """The values of an element as a list; empty for none, and for items where values belong."""
    value = None if element is None or element.VR == "SQ" else element.value
    if value is None or value == "" or value == b"":
        return []
    if isinstance(value, (str, bytes, PersonName)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def texts(element: DataElement | None) -> list[str]:
    """The values of an element as stripped texts; none of one that holds bytes."""
    values = listed(element)
    if any(isinstance(value, bytes) for value in values):
        return []
    return [str(value).strip(" \0") for value in values]


def decoded(source: Dataset, tag: int) -> DataElement | None:
    """The element, None where it is absent or its value does not decode."""
    place = BaseTag(tag)
    if place not in source:
        return None
    try:
        element = source[place]
        # Some values are decoded, and some errors raised, no earlier than here.
        return element if element.VM >= 0 else None
    except Exception:
        # Whatever a hostile value raises, it goes, without a word about its content.
        return None


def spelt(element: DataElement) -> str:
    """The value for the inventory."""
    if isinstance(element.value, bytes):
        return f"({len(element.value)} bytes)"
    values = listed(element)
    more = f" ... ({len(values)} values)" if len(values) > _SPELT else ""
    return "\\".join(str(value) for value in values[:_SPELT]) + more


def empty(tag: int, rule: Rule) -> DataElement:
    """The attribute without a value."""
    return DataElement(tag, rule.vr, Sequence() if rule.vr == "SQ" else None)


def dummy(tag: int, rule: Rule) -> DataElement | None:
    """The attribute with a value that says nothing; None where its VR has none."""
    if rule.keyword == "CodingSchemeDesignator":
        return DataElement(tag, "SH", "99ANONYMIZED")
    if rule.keyword == "LongCodeValue":
        # What fits into a CodeValue may not stand there.
        return DataElement(tag, "UC", "ANONYMIZED LONG CODE VALUE")
    if rule.vr not in _DUMMY:
        return None
    return DataElement(tag, rule.vr, [_DUMMY[rule.vr]] * max(rule.least, 1))


def kept(
    element: DataElement, rule: Rule, entries: Callable[[str], tuple[int, int]]
) -> DataElement | None:
    """The attribute as it may stand: as it was, unless it could carry prose.

    Parameters
    ----------
    entries
        Gives the number of entries and of bits an entry that a look-up table's descriptor states,
        by its keyword.

    Returns
    -------
    DataElement or None
        With a VR of the dictionary's, whatever the file said; None: it can not stand.

    Raises
    ------
    Withheld
        ``undecodable``: a look-up table that the picture needs is none.
    """
    vr = element.VR if element.VR in rule.vrs else rule.vr
    if element.VR == "SQ":
        return None
    if rule.act is Act.PROFILE:
        profile = standard(element.value) if isinstance(element.value, bytes) else None
        if profile is None:
            return None
        return DataElement(element.tag, "OB", profile, already_converted=True)
    if rule.keyword in TABLES:
        return _table(element, rule.keyword, vr, *entries(TABLES[rule.keyword]))
    if vr in _INTEGERS or vr in _FLOATS:
        value: list[Any] | None = _numbers(element, vr)
        if value is not None and _spells(value, vr):
            return None
    elif vr in BULK or vr in ("UN", "UR", "UI"):
        return None
    else:
        value = _readable(element, rule, vr)
    if value is None:
        return None
    value = value[: rule.most]
    return DataElement(element.tag, vr, value if len(value) != 1 else value[0])


def told(element: DataElement) -> list[Any]:
    """The values that may repeat an identifier: texts and numbers, but for those of 16 bits.

    The latter are sizes and values of pixels.
    """
    if element.VR in _TEXTS:
        return texts(element)
    numbers = element.VR in _INTEGERS or element.VR in _FLOATS or element.VR in ("DS", "IS")
    return listed(element) if numbers and element.VR not in ("US", "SS", "AT") else []


def without(element: DataElement, found: Callable[[Any], bool]) -> DataElement | None:
    """The attribute with a dummy for each text that `found` points at; None for a number."""
    if element.VR not in _TEXTS:
        return None
    value = [_DUMMY[element.VR] if found(word) else word for word in texts(element)]
    return DataElement(element.tag, element.VR, value if len(value) != 1 else value[0])


def _numbers(element: DataElement, vr: str) -> list[Any] | None:
    values = listed(element)
    if vr in _FLOATS:
        if not all(isinstance(value, (int, float)) for value in values):
            return None
        # A file may say FD, or DS, where only an FL can be written.
        fit = vr == "FD" or all(not isfinite(v) or abs(v) <= _LARGEST_FL for v in values)
        return values if fit else None
    low, high = _INTEGERS[vr]
    fit = all(isinstance(value, int) and low <= value <= high for value in values)
    return values if fit else None


def _spells(values: list[Any], vr: str) -> bool:
    """Whether numbers, as they are written, are a text in disguise.

    Of few values nobody can tell: a measure that happens to read as four letters stays.
    """
    if vr in _FLOATS:
        code = "d" if vr == "FD" else "f"
        packed = [struct.pack(f"{order}{len(values)}{code}", *values) for order in "<>"]
        long = len(values) > 1 and any(
            (_PRINTABLE.fullmatch(data) and len(set(data)) >= _DIFFERENT)
            or _PRINTABLE_FLOATS[vr].search(data)
            for data in packed
        )
    else:
        if vr == "AT":
            values = [part for value in values for part in (value >> 16, value & 0xFFFF)]
        size = {"UL": 4, "SL": 4, "UV": 8, "SV": 8}.get(vr, 2)
        whole = (1 << 8 * size) - 1
        packed = [
            b"".join((value & whole).to_bytes(size, order) for value in values) for order in _ORDERS
        ]
        long = any(_PRINTABLE.search(data) for data in packed)
    return long or any(_has_word(data, vr) for data in packed if len(data) <= _SHORT)


def _has_word(data: bytes, vr: str) -> bool:
    """Whether the few bytes of short numbers have a word in them."""
    least = _LEAST_WORD.get(vr, _LEAST_WORD_OF_OTHERS)
    words = _WORD.findall(data)
    return any(len(word) >= least and len(set(word)) >= _DIFFERENT for word in words)


def _readable(element: DataElement, rule: Rule, vr: str) -> list[Any] | None:
    """A text's values, if each reads as what its VR says."""
    values = listed(element)
    words = texts(element)
    if len(words) != len(values):
        return None
    if rule.keyword in technical():
        return words if all(_TECHNICAL.fullmatch(word) for word in words) else None
    if vr == "CS":
        return words if all(_CODE.fullmatch(word) for word in words) else None
    if vr == "AS":
        return words if all(_AGE.fullmatch(word) for word in words) else None
    if vr == "IS":
        return words if all(_INTEGER.fullmatch(word) for word in words) else None
    if vr == "DS" and all(_DECIMAL.fullmatch(word) and _finite(word) for word in words):
        return [_decimal(word) for word in words]
    return None


def _finite(word: str) -> bool:
    return not word or isfinite(float(word))


def _decimal(word: str) -> Any:
    if len(word) > _LONGEST_DECIMAL:
        return DSfloat(float(word), auto_format=True)
    return word


def _table(
    element: DataElement, keyword: str, vr: str, entries: int, bits: int
) -> DataElement | None:
    """A look-up table, cut to the length that its descriptor states; none without descriptor."""
    value = element.value
    if not entries:
        return None
    if isinstance(value, bytes):
        data = fitted(value, keyword, entries, bits)
        return DataElement(element.tag, vr if vr in BULK else "OW", data, already_converted=True)
    numbers = _numbers(element, "US")
    if numbers is None:
        return None
    # An entry a word, whatever its bits.
    fitted(struct.pack(f"<{len(numbers)}H", *numbers), keyword, entries, 16)
    return DataElement(element.tag, "US", numbers[:entries])
