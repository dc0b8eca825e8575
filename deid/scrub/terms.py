"""What holds for every file of a run, small enough to travel to the workers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deid.images.record import Header
from deid.reasons import Withheld
from deid.scrub.options import MODALITIES

if TYPE_CHECKING:
    from deid.risk import Cohort
    from deid.text import Box


@dataclass(frozen=True)
class Attacker:
    """An identity encoder that the risk is measured with.

    Attributes
    ----------
    name
        Of its weights.
    size
        Side of its square input.
    cohort
        The people that it searches.
    """

    name: str
    size: int
    cohort: Cohort


@dataclass(frozen=True)
class Card:
    """What the bundled weights say of themselves, as far as a worker needs it.

    Attributes
    ----------
    pairs
        The (modality, region) pairs that remover, risk and utility act on.
    code
        Length of the remover's code.
    strength
        The default strength.
    encoder, medical, remover
        Side of each network's square input; the encoder is that which tells what a picture is.
    findings
        Which of the medical encoder's outputs speak about a modality.
    utility_zero
        Mean cosine of key features over pairs of different patients, by modality: of those that the
        medical encoder knows.
    attackers
        By modality, the attackers of whose figures the risk is the largest.
    judges
        By modality, those who take no part in choosing a strength and measure the risk anew
        afterwards; empty without ``--max-risk``, so that nothing is asked of them.
    """

    pairs: frozenset[tuple[str, str]]
    code: int
    strength: float
    encoder: int
    medical: int
    remover: int
    findings: dict[str, tuple[int, ...]] = field(default_factory=dict)
    utility_zero: dict[str, float] = field(default_factory=dict)
    attackers: dict[str, tuple[Attacker, ...]] = field(default_factory=dict)
    judges: dict[str, tuple[Attacker, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Terms:
    """Options, key and card of one run.

    Attributes
    ----------
    strengths
        To be tried in this order until the risk is at most `max_risk`; without `max_risk`, the one.
    """

    output: Path
    thumbs: Path
    key: bytes
    instance_context: bytes
    modality: str | None
    text: str
    metadata_only: bool
    strengths: tuple[float, ...]
    max_risk: float | None
    allow_unproven: bool
    gallery_size: int
    card: Card


@dataclass(frozen=True)
class Item:
    """One input file with its place in the run.

    Attributes
    ----------
    n
        Row number in the report: the only name of the file on the console.
    patient
        Pseudonym.
    named
        Whether a header or a table names the patient; else a study, folder or file stands in, and
        what shares it may show several people.
    target
        Where it goes, relative to OUTPUT.
    """

    n: int
    path: Path
    header: Header
    patient: str = ""
    named: bool = True
    target: str = ""


@dataclass(frozen=True)
class Original:
    """What the models say of an untouched image.

    Attributes
    ----------
    identity
        By attacker, ``(D,)``, normalised.
    medical
        Key features of the medical encoder, ``(frames, N, D)``, and calibrated probabilities of
        findings, ``(frames, K)``; None where it does not know the modality.
    """

    identity: dict[str, NDArray[np.float32]]
    medical: tuple[NDArray[np.float32], NDArray[np.float32]] | None


@dataclass(frozen=True)
class Look:
    """What a look at one file's pixels decided; `reason` is empty unless it is withheld.

    `shown` says whether the report has pictures of it: of a stack, one file speaks for all that are
    blanked alike.
    """

    n: int
    reason: str = ""
    detail: str = ""
    modality: str | None = None
    region: str | None = None
    boxes: tuple[tuple[Box, ...], ...] = ()
    original: Original | None = None
    shown: bool = True


def admit(header: Header, terms: Terms) -> str | None:
    """The modality that a file is treated as, by its header; None where the picture decides.

    Raises
    ------
    Withheld
        A head is in view, or the modality is none of ours and ``--modality`` was not given.
    """
    if header.head:
        raise Withheld("head", "the header says that a head is in view, so a face may be")
    if header.modality in MODALITIES:
        return header.modality
    if terms.modality is not None:
        return terms.modality
    if header.format == "dicom":
        raise Withheld("other_modality", "give --modality to treat it as X-ray, CT or fundus")
    return None
