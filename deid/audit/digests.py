"""Arrays and networks told apart by what they hold."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import nn


def digest(arrays: Sequence[NDArray[Any]]) -> bytes:
    """SHA-256 of their shapes, types and values, in order."""
    found = hashlib.sha256()
    for one in arrays:
        found.update(f"{one.shape} {one.dtype}".encode() + np.ascontiguousarray(one).tobytes())
    return found.digest()


def of_weights(*networks: nn.Module) -> str:
    """SHA-256 of all that networks hold, by name, in order; hexadecimal.

    How they are fed is part of it, which no file of theirs has.
    """
    found = hashlib.sha256()
    for network in networks:
        for part, held in [*network.state_dict().items(), *network.named_buffers()]:
            found.update(part.encode() + held.cpu().numpy().tobytes())
    return found.hexdigest()
