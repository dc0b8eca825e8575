"""The bundled networks without the de-identifier: who is alike, and what a diagnosis sees.

python examples/mami_core_as_a_library.py DATA
"""

from __future__ import annotations

import sys

import numpy as np
import torch

from mami_core.data import open_dataset
from mami_core.evaluation import auc
from mami_core.weights import load


def main(data: str) -> dict[str, float]:
    """AUC of the identity encoder over pairs of images, and mean probability of each finding."""
    dataset = open_dataset(data)
    encoder, medical = load("mami_tiny"), load("mfm_tiny")
    images = torch.from_numpy(dataset.squares(encoder.facts["image"])).float() / 255.0
    with torch.inference_mode():
        identity = torch.cat([encoder.model(part).identity for part in images.split(16)])
        logits = torch.cat([medical.model(part).logits for part in images.split(16)])
        findings = medical.model.probabilities(logits).mean(dim=0)
    vectors = torch.nn.functional.normalize(identity, dim=1).double().numpy()
    person = np.array(["/".join(record.person) for record in dataset.records])
    first, second = np.triu_indices(len(person), 1)
    scores, same = (vectors @ vectors.T)[first, second], person[first] == person[second]
    figures = dict(zip(medical.facts["findings"], findings.tolist(), strict=True))
    return {"auc": auc(scores[same], scores[~same]), **figures}


if __name__ == "__main__":
    for name, value in main(sys.argv[1]).items():
        print(f"{name:24} {value:.3f}")
