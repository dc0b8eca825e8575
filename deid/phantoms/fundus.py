"""A fundus photo of an invented eye: disc, macula, arcades with their twigs, and a camera."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from deid.phantoms.draw import (
    Array,
    Branch,
    Pose,
    draw_lines,
    ellipse,
    generator,
    grow,
    smooth_noise,
    soften,
    texture_at,
)

FINDINGS = ("Drusen", "Exudates", "Haemorrhages")


@dataclass(frozen=True)
class Eye:
    """What stays with an eye. Coordinates of a right eye, the field of view at about -1..1."""

    side: str
    disc: Array
    disc_size: Array
    cup: float
    macula: Array
    colour: Array
    pigment: float
    texture: Array
    veins: tuple[Branch, ...]
    arteries: tuple[Branch, ...]


@dataclass(frozen=True)
class Photo:
    """What belongs to one visit: aim, flash, camera and findings."""

    pose: Pose
    tint: Array
    flash: Array
    gain: float
    haze: float
    blur: float
    noise: float
    field: float
    cut: float
    notch: bool
    findings: tuple[str, ...]


def _arcade(
    random: np.random.Generator, disc: Array, up: int, height: float, radius: float
) -> list[Branch]:
    """A temporal arcade: round the macula in a bow, with twigs on both sides."""
    t = np.linspace(0, 1, 30)
    wobble = np.cumsum(random.normal(0, 0.012, (30, 2)), axis=0) * t[:, None] ** 0.5
    x = disc[0] + 0.10 * np.sin(np.pi * t) - 1.75 * t**1.5
    y = disc[1] + up * height * np.sin(np.pi * np.clip(t**0.75, 0, 1) * random.uniform(0.6, 0.85))
    path = np.stack([x, y], axis=1) + wobble
    tree = []
    for k in range(0, 27, 3):
        piece = path[k : k + 4]
        tree.append(Branch(piece, radius * (1 - 0.55 * t[k])))
    start = int(random.integers(3, 6))
    for k in range(start, 28, 3):
        along = path[k + 1] - path[k]
        along /= np.linalg.norm(along)
        normal = np.array([-along[1], along[0]])
        # Inwards twigs end before the fovea, outwards ones run to the edge of the field.
        inward = bool(random.random() < 0.55)
        towards = np.array([-0.55, 0.0]) - path[k] if inward else path[k] - [0.0, 0.0]
        sign = 1.0 if normal @ towards > 0 else -1.0
        tree += grow(
            random,
            path[k],
            0.8 * along + sign * normal,
            length=random.uniform(0.10, 0.16) if inward else random.uniform(0.16, 0.26),
            radius=radius * (1 - 0.5 * t[k]) * random.uniform(0.45, 0.7),
            generations=3,
            bend=0.45,
            fork=0.5,
        )
    return tree


def _vessels(random: np.random.Generator, disc: Array, radius: float) -> tuple[Branch, ...]:
    """One system (veins or arteries): two temporal arcades, nasal trees, small ones of the disc."""
    tree: list[Branch] = []
    for up in (-1, 1):
        root = disc + random.normal(0, 0.012, 2)
        tree += _arcade(random, root, up, random.uniform(0.48, 0.68), radius)
        for reach in (0.20, 0.13):
            tree += grow(
                random,
                root,
                np.array([random.uniform(0.3, 1.0), up * random.uniform(0.3, 1.1)]),
                length=reach * random.uniform(0.9, 1.3),
                radius=radius * (0.75 if reach > 0.15 else 0.4),
                generations=4,
                bend=0.35,
            )
    for _ in range(2):
        heading = np.array([-1.0, random.normal(0, 0.6)])
        tree += grow(
            random, disc, heading, length=0.12, radius=radius * 0.3, generations=3, bend=0.4
        )
    return tuple(tree)


@lru_cache(maxsize=4)  # The visits of a patient are drawn one after another.
def eye(patient_seed: int, side: str) -> Eye:
    """The anatomy of one eye (`side` ``R`` or ``L``); both of a patient share the colour."""
    person = generator("eyes", patient_seed)
    colour = np.array([0.84, 0.40, 0.18]) * person.normal(1, [0.05, 0.10, 0.18])
    pigment = float(person.uniform(0.015, 0.06))
    random = generator("eye", patient_seed, side)
    disc = np.array([random.uniform(0.56, 0.66), random.uniform(-0.08, 0.05)])
    texture = smooth_noise(random, (256, 256), 1.5) + smooth_noise(random, (256, 256), 7.0)
    radius = random.uniform(0.0135, 0.0175)
    return Eye(
        side=side,
        disc=disc,
        disc_size=np.array([random.uniform(0.105, 0.125), random.uniform(0.12, 0.145)]),
        cup=random.uniform(0.25, 0.6),
        macula=np.array([random.uniform(-0.04, 0.04), random.uniform(0.0, 0.08)]),
        colour=colour,
        pigment=pigment,
        texture=texture,
        veins=_vessels(random, disc, radius),
        arteries=_vessels(random, disc, radius * random.uniform(0.68, 0.8)),
    )


def photo(patient_seed: int, visit_seed: int, side: str) -> Photo:
    """Aim, flash, camera and findings of one visit."""
    random = generator("photo", patient_seed, visit_seed, side)
    chance = random.random(len(FINDINGS))
    findings = tuple(f for f, p in zip(FINDINGS, chance, strict=True) if p < 0.25)
    pose = Pose(
        scale=random.uniform(0.92, 1.06),
        angle=random.normal(0, 0.04),
        dx=random.normal(0, 0.035) - 0.12 * float(random.random() < 0.25),
        dy=random.normal(0, 0.03),
    )
    return Photo(
        pose=pose,
        tint=random.normal(1, [0.06, 0.06, 0.14]),
        flash=random.normal(0, 0.15, 2),
        gain=random.uniform(0.75, 1.2),
        haze=random.uniform(0.0, 0.22),
        blur=random.uniform(0.3, 1.3),
        noise=random.uniform(0.008, 0.025),
        field=float(random.choice([0.96, 0.99])),
        cut=float(random.choice([0.84, 1.1], p=[0.25, 0.75])),
        notch=bool(random.random() < 0.5),
        findings=findings,
    )


def _shadow(tree: tuple[Branch, ...], view: Photo, size: int, scale: float = 1.0) -> Array:
    """Where the vessels are, 0..1."""
    lines = []
    for branch in tree:
        xy = view.pose.points(branch.points, size)
        lines.append((xy, branch.radius * size * view.pose.scale * scale, 255))
    return draw_lines(lines, size, oversample=3 if size <= 512 else 2)


def _spots(
    random: np.random.Generator, size: int, pose: Pose, centre: Array, number: int, reach: float
) -> Array:
    """Soft blots around a point, 0..1."""
    lines = []
    for _ in range(number):
        at = centre + random.normal(0, 0.28, 2)
        wide, high = random.uniform(0.3, 0.8, 2) * reach
        for shrink in (1.0, 0.5):
            blot = ellipse(at[0], at[1], wide * shrink, high * shrink, random.uniform(0, 3))
            lines.append((pose.points(blot, size), 0.8 * reach * size, 255))
    return soften(draw_lines(lines, size), 1.2 * size / 512)


def _paint(anatomy: Eye, view: Photo, random: np.random.Generator, size: int) -> Array:
    """Colours of the retina before the camera, ``(size, size, 3)``."""
    x, y = view.pose.grid(size)
    texture = texture_at(anatomy.texture, x, y)
    level = 1 + anatomy.pigment * texture
    centre = np.hypot(x - anatomy.macula[0], y - anatomy.macula[1])
    level = level - 0.30 * np.exp(-((centre / 0.20) ** 2)) - 0.15 * np.exp(-((centre / 0.07) ** 2))
    picture = level[..., None] * anatomy.colour
    picture += 0.10 * np.exp(-((centre / 0.02) ** 2))[..., None]
    wide, high = anatomy.disc_size
    across = np.hypot((x - anatomy.disc[0]) / wide, (y - anatomy.disc[1]) / high)
    rim = expit((1 - across) * 14)
    cup = expit((1 - across / anatomy.cup) * 7)
    bright = np.array([1.05, 0.78, 0.42]) + cup[..., None] * [0.0, 0.20, 0.30]
    picture += rim[..., None] * 0.85 * (bright - picture)
    halo = np.exp(-(((across - 1.1) / 0.5) ** 2))[..., None]
    picture += 0.05 * halo * [1.0, 0.8, 0.5]
    veins = _shadow(anatomy.veins, view, size)[..., None]
    arteries = _shadow(anatomy.arteries, view, size)[..., None]
    reflex = _shadow(anatomy.arteries, view, size, 0.35)[..., None]
    picture *= 1 - arteries * [0.16, 0.42, 0.40]
    picture *= 1 - veins * [0.32, 0.62, 0.55]
    picture += 0.07 * reflex * [1.0, 0.7, 0.5]
    spread = {
        "Drusen": (40, 0.008, [0.25, 0.28, 0.10]),
        "Exudates": (25, 0.012, [0.30, 0.42, 0.15]),
        "Haemorrhages": (18, 0.022, [-0.35, -0.30, -0.15]),
    }
    for name in view.findings:
        number, reach, change = spread[name]
        blots = _spots(random, size, view.pose, anatomy.macula, number, reach)
        picture += blots[..., None] * np.array(change)
    return picture


def _camera(picture: Array, view: Photo, random: np.random.Generator) -> Array:
    """Flash, haze, blur, noise and the round mask of the camera."""
    size = picture.shape[0]
    axis = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
    u, v = np.meshgrid(axis, axis)
    far = (u - view.flash[0]) ** 2 + (v - view.flash[1]) ** 2
    light = view.gain * (0.65 + 0.45 * np.exp(-far / 1.3))
    picture = picture * light[..., None] * view.tint
    veil = np.array([0.55, 0.50, 0.45]) * (0.4 + 0.6 * np.hypot(u, v))[..., None]
    picture += view.haze * (veil - picture) * np.clip(0.3 + np.hypot(u, v), 0, 1)[..., None]
    blur = view.blur * size / 512
    picture = np.stack([soften(picture[..., k], blur) for k in range(3)], axis=-1)
    grain = [smooth_noise(random, (size, size), 0.6 * size / 512) for _ in range(3)]
    picture += view.noise * np.stack(grain, axis=-1)
    edge = (view.field - np.hypot(u, v)) * size / 2
    mask = np.clip(edge / 1.5, 0, 1) * (np.abs(v) < view.cut)
    if view.notch:
        mask = np.maximum(mask, (np.hypot(u - 0.72, v - 0.66) < 0.05) * 1.0)
    return np.clip(picture, 0, 1) * mask[..., None]


def fundus(
    patient_seed: int, visit_seed: int, size: int = 512, side: str = "R"
) -> NDArray[np.float32]:
    """A fundus photo, centred near the macula.

    Parameters
    ----------
    patient_seed
        Decides disc, macula, vessels, pigment and colour of either eye.
    visit_seed
        Decides aim, flash, camera, noise and findings (see `photo`).
    side
        ``R`` (disc at the right of the picture) or ``L``.

    Returns
    -------
    (size, size, 3) float32 in 0..1, RGB.
    """
    anatomy, view = eye(patient_seed, side), photo(patient_seed, visit_seed, side)
    random = generator("photo noise", patient_seed, visit_seed, side)
    picture = _paint(anatomy, view, random, size)
    if side == "L":
        picture = picture[:, ::-1]
    return _camera(picture, view, random).astype(np.float32)
