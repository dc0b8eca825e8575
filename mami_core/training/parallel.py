"""Several processes that train one network, started by torchrun (PyTorch's own launcher).

Each draws its own batches; gradients are averaged, so that the weights stay the same in all.
The first one writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed, nn


def rank() -> int:
    """The number of this process among those of torchrun, 0 where there is one."""
    return int(os.environ.get("RANK", "0"))


@contextmanager
def joined(device: str) -> Iterator[None]:
    """Meet the other processes of torchrun, if there are any."""
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield
        return
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device == "cuda" else "gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give all processes the mean of their gradients; one that has none counts as zero."""
    if not distributed.is_initialized():
        return
    for parameter in parameters:
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        distributed.all_reduce(parameter.grad)
        parameter.grad /= distributed.get_world_size()


def agreed(value: float, device: str) -> float:
    """The first process's value: clocks differ, and all have to end at one step."""
    if not distributed.is_initialized():
        return value
    told = torch.tensor(value, dtype=torch.float64, device=device)
    distributed.broadcast(told, 0)
    return float(told)
