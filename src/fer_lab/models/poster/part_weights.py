"""Published weights of POSTER and its parts, from local files."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.models.weights import (
    contents_of,
    options_in,
    refuse_misfits,
    rows_by_name,
    tensors_in,
)

log = logging.getLogger(__name__)

# Put before names by programs that train on several devices, and by checkpoints of this package.
_PREFIX = re.compile(r"^(module\.|backbone\.)+")

# What files of the authors' build hold and ours do not.
_AUTHORS = "pyramid_fuse.cls_token"

# Of the file that they publish: RAF-DB's classes in its order. Their reader of RAF-DB leaves
# channels as OpenCV gives them, blue first.
_CLASSES = ("surprise", "fear", "disgust", "happy", "sad", "anger", "neutral")
CHANNELS = ("rgb", "bgr")


def load_part(network: nn.Module, path: str, *, option: str, unused: Sequence[str]) -> None:
    """Load a weights file into a branch; nothing in the file is executed.

    Args:
        network: changed in place, or not at all when an error is raised.
        path: the file: a dict of tensors, also as ``state_dict`` or ``model_state_dict`` of one.
        option: of the model, that named the file.
        unused: beginnings of names that the file may hold and the network has no use for.

    Raises:
        ConfigError: if the file is missing, is broken, holds anything but weights, or names or
            shapes differ.
    """
    file = _existing(path, option)
    given = _named(contents_of(file), file)
    _load(network, given, path, option=option, unused=unused)


def load_whole(
    network: nn.Module,
    path: str,
    *,
    unused: Sequence[str],
    head: str,
    classes: Sequence[str] | None,
) -> str:
    """Load a file of the whole network, the authors' or one trained here.

    Args:
        network: changed in place, or not at all when an error is raised.
        path: as of :func:`load_part`.
        unused: as of :func:`load_part`.
        head: path of the last layer, which has a row a class.
        classes: names of the network's classes. Rows are found by name where the file's classes
            are known too; the layer is new if some class is not among them, or of another size.

    Returns:
        The order of channels in the images that it was trained with: ``rgb`` or ``bgr``.

    Raises:
        ConfigError: as of :func:`load_part`.
    """
    file = _existing(path, "weights")
    content = contents_of(file)
    given = _named(content, file)
    told = options_in(content)
    if _AUTHORS in given:
        told = {"channels": "bgr", "classes": _CLASSES}
    head = f"{head}."
    given = rows_by_name(given, head, told.get("classes"), classes)
    own = network.state_dict()
    given = {
        name: tensor
        for name, tensor in given.items()
        if not name.startswith(head) or (name in own and own[name].shape == tensor.shape)
    }
    _load(network, given, path, option="weights", unused=unused, new=head)
    return "bgr" if told.get("channels") == "bgr" else "rgb"


def _existing(path: str, option: str) -> Path:
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(
            "there is no such weights file",
            where=f"model.{option}={path}",
            hint=f"give the path of a file, or leave model.{option} at its default",
        )
    return file


def _named(content: Any, file: Path) -> dict[str, Tensor]:
    return {_PREFIX.sub("", name): tensor for name, tensor in tensors_in(content, file).items()}


def _load(
    network: nn.Module,
    given: dict[str, Tensor],
    path: str,
    *,
    option: str,
    unused: Sequence[str],
    new: str | None = None,
) -> None:
    given = {name: tensor for name, tensor in given.items() if not name.startswith(tuple(unused))}
    own = network.state_dict()
    refuse_misfits(
        given,
        own,
        new=new,
        where=f"model.{option}={path}",
        hint=f"docs/poster.md names the files of {type(network).__name__} that are published",
    )
    network.load_state_dict(given, strict=False)
    fresh = [name for name in own if new is not None and name.startswith(new) and name not in given]
    log.info(
        "%s: %d tensors loaded%s",
        Path(path).name,
        len(given),
        f", {', '.join(fresh)} new" if fresh else "",
    )
