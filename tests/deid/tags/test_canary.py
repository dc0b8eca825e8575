"""No planted value comes through."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest
from pydicom import DataElement, Dataset, FileDataset, Sequence, config
from pydicom.datadict import DicomDictionary, dictionary_has_tag, dictionary_VR, tag_for_keyword

from deid.reasons import Withheld
from deid.tags import PixelFacts, Pseudonyms, clean
from deid.tags.rules import Act, Rule
from deid.tags.tables import basic_profile, technical
from deid.tags.values import kept

sys.path.insert(0, str(Path(__file__).parent))
from canaries import PATTERN, Planter, at, new_file, reread, vr_of, written

#: Table E.1-1, without command elements and what can only end a data set (tested apart).
TABLE = [tag for tag in sorted(basic_profile()) if 2 < tag >> 16 < 0xFFFA]
SEQUENCES = [tag for tag in TABLE if vr_of(tag) == "SQ"]
PLAIN = [tag for tag in TABLE if vr_of(tag) != "SQ"]
#: Sequences that the table does not name, one inside the other.
UNNAMED = (
    ("SharedFunctionalGroupsSequence", "FrameContentSequence"),
    ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
    ("DerivationImageSequence", "PurposeOfReferenceCodeSequence"),
)


def cleaned(data: bytes) -> bytes:
    result = clean(
        reread(data),
        pseudonyms=Pseudonyms(b"k" * 32, b""),
        patient="P" * 32,
        pixels=PixelFacts(text="clean", edited=True),
    )
    return written(result.dataset)


def check(planter: Planter, before: FileDataset) -> None:
    check_bytes(planter, written(before))


def check_bytes(planter: Planter, data: bytes) -> None:
    planted = {match: path for match, path in planter.texts.items() if PATTERN.fullmatch(match)}
    assert planted.keys() <= set(PATTERN.findall(data)), "a canary was never planted"
    after = cleaned(data)
    leaks = {planter.texts.get(match, ()) for match in PATTERN.findall(after)}
    assert not leaks, [[f"{tag:08X}" for tag in path] for path in leaks]
    result = reread(after)
    same = [path for path, value in planter.numbers if at(result, path) == value]
    assert not same, [[f"{tag:08X}" for tag in path] for path in same]


@pytest.mark.parametrize("implicit", [False, True])
def test_nothing_of_the_table_is_left_at_top_level(implicit: bool) -> None:
    planter, dataset = Planter(), new_file(implicit=implicit)
    tags = [tag for tag in PLAIN if not implicit or dictionary_has_tag(tag)]
    planter.plant_all(dataset, (tag for tag in tags if tag != 0x00080018))
    check(planter, dataset)


@pytest.mark.parametrize("names", UNNAMED)
def test_nothing_of_the_table_is_left_two_sequences_deep(names: tuple[str, str]) -> None:
    outer, inner = (tag_for_keyword(name) or 0 for name in names)
    assert not {outer, inner} & basic_profile().keys()
    planter, dataset, item, deep = Planter(), new_file(), Dataset(), Dataset()
    planter.plant_all(deep, PLAIN, (outer, inner))
    item.add(DataElement(inner, "SQ", Sequence([deep])))
    dataset.add(DataElement(outer, "SQ", Sequence([item])))
    check(planter, dataset)


def test_nothing_of_the_table_is_left_in_any_sequence_of_the_table() -> None:
    planter, dataset = Planter(), new_file()
    assert len(SEQUENCES) > 50
    for tag in SEQUENCES:
        item = Dataset()
        planter.plant_all(item, PLAIN, (tag,))
        dataset.add(DataElement(tag, "SQ", Sequence([item])))
    check(planter, dataset)


def prose() -> list[int]:
    """Whatever can carry prose, of the whole dictionary, and is on no list."""
    found = []
    for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
        able = {"AE", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "OB", "UN", "UI"}
        if able & set(vr.split(" ")) and keyword not in technical() and tag >> 16 > 2:
            found.append(tag)
    return [tag for tag in found if tag not in (0x00080016, 0x00080018, 0x7FE00010)]


def test_nothing_that_can_carry_prose_is_left_that_no_list_names() -> None:
    planter, dataset = Planter(), new_file()
    assert len(prose()) > 800
    planter.plant_all(dataset, prose())
    check(planter, dataset)


@pytest.mark.parametrize("vr", ["CS", "UC", "UN", "OB"])
def test_a_file_that_lies_about_a_vr_is_not_believed(
    vr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    planter, dataset = Planter(), new_file()
    with monkeypatch.context() as patched:
        patched.setattr(config, "replace_un_with_known_vr", False)
        for tag in {*prose(), *PLAIN}:
            if vr_of(tag) in ("LO", "PN", "SH", "ST", "LT", "UT", "DA", "DS", "IS", "UI"):
                planter.plant(dataset, tag, vr)
        data = written(dataset)
    check_bytes(planter, data)


def test_private_and_unknown_elements_go_at_every_depth() -> None:
    planter, dataset, inner = Planter(), new_file(), Dataset()
    for target, path in ((dataset, ()), (inner, (0x00082218,))):
        for tag, vr in (
            (0x00090010, "LO"),
            (0x00091001, "LO"),
            (0x00091002, "UN"),
            (0x00091003, "US"),
            (0x0008FFF0, "LO"),
            (0x0008FFF1, "UN"),
            (0x0008FFF2, "US"),
            (0x0018FFF3, "CS"),
        ):
            planter.plant(target, tag, vr, path)
        for tag in (0x00091010, 0x0008FFF4):
            hidden = Dataset()
            planter.plant(hidden, 0x00100010, path=(*path, tag))
            planter.plant(hidden, 0x00180015, path=(*path, tag))
            target.add(DataElement(tag, "SQ", Sequence([hidden])))
    dataset.AnatomicRegionSequence = [inner]
    check(planter, dataset)


def test_overlays_curves_preamble_meta_and_padding_go() -> None:
    planter, dataset = Planter(), new_file()
    for group in (0x60000000, 0x60020000, 0x60FE0000):
        for element, vr in ((0x0010, "US"), (0x0022, "LO"), (0x1500, "LO"), (0x4000, "LT")):
            planter.plant(dataset, group + element, vr)
        planter.plant(dataset, group + 0x3000, "OW")
    for group in (0x50000000, 0x50FE0000):
        planter.plant(dataset, group + 0x0022, "LO")
        planter.plant(dataset, group + 0x3000, "OW")
    planter.plant(dataset, 0xFFFCFFFC, "OB")
    for tag in (0x00020016, 0x00020017, 0x00020018, 0x00020100, 0x00020013):
        planter.plant(dataset.file_meta, tag)
    planter.plant(dataset.file_meta, 0x00020102, "OB")
    dataset.preamble = planter.value("OB", ()).ljust(128, b"\0")
    check(planter, dataset)
    result = reread(cleaned(written(dataset)))
    assert result.preamble == bytes(128)
    assert not [tag for tag in result.keys() if tag.group >= 0x5000 or tag.element == 0]  # noqa: SIM118


def test_codes_keep_only_what_the_standard_says() -> None:
    planter, dataset = Planter(), new_file()
    known, local = Dataset(), Dataset()
    known.CodeValue, known.CodingSchemeDesignator = "113100", "DCM"
    known.CodeMeaning = planter.value("PN", ())
    for tag in (0x00080100, 0x00080102, 0x00080103, 0x00080104, 0x00080119, 0x00080120):
        planter.plant(local, tag)
    dataset.AnatomicRegionSequence = [known, local]
    # A version of a scheme is technical; but no canary is.
    del local.CodingSchemeVersion
    planter.texts = {text: path for text, path in planter.texts.items() if text in written(dataset)}
    check(planter, dataset)
    items = reread(cleaned(written(dataset))).AnatomicRegionSequence
    assert items[0].CodeMeaning == "Basic Application Confidentiality Profile"
    assert items[1].CodeValue == items[1].CodeMeaning == "ANONYMIZED"


def test_bulk_holds_no_text() -> None:
    planter, dataset, table, icon = Planter(), new_file(), Dataset(), Dataset()
    table.LUTDescriptor = [3, 0, 16]
    table.add(DataElement(0x00283006, "OW", b"\1\0\2\0\3\0" + planter.value("OW", ())))
    dataset.ModalityLUTSequence = [table]
    planter.plant(dataset, 0x00281201, "OW")
    planter.plant(dataset, 0x00282000, "OB")
    planter.plant(icon, 0x7FE00010, "OW")
    dataset.AnatomicRegionSequence = [icon]
    check(planter, dataset)
    result = reread(cleaned(written(dataset)))
    assert result.ModalityLUTSequence[0].LUTData == b"\1\0\2\0\3\0"


COLOURS = ("Red", "Green", "Blue")


def with_palette(target: Dataset, data: bytes, bits: int = 16, segmented: str = "") -> None:
    for number, colour in enumerate(COLOURS):
        entries = len(data) * 8 // bits
        setattr(target, f"{colour}PaletteColorLookupTableDescriptor", [entries, 0, bits])
        target.add(DataElement((0x00281221 if segmented else 0x00281201) + number, "OW", data))


def test_a_palette_goes_that_the_image_does_not_use() -> None:
    text = b"CANARY4711SMITH!"
    dataset, group = new_file(), Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    with_palette(dataset, text)
    with_palette(group, text)
    dataset.SharedFunctionalGroupsSequence = [group]
    data = cleaned(written(dataset))
    assert b"CANARY" not in data
    result = reread(data)
    assert not [element.keyword for element in result.iterall() if "Palette" in element.keyword]


@pytest.mark.parametrize(
    "used", [{"PhotometricInterpretation": "PALETTE COLOR"}, {"PixelPresentation": "MIXED"}]
)
def test_a_palette_stays_that_the_image_uses(used: dict[str, str]) -> None:
    dataset, item, path = new_file(), Dataset(), Dataset()
    dataset.PhotometricInterpretation = "MONOCHROME2"
    for keyword, value in used.items():
        setattr(dataset, keyword, value)
    ramp = b"".join((value * 257).to_bytes(2, "little") for value in range(256))
    for target, bits in ((dataset, 16), (item, 8)):
        with_palette(target, ramp if bits == 16 else bytes(range(256)), bits)
    path.PaletteColorLookupTableSequence = [item]
    dataset.OpticalPathSequence = [path]
    result = reread(cleaned(written(dataset)))
    inner = result.OpticalPathSequence[0].PaletteColorLookupTableSequence[0]
    for colour in COLOURS:
        assert result[f"{colour}PaletteColorLookupTableData"].value == ramp
        assert inner[f"{colour}PaletteColorLookupTableData"].value == bytes(range(256))


@pytest.mark.parametrize("parent", ["ModalityLUTSequence", "VOILUTSequence", "palette"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("around", [b"", bytes(range(64)), bytes(40)])
def test_a_table_that_reads_as_a_text_withholds_the_file(
    parent: str, bits: int, implicit: bool, around: bytes
) -> None:
    dataset, table = new_file(implicit=implicit), Dataset()
    text = around + b"CANARY4711SMITH!" + around
    if parent == "palette":
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        with_palette(dataset, text, bits, "Segmented" if around else "")
    else:
        table.LUTDescriptor = [len(text) * 8 // bits, 0, bits]
        table.add(DataElement(0x00283006, "OW", text))
        setattr(dataset, parent, [table])
    with pytest.raises(Withheld, match="reads as a text"):
        cleaned(written(dataset))


def test_a_table_with_fewer_entries_than_it_says_withholds_the_file() -> None:
    dataset, table = new_file(), Dataset()
    table.LUTDescriptor = [5, 0, 16]
    table.add(DataElement(0x00283006, "OW", bytes(range(8))))
    dataset.VOILUTSequence = [table]
    with pytest.raises(Withheld, match="fewer entries"):
        cleaned(written(dataset))


def _scales() -> dict[str, list[int]]:
    ramp = list(range(65536))
    return {
        "identity": ramp,
        "inverse": ramp[::-1],
        "steep": [min(value * 3, 65535) for value in range(30000)],
        "sigmoid": [int(65535 / (1 + 2.718281828 ** -((v - 2048) / 300))) for v in range(4096)],
        "printable": list(range(0x2020, 0x7E7E, 7)),
        "one hill": [min(v, 4095 - v) * 20 for v in range(4096)],
        "doubled": [v * 257 for v in (0x41, 0x62, 0x43, 0x7A, 0x30, 0x55, 0x21, 0x66)],
    }


@pytest.mark.parametrize("scale", _scales())
@pytest.mark.parametrize("order", ["little", "big"])
def test_a_table_that_is_a_scale_stays(scale: str, order: str) -> None:
    dataset, table = new_file(), Dataset()
    entries = _scales()[scale]
    data = b"".join(value.to_bytes(2, order) for value in entries)
    table.LUTDescriptor = [len(entries) % 65536, 0, 16]
    table.add(DataElement(0x00283006, "OW", data))
    dataset.ModalityLUTSequence = [table]
    assert reread(cleaned(written(dataset))).ModalityLUTSequence[0].LUTData == data


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    "keyword", ["FrameNumbersOfInterest", "HistogramData", "FrameIncrementPointer", "TimeRange"]
)
def test_numbers_that_spell_a_text_go(keyword: str, implicit: bool) -> None:
    tag = tag_for_keyword(keyword) or 0
    assert dictionary_VR(tag) in ("US", "UL", "AT", "FD")
    dataset = new_file(implicit=implicit)
    text = b"CANARY4711SMITH!"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(config, "replace_un_with_known_vr", False)
        dataset.add(DataElement(tag, "UN", text))
        data = written(dataset)
    assert text in data
    assert b"CANARY" not in cleaned(data)


@pytest.mark.parametrize(
    ("vr", "code", "words"),
    [
        ("FD", "d", b"MUELLER^"),
        ("FD", "d", b"@REDIENH"),
        ("FL", "2f", b"ANNABELL"),
        ("UL", "I", b"ANKE"),
        ("SL", "i", b"1963"),
        ("US", "3H", b"SMITHJ"),
        ("US", "4H", b"\0\1HEIDER"),
        ("UL", "2I", b"\0ANKE\0\0\0"),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_short_number_that_spells_a_word_goes(
    vr: str, code: str, words: bytes, order: str
) -> None:
    assert stays(vr, list(struct.unpack(order + code, words))) is None


def stays(vr: str, values: list[float]) -> DataElement | None:
    rule = Rule("", (vr,), Act.KEEP, Act.GONE, 0, 99, 0, frozenset(), False)
    return kept(DataElement(0x00081163, vr, values), rule, lambda _: (0, 0))


#: Measures that real headers have, and repeating fractions whose bytes can be printed.
MEASURES = {
    "FD": [[8.7], [12.3], [0.7, 0.35, 2.8], [500.0], [1 / 3], [-161.00390625, 8.2, 33.4]],
    "FL": [[0.7, 0.7], [8.7, 12.3, 14.1], [1024.0], [1e-4]],
    "UL": [[0], [65536], [20240101], [1, 2, 3]],
    "US": [[0x4141, 0x4141, 0x4141], [256, 0, 16], [12336]],
}


@pytest.mark.parametrize("vr", MEASURES)
def test_a_measure_stays(vr: str) -> None:
    for values in MEASURES[vr]:
        assert stays(vr, values) is not None


def test_numbers_that_spell_nothing_stay() -> None:
    dataset = new_file()
    dataset.FrameNumbersOfInterest = [1, 2, 300, 12336]
    dataset.FrameIncrementPointer = [0x00181063, 0x00181065]
    dataset.TimeRange = [0.5, 1e300]
    result = reread(cleaned(written(dataset)))
    for keyword in ("FrameNumbersOfInterest", "FrameIncrementPointer", "TimeRange"):
        assert result[keyword].value == dataset[keyword].value


@pytest.mark.parametrize("entries", [4, 5])
def test_a_table_of_bytes_holds_no_text_behind_its_entries(entries: int) -> None:
    planter, dataset, table = Planter(), new_file(), Dataset()
    table.LUTDescriptor = [entries, 0, 8]
    data = bytes(range(1, entries + 1)) + bytes(entries % 2)
    table.add(DataElement(0x00283006, "OW", data + planter.value("OW", ())))
    dataset.ModalityLUTSequence = [table]
    result = reread(cleaned(written(dataset)))
    assert result.ModalityLUTSequence[0].LUTData == data


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("BodyPartExamined", "Smith, John"),
        ("BodyPartExamined", "CHEST^SMITH"),
        ("SliceThickness", "1.0 Smith"),
        ("InstanceNumber", "12Smith"),
        ("ConvolutionKernel", "Smith^John"),
        ("ConvolutionKernel", "B70f\nSmith"),
    ],
)
def test_text_that_is_not_what_its_vr_says_goes(keyword: str, value: str) -> None:
    dataset = new_file()
    tag = tag_for_keyword(keyword) or 0
    dataset.add(DataElement(tag, dictionary_VR(tag), b"", already_converted=True))
    dataset[tag]._value = value
    data = cleaned(written(dataset))
    assert b"Smith" not in data
    assert b"SMITH" not in data
