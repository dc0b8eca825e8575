"""A folder of images as it lies: DICOM, NIfTI, PNG, JPEG, TIFF; a series is matched as one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deid import images
from deid.images.record import Found, Header
from deid.match.trouble import LeftOutError
from deid.reasons import Withheld
from mami_core.data import Record, known, split_of
from mami_core.data.folders import SOURCE

Picture = NDArray[np.float32]
Pictures = Callable[[], Sequence[Picture]]
File = tuple[Found, Header]

#: Why a file is passed over that promises no image.
NO_IMAGE = "it is no image"


def read_files(
    root: Path, owners: Mapping[str, str], *, unnamed: bool
) -> tuple[list[tuple[Record, Pictures]], list[tuple[str, str]]]:
    """Look at every header under `root`, which may be one file.

    A patient is that of `owners`, else the PatientID, else the first sub-folder; a visit is the
    study, else the second sub-folder.

    Returns
    -------
    A record and its pictures an image or series; and (name, why) of what is left out.
    """
    series: dict[object, list[File]] = defaultdict(list)
    left_out = []
    for found in images.find(root):
        try:
            if found.outward_link:
                raise LeftOutError("a link that leads out of the folder")
            header = images.inspect(found.path)
            series[header.stack or found.relative].append((found, header))
        except Withheld as withheld:
            no_image = withheld.reason == "not_image"
            left_out.append((found.relative, NO_IMAGE if no_image else withheld.detail))
        except OSError:
            left_out.append((found.relative, "it can not be read"))
        except LeftOutError as reason:
            left_out.append((found.relative, str(reason)))
    entries: list[tuple[Record, Pictures]] = []
    for files in series.values():
        files.sort(key=lambda file: (file[1].order, file[0].relative))
        record = _record(*files[0], owners, unnamed=unnamed)
        entries.append((record, partial(_pictures, files, record)))
    return entries, left_out


def _record(found: Found, header: Header, owners: Mapping[str, str], *, unnamed: bool) -> Record:
    folder, *deeper = Path(found.relative).parent.parts or ("",)
    patient = owners.get(found.relative) or header.patient.strip() or folder
    study = header.study or "/".join(deeper)
    if unnamed:
        patient = study = ""
    return Record(
        name=found.relative,
        patient=patient,
        source=SOURCE,
        modality=header.modality,
        body_part=header.region or "",
        side=header.side,
        visit=study,
        reid=bool(patient),
        kind=known(SOURCE, modality=header.modality).kind,
        split=split_of(SOURCE, patient),
        subject=patient,
        unit=study or found.relative,
    )


def _pictures(files: Sequence[File], record: Record) -> list[Picture]:
    """Up to eight frames of the series, spread over it."""
    from deid.scrub.look import spread

    mirrored = record.side and record.side == known(SOURCE, modality=record.modality).mirror
    try:
        frames = [
            frame
            for index in spread(len(files))
            for frame in _frames(files[index], record.modality, alone=len(files) == 1)
        ]
    except Withheld as withheld:
        raise LeftOutError(withheld.detail) from None
    except OSError:
        raise LeftOutError("it can not be read") from None
    return [np.ascontiguousarray(one[:, ::-1]) for one in frames] if mirrored else frames


def _frames(file: File, modality: str | None, *, alone: bool) -> list[Picture]:
    from deid.scrub.look import spread

    found, header = file
    image = images.read(found.path, header)
    seen = images.view(replace(image, header=replace(header, modality=modality)))
    chosen = spread(len(seen)) if alone else [len(seen) // 2]
    return [seen[index] for index in chosen]
