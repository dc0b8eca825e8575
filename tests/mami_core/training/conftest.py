"""Invented people whose pictures are small, and networks that are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from mami_core.data import Dataset, open_dataset
from mami_core.models.encoder import Config, MaMI
from mami_core.models.mfm import MedicalConfig, MedicalEncoder
from mami_core.models.remover import RemoverConfig
from mami_core.weights import metadata, save

SIDE = 72


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _picture(random: np.random.Generator, pattern: np.ndarray) -> Image.Image:
    coarse = pattern + 0.2 * random.random(pattern.shape)
    grey = Image.fromarray(np.uint8(255 * coarse / coarse.max()))
    return grey.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people, six of them to train on, with two X-rays each and one finding."""
    root = tmp_path_factory.mktemp("people")
    random = np.random.default_rng(0)
    rows = ["file,patient,source,modality,body_part,visit,labels,split"]
    for person in range(8):
        pattern = random.random((6, 6))
        for visit in range(2):
            name = f"{person}_{visit}.png"
            _picture(random, pattern).save(root / name)
            split = "train" if person < 6 else "val"
            label = f"Spot={(person + visit) % 2}"
            rows.append(f"{name},p{person},invented,DX,CHEST,v{visit},{label},{split}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return root


@pytest.fixture
def data(folder: Path) -> Dataset:
    return open_dataset(folder)


@pytest.fixture(scope="session")
def tiny() -> Config:
    return Config(
        image=64, width=32, depth=2, heads=2, bases=8, rank=2, groups=16, hidden=64, features=24
    )


@pytest.fixture(scope="session")
def tiny_medical() -> MedicalConfig:
    return MedicalConfig((), image=64, width=32, queries=3)


@pytest.fixture(scope="session")
def tiny_remover() -> RemoverConfig:
    return RemoverConfig(image=64)


@pytest.fixture(scope="session")
def judges(
    tmp_path_factory: pytest.TempPathFactory, tiny: Config, tiny_medical: MedicalConfig
) -> dict[str, Path]:
    """An identity encoder and a medical encoder, untrained."""
    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("judges")
    encoder, medical = root / "mami.safetensors", root / "mfm.safetensors"
    save(encoder, "mami", MaMI(tiny), {})
    network = MedicalEncoder(
        MedicalConfig(("xray:Spot",), image=64, width=tiny_medical.width, queries=3)
    )
    save(medical, "mfm", network, {"zero": {"xray": 0.1}})
    return {"encoder": encoder, "medical": medical}


@pytest.fixture(scope="session")
def same_weights() -> Callable[[Path, Path], bool]:
    """Whether two files hold the same numbers, bit by bit, and say the same of them.

    The order of what stands in a safetensors header is not fixed, so bytes can not be compared.
    """

    def same(one: Path, other: Path) -> bool:
        first, second = load_file(one), load_file(other)
        equal = all(torch.equal(value, second[name]) for name, value in first.items())
        return equal and first.keys() == second.keys() and metadata(one) == metadata(other)

    return same
