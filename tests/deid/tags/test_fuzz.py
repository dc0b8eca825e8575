"""Hostile files, byte by byte: nothing but the documented error, and no planted word comes out."""

from __future__ import annotations

import struct
import sys
from io import BytesIO
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import DicomDictionary, tag_for_keyword

from deid.images.dicom_parse import MAX_DEPTH, parse_stream
from deid.images.dicom_write import write
from deid.reasons import Withheld
from deid.tags import PixelFacts, Pseudonyms, clean
from deid.tags.tables import basic_profile, technical

sys.path.insert(0, str(Path(__file__).parent))
from canaries import vr_of

#: No code string, no number and no technical text has these letters, so that it may stand nowhere.
WORD = b"Mu^eller@"
LONG = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
VRS = [*LONG, b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT"]
VRS += [b"PN", b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US", b"\0\0", b"zz", b"  "]
#: Numbers may hold any bytes by right, and what holds pixels or colours is looked at elsewhere.
NUMBERS = ("US", "SS", "UL", "SL", "FL", "FD", "UV", "SV", "AT", "OB", "OW", "OF", "OD", "OL", "OV")
SPEAKING = [
    tag
    for tag, (vr, *_) in DicomDictionary.items()
    if 8 <= tag >> 16 < 0xFFFA and tag >> 16 != 0x7FE0 and not set(vr.split(" or ")) & {*NUMBERS}
]
NAMED = [tag for tag in basic_profile() if 8 <= tag >> 16 < 0x5000 and vr_of(tag) not in NUMBERS]
TECHNICAL = [tag_for_keyword(keyword) or 0 for keyword in technical()]
ODD = [
    *(0x00020010, 0x00020016, 0x00020102, 0x00080005, 0x00080016, 0x00080018, 0x00080008),
    *(0x00080100, 0x00080102, 0x00080104, 0x00081140, 0x00082112, 0x00280301, 0x00400555),
    *(0x00090010, 0x00091001, 0x00080000, 0x0008FFF0, 0x60000022, 0x60003000, 0x50000022),
    *(0x00100010, 0x00100020, 0x00080020, 0x00080030, 0x0008002A, 0x00400275, 0x52009229),
]

# An element is (tag, VR, value), a value bytes or a list of items, an item a list of elements.
tags = st.one_of(*(st.sampled_from(names) for names in (SPEAKING, NAMED, TECHNICAL, ODD)))
words = st.one_of(
    st.just(WORD),
    st.builds(lambda one, two: one + WORD + two, st.binary(max_size=9), st.binary(max_size=9)),
    st.lists(st.sampled_from([WORD, b"1", b"", b"CT"]), min_size=2, max_size=5).map(b"\\".join),
    st.sampled_from([b"20200101", b"1.2.840.10008." + WORD, b"-1e999", b"\x1b$B" + WORD, b"\xff"]),
)
plain = st.tuples(tags, st.sampled_from(VRS), words)


def holding(inner: st.SearchStrategy) -> st.SearchStrategy:
    """Sequences over elements, with items or without, private ones among them."""
    items = st.lists(st.lists(inner, max_size=4), max_size=3)
    places = [tag for tag in SPEAKING if vr_of(tag) == "SQ"]
    odd = st.sampled_from([0x00091010, 0x00400555, 0x00081140, 0x52009229, 0x0008FFF0])
    return st.tuples(st.one_of(st.sampled_from(places), odd), st.just(b"SQ"), items)


elements = st.recursive(plain, holding, max_leaves=12)


def packed(element: tuple, *, implicit: bool, big: bool) -> bytes:
    """The element's bytes; those of lists have a defined length."""
    tag, vr, value = element
    order = ">" if big else "<"
    if isinstance(value, list):
        value = b"".join(
            struct.pack(order + "HHL", 0xFFFE, 0xE000, len(item)) + item
            for item in (
                b"".join(packed(one, implicit=implicit, big=big) for one in items)
                for items in value
            )
        )
    elif len(value) % 2:
        value += b" "
    head = struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(order + "L", len(value)) + value
    if vr in LONG:
        return head + vr + b"\0\0" + struct.pack(order + "L", len(value)) + value
    return head + vr + struct.pack(order + "H", len(value)) + value


def file_of(found: list[tuple], syntax: str) -> bytes:
    """A Part 10 file of these elements, in their order, doubles and all."""
    known = b"1.2.840.10008.5.1.4.1.1.2\0"
    meta = (
        (0x00020002, b"UI", known),
        (0x00020010, b"UI", syntax.encode() + b"\0" * (len(syntax) % 2)),
    )
    group = b"".join(packed(one, implicit=False, big=False) for one in meta)
    body = b"".join(
        packed(one, implicit=syntax.endswith(".1.2"), big=syntax.endswith(".2.2")) for one in found
    )
    length = packed((0x00020000, b"UL", struct.pack("<L", len(group))), implicit=False, big=False)
    return WORD.ljust(128, b"\0") + b"DICM" + length + group + body


def cleaned(data: bytes, facts: PixelFacts) -> bytes | None:
    """The output's bytes; None where the file was refused in the documented way."""
    try:
        parsed = parse_stream(BytesIO(data), len(data), with_pixels=True)
        result = clean(
            parsed.dataset, pseudonyms=Pseudonyms(b"k" * 32, b""), patient="P" * 32, pixels=facts
        )
        for path, _, value in result.kept:
            assert WORD.decode() not in path + value
        return write(result.dataset)
    except Withheld:
        return None


SYNTAXES = ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"]
FACTS = [PixelFacts(), PixelFacts(text="clean", edited=True), PixelFacts(text="as_found")]


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.lists(elements, max_size=14), st.sampled_from(SYNTAXES), st.sampled_from(FACTS))
def test_whatever_a_file_says_no_word_of_it_comes_out(
    found: list[tuple], syntax: str, facts: PixelFacts
) -> None:
    out = cleaned(file_of(found, syntax), facts)
    if out is not None:
        assert WORD not in out
        assert dcmread(BytesIO(out)).PatientID == "P" * 32


COUNTS = [
    tag for tag in DicomDictionary if vr_of(tag) in ("US", "UL", "FL", "FD", "SS", "AT", "OB")
]
TEXTS = [b"AE", b"CS", b"DS", b"IS", b"LO", b"LT", b"PN", b"SH", b"ST", b"UC", b"UI", b"UN", b"UR"]
misread = st.tuples(
    st.sampled_from([tag for tag in COUNTS if 8 <= tag >> 16 < 0x5000]), st.sampled_from(TEXTS)
)


@settings(max_examples=40)
@given(st.lists(misread, min_size=4, max_size=30))
def test_a_number_that_a_file_calls_a_text_is_no_way_out(found: list[tuple[int, bytes]]) -> None:
    elements = [(tag, vr, WORD + b"12") for tag, vr in found]
    out = cleaned(file_of(elements, "1.2.840.10008.1.2.1"), PixelFacts())
    assert out is None or WORD not in out


@settings(max_examples=15)
@given(plain, st.integers(1, MAX_DEPTH + 3), st.sampled_from([0x00082218, 0x52009229]))
def test_at_any_depth(element: tuple, depth: int, place: int) -> None:
    for _ in range(depth):
        element = (place, b"SQ", [[element]])
    out = cleaned(file_of([element], "1.2.840.10008.1.2.1"), PixelFacts())
    assert out is None or (depth <= MAX_DEPTH and WORD not in out)


def test_the_words_are_read_and_the_doubles_too() -> None:
    """Else the tests above could not fail."""
    element = (0x00180015, b"CS", WORD)
    data = file_of([(0x00081140, b"SQ", [[element]]), element, element], "1.2.840.10008.1.2.1")
    parsed = parse_stream(BytesIO(data), len(data), with_pixels=True)
    assert parsed.dataset.BodyPartExamined == WORD.decode()
    assert parsed.dataset.ReferencedImageSequence[0].BodyPartExamined == WORD.decode()
