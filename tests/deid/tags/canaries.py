"""Data sets in which every value is a canary."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO
from typing import Any

from pydicom import DataElement, Dataset, FileDataset, Sequence, dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

#: Any canary of six characters or more, in whatever it is packed.
PATTERN = re.compile(rb"(?:CANARY|canary|1\.2\.826\.99\.)\d{6}")

_TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_NUMBERS: dict[str, Callable[[int], Any]] = {
    "AS": lambda n: f"{n % 900 + 100:03d}Y",
    "DA": lambda n: (date(1950, 1, 1) + timedelta(days=n % 25000)).strftime("%Y%m%d"),
    "TM": lambda n: f"{n % 24:02d}{n % 60:02d}{n % 59:02d}",
    "DT": lambda n: (date(1950, 1, 1) + timedelta(days=n % 25000)).strftime("%Y%m%d") + "101112",
    "DS": lambda n: f"{n}.125",
    "IS": lambda n: f"{n}",
    "AT": lambda n: 0x00100000 + n % 60000,
    "FD": lambda n: n + 0.25,
    "FL": lambda n: n + 0.25,
    "SL": lambda n: n,
    "SS": lambda n: n % 30000,
    "SV": lambda n: n,
    "UL": lambda n: n,
    "US": lambda n: n % 60000,
    "UV": lambda n: n,
}

Path = tuple[int, ...]


@dataclass
class Planter:
    """Plants values that occur nowhere else, and remembers where."""

    count: int = 100_000
    texts: dict[bytes, Path] = field(default_factory=dict)
    numbers: list[tuple[Path, Any]] = field(default_factory=list)

    def value(self, vr: str, path: Path) -> Any:
        self.count += 1
        if vr in _NUMBERS:
            value = _NUMBERS[vr](self.count)
            self.numbers.append((path, value))
            return value
        text = f"1.2.826.99.{self.count}" if vr == "UI" else f"CANARY{self.count}"
        self.texts[text.encode()] = path
        return text if vr in _TEXTS or vr == "UI" else text.encode()

    def plant(self, target: Dataset, tag: int, vr: str = "", path: Path = ()) -> None:
        vr = vr or vr_of(tag)
        if vr == "SQ":
            target.add(DataElement(tag, "SQ", Sequence([Dataset()])))
            return
        target.add(DataElement(tag, vr, self.value(vr, (*path, tag)), already_converted=vr != "PN"))

    def plant_all(self, target: Dataset, tags: Iterable[int], path: Path = ()) -> None:
        for tag in tags:
            self.plant(target, tag, path=path)


def vr_of(tag: int) -> str:
    return dictionary_VR(tag).split(" ")[0] if dictionary_has_tag(tag) else "LO"


def new_file(*, implicit: bool = False) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = "1.2.826.99.100000"
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID = meta.MediaStorageSOPClassUID
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    return dataset


def written(dataset: FileDataset) -> bytes:
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def reread(data: bytes) -> FileDataset:
    return dcmread(BytesIO(data))


def at(dataset: Dataset, path: Path) -> Any:
    """The value at a path of tags through first items; None where there is none."""
    *parents, tag = path
    for parent in parents:
        if parent not in dataset or not dataset[parent].value:
            return None
        dataset = dataset[parent].value[0]
    return dataset[tag].value if tag in dataset else None
