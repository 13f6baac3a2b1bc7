"""Weights from a local file or the network: read without executing anything, checked by name."""

from __future__ import annotations

import logging
import re
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.models.torchvision_names import from_torchvision

log = logging.getLogger(__name__)

# How torch names what a file would have it call.
_PROGRAM = re.compile(r"GLOBAL:? (\S+)")

_ALTERNATIVES = "use model.weights=random, or model.weights=<path of a weights file>"


def load_file(
    backbone: nn.Module, path: str, *, head: str, classes: Sequence[str] | None = None
) -> None:
    """Load a weights file into ``backbone``.

    Takes a ``.safetensors`` file, a torch file of tensors, or a Lightning checkpoint. Prefixes
    that training programs put before names (``model.``, ``backbone.``, …) are found and removed.
    A head of another size is left as it is, with a message; one of equal size is loaded. Rows of a
    checkpoint's head are taken by the names of their classes.

    Args:
        backbone: changed in place, or not at all when an error is raised.
        path: the file.
        head: path in ``backbone`` of the module that makes the logits.
        classes: names of the model's classes, where they are known.

    Raises:
        ConfigError: if the file is missing, is broken, holds anything but weights (nothing in it
            is executed), or is of another architecture; the first names that differ are listed.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(
            "there is no such weights file",
            where=f"model.weights={path}",
            hint="give the path of a file, or use model.weights=random or imagenet",
        )
    own = backbone.state_dict()
    content = contents_of(file)
    given = from_torchvision(_without_prefix(tensors_in(content, file), own), backbone)
    given = rows_by_name(given, f"{head}.", options_in(content).get("classes"), classes)
    # Inception's second head, of training alone, is in files that its models are published in.
    given = {name: tensor for name, tensor in given.items() if not name.startswith("AuxLogits.")}
    for name in [name for name in given if name.startswith(f"{head}.")]:
        if name in own and given[name].shape == own[name].shape:
            continue
        log.info("%s: %s %s is left out", file.name, name, tuple(given[name].shape))
        del given[name]
    refuse_misfits(
        given,
        own,
        new=f"{head}.",
        where=file,
        hint="choose the model that the weights were trained with, at its image size",
    )
    backbone.load_state_dict(given, strict=False)
    kept = sorted(name for name in own if name.startswith(f"{head}.") and name not in given)
    log.info(
        "%s: %d tensors loaded%s",
        file.name,
        len(given),
        f", {', '.join(kept)} new" if kept else "",
    )


def refuse_misfits(
    given: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    *,
    new: str | None = None,
    where: object,
    hint: str,
) -> None:
    """Compare the names and shapes of weights with those of a model.

    Args:
        given: weights by name. Counters of batch norm may be missing: old files lack them.
        own: the model's.
        new: beginning of further names that may be missing.
        where: the file or option that they are from.
        hint: what to do when they do not fit.

    Raises:
        ConfigError: when they do not fit; it lists the first names that differ.
    """
    unmet = []
    for name, tensor in own.items():
        if name not in given:
            may = name.endswith("num_batches_tracked") or (new and name.startswith(new))
            unmet += [] if may else [f"{name} is missing"]
        elif given[name].shape != tensor.shape:
            theirs, mine = tuple(given[name].shape), tuple(tensor.shape)
            unmet.append(f"{name} has shape {theirs}, the model's {mine}")
    surplus = [f"{name} is not in the model" for name in given if name not in own]
    if unmet or surplus:
        shown = [*unmet[:3], *surplus[:2]]
        more = len(unmet) + len(surplus) - len(shown)
        raise ConfigError(
            f"the weights are of another architecture: {'; '.join(shown)}"
            + (f"; and {more} more" if more else ""),
            where=where,
            hint=hint,
        )


def imagenet_model(name: str, *, timeout: float = 3.0, **arguments: Any) -> nn.Module:
    """A model of timm with its published ImageNet weights, from the local cache or the network.

    Args:
        name: the model's name in timm.
        timeout: seconds to wait for a first sign of the server.
        **arguments: for ``timm.create_model``.

    Raises:
        ConfigError: if none are published, or they are neither cached nor within reach.
    """
    import timm
    from huggingface_hub import constants, try_to_load_from_cache

    published = timm.get_pretrained_cfg(name)
    repository = getattr(published, "hf_hub_id", None)
    if published is None or not (repository or published.url):
        raise ConfigError(
            f"no ImageNet weights are published for {name}",
            where="model.weights=imagenet",
            hint=_ALTERNATIVES,
        )
    overlay: dict[str, Any] = {}
    if repository:
        cached = [
            found
            for file in ("model.safetensors", "pytorch_model.bin")
            if isinstance(found := try_to_load_from_cache(repository, file), str)
        ]
        if cached:
            # num_classes, or timm takes a head of equal size for a new one and drops it.
            overlay = {"file": cached[0], "num_classes": published.num_classes}
    # Without this look the client would try for most of a minute before it gives up.
    obstacle = None if overlay else obstacle_to(constants.ENDPOINT, timeout)
    if obstacle is None:
        if not overlay:
            log.info("fetching the ImageNet weights of %s: %s", name, repository or published.url)
        try:
            model: nn.Module = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay or None, **arguments
            )
        except Exception as error:  # the network fails in the ways of half a dozen libraries
            obstacle = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            return model
    raise ConfigError(
        f"the ImageNet weights of {name} cannot be had: {obstacle}",
        where=f"model.weights=imagenet ({repository or published.url})",
        hint=f"{_ALTERNATIVES}, or connect to the network once: they are cached",
    )


def obstacle_to(endpoint: str, timeout: float) -> str | None:
    """Why ``endpoint`` cannot be reached, or None when it, or a proxy for it, answers."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set"
    answer: list[str | None] = []

    def ask() -> None:
        request = urllib.request.Request(endpoint, method="HEAD")
        try:
            urllib.request.urlopen(request, timeout=timeout).close()
        except urllib.error.HTTPError:
            answer.append(None)
        except OSError as error:
            reason = getattr(error, "reason", error)
            # The client brings certificates of its own and may well succeed.
            answer.append(None if isinstance(reason, ssl.SSLError) else f"{endpoint}: {reason}")
        else:
            answer.append(None)

    # A thread, because looking a name up does not keep to the timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout + 0.5)
    return answer[0] if answer else f"{endpoint} does not answer within {timeout:g} s"


def contents_of(file: Path) -> Any:
    """What a file of weights holds; nothing in it is executed.

    Raises:
        ConfigError: if it is broken, or holds anything but tensors and plain containers.
    """
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file as load_safetensors

            return load_safetensors(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a reader fed with arbitrary bytes may raise anything
        raise ConfigError(
            f"refused: this is no readable file of weights alone ({unreadable(error)})",
            where=file,
            hint="fetch it again from its source; programs inside such files are never run",
        ) from error


def tensors_in(content: Any, file: Path) -> dict[str, Tensor]:
    """The tensors by name in what ``file`` holds.

    Raises:
        ConfigError: if there are none.
    """
    for wrapper in ("state_dict", "model_state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if isinstance(content, Mapping):
        tensors = {str(k): v for k, v in content.items() if isinstance(v, Tensor)}
        if tensors:
            return tensors
    raise ConfigError(
        "the file holds no weights by name",
        where=file,
        hint="save model.state_dict() with torch.save, or use a Lightning checkpoint",
    )


def options_in(content: Any) -> Mapping[str, Any]:
    """What a checkpoint of this package says of its model; nothing of any other file."""
    options = content.get("hyper_parameters") if isinstance(content, Mapping) else None
    return options if isinstance(options, Mapping) else {}


def rows_by_name(
    given: Mapping[str, Tensor],
    head: str,
    known: Sequence[str] | None,
    wanted: Sequence[str] | None,
) -> dict[str, Tensor]:
    """Weights in which a head's rows, one a class, are those of the wanted classes in their order.

    Args:
        given: weights by name.
        head: beginning of the head's names.
        known: the classes of the weights; None where they are not known.
        wanted: those of the model; likewise.

    Returns:
        The weights as they are where either is not known; without the rows where a wanted class is
        not among the known ones.
    """
    if not isinstance(known, Sequence) or wanted is None or list(known) == list(wanted):
        return dict(given)
    rows = [known.index(name) for name in wanted if name in known]
    found: dict[str, Tensor] = {}
    for name, tensor in given.items():
        if not (name.startswith(head) and tensor.ndim and len(tensor) == len(known)):
            found[name] = tensor
        elif len(rows) == len(wanted):
            found[name] = tensor[torch.tensor(rows)]
    return found


def unreadable(error: Exception) -> str:
    """Why torch or safetensors cannot read a file, in a line and without their advice.

    Theirs on a file with a program in it is to run it.
    """
    said = str(error)
    if found := _PROGRAM.search(said):
        return f"it holds a program, {found[1]}, which is not run"
    if "TorchScript" in said:
        return "it is a program of TorchScript, which is not run"
    said = said.rpartition("WeightsUnpickler error: ")[2].strip()
    if not said or said.startswith("Weights only load failed"):
        return type(error).__name__
    return f"{type(error).__name__}: {said.splitlines()[0].partition('. ')[0]}"


def _without_prefix(given: dict[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``given`` with the prefix removed under which most of the model's own names are found.

    What stands beside that prefix (a loss' buffers, another branch) is not the backbone's.
    """
    anchors = list(own)[:8]
    prefixes = {
        name[: -len(anchor)] for name in given for anchor in anchors if name.endswith(anchor)
    }
    prefixes = {prefix for prefix in prefixes if prefix.endswith(".")} | {""}

    def matches(prefix: str) -> tuple[int, int]:
        return sum(prefix + name in given for name in own), -len(prefix)

    best = max(sorted(prefixes), key=matches)
    return {name[len(best) :]: v for name, v in given.items() if name.startswith(best)}
