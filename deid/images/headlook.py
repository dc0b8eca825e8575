"""Is a head in view? A look at the picture of what is or may be a CT or MR, since headers lie.

Physics and anatomy, no learned part: bone, soft tissue and air have their own numbers in CT, and a
head differs from all other sections of a body in three ways, each enough by itself.

*Skull*: soft tissue without fat or air, enclosed by bone nearly all around. No other cavity of the
body is: the thorax holds lungs, the pelvis is open and holds fat, the spinal canal is small.

*Size*: the whole section lies in view and is as small as a head or neck, and about as deep as wide.
A trunk is larger, or at least (in children) wider than deep; a limb looks like a neck and is
refused with it.

*Jaw*: teeth, petrous bone and mandible are denser than any other bone; much of that in a small
section.

A picture without scale or Hounsfield units (a secondary capture, a PNG) is judged by the first way,
with tissue found by its grey value, and by its shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deid.images.dicom_facts import is_scout
from deid.images.record import Image

Plane = NDArray[np.float32]
Mask = NDArray[np.bool_]
Bits = NDArray[np.uint8]

#: Pixel size in mm that slices are looked at in, and the side of one without a scale.
_PIXEL_MM, _UNSCALED_SIDE = 2.0, 160
#: Slices are looked at this close to each other (mm), or so many where the distance is unknown.
_STEP_MM, _SLICES = 20.0, 24

_AIR, _LUNG, _WATER, _DENSE = -1000.0, -500.0, 40.0, 1100.0


@dataclass(frozen=True)
class Limits:
    """Where tissues lie, in Hounsfield units: `body` from, `soft` from and to, `bone` from."""

    body: float
    soft: tuple[float, float]
    bone: float


_CALIBRATED = Limits(-300.0, (-30.0, 110.0), 300.0)
#: For grey values whose zero and unit were guessed: a window may have stretched them fivefold.
_GUESSED = Limits(-750.0, (-300.0, 350.0), 450.0)


@dataclass(frozen=True)
class Section:
    """One slice, made ready: Hounsfield units (or a likeness of them), and the body in it.

    Attributes
    ----------
    hounsfield
        ``(R, C)``, on square pixels.
    body
        The largest thing in view, holes filled.
    scale
        Pixel size in mm; None where it is unknown.
    alone
        No second thing half as large is in view: two legs are no head.
    outside
        Pixels beyond the reconstructed field of view.
    limits
        Of the tissues.
    """

    hounsfield: Plane
    body: Mask
    alone: bool
    scale: float | None
    outside: Mask
    limits: Limits


def shows_head(image: Image) -> bool:
    """Whether any slice shows a head or neck.

    Parameters
    ----------
    image
        A file, volume or stack; its `meaning` gives the rescale, its `geometry` the pixel spacing.
    """
    from deid.images.nifti import oriented

    if image.header.format == "nifti":
        image = oriented(image)
    spacing = _spacing(image)
    if image.header.section == "mr":
        return not all(_is_trunk_mr(values, spacing) for values in _slices(image))
    # Only a scale makes an outline tell; without one a scout is judged as any other picture.
    if spacing is not None and image.dataset is not None and is_scout(image.dataset):
        return any(_head_in_scout(values, spacing) for values in _slices(image))
    return any(_head_in_slice(values, spacing) for values in _slices(image))


def _spacing(image: Image) -> tuple[float, float] | None:
    """Millimetres down and across a pixel, None where they are unknown or make no sense."""
    spacing = image.geometry.spacing
    if spacing is None or len(spacing) < 2 or not all(0.05 < size < 10 for size in spacing[:2]):
        return None
    return float(spacing[0]), float(spacing[1])


def _slices(image: Image) -> list[Plane]:
    """Slices spread over the stack, first and last among them, as real values."""
    frames = len(image.pixels)
    spacing = image.geometry.spacing
    count = _SLICES
    if spacing is not None and len(spacing) > 2 and spacing[2] > 0:
        count = max(count, int(np.ceil(frames * spacing[2] / _STEP_MM)) + 1)
    chosen = np.unique(np.linspace(0, frames - 1, min(frames, count)).round().astype(int))
    planes = []
    for index in chosen:
        slope, intercept = (
            values[index] if len(values) > 1 else values[0]
            for values in (image.meaning.slope, image.meaning.intercept)
        )
        values = image.pixels[index].astype(np.float32)
        if values.ndim == 3:
            values = values.mean(axis=2)
        if image.meaning.photometric == "MONOCHROME1":
            values = values.max() - values
        planes.append(values * np.float32(slope) + np.float32(intercept))
    return planes


def _head_in_scout(values: Plane, spacing: tuple[float, float]) -> bool:
    """Whether what a scout shows is no larger than a head and neck, or ends in something like one.

    Its numbers are no Hounsfield units, so only the outline counts: a head is a run of rows or
    columns, 120 to 240 mm wide for as long as that, that ends in view and widens to shoulders.
    """
    section = prepare(_likeness(values), spacing, _GUESSED)
    if section is None:
        return False
    if max(_box(section)) < 300:
        return True
    for body in (section.body, section.body.T):
        for outline in (body, body[::-1]):
            widths = outline.sum(axis=1) * _PIXEL_MM
            start = int(np.argmax(widths > 0))
            # Hair and noise first; then the head itself.
            head = widths[start + round(40 / _PIXEL_MM) : start + round(140 / _PIXEL_MM)]
            below = widths[start + round(140 / _PIXEL_MM) :][: round(260 / _PIXEL_MM)]
            whole = start > 2 and head.size and head.min() > 120 and head.max() < 240
            if whole and below.size and below.max() > 1.6 * head.mean():
                return True
    return False


def _head_in_slice(values: Plane, spacing: tuple[float, float] | None) -> bool:
    if _is_hounsfield(values):
        section = prepare(values, spacing, _CALIBRATED)
    else:
        section = prepare(_likeness(values), None, _GUESSED)
    if section is None:
        return False
    if skull(section):
        return True
    if section.scale is None:
        return ring(section) or _is_head_shape(section)
    return is_small(section) or has_jaw(section)


def _is_hounsfield(values: Plane) -> bool:
    """Whether the numbers can be Hounsfield units: nearly all in their range, tissue among them."""
    inside = (values > -4100) & (values < 5000)
    tissue = (values > -200) & (values < 200)
    return bool(inside.mean() > 0.98 and values.min() < -200 and tissue.mean() > 0.02)


def _likeness(values: Plane) -> Plane:
    """Grey values brought to where air and tissue lie, by the two classes of their histogram."""
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    if high <= low:
        return np.full_like(values, _AIR)
    grey = np.clip((values - low) / (high - low), 0, 1)
    level, _ = cv2.threshold((grey * 255).astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    thing = grey > min(level / 255, 0.35)
    soft = float(np.median(grey[thing])) if thing.any() else 1.0
    return ((grey / max(soft, 0.05)) * (_WATER - _AIR) + _AIR).astype(np.float32)


def prepare(values: Plane, spacing: tuple[float, float] | None, limits: Limits) -> Section | None:
    """Resample to square pixels and find the body; None where nothing is in view."""
    rows, columns = values.shape
    if spacing is None:
        factor = min(1.0, _UNSCALED_SIDE / max(rows, columns))
        size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
        scale = None
    else:
        size = (
            max(1, round(columns * spacing[1] / _PIXEL_MM)),
            max(1, round(rows * spacing[0] / _PIXEL_MM)),
        )
        scale = _PIXEL_MM
    outside = cv2.resize((values < -1500).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    clipped = np.clip(values, _AIR, 3000)
    small = np.asarray(cv2.resize(clipped, size, interpolation=cv2.INTER_AREA), np.float32)
    things = _opened(small > limits.body)
    count, labels, facts, _ = cv2.connectedComponentsWithStats(things, connectivity=4)
    if count < 2:
        return None
    areas = facts[1:, cv2.CC_STAT_AREA]
    body = np.asarray(labels == 1 + int(np.argmax(areas)))
    alone = bool(np.sum(areas > areas.max() / 2) == 1)
    return Section(small, _filled(body), alone, scale, outside > 0.5, limits)


def skull(section: Section) -> bool:
    """Soft tissue that bone encloses, as large as at least the top of a brain."""
    smooth = cv2.GaussianBlur(section.hounsfield, (0, 0), 1.0)
    bone = (section.hounsfield > section.limits.bone) & section.body
    if not bone.any():
        return False
    low, high = section.limits.soft
    soft = _opened((smooth > low) & (smooth < high) & ~bone & section.body)
    near_bone = cv2.dilate(bone.astype(np.uint8), _disc(3)) > 0
    count, labels, facts, _ = cv2.connectedComponentsWithStats(soft, connectivity=4)
    # A brain, or its top, fills much of the head around it; pockets between shoulder bones do not.
    least = 0.15 * section.body.sum()
    if section.scale is not None:
        least = max(least, 1500.0 / section.scale**2)
    for label in range(1, count):
        if facts[label, cv2.CC_STAT_AREA] < least:
            continue
        if _is_enclosed(labels == label, near_bone, section):
            return True
    return False


def _is_enclosed(tissue: Mask, near_bone: Mask, section: Section) -> bool:
    whole = _filled(tissue)
    rim = (cv2.dilate(whole.astype(np.uint8), _disc(2)) > 0) & ~whole
    # Where the picture ends nothing is known; at least a third of the way round must be seen.
    around = cv2.copyMakeBorder(whole.astype(np.uint8), 2, 2, 2, 2, cv2.BORDER_CONSTANT)
    length = cv2.dilate(around, _disc(2)).sum() - around.sum()
    known = rim & ~section.outside
    if known.sum() < length / 3:
        return False
    hull = cv2.convexHull(np.argwhere(whole)[:, ::-1].astype(np.int32))
    solid = whole.sum() / max(1.0, cv2.contourArea(hull))
    return bool(near_bone[known].mean() > 0.75 and solid > 0.8)


def ring(section: Section) -> bool:
    """A closed ring of bone around much of the body, whatever a window made of the inside."""
    bone = (section.hounsfield > section.limits.bone) & section.body
    closed = cv2.morphologyEx(bone.astype(np.uint8), cv2.MORPH_CLOSE, _disc(2)) > 0
    inside = _filled(closed) & ~closed
    if inside.sum() < 0.25 * section.body.sum():
        return False
    return bool((section.hounsfield[inside] < _LUNG).mean() < 0.4)


def is_small(section: Section) -> bool:
    """The whole section is in view, and has the size and the shape of a head or neck.

    Heads are up to 230 mm long, more with nose and pillow, and deeper than wide; trunks are wider
    than deep.
    """
    if section.scale is None or not section.alone or _touches_border(section):
        return False
    _, sides, _ = cv2.minAreaRect(np.argwhere(section.body)[:, ::-1].astype(np.int32))
    shorter, longer = (side * section.scale for side in sorted(sides))
    deep, wide = _box(section)
    like_a_head = deep > 0.95 * wide and shorter < 215 and longer < min(270.0, 1.8 * shorter)
    like_a_neck = longer < min(180.0, 1.55 * shorter)
    return bool(shorter > 70 and _lung(section) < 0.2 and (like_a_head or like_a_neck))


def _is_head_shape(section: Section) -> bool:
    """Without scale: all in view, deeper than wide, much bone."""
    if not section.alone or _touches_border(section):
        return False
    deep, wide = _box(section)
    return bool(1.0 < deep / wide < 1.6 and _lung(section) < 0.2)


def has_jaw(section: Section) -> bool:
    """Much of the densest bone in a section no wider than a head."""
    _, wide = _box(section)
    dense = (section.hounsfield > _DENSE) & section.body
    return bool(section.alone and 100 < wide < 230 and dense.sum() > 0.01 * section.body.sum())


def _lung(section: Section) -> float:
    return float((section.hounsfield[section.body] < _LUNG).mean())


def _bone(section: Section) -> float:
    return float((section.hounsfield[section.body] > section.limits.bone).mean())


def _touches_border(section: Section) -> bool:
    """Whether the picture cuts the body off: at its edge, or at the round one of the scan field."""
    body = section.body
    edge = np.zeros_like(body)
    edge[[0, -1]], edge[:, [0, -1]] = True, True
    edge |= cv2.dilate(section.outside.astype(np.uint8), _disc(2)) > 0
    # Some scanners fill what lies outside their round field with air.
    rows, columns = np.indices(body.shape)
    radius = np.hypot(rows - (body.shape[0] - 1) / 2, columns - (body.shape[1] - 1) / 2)
    edge |= np.abs(radius - min(body.shape) / 2) < 2
    inner = cv2.erode(
        body.astype(np.uint8), _disc(1), borderType=cv2.BORDER_CONSTANT, borderValue=0
    )
    outline = body & (inner == 0)
    return bool((outline & edge).sum() > 0.1 * outline.sum())


def _box(section: Section) -> tuple[float, float]:
    """Rows and columns that the body takes, in mm (in pixels where there is no scale)."""
    rows, columns = (np.flatnonzero(section.body.any(axis=axis)) for axis in (1, 0))
    scale = section.scale or 1.0
    return (rows[-1] - rows[0] + 1) * scale, (columns[-1] - columns[0] + 1) * scale


def _is_trunk_mr(values: Plane, spacing: tuple[float, float] | None) -> bool:
    """Evidence that an MR slice shows a trunk: wider than any head, and wider than high."""
    if spacing is None:
        return False
    bright = float(np.percentile(values, 99))
    # The noise of the air around lies at a few hundredths of the bright tissues.
    seen = np.where(values > 0.1 * bright, 0.0, _AIR).astype(np.float32)
    section = prepare(seen, spacing, _CALIBRATED)
    if section is None:
        return False
    high, wide = _box(section)
    return wide > 270 and wide > 1.15 * high


def _disc(radius: int) -> Bits:
    size = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, size), np.uint8)


def _opened(mask: Mask) -> Bits:
    """The mask without what is thinner than 7 pixels: tables, clothes, sheets of tissue."""
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(3)), np.uint8)


def _filled(mask: Mask) -> Mask:
    """The mask with its holes."""
    around = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    cv2.floodFill(around, None, (0, 0), 2)
    return around[1:-1, 1:-1] != 2
