"""Where the bytes of a data set's images lie: a folder, or an archive beside the table."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mami_core.data.pixels import decode
from mami_core.data.record import DatasetError


class Store(Protocol):
    """Gives the picture of an image by its name."""

    def picture(self, name: str) -> NDArray[np.float32]:
        """``(H, W)`` or ``(H, W, 3)`` in 0..1, as the file holds it."""

    def read(self, name: str) -> bytes:
        """The file itself."""

    def size(self, name: str) -> int:
        """Of the file, in bytes."""

    def moved(self, folder: Path) -> Store:
        """What gives the same of the files of a folder: of a release, say."""

    def __contains__(self, name: str) -> bool: ...


class Folder:
    """Images that lie as files under a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def size(self, name: str) -> int:
        return (self._root / name).stat().st_size

    def picture(self, name: str) -> NDArray[np.float32]:
        return decode(self.read(name))

    def moved(self, folder: Path) -> Folder:
        return Folder(folder)

    def __contains__(self, name: str) -> bool:
        return (self._root / name).is_file()


class Archive:
    """Images that lie in a zip file, read in place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: tuple[int, zipfile.ZipFile] | None = None
        try:
            self._names = frozenset(self._open().namelist())
        except (zipfile.BadZipFile, OSError) as error:
            raise DatasetError(f"{path.name} is not a readable zip file: pack it again") from error

    def _open(self) -> zipfile.ZipFile:
        # A handle that crosses a fork shares its file offset with the parent: one for each process.
        if self._handle is None or self._handle[0] != os.getpid():
            self._handle = (os.getpid(), zipfile.ZipFile(self._path))
        return self._handle[1]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_handle": None}

    def read(self, name: str) -> bytes:
        try:
            return self._open().read(name)
        except (zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            # Damaged or encrypted; the error's own text has the name.
            raise OSError("not a readable part of the zip file") from error

    def size(self, name: str) -> int:
        return self._open().getinfo(name).file_size

    def picture(self, name: str) -> NDArray[np.float32]:
        return decode(self.read(name))

    def moved(self, folder: Path) -> Folder:
        return Folder(folder)

    def __contains__(self, name: str) -> bool:
        return name in self._names


def is_inside(name: str) -> bool:
    """Whether a name from a table stays within its folder."""
    path = PurePosixPath(name)
    return bool(name) and not path.is_absolute() and ".." not in path.parts and "\\" not in name
