import numpy as np
import torch
from torch.nn.functional import normalize, softplus

from mami_core.models.verifier import LEVELS, NUMBERS, Verifier


def verifier() -> Verifier:
    made = Verifier()
    with torch.no_grad():
        made.strength.copy_(torch.randn(NUMBERS, generator=torch.Generator().manual_seed(0)))
    return made


def features(rows: int) -> torch.Tensor:
    return torch.randn(rows, NUMBERS, generator=torch.Generator().manual_seed(1))


def test_a_cosine_of_codes_is_one_less_twice_the_weighted_distance_of_the_numbers() -> None:
    made, rows = verifier(), features(40)
    with torch.no_grad():
        numbers, strength = torch.sigmoid(rows), softplus(made.strength)
        far = (numbers[:, None] - numbers[None]).abs() @ strength / strength.sum()
        codes = normalize(made.code(rows), dim=1)
    assert torch.allclose(codes @ codes.T, 1.0 - 2.0 * far, atol=2 / LEVELS)
    assert np.corrcoef((codes @ codes.T).flatten(), far.flatten())[0, 1] < -0.999


def test_its_loss_is_the_cross_entropy_of_pairs_of_one_person_and_of_two() -> None:
    made, query, gallery = verifier(), features(6)[:3], features(6)[3:]
    same = torch.eye(3, dtype=torch.bool)
    # Row 0 meets row 2, who is the same person: no pair of two people.
    same[0, 2] = True
    with torch.no_grad():
        pairs = [(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0), (1, 0, 0.0), (2, 1, 0.0)]
        losses = []
        for asked, held, label in pairs:
            far = (torch.sigmoid(query[asked]) - torch.sigmoid(gallery[held])).abs()
            logit = made.bias - (far * softplus(made.strength)).sum() / 4.0
            chance = float(torch.sigmoid(logit))
            losses.append(-np.log(chance if label else 1.0 - chance))
        by_hand = np.mean(losses[:3]) + np.mean(losses[3:])
        assert abs(float(made.loss(query, gallery, same, shift=2)) - by_hand) < 1e-5
