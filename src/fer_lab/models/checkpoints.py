"""Checkpoints of trainings, read without executing anything in them."""

from __future__ import annotations

import importlib
import pickle
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningModule

from fer_lab.errors import DataError

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
    except (TypeError, RuntimeError, LookupError) as error:
        first = str(error).splitlines()[0]
        raise DataError(
            f"the checkpoint does not fit {found.__qualname__}: {first}", where=path
        ) from error
    return model.eval()


def _class(path: Path, target: object) -> type[LightningModule]:
    if target is None:
        raise DataError(
            "the checkpoint does not say of which class its model is",
            where=path,
            hint=_NAMED,
        )
    module, _, name = str(target).rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(
            f"the checkpoint's model class {target} cannot be imported: {error}",
            where=path,
            hint=f"start where it can be imported; {_NAMED}",
        ) from error
    if not (isinstance(found, type) and issubclass(found, LightningModule)):
        raise DataError(f"{target} is not a LightningModule", where=path, hint=_NAMED)
    return found


def _content(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise DataError("there is no such checkpoint", where=path.absolute(), hint=_EXPECTED)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        first = str(error).strip().splitlines()[:1]
        raise DataError(
            f"{path.name} cannot be read as a checkpoint: "
            f"{first[0] if first else type(error).__name__}",
            where=path,
            hint=_EXPECTED,
        ) from error
    wanted = ("state_dict", "hyper_parameters")
    if not isinstance(content, dict) or any(name not in content for name in wanted):
        raise DataError(
            f"{path.name} holds no training of fer_lab: no {' and no '.join(wanted)}",
            where=path,
            hint=f"expected is {_EXPECTED}; weights alone are loaded by model.weights=",
        )
    return content
