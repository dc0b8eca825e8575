"""What every phantom is drawn with: seeded randomness, a pose, smooth noise, strokes and trees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Array = NDArray[np.float64]


def generator(*parts: int | str) -> np.random.Generator:
    """A random generator that depends on `parts` alone, the same on every machine."""
    digest = hashlib.sha256("\x1f".join(str(part) for part in parts).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))


@dataclass(frozen=True)
class Pose:
    """How a body stands before the detector: an affine map, and parallax of front against back.

    Anatomy lives in coordinates ``(x, y)`` with the picture's frame at about -1..1, y downwards.

    Attributes
    ----------
    scale, stretch
        Magnification, and the additional one along y.
    angle
        Rotation in the picture plane (radians).
    dx, dy
        Shift in anatomy units.
    yaw, pitch
        Shift in anatomy units of what lies at depth 1 (front) relative to depth 0.
    """

    scale: float = 1.0
    stretch: float = 1.0
    angle: float = 0.0
    dx: float = 0.0
    dy: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0

    def _matrix(self) -> Array:
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        rotation = np.array([[cos, -sin], [sin, cos]])
        return self.scale * rotation @ np.diag([1.0, self.stretch])

    def points(self, xy: Array, size: int, depth: float = 0.0) -> Array:
        """Pixel coordinates ``(n, 2)`` (x, y) of anatomy points ``(n, 2)`` at one depth."""
        moved = np.asarray(xy, dtype=np.float64) + depth * np.array([self.yaw, self.pitch])
        unit = moved @ self._matrix().T + np.array([self.dx, self.dy])
        return (unit + 1.0) * (size / 2.0) - 0.5

    def grid(self, size: int) -> tuple[Array, Array]:
        """Anatomy coordinates of every pixel at depth 0: two arrays ``(size, size)``."""
        axis = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
        x, y = np.meshgrid(axis - self.dx, axis - self.dy)
        inverse = np.linalg.inv(self._matrix())
        return inverse[0, 0] * x + inverse[0, 1] * y, inverse[1, 0] * x + inverse[1, 1] * y


def smooth_noise(
    random: np.random.Generator, shape: tuple[int, ...], sigma: float
) -> NDArray[np.float64]:
    """Gaussian noise of unit spread, correlated over `sigma` pixels.

    Long correlations are drawn on a coarse grid and enlarged: a filter of that length would
    take most of the time of a picture.
    """
    step = max(1, int(sigma // 2))
    coarse = tuple(-(-side // step) + 3 for side in shape)
    noise = ndimage.gaussian_filter(random.standard_normal(coarse), sigma / step)
    noise /= max(float(noise.std()), 1e-12)
    if step == 1:
        return noise[tuple(slice(side) for side in shape)]
    axes = [np.linspace(0, side / step, side) for side in shape]
    return ndimage.map_coordinates(noise, np.meshgrid(*axes, indexing="ij"), order=1)


def texture_at(field: Array, x: Array, y: Array) -> Array:
    """Values of a square texture that covers anatomy -1.5..1.5, at anatomy coordinates."""
    scale = (field.shape[0] - 1) / 3.0
    coordinates = np.stack([(y + 1.5) * scale, (x + 1.5) * scale])
    return ndimage.map_coordinates(field, coordinates, order=1, mode="nearest")


def add_polygon(canvas: Array, xy: Array, value: float) -> None:
    """Add `value` to the pixels of `canvas` inside the polygon ``(n, 2)`` (x, y) in pixels."""
    rows, columns = canvas.shape
    left, top = np.clip(np.floor(xy.min(0)).astype(int), 0, [columns, rows])
    right, bottom = np.clip(np.ceil(xy.max(0)).astype(int) + 1, 0, [columns, rows])
    if right <= left or bottom <= top:
        return
    mask = Image.new("L", (int(right - left), int(bottom - top)))
    corners = [(float(x), float(y)) for x, y in xy - [left, top]]
    ImageDraw.Draw(mask).polygon(corners, fill=1)
    canvas[top:bottom, left:right] += value * np.asarray(mask)


def soften(picture: Array, sigma: float) -> Array:
    """Gaussian blur; a long one is made on a reduced picture, where it costs next to nothing."""
    step = int(sigma // 4)
    if step < 2:
        return ndimage.gaussian_filter(picture, sigma)
    rows, columns = picture.shape
    small = (-(-columns // step), -(-rows // step))
    image = Image.fromarray(picture.astype(np.float32))
    reduced = np.asarray(image.resize(small, Image.Resampling.BOX), np.float64)
    blurred = ndimage.gaussian_filter(reduced, sigma / step).astype(np.float32)
    back = Image.fromarray(blurred).resize((columns, rows), Image.Resampling.BICUBIC)
    return np.asarray(back, np.float64)


def rounded(corners: Array, times: int = 3) -> Array:
    """A closed polygon ``(n, 2)`` with its corners cut `times` over (Chaikin's scheme)."""
    xy = np.asarray(corners, np.float64)
    for _ in range(times):
        after = np.roll(xy, -1, axis=0)
        xy = np.stack([0.75 * xy + 0.25 * after, 0.25 * xy + 0.75 * after], 1).reshape(-1, 2)
    return xy


def outline(xy: Array, half_width: Array | float) -> Array:
    """The polygon around a polyline ``(n, 2)`` with the given half width along it."""
    tangent = np.gradient(xy, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    offset = normal * np.broadcast_to(np.asarray(half_width, np.float64), len(xy))[:, None]
    return np.concatenate([xy + offset, (xy - offset)[::-1]])


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> Array:
    """Sixty-four points ``(64, 2)`` on an ellipse turned by `angle` radians."""
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    x, y = rx * np.cos(t), ry * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cx + cos * x - sin * y, cy + sin * x + cos * y], axis=1)


@dataclass(frozen=True)
class Branch:
    """A piece of a vessel: points ``(n, d)`` and its radius, in anatomy units."""

    points: Array
    radius: float


def grow(
    random: np.random.Generator,
    start: Array,
    heading: Array,
    *,
    length: float,
    radius: float,
    generations: int,
    bend: float = 0.25,
    fork: float = 0.55,
) -> list[Branch]:
    """A branching tree in two or three dimensions.

    Parameters
    ----------
    start, heading
        Where the trunk begins and its direction, ``(d,)``.
    bend
        Spread of the change of direction a step; ``fork`` that of the two children of a branch.
    """
    steps = 6
    points = [np.asarray(start, np.float64)]
    direction: Array = np.asarray(heading, np.float64) / np.linalg.norm(heading)
    for _ in range(steps):
        direction = direction + random.normal(0, bend / np.sqrt(steps), direction.shape)
        direction = direction / np.linalg.norm(direction)
        points.append(points[-1] + direction * length / steps)
    tree = [Branch(np.array(points), radius)]
    if generations <= 1:
        return tree
    drawn: Array = random.normal(0, 1, direction.shape)
    across = drawn - np.dot(drawn, direction) * direction
    spread = across / max(float(np.linalg.norm(across)), 1e-9)
    share = random.uniform(0.35, 0.65)
    for sign, part in ((1.0, share), (-1.0, 1 - share)):
        tree += grow(
            random,
            points[-1],
            direction + sign * fork * (1.35 - part) * spread,
            length=length * random.uniform(0.7, 0.95),
            radius=radius * float(np.sqrt(part)) * 1.05,
            generations=generations - 1,
            bend=bend,
            fork=fork,
        )
    return tree


def draw_lines(
    lines: list[tuple[Array, float, int]], size: int, *, oversample: int = 2
) -> NDArray[np.float64]:
    """Antialiased polylines on black, ``(size, size)`` in 0..1.

    Parameters
    ----------
    lines
        Points ``(n, 2)`` (x, y) in pixels, width in pixels, and level 0..255; thicker lines
        are drawn last, so that a trunk is never cut by its own twig.
    """
    canvas = Image.new("L", (size * oversample, size * oversample))
    pen = ImageDraw.Draw(canvas)
    for xy, width, level in sorted(lines, key=lambda line: line[1]):
        # A line thinner than the canvas' pixel keeps its width and is fainter instead.
        pixels = width * oversample
        shade = round(level * min(1.0, pixels))
        flat = [tuple(point) for point in (xy + 0.5) * oversample]
        pen.line(flat, fill=shade, width=max(1, round(pixels)), joint="curve")
    reduced = canvas.resize((size, size), Image.Resampling.BOX)
    return np.asarray(reduced, np.float64) / 255.0
