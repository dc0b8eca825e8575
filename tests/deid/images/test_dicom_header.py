"""What the header says: modality, region, a head in view, place in a stack, meaning of values."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import DataElement
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

from deid.images import dicom
from deid.images.dicom_kind import names_head, plain_words
from deid.images.record import Geometry

GREY = np.arange(30, dtype=np.int16).reshape(1, 6, 5)


def code(value: str, meaning: str, scheme: str = "SCT") -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def look(make_dicom, save, **tags):
    return dicom.inspect(save(make_dicom(GREY, **tags)))


@pytest.mark.parametrize(
    ("term", "word"),
    [
        ("DX", "xray"),
        ("CR", "xray"),
        ("MG", "xray"),
        ("CT", "ct"),
        ("OP", "fundus"),
        ("MR", "mr"),
        ("PX", "px"),
        ("ANNA MUELLER", "other"),
        ("", None),
    ],
)
def test_a_modality_is_one_of_ours_or_a_defined_term(make_dicom, save, term, word) -> None:
    assert look(make_dicom, save, Modality=term).modality == word


@pytest.mark.filterwarnings("ignore:The value length")
@pytest.mark.parametrize(
    ("tags", "region"),
    [
        ({"BodyPartExamined": "CHEST"}, "chest"),
        ({"BodyPartExamined": "THORAX"}, "chest"),
        ({"BodyPartExamined": "BACINO"}, "pelvis"),
        ({"BodyPartExamined": "LSPINE"}, "spine"),
        ({"StudyDescription": "Rx Tórax PA"}, "chest"),
        ({"SeriesDescription": "RIGHT KNEE"}, "extremity"),
        ({"StudyDescription": "CT ABDOMEN", "SeriesDescription": "chest 5 mm"}, "chest"),
        ({"BodyPartExamined": "ABDOMEN", "SeriesDescription": "chest 5 mm"}, "abdomen"),
        ({"BodyPartExamined": "JPEG 2000 Compressed Image"}, None),
        ({"Modality": "MG"}, "breast"),
        ({"Modality": "OP"}, "eye"),
        ({"Modality": "DX", "BodyPartExamined": "SKULL"}, "head"),
        ({"AnatomicRegionSequence": [code("51185008", "Chest")]}, "chest"),
        ({}, None),
    ],
)
def test_the_region_comes_from_the_best_witness(make_dicom, save, tags, region) -> None:
    assert look(make_dicom, save, **tags).region == region


HEADS = """head; CTHEAD; HEADNECK; Head^Routine; brain w/o; T1_BRAIN; skull base; craniotomy;
cerebral angio; face; facial bones; sinuses; orbits; sella; ear; inner ear; jaw; teeth; dental CBCT;
neck; neuro; NEURO^IAC; pituitary; TMJ; mandible; Schädel nativ; Kopf; Hals; NNH; tête; crâne;
cabeza; cráneo; cuello; testa; hoofd; głowa; pescoço; 頭部; 颅脑; голова; 두부;
C-SPINE; CSPINE; HWS; carotid CTA; Nasennebenhöhlen; paranasal; eye; larynx"""
OTHERS = """chest; surface rendering; interface; facet joints; clear; years; linear; heart; header;
head first supine; HeadFirst; gear; bear; early phase; accidental; incidental; abdomen; thorax;
pelvis; lumbar spine; knee; shoulder"""


@pytest.mark.parametrize("words", [w.strip() for w in HEADS.split(";")])
def test_words_that_name_a_head_do(words: str) -> None:
    assert names_head(plain_words(words))


@pytest.mark.parametrize("words", [w.strip() for w in OTHERS.split(";")])
def test_words_that_only_look_so_do_not(words: str) -> None:
    assert not names_head(plain_words(words))


@pytest.mark.parametrize(
    "keyword",
    [
        "BodyPartExamined",
        "StudyDescription",
        "SeriesDescription",
        "ProtocolName",
        "RequestedProcedureDescription",
    ],
)
def test_a_ct_has_a_head_in_view_where_any_text_names_one(make_dicom, save, keyword: str) -> None:
    assert look(make_dicom, save, **{keyword: "BRAIN"}).head
    assert not look(make_dicom, save, **{keyword: "CHEST"}).head
    assert not look(
        make_dicom,
        save,
        Modality="CR",
        SOPClassUID="1.2.840.10008.5.1.4.1.1.1",
        **{keyword: "BRAIN"},
    ).head


def test_a_nested_anatomic_region_counts_by_its_words_and_by_its_code(make_dicom, save) -> None:
    for region in (code("1", "Gehirn"), code("12738006", ""), code("T-A0100", "?", "SRT")):
        anatomy, group = Dataset(), Dataset()
        anatomy.AnatomicRegionSequence = [region]
        group.FrameAnatomySequence = [anatomy]
        assert look(make_dicom, save, SharedFunctionalGroupsSequence=[group]).head


def test_the_class_counts_where_the_modality_lies(make_dicom, save) -> None:
    tags = {"SOPClassUID": EnhancedMRImageStorage, "BodyPartExamined": "HEAD"}
    assert look(make_dicom, save, Modality="OT", **tags).head


def slice_at(z: float, **tags):
    return {
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [-10, 5, z],
        "PixelSpacing": [0.5, 0.75],
        "SliceThickness": 2,
        **tags,
    }


def test_slices_of_one_series_and_geometry_share_a_stack_in_the_order_of_their_place(
    make_dicom, save
) -> None:
    low, high = (look(make_dicom, save, **slice_at(z)) for z in (-3.5, 8.0))
    assert low.stack == high.stack is not None
    assert low.order < high.order


@pytest.mark.parametrize(
    "tags",
    [
        {"SeriesInstanceUID": "2.25.99"},
        {"PixelSpacing": [0.5, 0.8]},
        {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"BitsStored": 12, "HighBit": 11},
        {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    ],
)
def test_another_geometry_is_another_stack(make_dicom, save, tags) -> None:
    one = look(make_dicom, save, **slice_at(0.0))
    other = look(make_dicom, save, **{**slice_at(1.0), **tags})
    assert one.stack != other.stack


def test_two_radiographs_of_one_series_are_no_stack(make_dicom, save) -> None:
    assert look(make_dicom, save, Modality="DX").stack is None


def test_the_identifiers_stand_as_in_the_file_and_the_stack_key_shows_none(
    make_dicom, save
) -> None:
    header = look(make_dicom, save, IssuerOfPatientID="ward 7", **slice_at(0.0))
    assert (header.issuer, header.patient, header.study, header.series, header.instance) == (
        "ward 7",
        "p1",
        "2.25.12",
        "2.25.13",
        "2.25.11",
    )
    assert "2.25" not in str(header.stack)


@pytest.mark.parametrize("tags", [{"Laterality": "L"}, {"ImageLaterality": "L", "Laterality": "R"}])
def test_the_side_of_the_image_goes_before_that_of_the_series(make_dicom, save, tags) -> None:
    assert look(make_dicom, save, **tags).side == "L"


def test_values_mean_what_rescale_padding_and_spacing_say(make_dicom, save) -> None:
    tags = slice_at(0.0, RescaleSlope=2, RescaleIntercept="-1024", PixelPaddingValue=-2000)
    path = save(make_dicom(GREY, **tags))
    image = dicom.read(path, dicom.inspect(path))
    assert (image.meaning.slope, image.meaning.intercept) == ((2.0,), (-1024.0,))
    assert image.meaning.padding == (-2000.0, -2000.0)
    assert image.geometry.spacing == (0.5, 0.75, 2.0)


@pytest.mark.parametrize(
    "keyword", ["FrameAnatomySequence", "PixelMeasuresSequence", "SharedFunctionalGroupsSequence"]
)
@pytest.mark.parametrize(("vr", "value"), [("LO", "a text"), ("US", 7), ("DS", b"no number")])
def test_what_should_be_a_sequence_and_is_none_says_nothing(
    make_dicom, save, keyword: str, vr: str, value: object
) -> None:
    group = Dataset()
    dataset = make_dicom(np.zeros((1, 2, 2), np.uint8), SharedFunctionalGroupsSequence=[group])
    place = dataset if keyword.startswith("Shared") else group
    place[keyword] = DataElement(tag_for_keyword(keyword), vr, value, already_converted=True)
    path = save(dataset)
    assert dicom.read(path, dicom.inspect(path)).geometry == Geometry()


def test_each_frame_has_its_own_rescale(make_dicom, save) -> None:
    groups = []
    for slope in (1, 3):
        item, group = Dataset(), Dataset()
        item.RescaleSlope, item.RescaleIntercept = slope, -10
        group.PixelValueTransformationSequence = [item]
        groups.append(group)
    two = np.stack([GREY[0], GREY[0]])
    path = save(make_dicom(two, PerFrameFunctionalGroupsSequence=groups))
    image = dicom.read(path, dicom.inspect(path))
    assert (image.meaning.slope, image.meaning.intercept) == ((1.0, 3.0), (-10.0,) * 2)
