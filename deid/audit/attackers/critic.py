"""The adversary that a remover was trained against, kept as an attacker."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from deid.audit.attackers.registry import Attacker, Entry
from deid.audit.trouble import AuditError

NAME = "critic"
PREFIX = f"{NAME}:"
NEEDS = "critic.safetensors of train-unet"
SUMMARY = "The remover's own adversary as training left it; adaptive, its features of all depths"


def entry(file: str) -> Entry:
    """The attacker ``critic:CHECKPOINT``, a `critic.safetensors` of `deid train-unet`.

    Raises
    ------
    AuditError
        Where no file is named.
    """
    if not file:
        raise AuditError(f"--attacker: critic: names no file; give {NEEDS}")
    # A path stays out of every output.
    return Entry(NAME, SUMMARY, NEEDS, floor=False, build=partial(_built, file), network=True)


def _built(file: str, device: str) -> Attacker:
    """Matches by its verdict as it comes, and learns by what the verdict is made of.

    Raises
    ------
    mami_core.weights.WeightsError
        Where there is no such file, or it does not hold a critic.
    """
    from deid.audit.attackers.mami import of_depths
    from mami_core.weights import WeightsError, load

    if not Path(file).is_file():
        # Whoever names a file means it: that it is not tested would stand in the last line alone.
        raise WeightsError(f"--attacker: the file of critic: does not exist; name {NEEDS}")
    loaded = load(file)
    if loaded.kind != NAME:
        raise WeightsError(f"these weights are not a critic's; give {NEEDS}")
    return replace(of_depths(loaded, device), weights=loaded.sha256)
