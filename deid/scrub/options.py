"""What a run was asked to do, and the ways in which it can fail to start or to go on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

#: What the manifests and headers of the field call the modalities that this toolkit handles.
MODALITIES = ("xray", "ct", "fundus")
SYNONYMS = {
    "dx": "xray",
    "cr": "xray",
    "mg": "xray",
    "px": "xray",
    "rg": "xray",
    "op": "fundus",
    "cfp": "fundus",
}

#: The bundled medical encoder.
MEDICAL = "mfm_tiny"

#: Each worker is a process with libraries of its own, some hundred MiB.
MOST_WORKERS = 256


class CannotStart(Exception):  # noqa: N818 - an outcome with its own exit status
    """The run could not start (exit status 2); the message says what to do."""


class Stopped(Exception):  # noqa: N818 - an outcome with its own exit status
    """The run stopped half-way (exit status 3); what is done stays done, ``--resume`` goes on."""


@dataclass(frozen=True)
class Options:
    """Options of ``deid scrub`` (DESIGN section 9).

    Attributes
    ----------
    input, output
        What to read (a folder or one file; never written) and where the share-ready copies go.
    run_dir
        Private folder of the run; by default ``OUTPUT.run`` beside OUTPUT.
    key_file
        32 bytes that pseudonyms, date shifts and decoys are derived from.
    modality
        Decides where the header does not; with it files of other modalities are taken too.
    strength
        0 leaves pixels identical, 1 is the most; None is the default that the weights' card states.
    max_risk
        Images whose residual risk stays above are withheld, and so are those of which an attacker
        that took no part in choosing their strength finds more.
    medical
        The medical encoder that utility and findings are measured with: a bundled name, or weights
        of ``deid train-mfm``.
    workers
        Processes that read, search text and write; None is one a core.
    batch_size
        How many images are in flight; no result depends on it.
    """

    input: Path
    output: Path
    run_dir: Path | None = None
    key_file: Path | None = None
    modality: str | None = None
    device: str = "auto"
    batch_size: int = 8
    workers: int | None = None
    strength: float | None = None
    max_risk: float | None = None
    allow_unproven: bool = False
    gallery_size: int = 1000
    medical: str = MEDICAL
    metadata_only: bool = False
    text: str = "blank"
    resume: bool = False

    def checked(self) -> Options:
        """The same options with defaults filled in; `CannotStart` names the first wrong one."""
        modality = self.modality
        if modality is not None:
            modality = SYNONYMS.get(modality.lower(), modality.lower())
            if modality not in MODALITIES:
                raise CannotStart(
                    f"--modality {self.modality}: not one of {', '.join(MODALITIES)} "
                    f"(or {', '.join(sorted(SYNONYMS))})"
                )
        for name, value in (("strength", self.strength), ("max-risk", self.max_risk)):
            if value is not None and not 0.0 <= value <= 1.0:
                raise CannotStart(f"--{name} {value}: must lie between 0 and 1")
        for name, count, least in (
            ("batch-size", self.batch_size, 1),
            ("workers", self.workers, 1),
            ("gallery-size", self.gallery_size, 2),
        ):
            if count is not None and count < least:
                raise CannotStart(f"--{name} {count}: must be {least} or more")
        if self.workers is not None and self.workers > MOST_WORKERS:
            raise CannotStart(f"--workers {self.workers}: must be {MOST_WORKERS} or less")
        if self.text not in ("blank", "off"):
            raise CannotStart(f"--text {self.text}: must be blank or off")
        if self.device not in ("auto", "cpu", "cuda"):
            raise CannotStart(f"--device {self.device}: must be auto, cpu or cuda")
        if self.device == "cuda" and not self.metadata_only:
            # Found out at the first network, it would leave a run that only --device cuda resumes.
            from mami_core.device import DeviceError, chosen

            try:
                chosen(self.device)
            except DeviceError as error:
                raise CannotStart(str(error)) from error
        if self.metadata_only and (self.max_risk is not None or self.strength is not None):
            raise CannotStart(
                "--metadata-only changes no pixel: leave --strength and --max-risk out"
            )
        return Options(
            **{
                **self.__dict__,
                "modality": modality,
                "workers": self.workers or min(os.cpu_count() or 1, MOST_WORKERS),
                "run_dir": self.run_dir or Path(f"{os.path.abspath(self.output)}.run"),
            }
        )
