"""A data set: its table in memory, its pictures on demand."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mami_core.data.folders import read_folders
from mami_core.data.known import known
from mami_core.data.manifest import MANIFEST, read_manifest
from mami_core.data.mimic import read_mimic
from mami_core.data.record import DatasetError, Record, UndecodableError, UnreadableError
from mami_core.data.square import square
from mami_core.data.store import Store

#: Archives that are known by name and opened at a root.
ARCHIVES: dict[str, Callable[[Path], tuple[list[Record], Store]]] = {"mimic": read_mimic}

#: Why an image is left out, where its store does not say more.
UNDECODABLE = "it can not be decoded"


class Dataset:
    """Records and, on demand, their pictures.

    Parameters
    ----------
    records
        One an image.
    stores
        Where the bytes of each record lie (one store a record).
    numbers
        Which image of the data set as it was opened each one is, from 1; the order's without it.
    """

    def __init__(
        self, records: Sequence[Record], stores: Sequence[Store], numbers: Sequence[int] = ()
    ) -> None:
        self.records = list(records)
        self._stores = list(stores)
        self._numbers = list(numbers) or list(range(1, len(self.records) + 1))
        self._squares: dict[int, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self.records)

    def picture(self, index: int) -> NDArray[np.float32]:
        """The image as the models see it: ``(H, W)`` or ``(H, W, 3)`` in 0..1.

        Mirrored and cropped as `known.toml` says for the set.

        Raises
        ------
        UndecodableError
            Where the file can not be decoded.
        """
        record = self.records[index]
        try:
            picture = self._stores[index].picture(record.name)
        except MemoryError:
            raise
        except Exception as error:
            # Decoders raise whatever a file brings about. It is not chained: they quote paths and
            # header values.
            why = str(error) if isinstance(error, UnreadableError) else UNDECODABLE
            raise UndecodableError(self._numbers[index], type(error).__name__, why) from None
        rules = known(record.source, modality=record.modality)
        if record.side and record.side == rules.mirror:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(_centre(picture, rules.centre))

    def size(self, index: int) -> int | None:
        """Bytes of the image's file; None where it can not be read."""
        try:
            return self._stores[index].size(self.records[index].name)
        except OSError:
            return None

    def sha256(self, index: int) -> str | None:
        """Of the image's file, hexadecimal; None where it can not be read.

        Of a store that gives frames it is that of the whole file.
        """
        try:
            return hashlib.sha256(self._stores[index].read(self.records[index].name)).hexdigest()
        except OSError:
            return None

    def squares(self, size: int) -> NDArray[np.uint8]:
        """All images made square: ``(n, 3, size, size)``, kept in memory."""
        if size not in self._squares:
            stack = np.empty((len(self), 3, size, size), np.uint8)
            for index in range(len(self)):
                stack[index] = np.rint(square(self.picture(index), size) * 255.0)
            self._squares[size] = stack
        return self._squares[size]

    def select(self, keep: Callable[[Record], bool]) -> Dataset:
        """The part of the data set whose records `keep` accepts, in the same order."""
        chosen = [index for index, record in enumerate(self.records) if keep(record)]
        records, stores = [self.records[i] for i in chosen], [self._stores[i] for i in chosen]
        part = Dataset(records, stores, [self._numbers[i] for i in chosen])
        part._squares = {size: stack[chosen] for size, stack in self._squares.items()}
        return part

    def told(self, change: Callable[[Record], Record]) -> Dataset:
        """The same pictures under records that `change` makes of theirs."""
        changed = [change(record) for record in self.records]
        return Dataset(changed, self._stores, self._numbers)

    def moved(self, names: Sequence[str], folder: Path) -> Dataset:
        """The same people's images under other names in another folder: copies in a release."""
        stores = {id(store): store.moved(folder) for store in self._stores}
        renamed = [replace(one, name=name) for one, name in zip(self.records, names, strict=True)]
        return Dataset(renamed, [stores[id(store)] for store in self._stores], self._numbers)

    @classmethod
    def join(cls, parts: Sequence[Dataset]) -> Dataset:
        """Several data sets as one, in order."""
        return cls(
            [record for part in parts for record in part.records],
            [store for part in parts for store in part._stores],
            [number for part in parts for number in part._numbers],
        )


def open_dataset(spec: str | Path, root: str | Path | None = None) -> Dataset:
    """Open a data set without reading a pixel.

    Parameters
    ----------
    spec
        A folder with ``manifest.csv`` (and ``images.zip``); a folder of such folders; a folder with
        one sub-folder a patient; or the name of an archive in `ARCHIVES`, which needs `root`.
    root
        Where the archive lies.

    Raises
    ------
    DatasetError
        One line: which file, what is wrong, what to do.
    """
    if str(spec) in ARCHIVES:
        if root is None or not Path(root).is_dir():
            raise DatasetError(f"the archive '{spec}' needs its root folder; give it with --root")
        return _opened(*ARCHIVES[str(spec)](Path(root)))
    folder = Path(spec)
    if not folder.is_dir():
        names = ", ".join(ARCHIVES)
        raise DatasetError(f"the data set is neither a folder nor one of: {names}")
    if (folder / MANIFEST).is_file():
        return _opened(*read_manifest(folder))
    below = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    if below:
        return Dataset.join([_opened(*read_manifest(part)) for part in below])
    return _opened(*read_folders(folder))


def _opened(records: list[Record], store: Store) -> Dataset:
    return Dataset(records, [store] * len(records))


def _centre(picture: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    rows, columns = (round(side * (1.0 - share) / 2.0) for side in picture.shape[:2])
    return picture[rows : picture.shape[0] - rows, columns : picture.shape[1] - columns]
