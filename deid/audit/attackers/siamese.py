"""The verifier of Packhaeuser et al., on the bundled encoder or with a network that learns too.

His is a ResNet-50 with ImageNet weights, trained from end to end (Scientific Reports 2022).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from deid.audit.attackers.mami import WEIGHTS, encoder
from deid.audit.attackers.of_timm import from_hub
from deid.audit.attackers.registry import Attacker, Entry, attacker
from deid.audit.trouble import AuditError

if TYPE_CHECKING:
    from deid.audit.matching import Matcher, Training

NAME, HIS = "siamese", "resnet50"
PREFIX = f"{NAME}:"
FORM = f"{PREFIX}MODEL[@SIDE][=FILE]"
SUMMARY = f"Packhaeuser's verifier on a network of timm that learns too; his is {PREFIX}{HIS}"
GPU = "a GPU (a CPU takes hours)"


@attacker(NAME, needs=f"bundled weights {WEIGHTS}", gradient=True)
def siamese(device: str) -> Attacker:
    """Two images through one layer, their difference through another (Packhaeuser et al. 2022)."""
    return replace(encoder(WEIGHTS, device), fit=fitted, eyes="mami")


def fitted(training: Training) -> Matcher:
    """His head, loss and pairs, on features that stay as they are: `siamese:resnet50` is his whole.

    It keeps what it has learnt even where the closed form finds more; that it is under-trained is
    said then.
    """
    from deid.audit.gradient import learnt
    from deid.audit.heads import Siamese
    from deid.audit.learner import Recipe

    recipe = Recipe(Siamese, rate=1e-2, decay=0.0, stops=4, every=25, falls_back=False)
    return learnt(training, recipe)


def entry(trunk: str) -> Entry:
    """The attacker ``siamese:MODEL[@SIDE][=FILE]``.

    Raises
    ------
    AuditError
        Where no network is named.
    """
    model, _, file = trunk.partition("=")
    if not model:
        raise AuditError(f"--attacker: {PREFIX} is followed by a network; give {PREFIX}{HIS}")
    return Entry(
        # A path stays out of every output.
        PREFIX + model,
        SUMMARY,
        f"{GPU}, " + ("a file of weights" if file else "timm's hub"),
        floor=False,
        build=partial(_whole, model, file),
        gradient=True,
    )


def _whole(model: str, file: str, device: str) -> Attacker:
    """It learns by the pictures themselves, in the size of his, where the network takes any.

    Raises
    ------
    AbsentError
        Where the hub does not give the weights.
    mami_core.weights.WeightsError
        Where there is no such network, or a file does not hold it.
    """
    from deid.audit.digests import of_weights
    from deid.audit.undoing import rows_of
    from deid.audit.whole_network import HIS_SIDE, Start, learnt
    from mami_core.device import chosen
    from mami_core.models.of_timm import of_timm
    from mami_core.models.whiten import depths

    with from_hub():
        frozen = depths(of_timm(model, file)).to(chosen(device))
    fixed = frozen.trunk.pretrained_cfg.get("fixed_input_size", False)
    start = Start(frozen, frozen.side if fixed or "@" in model else HIS_SIDE, of_weights(frozen))
    return Attacker(
        rows_of, start.side, fit=partial(learnt, start=start), weights=start.sha256, pictures=True
    )
