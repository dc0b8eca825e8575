"""Weights on disk: safetensors with what has to be known beside the numbers, and a hash that is
checked.

Bundled files lie in ``weights/`` of the repository and travel in the wheel as
``mami_core/bundled``; the file ``SHA256SUMS`` beside them lists their hashes. Nothing is ever
unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

SUMS = "SHA256SUMS"
#: The kinds of which an identity can be had; `WHITEN` is also the bundled one's name.
WHITEN = "whiten"
ENCODERS = ("mami", WHITEN)
KINDS = (*ENCODERS, "mfm", "remover", "critic")
_PLACES = (
    Path(__file__).resolve().parent / "bundled",
    Path(__file__).resolve().parent.parent / "weights",
)


class WeightsError(ValueError):
    """Weights can not be used: one line that says what is wrong and what to do."""


class HubError(WeightsError):
    """Weights that a hub was to give can not be had."""


@dataclass(frozen=True)
class Weights:
    """A loaded network.

    Attributes
    ----------
    kind
        One of `KINDS`.
    model
        In evaluation mode, on the CPU, float32.
    facts
        What was measured or fixed with it: thresholds, constants, default strength.
    sha256
        Of the file.
    """

    kind: str
    model: nn.Module
    facts: dict[str, Any]
    sha256: str


def bundled() -> Path:
    """The folder of the bundled weights."""
    for place in _PLACES:
        if (place / SUMS).is_file():
            return place
    raise WeightsError("no bundled weights are installed; reinstall mami-deid")


def locate(name: str | Path) -> Path:
    """The file behind a bundled name or a path."""
    path = Path(name)
    if path.suffix == ".safetensors" or path.exists():
        if path.is_dir():
            # The folder of a training: it holds the network that was trained, and what served that.
            path = next((f for k in KINDS if (f := path / f"{k}.safetensors").is_file()), path)
        if not path.is_file():
            raise WeightsError("the weights file does not exist; give a bundled name or a path")
        return path
    inside = bundled() / f"{name}.safetensors"
    if not inside.is_file():
        names = sorted(p.stem for p in bundled().glob("*.safetensors"))
        raise WeightsError(f"'{name}' is not bundled; there are: {', '.join(names)}")
    return inside


def checked(path: Path) -> str:
    """The file's SHA-256; bundled files must have the one that is listed.

    Raises
    ------
    WeightsError
        The file was changed after it was published, or is not listed, or can not be read.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError("the weights file can not be read; mend its permissions") from error
    sums = path.parent / SUMS
    if path.parent in _PLACES and sums.is_file():
        lines = [line.split() for line in sums.read_text().splitlines() if line]
        listed = {name: digest_of for digest_of, name in lines}
        if listed.get(path.name) != digest:
            raise WeightsError(f"{path.name} is not the published file; reinstall mami-deid")
    return digest


def metadata(path: Path) -> dict[str, str]:
    """The text beside the numbers, read without torch."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stream:
            return dict(stream.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is not a safetensors file") from error


def facts_of(name: str | Path) -> dict[str, Any]:
    """Configuration and facts of a weights file, read without torch."""
    held = metadata(locate(name))
    if not {"kind", "config", "facts"} <= set(held):
        raise WeightsError("the weights file was not written by this toolkit")
    try:
        return {**json.loads(held["config"]), **json.loads(held["facts"]), "kind": held["kind"]}
    except (ValueError, TypeError) as error:
        raise WeightsError("the weights file is damaged; get it anew") from error


def save(path: Path, kind: str, model: nn.Module, facts: Mapping[str, Any]) -> str:
    """Write a network (half precision) atomically and return the file's SHA-256."""
    import torch
    from safetensors.torch import save as to_bytes

    def halved(value: torch.Tensor) -> torch.Tensor:
        if not value.is_floating_point():
            return value
        half = value.half()
        # A network of a user's own may have numbers that half precision does not.
        return half if half.isfinite().all() else value.float()

    state = {name: halved(value).contiguous() for name, value in model.state_dict().items()}
    config: Any = model.config
    held = {"kind": kind, "config": json.dumps(asdict(config)), "facts": json.dumps(facts)}
    with torch.no_grad():
        data = _settled(to_bytes(state, metadata=held))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.new")
    partial.write_bytes(data)
    partial.replace(path)
    return hashlib.sha256(data).hexdigest()


def _settled(data: bytes) -> bytes:
    """The same safetensors file with its metadata in order: the writer's own order is random."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def load(name: str | Path) -> Weights:
    """Load a bundled network by name (``mami_tiny``, ``whiten``, ``remover``) or one by path.

    Raises
    ------
    WeightsError
        No such file, not ours, or changed after it was published.
    """
    from safetensors.torch import load_file

    path = locate(name)
    digest = checked(path)
    facts = facts_of(path)
    config_type, model_type = _kinds(facts["kind"])
    known = {field.name for field in fields(config_type)}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in facts.items()
        if name in known
    }
    state = {name: value.float() for name, value in load_file(path).items()}
    if any(value.isnan().any() for value in state.values()):
        raise WeightsError("the weights file holds what is no number; get it anew")
    try:
        model = model_type(config_type(**values))
        target = model.state_dict()
        model.load_state_dict({k: v.to(target[k].dtype) for k, v in state.items() if k in target})
    except MemoryError:
        raise
    except Exception as error:
        # Networks and timm raise whatever a configuration of another version brings about.
        raise WeightsError("the weights do not fit the network that they name") from error
    return Weights(facts["kind"], model.eval(), facts, digest)


def _kinds(kind: str) -> tuple[type[Any], Callable[[Any], nn.Module]]:
    if kind == "mami":
        from mami_core.models.encoder import Config, MaMI

        return Config, MaMI
    if kind == WHITEN:
        from mami_core.models.whiten import Whiten, WhitenConfig

        return WhitenConfig, Whiten
    if kind == "mfm":
        from mami_core.models.mfm import MedicalConfig, MedicalEncoder

        return MedicalConfig, MedicalEncoder
    if kind == "remover":
        from mami_core.models.remover import Remover, RemoverConfig

        return RemoverConfig, Remover
    if kind == "critic":
        from mami_core.models.critic import Critic, CriticConfig

        return CriticConfig, Critic
    raise WeightsError(f"'{kind}' is no kind of network that this version knows")
