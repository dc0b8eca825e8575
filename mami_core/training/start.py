"""Where trainings start: ImageNet weights of a registry package, or an earlier training of ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mami_core import imagenet
from mami_core.training.loop import TrainingError

CLIP = "vit_base_patch16_clip_quickgelu_224.openai"
_NAMES = {
    "patch_embed.proj": "embed",
    "cls_token": "token",
    "pos_embed": "position",
    "norm_pre": "first_norm",
    "attn.qkv": "qkv",
    "attn.proj": "out",
    "mlp.": "",
}


def begin(model: nn.Module, kind: str, init: str) -> str:
    """Set a network's first weights.

    Parameters
    ----------
    init
        ``imagenet`` (its `trunk` only), ``clip`` or ``clip=FILE`` (the transformer, from timm's hub
        or a file), ``none``, or a bundled name or path of weights of its kind.

    Returns
    -------
    One line that says where it starts.
    """
    if init == "none":
        return "starting from scratch"
    if init == "imagenet":
        return _imagenet(model)
    if init == "clip" or init.startswith("clip="):
        return _clip(model, init.partition("=")[2])
    from mami_core.weights import load

    given = load(init)
    if given.kind != kind:
        raise TrainingError("the weights given with --init are those of another kind of network")
    held, own = given.model.state_dict(), model.state_dict()
    # Heads of other findings do not fit, and start anew.
    fitting = {k: v for k, v in held.items() if k in own and v.shape == own[k].shape}
    model.load_state_dict(fitting, strict=False)
    return f"starting from given weights ({len(fitting)} of {len(own)} tensors fit)"


def _imagenet(model: Any) -> str:
    trunk = getattr(model, "trunk", None)
    if trunk is None:
        return "this network has no ImageNet weights: starting from scratch"
    name = str(model.config.trunk)
    file = imagenet.weights_file(name)
    if file is None:
        package = imagenet.PACKAGES.get(name, f"a package with the weights of {name}")
        return f"{package} is not installed: starting from scratch"
    imagenet.load_into(trunk, file)
    return "starting from ImageNet weights"


def _clip(model: nn.Module, file: str) -> str:
    """The visual transformer of CLIP ViT-B/16 (paper, section 4.1), as timm has it."""
    import timm

    if not getattr(getattr(model, "config", None), "clip", False):
        raise TrainingError("CLIP's weights fit the encoder of size base only; see --init")
    options: dict[str, Any] = {"pretrained_cfg_overlay": {"file": file}} if file else {}
    try:
        given = timm.create_model(CLIP, pretrained=True, num_classes=0, **options)
    except Exception as error:
        # timm raises whatever its hub or its unpickler raise.
        raise TrainingError(
            f"the weights of {CLIP} can not be had ({type(error).__name__}); "
            "give them on disk: --init clip=FILE"
        ) from error
    held = renamed(given.state_dict())
    own = model.state_dict()
    if any(name not in own or own[name].shape != value.shape for name, value in held.items()):
        raise TrainingError("CLIP's weights fit the encoder of size base at 224 pixels only")
    model.load_state_dict(held, strict=False)
    return f"starting from CLIP weights ({len(held)} of {len(own)} tensors)"


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """timm's names of a vision transformer's tensors as ours."""
    new = {}
    for name, value in state.items():
        for theirs, ours in _NAMES.items():
            name = name.replace(theirs, ours)
        new[name] = value
    return new


def freeze_statistics(model: nn.Module) -> None:
    """Keep batch norm as it is: batches of one modality would drag its statistics about."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()
