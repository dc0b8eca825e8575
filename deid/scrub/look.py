"""The first look at a unit (one file, or the files of one stack): what has to be known of the
pixels before any file is written. Runs in a worker; see `deid.scrub.jobs` for what a yield means.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deid import images
from deid.images.record import Header, Image
from deid.reasons import Withheld
from deid.scrub.jobs import SPREAD, Question
from deid.scrub.options import MODALITIES
from deid.scrub.shortage import reraise_shortage
from deid.scrub.terms import Attacker, Item, Look, Original, Terms, admit
from deid.text import (
    Box,
    Finder,
    Part,
    PartText,
    search_part,
    search_single,
    search_slices,
)

#: Frames of a scan that the models look at (paper, section 4.1).
FRAMES = 8


@lru_cache(maxsize=1)
def finder() -> Finder:
    """This worker's text detector."""
    return Finder(threads=1)


def look(items: tuple[Item, ...], terms: Terms) -> Generator[Question, Any, list[Look]]:
    """Decode a unit and decide on each of its files.

    Raises nothing that a file could cause, but a shortage: every file gets its `Look`.
    """
    found: list[Look] = []
    kept: list[tuple[Item, Image]] = []
    for item in items:
        try:
            kept.append((item, images.read(item.path, item.header)))
        except Withheld as withheld:
            reraise_shortage(withheld)
            found.append(Look(item.n, withheld.reason, withheld.detail))
        except OSError as error:
            reraise_shortage(error)
            found.append(Look(item.n, "unreadable", "the file can not be read"))
    if kept:
        stack = _stacked([image for _, image in kept])
        try:
            common = yield from _decide(stack, terms)
            boxes = yield from _text(stack, terms)
        except Withheld as withheld:
            reraise_shortage(withheld)
            found += [Look(item.n, withheld.reason, withheld.detail) for item, _ in kept]
        else:
            start, looks = 0, []
            for item, image in kept:
                stop = start + len(image.pixels)
                looks.append(replace(common, n=item.n, boxes=boxes[start:stop]))
                start = stop
            middle = looks[len(looks) // 2]
            found += [
                replace(one, shown=one is middle or one.boxes != middle.boxes) for one in looks
            ]
    return found


def _stacked(parts: list[Image]) -> Image:
    """The files of one stack as one image."""
    if len(parts) == 1:
        return parts[0]

    def per_frame(values: tuple[float, ...], frames: int) -> tuple[float, ...]:
        return values * frames if len(values) == 1 else values

    slopes, intercepts = (
        tuple(
            value
            for part in parts
            for value in per_frame(getattr(part.meaning, name), len(part.pixels))
        )
        for name in ("slope", "intercept")
    )
    return replace(
        parts[0],
        header=_common([part.header for part in parts]),
        pixels=np.concatenate([part.pixels for part in parts]),
        meaning=replace(parts[0].meaning, slope=slopes, intercept=intercepts),
    )


def _common(headers: list[Header]) -> Header:
    """The first one's header, and a head or MR that any of them names: such words count."""
    return replace(
        headers[0],
        head=any(header.head for header in headers),
        region="head" if any(h.region == "head" for h in headers) else headers[0].region,
        section="mr" if any(h.section == "mr" for h in headers) else headers[0].section,
    )


def _decide(stack: Image, terms: Terms) -> Generator[Question, Any, Look]:
    """Modality and region, a head in view, and what the models say of the original."""
    header = stack.header
    modality, region = admit(header, terms), header.region
    chosen = spread(len(stack.pixels))
    views: NDArray[np.float32] | None = None
    if modality is None or region is None:
        views = images.view(replace(stack, header=replace(header, modality=modality)))[chosen]
        seen, region_seen = yield from _recognise(views, modality, terms)
        # Fundus photos have colours; what had none and was taken for one was a CT.
        colourless = header.section is not None or is_grey(stack)
        if modality is None and not (seen == "fundus" and colourless):
            modality = seen
        region = region or region_seen
    if modality is None:
        raise Withheld("modality_unknown", "give --modality if it is an X-ray, CT or fundus image")
    if modality == "ct" or may_be_section(stack):
        _refuse_head(stack, region)
    original = None
    if (modality, region) in terms.card.pairs:
        if views is None or modality != header.modality:
            views = images.view(replace(stack, header=replace(header, modality=modality)))[chosen]
        original = yield from describe(views, modality, terms)
        judged = yield from identities(views, terms.card.judges.get(modality, ()))
        original = replace(original, identity=original.identity | judged)
    return Look(0, modality=modality, region=region, original=original)


def _recognise(
    views: NDArray[np.float32], modality: str | None, terms: Terms
) -> Generator[Question, Any, tuple[str | None, str | None]]:
    """Modality and region by the picture; what is given is not overruled."""
    if not terms.card.pairs:
        return modality, None
    seen = yield ("classify", (squares(views, terms.card.encoder), modality))
    return seen if seen is not None else (modality, None)


def may_be_section(stack: Image) -> bool:
    """Whether it can be a CT or MR, whatever it is treated as: a face may be in view of those.

    What a header calls a projection or a photo, and gives nothing that only sections have, is none;
    without such a header every grey picture may be one.
    """
    header = stack.header
    if header.section is not None:
        return True
    return header.modality not in MODALITIES and is_grey(stack)


def is_grey(stack: Image) -> bool:
    """Whether all channels say the same."""
    pixels = stack.pixels
    return pixels.ndim < 4 or bool((pixels == pixels[..., :1]).all())


def _refuse_head(stack: Image, region: str | None) -> None:
    from deid.images.headlook import shows_head

    if region == "head" or shows_head(stack):
        raise Withheld("head", "the picture shows a head, so a face may be in view")


def _text(stack: Image, terms: Terms) -> Generator[Question, Any, tuple[tuple[Box, ...], ...]]:
    """The boxes to blank, frame by frame."""
    if terms.text == "off":
        return ((),) * len(stack.pixels)
    if terms.text == "unavailable":
        raise Withheld("text_unavailable", "the text search can not run here; see --text off")
    pictures = images.plain(stack)
    if len(pictures) > 1:
        result = yield from search_slices(pictures, _side_by_side)
    else:
        result = search_single(pictures[0], finder())
    if result.remains:
        raise Withheld("text_remains", "text is still readable after blanking; look at it by eye")
    boxes = tuple(tuple(frame) for frame in result.boxes)
    if any(boxes) and not images.supports_edit(stack):
        raise Withheld("unsupported_edit", "it has text, and can not be edited in this format yet")
    return boxes


def _side_by_side(parts: list[Part]) -> Generator[Question, Any, list[PartText]]:
    """Have all workers search the parts of a stack: it may be all that there is to do."""
    found: list[PartText] = yield (SPREAD, [(f"{__name__}:search", (part,)) for part in parts])
    return found


def search(part: Part, _: Terms) -> Generator[Question, Any, PartText]:
    """Job: search one part of a stack."""
    yield from ()
    return search_part(part, finder())


def spread(frames: int) -> NDArray[np.intp]:
    """Up to `FRAMES` frame numbers, uniformly spread (paper, section 4.1)."""
    return np.unique(np.linspace(0, frames - 1, min(frames, FRAMES)).round().astype(np.intp))


def squares(views: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Frames as the networks take them, ``(frames, 3, size, size)``."""
    from mami_core.data import square

    return np.stack([square(frame, size) for frame in views])


def describe(
    views: NDArray[np.float32], modality: str, terms: Terms
) -> Generator[Question, Any, Original]:
    """Identity, as those see it whom a strength is chosen by, and medical features of the frames
    given."""
    identity = yield from identities(views, terms.card.attackers.get(modality, ()))
    medical = None
    if modality in terms.card.utility_zero:
        medical = yield ("medical", squares(views, terms.card.medical))
    return Original(identity, medical)


def identities(
    views: NDArray[np.float32], attackers: Iterable[Attacker]
) -> Generator[Question, Any, dict[str, NDArray[np.float32]]]:
    """By attacker, the embedding ``(D,)`` of the frames given."""
    found = {}
    for attacker in attackers:
        found[attacker.name] = yield ("identity", (attacker.name, squares(views, attacker.size)))
    return found
