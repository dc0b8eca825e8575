"""How an identity encoder is trained, as data: the presets and all that a run may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from mami_core.training.priors import Alignment

IDENTITIES = ("contrast", "classify", "verify")
VIEWS = ("strong", "paper")


@dataclass(frozen=True)
class Recipe:
    """Losses, views and rates (paper, sections 3.4 and 4.1).

    Attributes
    ----------
    size
        Key of `mami_core.models.encoder.SIZES`.
    init
        Where the weights start, as `mami_core.training.start.begin` takes it.
    identity
        The identity term, one of `IDENTITIES`: InfoNCE over the batch, cross-entropy over all
        identities of `train` (the paper's), or over pairs by the network's verifier (Packhaeuser
        et al., whose pairs have as many of one person as of two).
    triplet, modality
        Weights of the soft-margin batch-hard triplet and of the modality head.
    alignment
        The medical term; None for none.
    views
        How pictures are varied, one of `VIEWS`.
    rates
        Peak learning rates of AdamW: of the trunk, the head and all else.
    closed_form
        Whether the head starts from whitening and is whitened again at the end: gradients make the
        features better and the head narrower, so that the closed form has the last word.
    people, images
        P and K: identities a batch, and images of each.
    slices
        Slices that stand for a scan, whose mean it is; with several, so many fewer people are in a
        batch that it holds no more pictures (the paper's 196 are 24 scans of 8).
    steps
        The number that the preset is made for; None: as long as it is given time.
    """

    size: str = "tiny"
    init: str = "imagenet"
    identity: str = "contrast"
    triplet: float = 0.3
    modality: float = 0.2
    alignment: Alignment | None = field(default_factory=Alignment)
    views: str = "strong"
    rates: Mapping[str, float] = field(
        default_factory=lambda: {"trunk": 1e-4, "head": 2e-4, "rest": 4e-4}
    )
    closed_form: bool = True
    people: int = 18
    images: int = 2
    slices: int = 1
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.identity not in IDENTITIES or self.views not in VIEWS:
            raise ValueError(
                f"identity is one of {', '.join(IDENTITIES)}; views of {', '.join(VIEWS)}"
            )


PRESETS = {
    "small": Recipe(),
    "judge": Recipe(size="judge", alignment=None),
    "paper": Recipe(
        size="base",
        init="clip",
        identity="classify",
        triplet=1.0,
        modality=0.0,
        views="paper",
        rates={"rest": 1e-5},
        closed_form=False,
        people=49,
        images=4,
        slices=8,
        steps=300_000,
    ),
}
