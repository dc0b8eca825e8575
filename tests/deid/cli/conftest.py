from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mami_core.models.encoder import Config, MaMI
from mami_core.weights import save


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a very small encoder that has learned nothing."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "encoder.safetensors"
    save(path, "mami", MaMI(Config(image=64, width=32, depth=1, heads=1, features=16)), {})
    return path
