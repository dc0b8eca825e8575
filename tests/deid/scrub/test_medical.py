"""Utility and findings by a medical encoder of the user's own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from typer.testing import CliRunner

from deid.cli.app import app
from deid.phantoms import make
from deid.scrub.models import OWN_MEDICAL, Models
from deid.scrub.options import MEDICAL, CannotStart, Options
from deid.scrub.outcome import Result
from deid.scrub.run import scrub
from mami_core.models.mfm import MedicalConfig, MedicalEncoder
from mami_core.models.of_timm import plan
from mami_core.weights import bundled, locate, save


@pytest.fixture(scope="module")
def radiograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one chest X-ray."""
    folder = tmp_path_factory.mktemp("phantoms")
    make(folder, patients=1, visits=1, seed=2, size=192, ct_size=64, slices=2)
    return folder / "xray"


def encoder(path: Path, zero: dict[str, float], findings: tuple[str, ...] = ()) -> Path:
    """A medical encoder on somebody's network, untrained."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet", num_classes=0)
    held = plan(network)
    config = MedicalConfig(findings, trunk=held["name"], image=160, width=32, queries=3, own=held)
    save(path, "mfm", MedicalEncoder(config, network), {"zero": zero})
    return path


@pytest.fixture(scope="module")
def released(radiograph: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Result]:
    """Runs of `scrub` under one key, each to a folder of its name."""
    root = tmp_path_factory.mktemp("released")
    key = root / "key"
    key.write_bytes(bytes(32))
    key.chmod(0o600)

    def run(name: str, **options: Any) -> Result:
        return scrub(radiograph, root / name, text="off", workers=1, key_file=key, **options)

    return run


@pytest.fixture(scope="module")
def by_ours(released: Callable[..., Result]) -> Result:
    return released("ours")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that knows X-rays, and no finding of theirs."""
    return encoder(tmp_path_factory.mktemp("own") / "own.safetensors", {"xray": 0.5})


@pytest.fixture(scope="module")
def by_own(released: Callable[..., Result], own: Path) -> Result:
    return released("own", medical=str(own))


#: What the medical encoder has no say in.
REST = ("status", "edit", "risk_before", "risk", "fidelity")


def test_utility_is_measured_with_the_encoder_that_was_given(
    by_ours: Result, by_own: Result, own: Path
) -> None:
    (ours,), (theirs,) = by_ours.rows, by_own.rows
    assert 0.0 <= theirs["utility"] <= 1.0
    assert theirs["utility"] != ours["utility"]
    assert ours["findings"] < 1.0
    assert theirs["findings"] == "unknown"
    assert [theirs[column] for column in REST] == [ours[column] for column in REST]
    hashes = [result.summary["versions"] for result in (by_ours, by_own)]
    assert hashes[0].keys() - hashes[1].keys() == {MEDICAL}
    assert hashes[1].keys() - hashes[0].keys() == {OWN_MEDICAL}
    assert hashes[1][OWN_MEDICAL] == hashlib.sha256(own.read_bytes()).hexdigest()
    assert str(own.parent) not in str(by_own.summary)


def test_what_the_encoder_was_not_trained_on_has_no_utility_and_is_edited_all_the_same(
    by_ours: Result, released: Callable[..., Result], tmp_path: Path
) -> None:
    ct = encoder(tmp_path / "ct.safetensors", {"ct": 0.5}, ("ct:nodule",))
    (ours,), (theirs,) = by_ours.rows, released("ct", medical=str(ct)).rows
    assert (theirs["utility"], theirs["findings"]) == ("unknown", "unknown")
    assert [theirs[column] for column in REST] == [ours[column] for column in REST]


def test_an_encoder_to_which_all_patients_are_one_tells_no_utility(
    radiograph: Path, tmp_path: Path
) -> None:
    blind = encoder(tmp_path / "blind.safetensors", {"xray": 1.0, "ct": 0.99})
    models = Models(Options(radiograph, tmp_path, medical=str(blind)))
    assert models.card.utility_zero == {"ct": 0.99}


def test_a_run_goes_on_with_the_same_encoder_wherever_it_lies_and_with_no_other(
    released: Callable[..., Result], by_own: Result, own: Path, tmp_path: Path
) -> None:
    other = encoder(tmp_path / "other.safetensors", {"xray": 0.4})
    for medical in (str(other), MEDICAL):
        with pytest.raises(CannotStart, match="the weights are others"):
            released("own", medical=medical, resume=True)
    shutil.copy(own, tmp_path / "copy.safetensors")
    again = released("own", medical=str(tmp_path / "copy.safetensors"), resume=True)
    assert again.rows == by_own.rows


def _damaged(path: Path) -> None:
    """What it says of itself is as it was, and a part of it is missing."""
    whole = encoder(path, {"xray": 0.5})
    with safe_open(whole, framework="pt") as stream:
        told = stream.metadata()
        parts = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
    del parts["queries"]
    save_file(parts, path, metadata=told)


def _of_another_kind(path: Path) -> None:
    shutil.copy(locate("remover"), path)


def _cut_short(path: Path) -> None:
    path.write_bytes((bundled() / f"{MEDICAL}.safetensors").read_bytes()[:1000])


@pytest.mark.parametrize(
    ("make_it", "words"),
    [
        (None, "does not exist"),
        (_of_another_kind, "--medical: these weights are of another kind"),
        (_cut_short, "is not a safetensors file"),
        (_damaged, "do not fit"),
    ],
)
def test_what_is_no_medical_encoder_is_one_line_before_anything_is_written(
    make_it: Callable[[Path], None] | None, words: str, radiograph: Path, tmp_path: Path
) -> None:
    path = tmp_path / "given.safetensors"
    if make_it:
        make_it(path)
    output = tmp_path / "output"
    done = CliRunner().invoke(app, ["scrub", str(radiograph), str(output), "--medical", str(path)])
    assert done.exit_code == 2
    assert words in done.output
    (line,) = done.output.strip().splitlines()
    assert line.startswith("deid: ")
    assert str(tmp_path) not in done.output
    assert not [one for one in output.rglob("*") if one.is_file()]
    # Nothing stands in the way of the right one.
    right = encoder(tmp_path / "right.safetensors", {"xray": 0.5})
    options = ["--metadata-only", "--medical", str(right)]
    assert CliRunner().invoke(app, ["scrub", str(radiograph), str(output), *options]).exit_code == 0
