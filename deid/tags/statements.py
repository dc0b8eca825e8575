"""What a cleaned data set says about itself: the truth and nothing more."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset, FileDataset, Sequence
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID

import deid

#: Our own root (from a UUID) for the file meta information.
IMPLEMENTATION = "2.25.302914761530098145172986045193411752038"

#: CID 7050. 113102, Clean Recognizable Visual Features, is never claimed: PS3.15 E.3.2 asks that
#: nobody can be recognised from the picture, and the remover lowers a measured risk, it does not
#: prove that. Nor are the options claimed that keep or clean more than the Basic Profile.
_BASIC = ("113100", "Basic Application Confidentiality Profile")
_DATES = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
_PIXELS = ("113101", "Clean Pixel Data Option")


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


def state(result: Dataset, *, patient: str, pixels: PixelFacts, burned_in: str) -> None:
    """Who the patient is now, and what was done (PS3.15 E.1.1, PS3.3 C.7.1.1, C.7.6.1, C.12.1).

    Parameters
    ----------
    burned_in
        BurnedInAnnotation as found, or "".
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
        del result.BurnedInAnnotation
    result.PatientIdentityRemoved = "YES"
    result.DeidentificationMethod = f"mami-deid {deid.__version__}"
    result.DeidentificationMethodCodeSequence = Sequence([_code(*code) for code in codes])
    result.LongitudinalTemporalInformationModified = "MODIFIED"
    if pixels.altered:
        if not result.get("ImageType"):
            result.ImageType = ["DERIVED", "PRIMARY"]
        result.DerivationDescription = "altered pixels, not for diagnosis"
    # Technical texts may hold any letter.
    result.SpecificCharacterSet = "ISO_IR 192"


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
