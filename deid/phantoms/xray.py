"""A chest X-ray of an invented patient, drawn as the sum of what the beam passes through."""

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
    add_polygon,
    draw_lines,
    ellipse,
    generator,
    grow,
    outline,
    rounded,
    smooth_noise,
    soften,
)

FINDINGS = ("Cardiomegaly", "Effusion", "Nodule", "Pneumonia")


@dataclass(frozen=True)
class Rib:
    """One rib of one side, in anatomy units: its back part and its front part, and its width."""

    back: Array
    front: Array
    width: float


@dataclass(frozen=True)
class Chest:
    """What stays with a patient: drawn from the patient's seed alone."""

    width: float
    apex: float
    domes: tuple[float, float]
    heart: Array
    knob: float
    ribs: tuple[Rib, ...]
    vertebrae: Array
    clavicles: tuple[Array, Array]
    scapulae: tuple[Array, Array]
    shoulder: float
    fat: float
    vessels: tuple[tuple[tuple[Branch, ...], float], ...]
    wall: Array


@dataclass(frozen=True)
class Exam:
    """What belongs to one visit: pose, exposure, noise and findings."""

    view: str
    pose: Pose
    breath: float
    findings: tuple[str, ...]
    leads: bool
    gamma: float
    low: float
    high: float
    local: float
    noise: float
    scatter: float


def _wall(chest_width: float, wobble: Array, y: Array, side: int) -> Array:
    """Distance of the inner chest wall from the midline at height `y`."""
    base = chest_width * np.sqrt(np.clip(1 - ((y - 0.35) / 1.2) ** 2, 0.02, 1))
    k = 0 if side < 0 else 1
    return base * (1 + wobble[k, 0] * np.sin(3 * y) + wobble[k, 1] * np.cos(5 * y))


def _ribs(random: np.random.Generator, width: float, wobble: Array) -> tuple[Rib, ...]:
    """Ten pairs; spacing, slope, sag and width are the patient's, each rib a little its own."""
    spacing = random.uniform(0.108, 0.132)
    first = random.uniform(-0.80, -0.72)
    slope = random.uniform(0.02, 0.16)
    sag = random.uniform(0.00, 0.07)
    thick = random.uniform(0.020, 0.028)
    t = np.linspace(0, 1, 40)
    ribs = []
    for index in range(10):
        shared = random.normal(0, 0.012)
        for side in (-1, 1):
            top = first + spacing * index + shared + random.normal(0, 0.008)
            drop = slope + 0.02 * index + random.normal(0, 0.015)
            end = float(_wall(width, wobble, np.array(top + drop), side)) * 0.99
            x = 0.06 + (end - 0.06) * np.sin(t * np.pi / 2)
            y = top - sag * np.sin(np.pi * t) + drop * t**2.5
            rise = 0.16 + 0.022 * index + random.normal(0, 0.02)
            inner = 0.26 + 0.022 * index + random.normal(0, 0.02)
            u = t[:30] / t[29]
            front_x = end - (end - inner) * (1 - np.cos(u * np.pi / 2))
            front_y = y[-1] + rise * np.sin(u * np.pi / 2) ** 1.2
            ribs.append(
                Rib(
                    np.stack([side * x, y], axis=1),
                    np.stack([side * front_x, front_y], axis=1),
                    thick * random.uniform(0.9, 1.1),
                )
            )
    return tuple(ribs)


def _vessels(
    random: np.random.Generator,
) -> tuple[tuple[tuple[Branch, ...], float], ...]:
    """Pulmonary vessels: trees out of both hila, each with a depth, so that yaw moves them."""
    trees = []
    for side in (-1, 1):
        hilum = np.array([side * random.uniform(0.15, 0.19), random.uniform(-0.10, 0.0)])
        for angle in np.linspace(-1.35, 1.25, 9):
            turn = angle + random.normal(0, 0.12)
            heading = np.array([side * np.cos(turn), np.sin(turn)])
            tree = grow(
                random,
                hilum + random.normal(0, 0.03, 2),
                heading,
                length=random.uniform(0.12, 0.18),
                radius=random.uniform(0.008, 0.013),
                generations=5,
                bend=0.35,
            )
            trees.append((tuple(tree), random.uniform(-0.8, 0.8)))
    return tuple(trees)


@lru_cache(maxsize=4)  # The visits of a patient are drawn one after another.
def chest(patient_seed: int) -> Chest:
    """The anatomy of a patient."""
    random = generator("chest", patient_seed)
    width = random.uniform(0.62, 0.76)
    wobble = random.normal(0, 0.025, (2, 2))
    steps = np.linspace(-1.2, 1.3, 19)
    bow = random.normal(0, 0.03) * np.sin(2.2 * steps + random.uniform(0, 6))
    vertebrae = np.stack([bow, steps * random.uniform(0.97, 1.03)], axis=1)
    clavicles, scapulae = [], []
    lift = random.uniform(-0.14, 0.04)
    for side in (-1, 1):
        t = np.linspace(0, 1, 24)
        rise = lift + random.normal(0, 0.02)
        x = side * (0.07 + 0.72 * t)
        curve = -0.63 + rise * t + random.uniform(0.03, 0.06) * np.sin(2 * np.pi * t)
        clavicles.append(np.stack([x, curve], axis=1))
        inner = random.uniform(0.60, 0.70)
        blade = [[inner, -0.55], [inner - 0.02, -0.2], [inner + 0.1, 0.12], [0.86, -0.45]]
        scapulae.append(np.array(blade) * [side, 1] + random.normal(0, 0.015, (4, 2)))
    size = random.uniform(0.9, 1.12)
    tilt = random.uniform(0.3, 0.7)
    left = ellipse(random.uniform(0.11, 0.17), 0.17, 0.31 * size, 0.23 * size, tilt)
    right = ellipse(random.uniform(-0.09, -0.05), 0.13, 0.13 * size, 0.25 * size, 0.1)
    return Chest(
        width=width,
        apex=random.uniform(-0.80, -0.70),
        domes=(random.uniform(0.24, 0.34), random.uniform(0.30, 0.40)),
        heart=np.stack([left, right]),
        knob=random.uniform(0.06, 0.10),
        ribs=_ribs(random, width, wobble),
        vertebrae=vertebrae,
        clavicles=(clavicles[0], clavicles[1]),
        scapulae=(scapulae[0], scapulae[1]),
        shoulder=random.uniform(0.93, 1.08),
        fat=random.uniform(0.05, 0.22),
        vessels=_vessels(random),
        wall=wobble,
    )


def exam(patient_seed: int, visit_seed: int) -> Exam:
    """Pose, exposure, noise and findings of one visit."""
    random = generator("chest exam", patient_seed, visit_seed)
    chance = random.random(len(FINDINGS))
    rates = (0.15, 0.25, 0.2, 0.3)
    findings = tuple(f for f, p, rate in zip(FINDINGS, chance, rates, strict=True) if p < rate)
    view = "AP" if random.random() < 0.4 else "PA"
    pose = Pose(
        scale=random.uniform(0.92, 1.06),
        stretch=random.uniform(0.97, 1.03),
        angle=random.normal(0, 0.025),
        dx=random.normal(0, 0.03),
        dy=random.normal(0, 0.04),
        yaw=random.normal(0, 0.03),
        pitch=random.normal(-0.05 if view == "AP" else 0.0, 0.03),
    )
    return Exam(
        view=view,
        pose=pose,
        breath=random.normal(-0.03 if view == "AP" else 0.03, 0.04),
        findings=findings,
        leads=bool(random.random() < (0.6 if view == "AP" else 0.1)),
        gamma=random.uniform(0.8, 1.5),
        low=random.uniform(0.02, 0.20),
        high=random.uniform(1.25, 1.7),
        local=random.uniform(0.1, 0.6),
        noise=random.uniform(0.006, 0.02),
        scatter=random.uniform(0.02, 0.12),
    )


def _lung(body: Chest, view: Exam, side: int) -> Array:
    """Outline ``(n, 2)`` of a lung: chest wall, diaphragm with its dome, mediastinum."""
    dome = body.domes[0 if side < 0 else 1] + view.breath
    angle = dome + 0.20
    y = np.linspace(body.apex, angle, 50)
    wall = _wall(body.width, body.wall, y, side) * 0.95
    # The apex closes like a dome.
    wall = 0.16 + (wall - 0.16) * np.sqrt(np.clip((y - body.apex) / 0.28, 0, 1))
    x = np.linspace(wall[-1], 0.12, 30)
    across = (x - 0.12) / (wall[-1] - 0.12)
    floor = dome + (angle - dome) * np.clip(1.6 * np.abs(across - 0.42), 0, 1) ** 2.2
    up = np.linspace(floor[-1], body.apex, 20)
    middle = 0.10 + 0.03 * np.sin(4 * up)
    xs = np.concatenate([wall, x, middle])
    return np.stack([side * xs, np.concatenate([y, floor, up])], axis=1)


def _torso(body: Chest) -> Array:
    """Outline ``(n, 2)`` of neck, shoulders and trunk."""
    s, w = body.shoulder, body.width + 0.10 + body.fat
    right = [[0.20, -1.6], [0.21, -0.98], [0.34, -0.86], [0.8 * s, -0.74], [1.05 * s, -0.62]]
    right += [[1.16 * s, -0.3], [1.13 * s, 0.3], [1.12 * s, 1.6]]
    half = np.array(right)
    gap = np.array([[1.13 * s, 0.35], [w + 0.02, 0.1], [w, 0.5], [w + 0.05, 1.6]])
    half = np.concatenate([half[:6], gap[1:]]) if s > 1.0 else half
    return rounded(np.concatenate([half, half[::-1] * [-1, 1]]))


def _soft_tissue(body: Chest, view: Exam, size: int) -> tuple[Array, Array]:
    """Absorption of the trunk without bone, and the lungs' share ``(size, size)`` of 0..1."""
    unit = size / 512
    trunk, lungs, heart = (np.zeros((size, size)) for _ in range(3))
    add_polygon(trunk, view.pose.points(_torso(body), size), 1.0)
    trunk = trunk * (0.35 + 0.65 * soften(trunk, 38 * unit))
    for side in (-1, 1):
        add_polygon(lungs, view.pose.points(_lung(body, view, side), size), 1.0)
    lungs = np.clip(lungs, 0, 1)
    depth = 0.35 + 0.65 * soften(lungs, 20 * unit)
    lungs = soften(lungs, 1.6 * unit)
    grown = 1.28 if "Cardiomegaly" in view.findings else 1.0
    for part in body.heart:
        shape = (part - part.mean(0)) * [grown, 0.95 * grown] + part.mean(0)
        shape = np.add(shape, [0.0, 0.6 * view.breath])
        add_polygon(heart, view.pose.points(shape, size, 0.5), 1.0)
    middle = np.array([[-0.13, -0.62], [0.13, -0.62], [0.16, 0.0], [0.2, 0.5], [-0.16, 0.5]])
    knob = ellipse(0.12, -0.30, body.knob, body.knob * 1.1)
    for shape in (middle, knob, ellipse(-0.15, -0.04, 0.05, 0.1), ellipse(0.17, -0.08, 0.05, 0.09)):
        add_polygon(heart, view.pose.points(shape, size, 0.2), 0.38)
    heart = soften(np.clip(heart, 0, 1), 5.0 * unit)
    airway = np.zeros((size, size))
    add_polygon(airway, view.pose.points(outline(_TRACHEA, 0.036), size), 1.0)
    airway = soften(airway, 2.5 * unit)
    # Below the diaphragm the abdomen is already as thick as it gets: the heart adds nothing.
    _, y = view.pose.grid(size)
    heart *= expit((sum(body.domes) / 2 + view.breath + 0.06 - y) / 0.05)
    tissue = trunk - 0.52 * lungs * depth + 0.27 * heart - 0.06 * airway
    return tissue, lungs * (1 - 0.75 * heart)


_TRACHEA = np.array([[0.0, -1.1], [0.0, -0.7], [-0.01, -0.45], [-0.015, -0.24]])


def _bones(body: Chest, view: Exam, size: int) -> Array:
    """Absorption of ribs, spine, clavicles and shoulder blades."""
    unit = size / 512
    pose = view.pose
    bone = np.zeros((size, size))
    half = size / 2 * pose.scale
    # Ribs swing up and out with a breath; those far from the spine more.
    for rib in body.ribs:
        swing = np.abs(rib.back[:, :1]) * [0, -0.35 * view.breath]
        back = pose.points(rib.back - swing, size, -0.8)
        add_polygon(bone, outline(back, rib.width * half), 0.095)
        add_polygon(bone, outline(back, rib.width * half * 0.62), -0.035)
        front = pose.points(np.add(rib.front, [0, 0.5 * view.breath]), size, 0.9)
        add_polygon(bone, outline(front, rib.width * half * 1.15), 0.05)
        add_polygon(bone, outline(front, rib.width * half * 0.75), -0.02)
    for index, (x, y) in enumerate(body.vertebrae):
        high = 0.052 + 0.0012 * index
        box = np.array([[-0.075, -high], [0.075, -high], [0.066, 0], [0.075, high], [-0.075, high]])
        add_polygon(bone, pose.points(np.add(box, [x, y]), size, -0.7), 0.08)
        for side in (-1, 1):
            pedicle = ellipse(x + side * 0.045, y - 0.01, 0.014, 0.02)
            add_polygon(bone, pose.points(pedicle, size, -0.8), 0.035)
    for collar, blade in zip(body.clavicles, body.scapulae, strict=True):
        line = pose.points(collar, size, 0.8)
        add_polygon(bone, outline(line, 0.030 * half), 0.09)
        add_polygon(bone, outline(line, 0.020 * half), -0.03)
        add_polygon(bone, pose.points(rounded(blade), size, -1.0), 0.045)
        rim = pose.points(rounded(blade)[:12], size, -1.0)
        add_polygon(bone, outline(rim, 0.010 * half), 0.03)
    return soften(bone, 0.9 * unit)


def _vessel_shadow(body: Chest, view: Exam, size: int) -> Array:
    """Absorption of the pulmonary vessels, 0..1."""
    lines = []
    for tree, depth in body.vessels:
        for branch in tree:
            stretch = [1.0, 1.0 + 0.8 * view.breath]
            xy = view.pose.points(branch.points * stretch, size, depth)
            width = branch.radius * size * view.pose.scale
            lines.append((xy, width, round(min(255, 70 + 14000 * branch.radius))))
    return soften(draw_lines(lines, size), 0.6 * size / 512)


def _findings(random: np.random.Generator, view: Exam, lungs: Array, body: Chest) -> Array:
    """Absorption that this visit's findings add inside the lungs."""
    size = lungs.shape[0]
    x, y = view.pose.grid(size)
    added = np.zeros((size, size))
    side = int(random.choice([-1, 1]))
    if "Pneumonia" in view.findings:
        cx, cy = side * random.uniform(0.25, 0.5), random.uniform(-0.3, 0.25)
        spread = random.uniform(0.10, 0.2)
        cloud = np.exp(-((x - cx) ** 2 + (0.8 * (y - cy)) ** 2) / (2 * spread**2))
        mottle = smooth_noise(random, (size, size), 9 * size / 512)
        added += 0.30 * cloud * np.clip(0.75 + 0.35 * mottle, 0, 1.6)
    if "Nodule" in view.findings:
        cx, cy = -side * random.uniform(0.25, 0.5), random.uniform(-0.45, 0.2)
        reach = random.uniform(0.02, 0.045)
        distance = np.hypot(x - cx, y - cy) / reach
        added += 0.16 * expit(9 * (1 - distance))
    added *= lungs
    if "Effusion" in view.findings:
        level = body.domes[0 if side < 0 else 1] + view.breath + random.uniform(-0.25, 0.1)
        rim = level - 0.9 * np.clip(np.abs(x) / body.width - 0.55, 0, 1) ** 2
        fluid = expit((y - rim) / 0.015) * (np.sign(x) == side)
        added += 0.40 * fluid * lungs
    return added


def _leads(random: np.random.Generator, view: Exam, size: int) -> Array:
    """Wires and electrodes on the skin."""
    lines = []
    for _ in range(3):
        start = random.uniform([-0.8, -0.6], [0.8, 0.5])
        tree = grow(
            random,
            start,
            random.normal(0, 1, 2),
            length=random.uniform(0.6, 1.4),
            radius=0.004,
            generations=1,
            bend=0.9,
        )
        xy = view.pose.points(tree[0].points, size, 1.1)
        lines.append((xy, 0.006 * size, 255))
        dot = view.pose.points(ellipse(start[0], start[1], 0.02, 0.02), size, 1.1)
        lines.append((dot, 0.008 * size, 255))
    return draw_lines(lines, size)


def chest_xray(patient_seed: int, visit_seed: int, size: int = 512) -> NDArray[np.float32]:
    """A frontal chest X-ray.

    Parameters
    ----------
    patient_seed
        Decides ribs, spine, heart, lungs and vessels: the same at each visit.
    visit_seed
        Decides pose, breath, exposure, noise and findings (see `exam`).
    size
        Side of the square picture in pixels; half the size is the same picture, coarser.

    Returns
    -------
    (size, size) float32 in 0..1, air dark and bone bright (MONOCHROME2).
    """
    body, view = chest(patient_seed), exam(patient_seed, visit_seed)
    random = generator("chest noise", patient_seed, visit_seed)
    unit = size / 512
    tissue, lungs = _soft_tissue(body, view, size)
    absorbed = tissue + _bones(body, view, size) * np.clip(3 * tissue, 0, 1)
    absorbed += 0.12 * _vessel_shadow(body, view, size) * lungs
    absorbed += _findings(random, view, lungs, body)
    if view.leads:
        absorbed += 0.25 * _leads(random, view, size)
    absorbed += view.scatter * soften(absorbed, 30 * unit)
    blurred = soften(absorbed, 24 * unit)
    absorbed += view.local * (absorbed - blurred)
    # Fewer quanta come through where more is absorbed.
    grain = smooth_noise(random, (size, size), 0.7 * unit)
    absorbed += view.noise * grain * np.exp(0.6 * absorbed)
    shown = np.clip((absorbed - view.low) / (view.high - view.low), 0, 1) ** view.gamma
    return shown.astype(np.float32)
