"""The people that an image is searched among: bundled embeddings of one modality."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deid.risk.tail import Level, pareto_shape

Array = NDArray[np.float64]

#: Most people in a cohort, and fewest real patients with a second visit or photo behind a number.
MOST, FEWEST_PATIENTS = 1000, 30

#: From this cosine on two images are taken for the same person's, unless different people of the
#: cohort come closer; the same picture always is. Among the X-rays of the packed sets different
#: people reach 0.71, two visits of one person 0.81, copies of a picture at half its size 0.99, at
#: JPEG quality 50 from 0.83 on.
SAME_PERSON, SAME_PICTURE = 0.8, 0.99

#: Directions keep a byte a number: cosines move by less than 0.005.
_DIRECTIONS = ("images", "empty")
_ARRAYS = {
    "images": np.int8,
    "owner": np.int32,
    "shown": np.bool_,
    "empty": np.int8,
    "kept": np.float32,
    "own_place": np.float32,
    "mate_place": np.float32,
    "weight": np.float32,
}


@dataclass(frozen=True)
class Cohort:
    """Impostors for one encoder and modality, and how visits of one person relate.

    Attributes
    ----------
    modality
        ``xray`` or ``fundus``.
    images, owner
        ``(m, d)`` directions of the single images and whose they are, 0 to n - 1; a person who is
        searched for is left out by them.
    shown
        Which of them a person's place in the gallery is made of, ``(m,)``; at least one of each.
    empty
        ``(k, d)`` directions of pictures without anybody: noise, blank, gradients.
    kept, own_place, mate_place, weight
        The regression's rows ``(r,)``: cosine of an edited image with its own original; places (see
        `Level`) of its similarity to its own original and to another visit of the person; weight.
    patients
        Real patients with a second visit or photo behind the regression.
    sources
        People by source.
    kinds
        Patients by what their second image is (visit, same_eye, bilateral).
    encoder
        SHA-256 of the encoder's weights.
    """

    modality: str
    images: Array
    owner: NDArray[np.int32]
    shown: NDArray[np.bool_]
    empty: Array
    kept: Array
    own_place: Array
    mate_place: Array
    weight: Array
    patients: int
    sources: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)
    encoder: str = ""

    def save(self, path: Path) -> None:
        """Write safetensors: directions a byte a number, counts in the metadata."""
        from safetensors.numpy import save_file

        arrays = {name: getattr(self, name) for name in _ARRAYS}
        for name in _DIRECTIONS:
            most = np.abs(arrays[name]).max(axis=1, keepdims=True)
            arrays[name] = np.rint(127 * arrays[name] / np.where(most > 0, most, 1.0))
        arrays = {
            name: np.ascontiguousarray(array, dtype=_ARRAYS[name]) for name, array in arrays.items()
        }
        rest = {
            item.name: getattr(self, item.name) for item in fields(self) if item.name not in _ARRAYS
        }
        save_file(arrays, path, metadata={"cohort": json.dumps(rest, sort_keys=True)})

    @classmethod
    def load(cls, path: Path) -> Cohort:
        """Read what `save` wrote; the caller has checked the file's hash."""
        from safetensors import safe_open

        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
            rest = json.loads(file.metadata()["cohort"])
        wide = {
            name: array if name in ("owner", "shown") else array.astype(np.float64)
            for name, array in arrays.items()
        }
        return cls(**wide | {name: directions(wide[name]) for name in _DIRECTIONS}, **rest)

    @cached_property
    def people(self) -> Array:
        """``(n, d)`` directions: the mean of each person's images."""
        sums = np.zeros((int(self.owner.max(initial=-1)) + 1, self.images.shape[1]))
        np.add.at(sums, self.owner[self.shown], self.images[self.shown])
        return directions(sums)

    @cached_property
    def shape(self) -> float:
        """Shape of the impostor tail, from every person searched among the others."""
        scores = self.people @ self.people.T
        excesses = []
        for index, row in enumerate(scores):
            place = Level.of(others := np.delete(row, index)).place(others)
            excesses.append(place[place > 0])
        return pareto_shape(np.concatenate(excesses))

    @cached_property
    def reach(self) -> float:
        """The largest cosine that says nothing of being the same person."""
        scores = self.images @ self.images.T
        scores[self.owner[:, None] == self.owner[None, :]] = -1.0
        return min(max(SAME_PERSON, float(scores.max())), SAME_PICTURE)

    @cached_property
    def slope(self) -> tuple[float, float]:
        """Slope and intercept of the place of another visit on the place of the own original."""
        root = np.sqrt(self.weight)
        design = np.stack([self.own_place, np.ones_like(self.own_place)], axis=1)
        solved = np.linalg.lstsq(design * root[:, None], self.mate_place * root, rcond=None)[0]
        return float(solved[0]), float(solved[1])

    def impostors(self, pictures: Array) -> NDArray[np.intp]:
        """The people who are not seen in `pictures` ``(k, d)``."""
        same = (self.images @ pictures.T > self.reach).any(axis=1)
        return np.setdiff1d(np.arange(len(self.people)), self.owner[same])

    def shows_nobody(self, original: Array) -> bool:
        """Whether a picture is nearer to noise or a blank than to any person."""
        return bool((self.empty @ original).max() > (self.people @ original).max())


def directions(embeddings: NDArray[np.floating]) -> Array:
    """Vectors brought to length one, along the last axis; zeros stay zeros."""
    rows = np.asarray(embeddings, dtype=np.float64)
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / np.where(length > 0, length, 1.0)
