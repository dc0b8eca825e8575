"""Where networks run."""

from __future__ import annotations


class DeviceError(ValueError):
    """The device that was asked for is not there: one line that says what to do."""


def chosen(device: str) -> str:
    """``cpu`` or ``cuda`` for ``auto``, ``cpu`` or ``cuda``.

    Raises
    ------
    DeviceError
        Where ``cuda`` is asked for and there is no usable GPU.
    """
    import torch

    usable = torch.cuda.is_available()
    if device == "auto":
        return "cuda" if usable else "cpu"
    if device == "cuda" and not usable:
        raise DeviceError("--device cuda: no usable GPU; use --device cpu")
    return device
