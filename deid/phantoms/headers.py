"""DICOM objects around phantom pixels, with headers as talkative as those of a real console."""

from __future__ import annotations

import hashlib
import io

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from deid.phantoms.ct import FIELD, HEIGHT
from deid.phantoms.persons import Person, Visit

DX_STORAGE = "1.2.840.10008.5.1.4.1.1.1.1"
CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
OP_STORAGE = "1.2.840.10008.5.1.4.1.1.77.1.5.1"


def uid(*parts: str | int) -> str:
    """A UID that `parts` alone decide."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item


def encode(dataset: Dataset) -> bytes:
    """The bytes of a DICOM file, Explicit VR Little Endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID("2.25.151515")
    dataset.file_meta = meta
    out = io.BytesIO()
    dcmwrite(out, dataset, enforce_file_format=True)
    return out.getvalue()


def _patient(dataset: Dataset, person: Person, visit: Visit) -> None:
    dataset.PatientName = person.name
    dataset.PatientID = person.number
    dataset.PatientBirthDate = person.born.strftime("%Y%m%d")
    dataset.PatientSex = person.sex
    dataset.PatientAge = f"{visit.age(person):03d}Y"
    dataset.PatientAddress = person.address
    dataset.PatientTelephoneNumbers = person.phone
    dataset.PatientComments = f"Spouse of {person.family}, prefers to be called {person.given}"
    dataset.OtherPatientNames = f"{person.family}-Former^{person.given}"


def _study(dataset: Dataset, person: Person, visit: Visit, modality: str, what: str) -> None:
    date, time = visit.when.strftime("%Y%m%d"), visit.when.strftime("%H%M%S")
    dataset.StudyInstanceUID = uid("study", person.seed, visit.seed, modality)
    dataset.SeriesInstanceUID = uid("series", person.seed, visit.seed, modality)
    dataset.FrameOfReferenceUID = uid("frame", person.seed, visit.seed, modality)
    for kind in ("Study", "Series", "Acquisition", "Content"):
        setattr(dataset, f"{kind}Date", date)
        setattr(dataset, f"{kind}Time", time)
    dataset.AccessionNumber = visit.accession
    dataset.StudyID = str(visit.index + 1)
    dataset.StudyDescription = what
    dataset.SeriesDescription = f"{what} for Dr {person.physician.split('^')[0]}"
    dataset.SeriesNumber = 1
    dataset.AcquisitionNumber = 1
    dataset.Modality = modality
    dataset.ReferringPhysicianName = person.physician
    dataset.OperatorsName = "Umbridge^Persephone"
    request = Dataset()
    request.RequestedProcedureID = f"RP{visit.accession}"
    request.ScheduledProcedureStepID = f"SP{visit.accession}"
    request.RequestedProcedureDescription = f"{what}, call {person.phone}"
    dataset.RequestAttributesSequence = Sequence([request])


def _equipment(dataset: Dataset, person: Person) -> None:
    dataset.Manufacturer = "Phantom Works"
    dataset.ManufacturerModelName = "Procedural One"
    dataset.SoftwareVersions = "1.0"
    dataset.DeviceSerialNumber = f"SN{person.hospital[:3].upper()}0042"
    dataset.InstitutionName = person.hospital
    dataset.InstitutionAddress = "1 Meadowsweet Lane"
    dataset.StationName = "PHSTATION7"
    block = dataset.private_block(0x0009, "PHANTOM WORKS 1.0", create=True)
    block.add_new(0x01, "LO", f"{person.given} {person.family}")
    block.add_new(0x02, "UN", person.number.encode().ljust(16))


def _pixels(dataset: Dataset, pixels: NDArray[np.uint8] | NDArray[np.uint16], bits: int) -> None:
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits
    dataset.HighBit = bits - 1
    dataset.PixelRepresentation = 0
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def _common(person: Person, visit: Visit, sop_class: str, modality: str, what: str) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    _patient(dataset, person, visit)
    _study(dataset, person, visit, modality, what)
    _equipment(dataset, person)
    return dataset


def xray_object(
    person: Person,
    visit: Visit,
    picture: NDArray[np.uint16],
    *,
    view: str,
    burned_in: bool,
    inverted: bool,
) -> Dataset:
    """A Digital X-Ray image (PS3.3 A.26).

    Parameters
    ----------
    picture
        ``(R, C)`` of 12 bits, bone bright.
    inverted
        Store it as MONOCHROME1.
    """
    dataset = _common(person, visit, DX_STORAGE, "DX", "Chest X-ray")
    dataset.SOPInstanceUID = uid("instance", person.seed, visit.seed, "DX")
    dataset.InstanceNumber = 1
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.BodyPartExamined = "CHEST"
    dataset.AnatomicRegionSequence = Sequence([code("51185008", "SCT", "Chest")])
    dataset.ImageLaterality = "U"
    dataset.PatientOrientation = ["L", "F"]
    dataset.ViewPosition = view
    meaning = (
        ("399348003", "antero-posterior") if view == "AP" else ("272479007", "postero-anterior")
    )
    dataset.ViewCodeSequence = Sequence([code(meaning[0], "SCT", meaning[1])])
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    dataset.PositionReferenceIndicator = ""
    dataset.PositionerType = ""
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.DetectorType = "DIRECT"
    dataset.DetectorID = "DET-0815"
    side = 430.0 / picture.shape[0]
    dataset.ImagerPixelSpacing = [f"{side:.5f}", f"{side:.5f}"]
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = 1 if inverted else -1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
    dataset.WindowCenter, dataset.WindowWidth = "2048", "4096"
    dataset.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "YES" if burned_in else "NO"
    dataset.KVP, dataset.ExposureInuAs = "120", "2500"
    _pixels(dataset, np.uint16(4095) - picture if inverted else picture, 12)
    if inverted:
        dataset.PhotometricInterpretation = "MONOCHROME1"
    return dataset


def ct_object(
    person: Person,
    visit: Visit,
    hu: NDArray[np.int16],
    *,
    index: int,
    slices: int,
    pixel_mm: float,
) -> Dataset:
    """One slice of a CT series (PS3.3 A.3): `hu` is ``(R, C)``, `index` counts from the head."""
    dataset = _common(person, visit, CT_STORAGE, "CT", "CT of the chest")
    dataset.SOPInstanceUID = uid("instance", person.seed, visit.seed, "CT", index)
    dataset.InstanceNumber = index + 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.BodyPartExamined = "CHEST"
    dataset.PatientPosition = "HFS"
    dataset.PositionReferenceIndicator = "SN"
    step = HEIGHT / slices
    corner = -pixel_mm * (hu.shape[0] - 1) / 2
    dataset.ImagePositionPatient = [f"{corner:.4f}", f"{corner:.4f}", f"{-step * index:.4f}"]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SliceLocation = f"{-step * index:.4f}"
    dataset.SliceThickness = f"{step:.4f}"
    dataset.PixelSpacing = [f"{pixel_mm:.6f}", f"{pixel_mm:.6f}"]
    dataset.ReconstructionDiameter = f"{min(FIELD * 1.2, pixel_mm * hu.shape[0]):.3f}"
    dataset.KVP, dataset.ConvolutionKernel = "120", "B30f"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = ["40", "-600"], ["400", "1500"]
    _pixels(dataset, (hu.astype(np.int32) + 1024).astype(np.uint16), 12)
    return dataset


def fundus_object(
    person: Person, visit: Visit, picture: NDArray[np.uint8], *, side: str
) -> Dataset:
    """An Ophthalmic Photography 8 Bit image (PS3.3 A.41): `picture` is ``(R, C, 3)`` RGB."""
    dataset = _common(person, visit, OP_STORAGE, "OP", "Fundus photo")
    dataset.SOPInstanceUID = uid("instance", person.seed, visit.seed, "OP")
    dataset.InstanceNumber = 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "", "COLOR"]
    dataset.AcquisitionDateTime = visit.when.strftime("%Y%m%d%H%M%S")
    dataset.SynchronizationTrigger = "NO TRIGGER"
    dataset.AcquisitionTimeSynchronized = "N"
    dataset.SynchronizationFrameOfReferenceUID = uid("clock", person.hospital)
    dataset.AnatomicRegionSequence = Sequence([code("5665001", "SCT", "Retina")])
    dataset.ImageLaterality = side
    dataset.PatientOrientation = ["L", "F"]
    dataset.AcquisitionContextSequence = Sequence([])
    dataset.AcquisitionDeviceTypeCodeSequence = Sequence(
        [code("409898007", "SCT", "Fundus Camera")]
    )
    for name in ("IlluminationTypeCodeSequence", "LightPathFilterTypeStackCodeSequence"):
        setattr(dataset, name, Sequence([]))
    for name in ("ImagePathFilterTypeStackCodeSequence", "LensesCodeSequence"):
        setattr(dataset, name, Sequence([]))
    dataset.DetectorType = "CMOS"
    dataset.PatientEyeMovementCommanded = "NO"
    dataset.EmmetropicMagnification = None
    dataset.IntraOcularPressure = None
    dataset.RefractiveStateSequence = Sequence([])
    dataset.HorizontalFieldOfView = 45.0
    dataset.PupilDilated = None
    dataset.PixelSpacing = [f"{13.0 / picture.shape[0]:.6f}"] * 2
    dataset.LossyImageCompression = "00"
    dataset.BurnedInAnnotation = "NO"
    dataset.NumberOfFrames = 1
    dataset.FrameIncrementPointer = 0x00181063
    dataset.FrameTime = "0"
    del dataset.FrameOfReferenceUID
    _pixels(dataset, picture, 8)
    return dataset
