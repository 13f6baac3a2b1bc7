"""Weights of CLIP's towers: published ones by name, or from a file; nothing in a file is run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import open_clip
from open_clip.model import resize_pos_embed
from open_clip.pretrained import download_pretrained_from_hf
from torch import nn

from fer_lab.errors import ConfigError, near_miss
from fer_lab.models.weights import (
    contents_of,
    obstacle_to,
    options_in,
    refuse_misfits,
    rows_by_name,
    tensors_in,
)

log = logging.getLogger(__name__)

# What repositories of open_clip's weights hold when they name no file, the preferred first.
_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")

# In every file with an image tower of CLIP; what stands before it stands before all names.
_ANCHOR = "visual.class_embedding"

_HEAD = "head."


def quick_gelu_of(architecture: str, weights: str) -> bool:
    """Whether weights were trained with x·σ(1.702x) in place of GELU.

    Published weights say so. Files do not: they are taken for OpenAI's, which were.
    """
    if weights not in open_clip.list_pretrained_tags_by_model(architecture):
        return True
    return bool(open_clip.get_pretrained_cfg(architecture, weights).get("quick_gelu", False))


def weights_file(architecture: str, weights: str, *, timeout: float = 3.0) -> Path:
    """The file that ``weights`` means: a path, or the name of published weights.

    Args:
        architecture: the model's name in open_clip.
        weights: a path, or a name as ``openai``: from the local cache or the network.
        timeout: seconds to wait for a first sign of the server.

    Raises:
        ConfigError: if there is no such file or name, or it is neither cached nor within reach.
    """
    names = open_clip.list_pretrained_tags_by_model(architecture)
    if weights in names:
        return _published(architecture, weights, timeout)
    file = Path(weights).expanduser()
    if file.is_file():
        return file
    near = near_miss(weights, names)
    raise ConfigError(
        f"there is no such weights file, and no published weights of {architecture} of that name",
        where=f"model.weights={weights}",
        hint=f"did you mean {near!r}?"
        if near
        else f"use random, the path of a file, or one of {', '.join(names)}",
    )


def _published(architecture: str, name: str, timeout: float) -> Path:
    from huggingface_hub import constants, try_to_load_from_cache

    repository, _, file = open_clip.get_pretrained_cfg(architecture, name)["hf_hub"].rpartition("/")
    for candidate in (file,) if file else _FILES:
        cached = try_to_load_from_cache(repository, candidate)
        if isinstance(cached, str):
            return Path(cached)
    # Without this look the client would try for most of a minute before it gives up.
    obstacle = obstacle_to(constants.ENDPOINT, timeout)
    if obstacle is None:
        log.info("fetching the weights %s of %s: %s", name, architecture, repository)
        try:
            return Path(download_pretrained_from_hf(repository, filename=file or None))
        except Exception as error:  # the network fails in the ways of half a dozen libraries
            obstacle = f"{type(error).__name__}: {error}".splitlines()[0]
    raise ConfigError(
        f"the weights {name!r} of {architecture} cannot be had: {obstacle}",
        where=f"model.weights={name} ({repository})",
        hint="use model.weights=random, or model.weights=<path of a weights file>, or connect to "
        "the network once: they are cached",
    )


def load_towers(network: nn.Module, file: Path, classes: Sequence[str] | None = None) -> None:
    """Load a weights file into ``network``.

    Of a file with both towers an image tower alone takes its own part. Position embeddings of
    another grid are interpolated. A head of another size is left as it is; rows of a checkpoint's
    head are taken by the names of their classes.

    Args:
        network: ``open_clip.CLIP``, or a module with ``visual`` and ``head``; changed in place, or
            not at all when an error is raised.
        file: a ``.safetensors`` file, a torch file of tensors, or a checkpoint.
        classes: names of the model's classes, where they are known.

    Raises:
        ConfigError: if the file is broken, holds anything but weights, or is of another
            architecture; the first names that differ are listed.
    """
    content = contents_of(file)
    tensors = tensors_in(content, file)
    prefixes = [name.removesuffix(_ANCHOR) for name in tensors if name.endswith(_ANCHOR)]
    if not prefixes:
        raise ConfigError(
            f"the file holds no image tower of CLIP: {_ANCHOR} is missing",
            where=file,
            hint="give weights with the names of open_clip or of OpenAI's CLIP",
        )
    prefix = min(prefixes, key=len)
    given = {n.removeprefix(prefix): t.float() for n, t in tensors.items() if n.startswith(prefix)}
    given = rows_by_name(given, _HEAD, options_in(content).get("classes"), classes)
    resize_pos_embed(given, network)
    own = network.state_dict()
    parts = {name.partition(".")[0] for name in own}
    given = {
        name: tensor
        for name, tensor in given.items()
        if name.partition(".")[0] in parts
        and not (name.startswith(_HEAD) and (name not in own or own[name].shape != tensor.shape))
    }
    refuse_misfits(
        given,
        own,
        new=_HEAD,
        where=file,
        hint="give weights of CLIP ViT-B/16; zero-shot and CEPrompt need both of its towers",
    )
    network.load_state_dict(given, strict=False)
    log.info("%s: %d tensors loaded", file.name, len(given))
