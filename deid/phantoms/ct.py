"""A chest CT of an invented patient: every tissue a formula in space, in Hounsfield units."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from deid.phantoms.draw import Array, Branch, Pose, generator, grow, smooth_noise

FINDINGS = ("Consolidation", "Effusion", "Nodule")

#: Side of the field of view and height of the scan, in mm.
FIELD = 400.0
HEIGHT = 300.0


@dataclass(frozen=True)
class Thorax:
    """What stays with a patient. Lengths in half fields of view, heights in scan heights."""

    body: tuple[float, float]
    fat: float
    cavity: tuple[float, float]
    domes: tuple[float, float]
    heart: Array
    heart_size: float
    aorta: Array
    spine: Array
    rib_first: float
    rib_spacing: float
    rib_slope: float
    rib_jitter: Array
    vessels: tuple[Branch, ...]


@dataclass(frozen=True)
class Scan:
    """What belongs to one visit."""

    pose: Pose
    start: float
    breath: float
    contrast: float
    kernel: float
    noise: float
    table: float
    findings: tuple[str, ...]


@lru_cache(maxsize=4)  # The visits of a patient are drawn one after another.
def thorax(patient_seed: int) -> Thorax:
    """The anatomy of a patient."""
    random = generator("thorax", patient_seed)
    wide, deep = random.uniform(0.64, 0.74), random.uniform(0.40, 0.48)
    fat = random.uniform(0.04, 0.16)
    vessels: list[Branch] = []
    for side in (-1, 1):
        for _ in range(7):
            hilum = np.array([side * 0.16, 0.02, 0.46]) + random.normal(0, 0.02, 3)
            heading = np.array([side * random.uniform(0.3, 1), *random.normal(0, 0.9, 2)])
            vessels += grow(
                random,
                hilum,
                heading,
                length=random.uniform(0.12, 0.18),
                radius=random.uniform(0.016, 0.024),
                generations=5,
                bend=0.3,
            )
    spine = np.array([random.normal(0, 0.015), deep * 0.80, random.uniform(0.095, 0.115)])
    return Thorax(
        body=(wide + 0.13 + fat, deep + 0.12 + 0.8 * fat),
        fat=fat,
        cavity=(wide, deep),
        domes=(random.uniform(0.74, 0.82), random.uniform(0.79, 0.88)),
        heart=np.array([random.uniform(0.09, 0.15), random.uniform(-0.13, -0.08), 0.66]),
        heart_size=random.uniform(0.9, 1.1),
        aorta=np.array([random.uniform(0.09, 0.14), deep * 0.58, random.uniform(0.06, 0.08)]),
        spine=spine,
        rib_first=random.uniform(-0.30, -0.20),
        rib_spacing=random.uniform(0.088, 0.106),
        rib_slope=random.uniform(0.18, 0.34),
        rib_jitter=random.normal(0, 0.008, (2, 16)),
        vessels=tuple(vessels),
    )


def scan(patient_seed: int, visit_seed: int) -> Scan:
    """Pose, breath, contrast, kernel, noise and findings of one visit."""
    random = generator("thorax scan", patient_seed, visit_seed)
    chance = random.random(len(FINDINGS))
    findings = tuple(f for f, p in zip(FINDINGS, chance, strict=True) if p < 0.25)
    pose = Pose(
        scale=random.uniform(0.95, 1.04),
        angle=random.normal(0, 0.03),
        dx=random.normal(0, 0.02),
        dy=random.normal(0, 0.02),
    )
    return Scan(
        pose=pose,
        start=random.normal(0, 0.03),
        breath=random.normal(0, 0.03),
        contrast=float(random.choice([0.0, random.uniform(80, 180)])),
        kernel=random.uniform(0.35, 0.8),
        noise=random.uniform(12, 40),
        table=random.uniform(0.03, 0.12),
        findings=findings,
    )


def spacing(patient_seed: int, visit_seed: int, size: int, slices: int) -> tuple[float, float]:
    """Pixel spacing and slice spacing in mm (a larger field of view makes a smaller body)."""
    return FIELD / (scan(patient_seed, visit_seed).pose.scale * size), HEIGHT / slices


def _disc(x: Array, y: Array, cx: Array | float, cy: float, rx: float, ry: float) -> Array:
    """Elliptic radius of every pixel: below 1 inside."""
    return np.hypot((x - cx) / rx, (y - cy) / ry)


def _ribs(hu: Array, body: Thorax, x: Array, y: Array, z: Array, radius: Array) -> None:
    """Ribs: bands in the shell of the chest wall that sink from the spine to the front."""
    angle = np.arctan2(np.abs(x), y - 0.02) / np.pi
    number = (z - body.rib_first - body.rib_slope * angle) / body.rib_spacing
    index = np.clip(np.round(number), 0, 15).astype(int)
    jitter = body.rib_jitter[(x > 0).astype(int), index]
    across = np.abs(number - np.round(number) + jitter / body.rib_spacing) * body.rib_spacing
    level = (across / 0.022) ** 2 + ((radius - 1.075) / 0.055) ** 2
    bone = (level < 1) & (angle > 0.10)
    cartilage = angle > 0.80
    hu[bone] = np.where(level > 0.45, 650.0, 280.0)[bone]
    hu[bone & cartilage] = 130.0


def _spine(hu: Array, body: Thorax, x: Array, y: Array, z: Array) -> None:
    """Vertebral bodies with discs, the canal, arches and spinous processes; the sternum."""
    cx, cy, reach = body.spine
    disc = np.abs((z / 0.085) % 1 - 0.5) > 0.40
    vertebra = _disc(x, y, cx, cy, reach, reach * 0.8)
    hu[(vertebra < 1) & ~disc] = 190.0
    hu[(vertebra < 1) & (vertebra > 0.82) & ~disc] = 420.0
    hu[(vertebra < 1) & disc] = 85.0
    arch = _disc(x, y, cx, cy + reach * 1.25, reach * 0.75, reach * 0.62)
    hu[(arch < 1) & (arch > 0.55)] = 380.0
    hu[arch <= 0.55] = 25.0
    process = (np.abs(x - cx) < 0.018) & (np.abs(y - cy - reach * 2.2) < reach * 0.55)
    hu[process & ~disc] = 350.0
    wing = (np.abs(y - cy - reach * 1.0) < 0.028) & (np.abs(x - cx) < reach * 2.0)
    hu[wing & (vertebra > 1) & (arch > 1) & ~disc] = 300.0
    front = _disc(x, y, 0.0, -body.cavity[1] * 1.03, 0.085, 0.026)
    hu[(front < 1) & (z > 0.28) & (z < 0.78)] = 230.0


def _vessels(body: Thorax, view: Scan, size: int, slices: int) -> Array:
    """Blood in the lungs: the vessel trees as smeared points, 0..1 ``(slices, size, size)``."""
    canvas = np.zeros((slices, size, size))
    for branch in body.vessels:
        ends = branch.points
        pieces = np.linspace(0, len(ends) - 1, 40)
        axes = [np.interp(pieces, np.arange(len(ends)), ends[:, k]) for k in range(3)]
        xy = view.pose.points(np.stack(axes[:2], axis=1), size)
        depth = (axes[2] - view.start + view.breath * (axes[2] - 0.3)) * slices - 0.5
        index = np.round(np.stack([depth, xy[:, 1], xy[:, 0]])).astype(int)
        limits = np.array(canvas.shape)[:, None]
        inside = ((index >= 0) & (index < limits)).all(0)
        area = (branch.radius * size / 2) ** 2
        np.maximum.at(canvas, tuple(index[:, inside]), 1.6 * area)
    return np.clip(ndimage.gaussian_filter(canvas, (0, 0.6, 0.6)) * 1.8, 0, 1)


def _mediastinum(hu: Array, body: Thorax, view: Scan, x: Array, y: Array, z: Array) -> None:
    """Heart with its chambers, aorta, airway."""
    blood = 45.0 + view.contrast
    cx, cy, cz = body.heart
    size = body.heart_size
    turned = x - cx - 0.35 * (y - cy)
    heart = np.sqrt(
        (turned / (0.30 * size)) ** 2 + ((y - cy) / (0.23 * size)) ** 2 + ((z - cz) / 0.20) ** 2
    )
    hu[heart < 1] = 50.0
    hu[(heart < 0.72) & (np.abs(turned + 0.02) > 0.035)] = blood
    ax, ay, reach = body.aorta
    hu[(_disc(x, y, ax, ay, reach, reach) < 1) & (z > 0.33)] = blood
    hu[(_disc(x, y, -0.04, -0.10, 0.085, 0.085) < 1) & (z > 0.33) & (z < 0.56)] = blood
    share = np.clip((y + 0.10) / (ay + 0.10), 0, 1)
    along = np.abs(x - (-0.04 + share * (ax + 0.04))) < reach
    hu[along & (y > -0.16) & (y < ay + reach) & (np.abs(z - 0.31) < 0.035)] = blood
    hu[(_disc(x, y, 0.07, -0.06, 0.07, 0.09) < 1) & (z > 0.42) & (z < 0.52)] = blood
    fork = np.clip(z - 0.42, 0, None) * 1.3
    pipe = _disc(np.abs(x), y, fork, 0.05 + 0.1 * view.breath, 0.042, 0.042)
    hu[(pipe < 1) & (z < 0.55)] = -985.0


def _findings(
    random: np.random.Generator, hu: Array, lung: NDArray[np.bool_], view: Scan, where: list[Array]
) -> None:
    """What this visit adds inside the lungs."""
    x, y, z = where
    side = int(random.choice([-1, 1]))
    if "Nodule" in view.findings:
        centre = (side * random.uniform(0.3, 0.5), random.uniform(-0.2, 0.2))
        height, reach = random.uniform(0.25, 0.65), random.uniform(0.035, 0.07)
        far = np.hypot(x - centre[0], y - centre[1]) / reach
        hu[lung & (np.hypot(far, (z - height) / (reach * 0.7)) < 1)] = 35.0
    if "Consolidation" in view.findings:
        centre = (-side * random.uniform(0.3, 0.5), random.uniform(0.0, 0.3))
        height = random.uniform(0.3, 0.65)
        far = np.hypot(x - centre[0], y - centre[1]) / random.uniform(0.15, 0.25)
        cloud = np.exp(-2 * (far**2 + ((z - height) / 0.12) ** 2))
        cloud = cloud * (0.8 + 0.4 * smooth_noise(random, hu.shape, 2.0))
        hu += np.where(lung, 850 * np.clip(cloud, 0, 1), 0)
    if "Effusion" in view.findings:
        level = random.uniform(0.16, 0.28)
        hu[lung & (y > level - 0.25 * (z - 0.6)) & (np.sign(x) == side) & (z > 0.4)] = 12.0


def _tissue(body: Thorax, view: Scan, size: int, slices: int) -> tuple[Array, Array]:
    """Hounsfield values without noise, and the body's own radius (1 at the skin)."""
    x2, y2 = view.pose.grid(size)
    z1 = (np.arange(slices) + 0.5) / slices + view.start
    shape = (slices, size, size)
    x, y = np.broadcast_to(x2, shape), np.broadcast_to(y2, shape)
    z = np.broadcast_to(z1[:, None, None], shape)
    narrow = np.sqrt(np.clip(1 - ((z1 - 0.75) / 1.05) ** 2, 0.05, 1))[:, None, None]
    a, b = body.body
    skin = ((np.abs(x) / (a * (0.75 + 0.25 * narrow))) ** 2.5 + (np.abs(y) / b) ** 2.5) ** 0.4
    radius = np.hypot(x / (body.cavity[0] * narrow), y / (body.cavity[1] * narrow**0.6))
    hu = np.full(shape, -1000.0)
    hu[skin < 1] = -105.0
    hu[skin < 1 - body.fat * 1.1] = 52.0
    hu[radius < 1] = -70.0
    z_breath = z + view.breath * (z - 0.3)
    dome = np.where(x < 0, *body.domes)
    dome = dome + 0.9 * ((np.abs(x) - 0.34) ** 2 + (y + 0.03) ** 2)
    below = (radius < 1) & (z_breath > dome)
    hu[below] = np.where(x < 0.05, 62.0 + 0.3 * view.contrast, 45.0)[below]
    _mediastinum(hu, body, view, x, y, z_breath)
    gap = 0.10 + 0.05 * np.sin(3 * y + 1) + 0.06 * np.clip(z - 0.4, 0, 1)
    cx, cy, cz = body.heart
    heart = ((x - cx - 0.35 * (y - cy)) / (0.31 * body.heart_size)) ** 2
    heart = heart + ((y - cy) / (0.24 * body.heart_size)) ** 2 + ((z_breath - cz) / 0.21) ** 2
    ax, ay, reach = body.aorta
    aside = _disc(x, y, ax, ay, reach * 1.15, reach * 1.15) > 1
    lung = (radius < 0.97) & (np.abs(x) > gap) & (z_breath < dome) & (heart > 1) & aside
    spine = _disc(x, y, body.spine[0], body.spine[1], body.spine[2] * 1.1, body.spine[2]) > 1
    lung &= spine & (z > 0.02)
    hu[lung] = (-880.0 + 110 * y)[lung]
    random = generator("thorax findings", view.start.hex(), view.noise.hex())
    blood = _vessels(body, view, size, slices)
    hu = np.where(lung, hu + blood * (45.0 + view.contrast - hu), hu)
    _findings(random, hu, lung, view, [x, y, z])
    _ribs(hu, body, x, y, z, radius)
    _spine(hu, body, x, y, z)
    return hu, skin


def ct_volume(
    patient_seed: int, visit_seed: int, size: int = 128, slices: int = 24
) -> NDArray[np.int16]:
    """An axial chest CT.

    Parameters
    ----------
    patient_seed
        Decides body, cage, spine, heart, great vessels and the vessels of the lungs.
    visit_seed
        Decides pose, breath, contrast agent, kernel, noise and findings (see `scan`).

    Returns
    -------
    (slices, size, size) int16 Hounsfield units, from the apex down; the patient's right is at
    the left of the picture and the back at its foot.
    """
    body, view = thorax(patient_seed), scan(patient_seed, visit_seed)
    hu, skin = _tissue(body, view, size, slices)
    below = (np.arange(size)[:, None] + 0.5) * (2.0 / size) - 1.0 - view.pose.dy
    below = below - view.pose.scale * body.body[1] - view.table
    hu[(skin > 1) & (np.abs(below) < 0.012)] = -200.0
    hu[(skin > 1) & (np.abs(below - 0.06) < 0.010)] = -450.0
    unit = size / 128
    hu = ndimage.gaussian_filter(hu, (0.3, view.kernel * unit, view.kernel * unit))
    random = generator("thorax noise", patient_seed, visit_seed)
    noise = np.stack([smooth_noise(random, (size, size), view.kernel * unit) for _ in hu])
    return np.clip(np.round(hu + view.noise * noise), -1024, 3071).astype(np.int16)
