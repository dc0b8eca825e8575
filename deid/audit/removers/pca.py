"""A few numbers a picture."""

from __future__ import annotations

import numpy as np

from deid.audit.removers.registry import Change, Donors, Picture, remover


@remover("pca", parameter=30.0, least=1.0, most=1000.0, fitted=True)
def pca(components: float, donors: Donors) -> Change:
    """So many principal components of other patients' pictures."""
    rows = donors.squares.reshape(len(donors), -1).astype(np.float32) / 255.0
    mean = rows.mean(axis=0)
    rows -= mean
    # Few pictures, many pixels: the axes are combinations of the pictures.
    values, vectors = np.linalg.eigh(rows @ rows.T)
    kept = min(round(components), int((values > 1e-3 * values[-1] / len(values)).sum()))
    first = len(values) - kept  # where all pictures are equal none is kept
    axes = (vectors[:, first:] / np.sqrt(values[first:])).T @ rows

    def change(picture: Picture, code: np.random.Generator) -> Picture:
        flat = picture.reshape(-1) - mean
        found: Picture = (mean + (axes @ flat) @ axes).reshape(picture.shape).astype(np.float32)
        return found

    return change
