"""Checkpoints of trainings, read without executing anything in them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor

from fer_lab.errors import ConfigError, DataError, FerLabError
from fer_lab.models.weights import refuse_misfits, unreadable
from fer_lab.trust import trusted_class

# Where a checkpoint names the class of its model.
MODEL_CLASS = "model_class"

_EXPECTED = "a checkpoint that `fer-lab train` has written, checkpoints/best.ckpt of a run for one"

_NAMED = "the class is named by model._target_ in the configuration of the checkpoint's run"


def load_checkpoint(path: Path, model_class: str | None = None) -> LightningModule:
    """The trained model, on the CPU and in evaluation mode.

    Args:
        path: a ``.ckpt`` file.
        model_class: the dotted name of its class, for checkpoints that do not say.

    Raises:
        DataError: for a file that is missing, is no checkpoint, or does not fit its class.
    """
    content = _content(path)
    found = _class(path, content.get(MODEL_CLASS) or model_class)
    # The checkpoint holds every weight; a pretrained file must not be fetched again.
    initial: dict[str, Any] = (
        {"weights": "random"} if "weights" in content["hyper_parameters"] else {}
    )
    try:
        model: LightningModule = found.load_from_checkpoint(
            path, map_location="cpu", weights_only=True, **initial
        )
    except FerLabError:
        raise
    except Exception as error:  # classes fed with arbitrary options may raise anything
        raise DataError(
            f"the checkpoint does not fit {found.__qualname__}: {_first_lines(error)}", where=path
        ) from error
    return model.eval()


def check_resumable(path: Path, model: LightningModule) -> None:
    """Look whether a training can go on from a checkpoint, before its trainer reads it.

    Raises:
        DataError: for a file that cannot be read, or holds other weights than ``model`` has; the
            first names that differ are listed.
    """
    hint = (
        "a training goes on from its checkpoints/last.ckpt alone; start anew, with "
        "model.weights=<the run's checkpoints/best.ckpt> to begin where that stood"
    )
    content = _content(path, hint, mmap=True)
    try:
        refuse_misfits(
            _tensors(content["state_dict"]), _tensors(model.state_dict()), where=path, hint=hint
        )
    except ConfigError as error:
        raise DataError(error.what, where=path, hint=hint) from error


def _class(path: Path, target: object) -> type[LightningModule]:
    if target is None:
        raise DataError(
            "the checkpoint does not say of which class its model is",
            where=path,
            hint=_NAMED,
        )
    found = trusted_class(str(target), path, hint=_NAMED)
    if not (isinstance(found, type) and issubclass(found, LightningModule)):
        raise DataError(f"{target} is not a LightningModule", where=path, hint=_NAMED)
    return found


def _content(path: Path, hint: str = f"expected is {_EXPECTED}", **options: Any) -> dict[str, Any]:
    if not path.is_file():
        raise DataError("there is no such checkpoint", where=path.absolute(), hint=hint)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, **options)
    except Exception as error:  # a reader fed with arbitrary bytes may raise anything
        raise DataError(
            f"{path.name} cannot be read as a checkpoint: {unreadable(error)}",
            where=path,
            hint=hint,
        ) from error
    wanted = ("state_dict", "hyper_parameters")
    if not isinstance(content, dict) or any(name not in content for name in wanted):
        raise DataError(
            f"{path.name} holds no training of fer_lab: no {' and no '.join(wanted)}",
            where=path,
            hint=f"{hint}; weights alone are loaded by model.weights=",
        )
    if not all(isinstance(content[name], Mapping) for name in wanted):
        raise DataError(
            f"{path.name} holds something else where weights and options belong",
            where=path,
            hint=hint,
        )
    return content


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def _first_lines(error: Exception) -> str:
    """What went wrong in a line: of weights that differ, the first names."""
    first, *more = str(error).splitlines() or [type(error).__name__]
    names = [textwrap.shorten(line, 160, placeholder=" …") for line in more[:3]]
    return " ".join([first, *names]) if first.endswith(":") else first
