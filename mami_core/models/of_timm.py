"""Networks that timm builds, with the weights of its hub or of a file, and their local features."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor

from mami_core.weights import HubError, WeightsError, metadata

#: How networks of timm are named where there are others too: ``timm:NAME[=FILE]``.
TIMM = "timm:"
HUB = "hf-hub:"
#: Sides of pictures that a network may be asked to look at.
SIDES = range(32, 2049)
#: What timm says of a network that decides how it is built and fed. Not where its weights came
#: from: that may be a path.
_TOLD = ("input_size", "fixed_input_size", "mean", "std", "global_pool", "pool_size")
#: Arguments of timm that fetch weights, or unpickle a file.
_FETCHES = ("pretrained", "checkpoint_path", "cache_dir")


def of_timm(spec: str, file: str = "") -> Any:
    """The network without its classifier, all of whose weights are those of the hub or the file.

    ``NAME@SIDE`` looks at pictures of that side in place of those that it was made for; where it
    takes one size alone, the places of its patches are interpolated (its ``pretrained_cfg`` says
    the side, as of every network). A file of safetensors may say beside its numbers how the network
    is fed where that is not as timm has it: ``mean`` and ``std`` of pictures in 0..1, each a list
    of three numbers in JSON.

    timm takes a file of another network without a word and leaves what that lacks as it was drawn.
    So it is built twice: what differs was drawn.

    Raises
    ------
    HubError
        Where no file is given and the hub has no weights, or can not be reached.
    WeightsError
        Where timm has no such network, or not of that size, or the file does not hold all of it.
    """
    name, side = _named(spec)
    if not (name.startswith(HUB) or timm.is_model(name)):
        raise WeightsError(f"timm has no model '{name}'; name one that timm lists")
    overlay: dict[str, Any] = {"file": file, **_fed(name, file)} if file else {}
    options: dict[str, Any] = {"pretrained_cfg_overlay": overlay}
    if side is not None:
        overlay["input_size"] = (3, side, side)
        told = timm.get_pretrained_cfg(name, allow_unregistered=True)
        if told is not None and told.fixed_input_size:
            options["img_size"] = side
    built: list[Any] = []
    for seed in (0, 1):
        with torch.random.fork_rng(devices=[]), _unheard():
            torch.manual_seed(seed)
            try:
                built.append(timm.create_model(name, pretrained=True, num_classes=0, **options))
            except Exception as error:
                # timm raises whatever its hub, its unpickler or its registry raise.
                why = type(error).__name__
                if file:
                    raise WeightsError(
                        f"the file of '{name}' can not be read as its weights ({why}); give one "
                        "that timm reads"
                    ) from error
                raise HubError(
                    f"timm's hub has no weights of '{name}' or can not be reached ({why}); give "
                    "=FILE for weights on disk"
                ) from error
    one, other = (network.state_dict() for network in built)
    drawn = sum(not torch.equal(value, other[key]) for key, value in one.items())
    if drawn:
        raise WeightsError(
            f"the weights given for '{name}' lack {drawn} of its {len(one)} parts; give those of "
            "this very network"
        )
    return built[0]


def _fed(name: str, file: str) -> dict[str, tuple[float, ...]]:
    """What a file of safetensors says of how its network is fed."""
    if not file.endswith(".safetensors") or not Path(file).is_file():
        return {}
    told = metadata(Path(file))
    found: dict[str, tuple[float, ...]] = {}
    for key in ("mean", "std"):
        if key in told:
            try:
                found[key] = tuple(float(one) for one in json.loads(told[key]))
            except (ValueError, TypeError, RecursionError):
                found[key] = ()
            usable = len(found[key]) == 3 and all(map(isfinite, found[key]))
            if not usable or (key == "std" and min(found[key]) <= 0.0):
                raise WeightsError(
                    f"the file of '{name}' names a '{key}' that pictures can not be brought to; "
                    "it is three numbers as JSON, and no 'std' is 0"
                )
    return found


@contextmanager
def _unheard() -> Iterator[None]:
    """timm logs every key that a file has too many, and paths; what matters is raised."""
    log = logging.getLogger("timm")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(before)


def _named(spec: str) -> tuple[str, int | None]:
    """Name and side; a revision of the hub stands behind an @ as well, and is no number."""
    found = re.fullmatch(r"(.+)@(\d{1,5})", spec)
    if not found:
        return spec, None
    side = int(found[2])
    if side not in SIDES:
        raise WeightsError(
            f"'{spec}': the side of pictures is {SIDES[0]} to {SIDES[-1]} pixels; give another"
        )
    return found[1], side


def local(network: Any, last: Tensor) -> Tensor:
    """The features with which a network of timm ends, ``(B, N, D)``, whatever their layout."""
    if last.ndim == 3:
        return last[:, int(getattr(network, "num_prefix_tokens", 0)) :]
    if getattr(network, "output_fmt", "NCHW") == "NHWC":
        return last.flatten(1, 2)
    return last.flatten(2).transpose(1, 2)


def plan(network: Any) -> dict[str, Any]:
    """What `rebuilt` needs to build a network of `of_timm` again, its weights aside; plain JSON.

    Returns
    -------
    ``name`` as timm lists it, ``arguments`` for its builder, and what timm has ``told`` of it:
    ``input_size``, ``mean`` and ``std`` among it.

    Raises
    ------
    WeightsError
        Where timm can not build the same network from that, or it gives no local features of square
        pictures in three channels.
    """
    fed = network.pretrained_cfg
    name = str(fed["architecture"])
    held: dict[str, Any] = {
        "name": name,
        "arguments": getattr(network, "_model_args", {}),
        "told": {key: fed[key] for key in _TOLD if fed.get(key) is not None},
    }
    side = fed["input_size"][-1]
    probe = torch.linspace(-1.0, 1.0, 3 * side * side).view(1, 3, side, side)
    try:
        held = json.loads(json.dumps(held))
        again = rebuilt(held)
        again.load_state_dict(network.state_dict())
        with torch.inference_mode():
            seen = [local(each, each.eval().forward_features(probe)) for each in (network, again)]
        same = torch.equal(*seen)
    except Exception as error:
        # timm raises whatever its networks raise.
        raise WeightsError(
            f"'{name}' gives no local features of square pictures in three channels "
            f"({type(error).__name__}); give another network"
        ) from error
    if not same:
        raise WeightsError(
            f"timm does not build '{name}' twice alike; give the network by a name that timm lists"
        )
    return held


def rebuilt(held: Mapping[str, Any]) -> Any:
    """The network of a `plan`, without weights; nothing is fetched or unpickled.

    Raises
    ------
    WeightsError
        Where this version of timm has no such network, or the plan asks for more than a network.
    """
    name, arguments = str(held["name"]), {"num_classes": 0, **held["arguments"]}
    if not timm.is_model(name) or any(key.startswith(_FETCHES) for key in arguments):
        raise WeightsError(f"the weights name a network, '{name}', that timm can not build here")
    try:
        with torch.random.fork_rng(devices=[]), _unheard():
            network = timm.create_model(name, pretrained_cfg=dict(held["told"]), **arguments)
    except Exception as error:
        raise WeightsError(
            f"timm can not build '{name}' as the weights have it ({type(error).__name__}); "
            "try its version of when they were made"
        ) from error
    return network.eval()


def fingerprint(network: Any) -> str:
    """SHA-256 of what a network is: its weights, wherever they lay, and how it is fed."""
    told = {key: network.pretrained_cfg.get(key) for key in _TOLD}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode())
    for name, value in network.state_dict().items():
        plain = value.cpu().reshape(-1).view(torch.uint8)  # numpy knows no bfloat16
        digest.update(name.encode() + plain.numpy().tobytes())
    return digest.hexdigest()
