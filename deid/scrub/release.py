"""From one input file and what was decided about it to a finished, verified copy. Runs in a worker:
a
function of (file, decision, terms) alone, so that the same bytes come out wherever it runs."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid import images
from deid.images.record import Image
from deid.reasons import Withheld
from deid.scrub.edit import add_residual
from deid.scrub.figures import Figures, measure, measured_anew
from deid.scrub.jobs import Question
from deid.scrub.journal import PARTIAL
from deid.scrub.look import describe, identities, spread, squares
from deid.scrub.shortage import reraise_shortage
from deid.scrub.terms import Item, Look, Terms
from deid.tags import Cleaned, PixelFacts, Pseudonyms, clean
from deid.text import blank
from mami_core.files import as_bytes, owner_only

_UNPROVEN = "no risk can be stated for it; see --allow-unproven"


@dataclass(frozen=True)
class Released:
    """How a file ended.

    Attributes
    ----------
    row
        The report's columns, less the file's names.
    sha256
        Of the finished file, which waits under a temporary name; empty when withheld.
    kept
        (attribute path, value) of what the inventory lists.
    uids
        New UID by old one.
    """

    n: int
    row: dict[str, Any]
    sha256: str = ""
    kept: list[tuple[str, str]] = field(default_factory=list)
    uids: dict[str, str] = field(default_factory=dict)


class _TooRisky(Withheld):
    """Withheld for its risk, which the row states."""

    def __init__(self, figures: Figures, detail: str) -> None:
        super().__init__("risk", detail)
        self.figures = figures


def withheld_row(reason: str, detail: str) -> dict[str, Any]:
    """The columns of a file that is not released."""
    return {"status": "withheld", "reason": reason, "detail": detail}


def release(
    item: Item, decided: Look, others: dict[str, NDArray[np.float32]], terms: Terms
) -> Generator[Question, Any, Released]:
    """Edit, clean, write under a temporary name, read back.

    Parameters
    ----------
    others
        By attacker, ``(images, D)`` embeddings of other images of the person; empty where there
        are none.
    """
    try:
        row, image, cleaned, edited = yield from _prepare(item, decided, others, terms)
        data = images.encode(image, edited=edited, dataset=cleaned.dataset if cleaned else None)
        digest = _write_and_read_back(item, image, data, edited=edited, terms=terms)
    except Withheld as withheld:
        reraise_shortage(withheld)
        row = withheld_row(withheld.reason, withheld.detail)
        if isinstance(withheld, _TooRisky):
            row |= {"modality": decided.modality, "region": decided.region}
            row |= withheld.figures.columns()
        return Released(item.n, row)
    kept = [(path, value) for path, _, value in cleaned.kept] if cleaned else []
    return Released(item.n, row, digest, kept, dict(cleaned.uids) if cleaned else {})


def _prepare(
    item: Item, decided: Look, others: dict[str, NDArray[np.float32]], terms: Terms
) -> Generator[Question, Any, tuple[dict[str, Any], Image, Cleaned | None, bool]]:
    try:
        original = images.read(item.path, item.header, decode=not terms.metadata_only)
    except OSError as error:
        raise Withheld("unreadable", "the file can not be read") from error
    header = replace(original.header, modality=decided.modality, region=decided.region)
    original = replace(original, header=header)
    pixels = _blanked(original, decided)
    text = terms.text if not any(decided.boxes) else "blanked"
    image = blanked = replace(original, pixels=pixels)
    figures = Figures()
    if decided.original is not None:
        image, figures = yield from _anonymise(original, image, decided, others, terms, item)
    elif terms.max_risk is not None and not terms.allow_unproven:
        raise Withheld("unproven", _UNPROVEN)
    # A blank picture may have nothing to take out.
    identity = bool(figures.strength) and not np.array_equal(image.pixels, blanked.pixels)
    edited = not np.array_equal(image.pixels, original.pixels)
    row = {
        "status": "done",
        "reason": "",
        "detail": "",
        "modality": decided.modality or "unknown",
        "region": decided.region or "unknown",
        "edit": "+".join(
            name for name, on in (("identity", identity), ("text", text == "blanked")) if on
        )
        or "none",
        "text": {"off": "not searched", "blank": "none found", "blanked": "blanked"}[text],
        **figures.columns(),
    }
    cleaned = None
    if original.dataset is not None:
        searched = "clean" if terms.text == "blank" else "unknown"
        facts = PixelFacts(
            text="as_found" if terms.metadata_only else searched,
            edited=identity,
            text_blanked=text == "blanked",
        )
        cleaned = clean(
            original.dataset,
            pseudonyms=Pseudonyms(terms.key, terms.instance_context),
            patient=item.patient,
            pixels=facts,
        )
    if original.pixels.size and decided.shown:
        _thumbnails(item, original, image, terms)
    return row, image, cleaned, edited


def _blanked(image: Image, decided: Look) -> NDArray[Any]:
    if not any(decided.boxes):
        return image.pixels
    return np.stack(
        [blank(frame, boxes) for frame, boxes in zip(image.pixels, decided.boxes, strict=True)]
    )


def code_of(key: bytes, patient: str, length: int) -> NDArray[np.float32]:
    """The secret code that chooses a patient's decoy, ``(length,)``, standard normal."""
    seed = hmac.digest(key, b"decoy\0" + as_bytes(patient), hashlib.sha256)
    generator = np.random.Generator(np.random.PCG64(int.from_bytes(seed, "big")))
    return generator.standard_normal(length).astype(np.float32)


def _anonymise(
    original: Image,
    image: Image,
    decided: Look,
    others: dict[str, NDArray[np.float32]],
    terms: Terms,
    item: Item,
) -> Generator[Question, Any, tuple[Image, Figures]]:
    """Take out identity, as little as the options ask for, and measure what is left.

    A strength is chosen by the attackers of the card alone.
    """
    if max(terms.strengths) > 0.0 and not images.supports_edit(image):
        raise Withheld("unsupported_edit", "it can not be edited in this format yet")
    views = images.view(image)
    before = images.view(original)
    code = code_of(terms.key, item.patient, terms.card.code)
    for strength in terms.strengths:
        result = image
        if strength > 0.0:
            asked = (squares(views, terms.card.remover), code, strength)
            residuals = yield ("remove", asked)
            result = replace(image, pixels=_edited(image, views, residuals))
        after = images.view(result) if result is not original else before
        shown = after[spread(len(after))]
        protected = yield from describe(shown, decided.modality or "", terms)
        figures = measure(
            decided,
            protected,
            others,
            before,
            after,
            named=item.named,
            strength=strength,
            terms=terms,
        )
        if terms.max_risk is None or not figures.above(terms.max_risk):
            break
    if terms.max_risk is not None:
        figures = yield from _held_to(terms.max_risk, figures, shown, decided, others, terms, item)
    return result, figures


def _held_to(
    max_risk: float,
    figures: Figures,
    shown: NDArray[np.float32],
    decided: Look,
    others: dict[str, NDArray[np.float32]],
    terms: Terms,
    item: Item,
) -> Generator[Question, Any, Figures]:
    """The figures at the last strength, with the risk measured anew, if they allow a release.

    What the judge still finds is withheld. No higher strength is tried then, for the judge would
    have taken part in the choice.
    """
    if figures.above(max_risk):
        raise _TooRisky(figures, "its risk stays above --max-risk at every strength")
    if figures.risk is not None:
        modality = decided.modality or ""
        seen = yield from identities(shown, terms.card.judges.get(modality, ()))
        figures = measured_anew(figures, decided, seen, others, named=item.named, terms=terms)
    if figures.above(max_risk):
        raise _TooRisky(
            figures, "by an attacker that took no part in the choice its risk is above --max-risk"
        )
    if figures.risk is None and not terms.allow_unproven:
        raise Withheld("unproven", _UNPROVEN)
    return figures


def _edited(
    image: Image, views: NDArray[np.float32], residuals: NDArray[np.float32]
) -> NDArray[Any]:
    meaning = image.meaning
    if np.issubdtype(image.pixels.dtype, np.floating):
        limits = (float(image.pixels.min()), float(image.pixels.max()))
    elif meaning.signed:
        limits = (-(2.0 ** (meaning.bits - 1)), 2.0 ** (meaning.bits - 1) - 1)
    else:
        limits = (0.0, 2.0**meaning.bits - 1)
    return add_residual(image.pixels, views, residuals, limits=limits, padding=meaning.padding)


def _write_and_read_back(
    item: Item, image: Image, data: bytes, *, edited: bool, terms: Terms
) -> str:
    """Write under a temporary name on OUTPUT's file system, flush, and read what is there."""
    path = terms.output / PARTIAL / str(item.n)
    with open(path, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    written = path.read_bytes()
    digest = hashlib.sha256(written).hexdigest()
    if digest != hashlib.sha256(data).hexdigest() or not images.agrees(
        image, written, edited=edited
    ):
        path.unlink()
        raise Withheld("verify_failed", "the written file does not read back as meant")
    return digest


def _thumbnails(item: Item, original: Image, image: Image, terms: Terms) -> None:
    """Small pictures of before and after, for the private report."""
    from PIL import Image as Picture

    middle = len(original.pixels) // 2
    for name, state in (("before", original), ("after", image)):
        one = replace(state, pixels=state.pixels[middle : middle + 1])
        frame = (images.view(one)[0] * 255).astype(np.uint8)
        picture = Picture.fromarray(frame)
        picture.thumbnail((160, 160))
        with open(terms.thumbs / f"{item.n}_{name}.png", "wb", opener=owner_only) as stream:
            picture.save(stream, "PNG")
