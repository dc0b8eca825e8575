"""The bundled networks without the de-identifier: who is alike, and what a diagnosis sees.

python examples/mami_core_as_a_library.py DATA
"""

from __future__ import annotations

import sys

import numpy as np

from mami_core.data import open_dataset
from mami_core.evaluation import auc
from mami_core.evaluation.embed import Embedder, embedder, embeddings, in_batches
from mami_core.weights import load


def main(data: str) -> dict[str, float]:
    """AUC of the identity encoder over pairs of images, and mean probability of each finding.

    A finding is asked of the images of its own modality alone.
    """
    dataset = open_dataset(data)
    identity = embeddings(embedder("mami_tiny", "cpu"), dataset).astype(np.float64)
    vectors = identity / np.linalg.norm(identity, axis=1, keepdims=True)
    person = np.array(["/".join(record.person) for record in dataset.records])
    first, second = np.triu_indices(len(person), 1)
    scores, same = (vectors @ vectors.T)[first, second], person[first] == person[second]

    medical = load("mfm_tiny")
    look = in_batches(lambda x: medical.model.probabilities(medical.model(x).logits), "cpu")
    told = embeddings(Embedder(look, medical.facts["image"], medical.sha256), dataset)
    modality = np.array([record.modality for record in dataset.records])
    findings = {
        name: float(column[modality == name.split(":")[0]].mean())
        for name, column in zip(medical.facts["findings"], told.T, strict=True)
        if (modality == name.split(":")[0]).any()
    }
    return {"auc": auc(scores[same], scores[~same]), **findings}


if __name__ == "__main__":
    for name, value in main(sys.argv[1]).items():
        print(f"{name:24} {value:.3f}")
