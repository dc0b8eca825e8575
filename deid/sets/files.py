"""A folder of images as it lies: DICOM, NIfTI, PNG, JPEG, TIFF; a series is matched as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deid import images
from deid.images.record import Found, Header
from deid.reasons import Withheld
from mami_core.data import Record, known, split_of
from mami_core.data.folders import SOURCE
from mami_core.data.record import UnreadableError

File = tuple[Found, Header]

#: Why a file is passed over that promises no image.
NO_IMAGE = "it is no image"
UNREADABLE = "it can not be read"


@dataclass(frozen=True)
class Frame:
    """A store that gives one frame of every file under a folder, as the models see it.

    Attributes
    ----------
    modality
        Of a file that does not say it itself.
    place
        Which of a file's frames.
    """

    root: Path
    modality: str | None
    place: int

    def picture(self, name: str) -> NDArray[np.float32]:
        """The frame of one file.

        Raises
        ------
        UnreadableError
            Where it can not be decoded.
        """
        frames = _frames(self.root / name, self.modality)
        if self.place >= len(frames):
            raise UnreadableError("it has fewer frames than its header says")
        return frames[self.place]

    def read(self, name: str) -> bytes:
        """The whole file, with all its frames."""
        return (self.root / name).read_bytes()

    def size(self, name: str) -> int:
        """Of the file, in bytes."""
        return (self.root / name).stat().st_size

    def moved(self, folder: Path) -> Frame:
        """The same frame of the files of another folder."""
        return replace(self, root=folder)

    def __contains__(self, name: str) -> bool:
        return (self.root / name).is_file()


@lru_cache(maxsize=1)
def _frames(path: Path, modality: str | None) -> NDArray[np.float32]:
    """All frames of a file; kept, since those of one file are asked for one after another."""
    try:
        header = images.inspect(path)
        image = images.read(path, header)
        seen = replace(header, modality=header.modality or modality)
        return images.view(replace(image, header=seen))
    except Withheld as withheld:
        raise UnreadableError(withheld.detail) from None
    except OSError:
        raise UnreadableError(UNREADABLE) from None


def read_files(
    root: Path, owners: Mapping[str, str], *, unnamed: bool, modality: str | None = None
) -> tuple[list[list[tuple[Record, Frame]]], list[tuple[str, str]]]:
    """Look at every header under `root`, which may be one file.

    A patient is that of `owners`, else the PatientID with its issuer, else the first sub-folder; a
    visit is the study, else the second sub-folder.

    Parameters
    ----------
    unnamed
        Neither headers nor sub-folders say whose an image is.
    modality
        Of the images that do not say it themselves.

    Returns
    -------
    Of each image or series up to eight frames, spread over it; and (name, why) of what is left out.
    """
    series: dict[object, list[File]] = defaultdict(list)
    left_out = []
    for found in images.find(root):
        if found.outward_link:
            left_out.append((found.relative, "a link that leads out of the folder"))
            continue
        try:
            header = images.inspect(found.path)
            series[header.stack or found.relative].append((found, header))
        except Withheld as withheld:
            no_image = withheld.reason == "not_image"
            left_out.append((found.relative, NO_IMAGE if no_image else withheld.detail))
        except OSError:
            left_out.append((found.relative, UNREADABLE))
    folder = root if root.is_dir() else root.parent
    entries = []
    for files in series.values():
        files.sort(key=lambda file: (file[1].order, file[0].relative))
        record = _record(*files[0], owners, unnamed=unnamed)
        record = replace(record, modality=record.modality or modality)
        entries.append(
            [
                (replace(record, name=name), Frame(folder, record.modality, place))
                for name, place in _chosen(files)
            ]
        )
    return entries, left_out


def _chosen(files: Sequence[File]) -> Iterator[tuple[str, int]]:
    """Names and frames, spread over the frames of one file or over the middles of several."""
    from deid.scrub.look import spread

    for index in spread(len(files)):
        found, header = files[index]
        alone = len(files) == 1
        for place in spread(header.frames) if alone else [header.frames // 2]:
            yield found.relative, int(place)


def _record(found: Found, header: Header, owners: Mapping[str, str], *, unnamed: bool) -> Record:
    folder, *deeper = Path(found.relative).parent.parts or ("",)
    patient = owners.get(found.relative) or _patient(header) or folder
    study = header.study or "/".join(deeper)
    if unnamed:
        patient = study = ""
    return Record(
        name=found.relative,
        patient=patient,
        source=SOURCE,
        modality=header.modality,
        body_part=header.region or "",
        view=header.view,
        side=header.side,
        visit=study,
        reid=bool(patient),
        kind=known(SOURCE, modality=header.modality).kind,
        split=split_of(SOURCE, patient),
        age=header.age,
        sex=header.sex,
        subject=patient,
        unit=study or found.relative,
    )


def _patient(header: Header) -> str:
    """PatientID, with its issuer as HL7 writes it."""
    patient, issuer = header.patient.strip(), header.issuer.strip()
    return f"{patient}^^^{issuer}" if patient and issuer else patient
