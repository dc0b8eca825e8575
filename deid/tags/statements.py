"""What a cleaned data set says about itself: the truth and nothing more."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset, FileDataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

import deid
from deid.tags.tables import image_classes, more_image_type, needs_source_image
from deid.tags.values import listed

#: Our own root (from a UUID) for the file meta information.
IMPLEMENTATION = "2.25.302914761530098145172986045193411752038"

#: CID 7050. 113102, Clean Recognizable Visual Features, is never claimed: PS3.15 E.3.2 asks that
#: nobody can be recognised from the picture, and the remover lowers a measured risk, it does not
#: prove that. Nor are the options claimed that keep or clean more than the Basic Profile.
_BASIC = ("113100", "Basic Application Confidentiality Profile")
_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
_PIXELS = ("113101", "Clean Pixel Data Option")
#: CID 7202.
_SOURCE = ("121322", "Source image for image processing operation")


@dataclass(frozen=True)
class PixelFacts:
    """What was done to the pixels, for the attributes that have to tell it.

    Attributes
    ----------
    text
        ``clean``: searched, blanked, searched again; ``unknown``: not searched, so that nothing may
        claim clean pixels; ``as_found``: not looked at, the header's own word stays.
    edited
        The remover changed the picture.
    text_blanked
        Boxes were blanked.
    """

    text: str = "unknown"
    edited: bool = False
    text_blanked: bool = False

    @property
    def altered(self) -> bool:
        """Whether any pixel may differ from the input's."""
        return self.edited or self.text_blanked


def state(
    result: Dataset, *, patient: str, pixels: PixelFacts, burned_in: str, sop_class: str = ""
) -> None:
    """Who the patient is now, and what was done (PS3.15 E.1.1, PS3.3 C.7.1.1, C.7.6.1, C.12.1).

    Parameters
    ----------
    burned_in
        BurnedInAnnotation as found, or "".
    sop_class
        Some ask for BurnedInAnnotation.
    """
    result.PatientName = patient
    result.PatientID = patient
    for keyword in ("PatientBirthDate", "PatientSex"):
        if keyword not in result:
            setattr(result, keyword, "")
    codes = [_BASIC, _DATES]
    if pixels.text == "clean":
        codes.append(_PIXELS)
        result.BurnedInAnnotation = "NO"
    elif burned_in == "YES" or (burned_in == "NO" and pixels.text == "as_found"):
        result.BurnedInAnnotation = burned_in
    elif "BurnedInAnnotation" in result:
        _say_unsearched(result, sop_class)
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = f"mami-deid {deid.__version__}"
    result.DeidentificationMethodCodeSequence = Sequence([_code(*code) for code in codes])
    result.LongitudinalTemporalInformationModified = "MODIFIED"
    # Technical texts may hold any letter.
    result.SpecificCharacterSet = "ISO_IR 192"


def _say_unsearched(result: Dataset, sop_class: str) -> None:
    """Let nothing claim clean pixels that were not searched.

    Where the class asks for the attribute, YES is the answer that cannot mislead. The enhanced
    classes allow NO alone: there it says no more than the class itself.
    """
    allowed = image_classes().get(sop_class, {}).get("burned_in", "").split()
    if allowed:
        result.BurnedInAnnotation = allowed[0]
    else:
        del result.BurnedInAnnotation


def derived_type(values: list[str]) -> list[str]:
    """ImageType, or the FrameType of a functional group, of an image whose pixels were altered."""
    return ["DERIVED", *(values[1:] or ["PRIMARY"])]


def say_derived(result: Dataset, sop_class: str, *, source: str) -> None:
    """That the pixels were altered (PS3.3 C.7.6.1.1.2, C.7.6.1.1.3; ``derived.toml``).

    Parameters
    ----------
    source
        A pseudonym for the unaltered instance.
    """
    kinds = derived_type(listed(result["ImageType"]) if "ImageType" in result else [])
    needed = more_image_type(sop_class)
    kinds += [""] * (2 + len(needed) - len(kinds))
    for place, value in enumerate(needed, start=2):
        kinds[place] = kinds[place] or value
    result.ImageType = kinds
    result.DerivationDescription = "altered pixels, not for diagnosis"
    if needs_source_image(sop_class) and not result.get("SourceImageSequence"):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, source
        item.PurposeOfReferenceCodeSequence = Sequence([_code(*_SOURCE)])
        result.SourceImageSequence = Sequence([item])


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def file_meta(sop_class: str, instance: str, syntax: str) -> FileMetaDataset:
    """File meta information of our own: nothing of the input's but the transfer syntax."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(instance)
    if syntax:
        meta.TransferSyntaxUID = UID(syntax)
    meta.ImplementationClassUID = UID(IMPLEMENTATION)
    meta.ImplementationVersionName = "MAMI_DEID_0_1"
    return meta


def new_file() -> FileDataset:
    """An empty data set with a preamble of zeros."""
    return FileDataset("", {}, file_meta=FileMetaDataset(), preamble=bytes(128))
