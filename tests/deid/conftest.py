"""Small data sets in which it is known who can be found, and a browser where there is one."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

People = Callable[..., Path]


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    """A folder with so many people a split: a coarse pattern a person, and `noise` a visit."""

    def make(*, noise: float = 8.0, visits: int = 2, **splits: int) -> Path:
        folder = tmp_path_factory.mktemp("people")
        generator = np.random.default_rng(0)
        with (folder / "manifest.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "patient", "source", "modality", "visit", "split"])
            for split, count in splits.items():
                for person in range(count):
                    pattern = generator.uniform(0, 255, (8, 8))
                    for visit in range(visits):
                        seen = np.clip(pattern + generator.normal(0, noise, (8, 8)), 0, 255)
                        name = f"{split}{person}_{visit}.png"
                        picture = Image.fromarray(seen.astype(np.uint8))
                        picture.resize((40, 36), Image.Resampling.BICUBIC).save(folder / name)
                        writer.writerow([name, f"{split}{person}", "demo", "DX", visit, split])
        return folder

    return make


@pytest.fixture(scope="session")
def of_bytes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty people, a sub-folder each; the names of folders and files are no UTF-8."""
    folder = tmp_path_factory.mktemp("bytes")
    generator = np.random.default_rng(0)
    for person in range(40):
        below = os.path.join(os.fsencode(folder), b"who\xff%d" % person)
        os.mkdir(below)
        pattern = generator.uniform(0, 255, (8, 8))
        for visit in range(2):
            seen = np.clip(pattern + generator.normal(0, 8, (8, 8)), 0, 255).astype(np.uint8)
            with open(os.path.join(below, b"visit\xfe%d.png" % visit), "wb") as file:
                Image.fromarray(seen).resize((40, 36)).save(file, "PNG")
    return folder


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[str], tuple[str, str]]:
    """Opens an address in a headless browser: (the page after its script ran, console lines)."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")

    def show(address: str) -> tuple[str, str]:
        flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run"
        flags += " --disable-background-networking --disable-component-update --disable-sync"
        flags += f" --enable-logging=stderr --user-data-dir={tmp_path / 'browser'} --dump-dom"
        run = subprocess.run(
            [program, *flags.split(), address],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        lines = [line for line in run.stderr.splitlines() if ":CONSOLE" in line]
        return run.stdout, "\n".join(lines)

    return show
