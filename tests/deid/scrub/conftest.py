from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deid.tags import new_key


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people with three small pictures each."""
    folder = tmp_path_factory.mktemp("pictures") / "input"
    generator = np.random.default_rng(0)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        for visit in range(3):
            pixels = generator.integers(0, 255, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{visit}.png")
    return folder


@pytest.fixture(scope="session")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key file."""
    path = tmp_path_factory.mktemp("secret") / "key"
    new_key(path)
    return path


@pytest.fixture(scope="session")
def tree() -> Callable[[Path], dict[str, str]]:
    """SHA-256 by name of all under a folder; of a link where it leads."""

    def digests(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): f"-> {path.readlink()}"
            if path.is_symlink()
            else hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_symlink() or path.is_file()
        }

    return digests
