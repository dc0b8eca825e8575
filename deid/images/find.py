"""Which files a folder holds, in an order that never changes, and what each is by its start."""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from deid.images.record import Found
from deid.reasons import Withheld

#: The longest start that a decision needs: a NIfTI-2 header.
_HEAD = 544

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8\xff"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_GZIP = b"\x1f\x8b"
_NIFTI1, _NIFTI1_PAIR = b"n+1\0", b"ni1\0"
_NIFTI2, _NIFTI2_PAIR = b"n+2\0\r\n\x1a\n", b"ni2\0\r\n\x1a\n"

#: A data set that begins without preamble and prefix: group 0002 or 0008, in either byte order.
_BARE_DICOM = re.compile(rb"[\x02\x08]\0..(?:[A-Z]{2}|..\0\0)|\0[\x02\x08]..", re.DOTALL)

#: Names that promise an image: what is inside decides, but a broken promise is called `malformed`.
_IMAGE_SUFFIXES = frozenset(
    (".dcm", ".dicom", ".ima", ".png", ".jpg", ".jpeg", ".jpe", ".tif", ".tiff", ".nii", ".hdr")
)


def find(root: Path) -> Iterator[Found]:
    """Every regular file under `root`, which may be one file, ordered by the bytes of its path.

    A symbolic link whose target lies under `root` gives nothing, since the target has its own row;
    one that leads out of `root` is reported and never followed. Devices, sockets and pipes give
    nothing. A folder that cannot be listed is reported like a file that cannot be read, so that
    what it hides is not passed over in silence.

    Raises
    ------
    OSError
        Where `root` itself cannot be looked at.
    """
    mode = os.stat(root).st_mode
    if stat.S_ISREG(mode):
        yield Found(Path(root), Path(root).name)
    if not stat.S_ISDIR(mode):
        return
    real = os.path.realpath(root)
    # A stack of what is still to visit, next one last; "" is the root.
    pending = [("", True)]
    while pending:
        relative, is_folder = pending.pop()
        path = Path(root, relative)
        if not is_folder:
            yield Found(path, relative, outward_link=path.is_symlink())
            continue
        try:
            pending += _entries(path, f"{relative}/" if relative else "", real)
        except OSError:
            yield Found(path, relative)


def _entries(folder: Path, prefix: str, root: str) -> list[tuple[str, bool]]:
    """What a folder holds as (path under the root, is a folder), last one first."""
    entries = []
    with os.scandir(folder) as listing:
        for entry in listing:
            if entry.is_symlink():
                if not _leads_out(entry.path, root):
                    continue
                is_folder = False
            elif entry.is_dir(follow_symlinks=False):
                is_folder = True
            elif entry.is_file(follow_symlinks=False):
                is_folder = False
            else:
                continue
            entries.append((prefix + entry.name, is_folder))
    # A folder sorts as its files do, by the name with the slash behind it.
    entries.sort(key=lambda entry: os.fsencode(entry[0] + "/" * entry[1]), reverse=True)
    return entries


def _leads_out(link: str, root: str) -> bool:
    target = os.path.realpath(link)
    return target != root and not target.startswith(root.rstrip("/") + "/")


def sniff(path: Path) -> str:
    """The format of a file by its content: ``dicom``, ``nifti``, ``png``, ``jpeg`` or ``tiff``.

    Raises
    ------
    Withheld
        ``malformed`` for an empty file, a DICOM data set without the ``DICM`` prefix, or a file
        named as an image that is none; ``undecodable`` for the header of a NIfTI pair; else
        ``not_image``.
    OSError
        It can not be read.
    """
    with open(path, "rb") as stream:
        head = stream.read(_HEAD)
    if not head:
        raise Withheld("malformed", "the file is empty")
    kind = _kind(head)
    if kind is not None:
        return kind
    if head[:2] == _GZIP:
        if _kind(_inflated(path)) == "nifti":
            return "nifti"
        raise Withheld("not_image", "a compressed file that holds no NIfTI volume")
    if _BARE_DICOM.match(head):
        raise Withheld("malformed", "a DICOM data set without the DICM prefix")
    if path.suffix.lower() in _IMAGE_SUFFIXES:
        raise Withheld("malformed", "named as an image, but it does not begin like one")
    raise Withheld("not_image", "no image format that is known here")


def _kind(head: bytes) -> str | None:
    # DICOM first: its preamble may look like a TIFF (dual-personality files).
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(_PNG):
        return "png"
    if head.startswith(_JPEG):
        return "jpeg"
    if head.startswith(_TIFF):
        return "tiff"
    size = {head[:4], head[3::-1]}
    if (348).to_bytes(4, "little") in size:
        if head[344:348] == _NIFTI1:
            return "nifti"
        raise Withheld("undecodable", "an Analyze or NIfTI header beside an .img file; use .nii")
    if (540).to_bytes(4, "little") in size:
        if head[4:12] == _NIFTI2:
            return "nifti"
        if head[4:12] == _NIFTI2_PAIR:
            raise Withheld("undecodable", "a NIfTI header beside an .img file; use .nii")
    return None


def _inflated(path: Path) -> bytes:
    """The first bytes inside a gzip file."""
    try:
        with gzip.open(path, "rb") as stream:
            return stream.read(_HEAD)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise Withheld("malformed", "a damaged gzip file") from error
