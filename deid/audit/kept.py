"""Features that are kept on disk, so that an audit that was stopped goes on where it was.

They let anybody who has them find the patients: the folder is its owner's alone.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import deid
from deid.audit import sealed
from deid.audit.attackers.registry import Attacker
from deid.audit.trouble import AuditError
from deid.audit.undoing import Memory, undoing
from mami_core.files import private_folder
from mami_core.weights import SUMS, bundled


def keeping(attacker: Attacker, name: str, folder: Path) -> Attacker:
    """The same attacker, which looks at no picture twice, unless all it sees is pictures.

    Features are named by a hash of the attacker's name and weights, of the software and those that
    come with it, and of the pictures that were looked at together, so that nothing stale is found;
    where a file is not what was written, the pictures are looked at anew (see `deid.audit.sealed`).

    Raises
    ------
    AuditError
        Where the folder can not be written.
    """
    if attacker.behind is not None:
        # What it sees itself are pictures, and soon made: only what is seen of them is kept.
        name, behind = attacker.behind
        return undoing(keeping(behind, name, folder), name, Memory(), always=False)
    try:
        private_folder(folder)
    except OSError as error:
        raise AuditError(f"the report's folder can not be made ({error.strerror})") from None
    if attacker.pictures:
        return attacker
    sums = (bundled() / SUMS).read_text()
    stamp = f"{attacker.eyes or name} {attacker.weights} {deid.__version__} {sums}".encode()

    def embed(pictures: NDArray[np.uint8]) -> NDArray[Any]:
        digest = hashlib.sha256(stamp + str(pictures.shape).encode())
        digest.update(np.ascontiguousarray(pictures).tobytes())
        name = digest.hexdigest()
        path = folder / f"{name}.npy"
        body = sealed.read(path, name, behind=True)
        if body is not None:
            kept: NDArray[Any] = np.load(io.BytesIO(body), allow_pickle=False)
            return kept
        found = attacker.embed(pictures)
        stream = io.BytesIO()
        np.save(stream, found)
        sealed.write(path, name, stream.getvalue(), behind=True)
        return found

    return replace(attacker, embed=embed)
