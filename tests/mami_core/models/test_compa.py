from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from mami_core.models.compa import Factors, GroupedLinear, ModalityContext, ParameterNet


def _net(groups: int = 4) -> ParameterNet:
    return ParameterNet(16, {"qkv": (16, 48), "fc1": (16, 64)}, 2, rank=2, hidden=32, groups=groups)


def test_an_update_in_factored_form_equals_the_merged_matrix() -> None:
    generator = torch.Generator().manual_seed(0)
    down = torch.randn(3, 2, 8, generator=generator)
    up = torch.randn(3, 2, 5, generator=generator)
    tokens = torch.randn(3, 7, 8, generator=generator)
    merged = torch.einsum("bri,bro->bio", down, up)
    own = torch.randn(3, 7, 5, generator=generator)
    assert torch.allclose(
        Factors(down, up).added(own.clone(), tokens), own + tokens @ merged, atol=1e-5
    )


def test_a_grouped_layer_equals_a_block_diagonal_matrix() -> None:
    torch.manual_seed(0)
    layer = GroupedLinear(12, 8, 4)
    nn.init.normal_(layer.bias)
    full = torch.block_diag(*layer.weight)
    x = torch.randn(5, 12)
    assert torch.allclose(layer(x), x @ full + layer.bias, atol=1e-5)


def test_groups_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples"):
        GroupedLinear(12, 8, 5)


def test_the_update_starts_at_zero_and_one_factor_does_not() -> None:
    torch.manual_seed(0)
    for block in _net()(torch.randn(2, 16)):
        for factors in block.values():
            assert not factors.up.any()
            assert factors.down.abs().mean() > 0.01


def test_one_call_gives_every_block_and_layer_its_factors() -> None:
    found = _net()(torch.randn(3, 16))
    shapes = [[(f.down.shape, f.up.shape) for f in block.values()] for block in found]
    assert shapes == [[((3, 2, 16), (3, 2, 48)), ((3, 2, 16), (3, 2, 64))]] * 2


def test_every_generator_parameter_has_gradient_by_the_second_step() -> None:
    torch.manual_seed(0)
    context, net = ModalityContext(16, 8), _net()
    parameters = dict(context.named_parameters(prefix="context"))
    parameters |= dict(net.named_parameters(prefix="net"))
    optimiser = torch.optim.SGD(parameters.values(), lr=0.1)
    images, tokens = torch.rand(4, 3, 32, 32), torch.randn(4, 5, 16)

    def loss() -> Tensor:
        modality, _ = context(images)
        factors = [f for block in net(modality) for f in block.values()]
        outputs = [f.added(tokens.new_zeros(4, 5, f.up.shape[2]), tokens) for f in factors]
        return sum((torch.sin(o + 1.0) ** 2).mean() for o in outputs)  # type: ignore[return-value]

    for _ in range(2):
        optimiser.zero_grad()
        loss().backward()
        alive = {name for name, p in parameters.items() if p.grad is not None and p.grad.any()}
        optimiser.step()
    assert alive == set(parameters)


def test_probabilities_over_the_pseudo_modalities_sum_to_one() -> None:
    modality, weights = ModalityContext(16, 8)(torch.rand(2, 3, 48, 32))
    assert modality.shape == (2, 16)
    assert torch.allclose(weights.sum(dim=1), torch.ones(2))
