"""Data sets: records, pictures, and the one preprocessing for every model."""

from __future__ import annotations

from mami_core.data.dataset import Dataset, open_dataset
from mami_core.data.known import known, modality_of
from mami_core.data.record import DatasetError, Record, UndecodableError, no_images, split_of
from mami_core.data.reserved import reserved
from mami_core.data.square import square

__all__ = [
    "Dataset",
    "DatasetError",
    "Record",
    "UndecodableError",
    "known",
    "modality_of",
    "no_images",
    "open_dataset",
    "reserved",
    "split_of",
    "square",
]
