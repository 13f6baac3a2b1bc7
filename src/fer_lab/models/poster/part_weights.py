"""Published weights of POSTER and its parts, from local files."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from fer_lab.errors import ConfigError
from fer_lab.models.weights import tensors_of

log = logging.getLogger(__name__)

# Put before names by programs that train on several devices, and by checkpoints of this package.
_PREFIX = re.compile(r"^(module\.|backbone\.)+")


def load_weights(
    network: nn.Module,
    path: str,
    *,
    option: str,
    unused: Sequence[str] = (),
    head: str | None = None,
) -> None:
    """Load a weights file into ``network``; nothing in the file is executed.

    Args:
        network: changed in place, or not at all when an error is raised.
        path: the file: a dict of tensors, also as ``state_dict`` or ``model_state_dict`` of one.
        option: of the model, that named the file.
        unused: beginnings of names that the file may hold and the network has no use for.
        head: beginning of the names that may be missing or of another size, and are then new.

    Raises:
        ConfigError: if the file is missing, is broken, holds anything but weights, or names or
            shapes differ.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise ConfigError(
            "there is no such weights file",
            where=f"model.{option}={path}",
            hint=f"give the path of a file, or leave model.{option} at its default",
        )
    given = {_PREFIX.sub("", name): tensor for name, tensor in tensors_of(file).items()}
    given = {name: tensor for name, tensor in given.items() if not name.startswith(tuple(unused))}
    own = network.state_dict()
    if head is not None:
        fitting = {n for n, t in own.items() if n in given and given[n].shape == t.shape}
        given = {n: t for n, t in given.items() if n in fitting or not n.startswith(head)}
    # Files older than the counters of batch norm lack them.
    missing = [
        name
        for name in own
        if name not in given
        and not name.endswith("num_batches_tracked")
        and not (head is not None and name.startswith(head))
    ]
    unexpected = [name for name in given if name not in own]
    differing = [
        f"{name} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
        for name, tensor in given.items()
        if name in own and own[name].shape != tensor.shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": differing}
    if any(found.values()):
        raise ConfigError(
            f"the weights are not those of {type(network).__name__}: "
            + "; ".join(f"{_few(names)} {what}" for what, names in found.items() if names),
            where=f"model.{option}={path}",
            hint="docs/poster.md names the files that are published",
        )
    network.load_state_dict(given, strict=False)
    new = [name for name in own if head is not None and name.startswith(head) and name not in given]
    log.info(
        "%s: %d tensors loaded%s",
        file.name,
        len(given),
        f", {', '.join(new)} new" if new else "",
    )


def _few(names: Sequence[str]) -> str:
    more = len(names) - 3
    return ", ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
