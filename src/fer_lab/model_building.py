"""The model that a configuration names; options it does not have are refused by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from fer_lab.errors import ConfigError, near_miss

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule

    from fer_lab.data.datamodule import FaceDataModule


def build_model(cfg: DictConfig, datamodule: FaceDataModule) -> LightningModule:
    """The model of ``cfg.model`` for the classes and the image size of some data."""
    from hydra.utils import instantiate

    model: LightningModule = instantiate(
        cfg.model,
        _convert_="all",
        num_classes=len(datamodule.classes),
        classes=list(datamodule.classes),
        image_size=datamodule.image_size,
    )
    return model


def refuse_unknown_options(cfg: DictConfig) -> None:
    """Options that the model of ``cfg``, its optimizer or its schedule do not have.

    Raises:
        ConfigError: naming them, and how to leave them out.
    """
    from hydra.utils import get_object

    from fer_lab.data.splitting.selection import plain
    from fer_lab.models.classifier import Classifier
    from fer_lab.models.optimization import check_optimizer, check_scheduler

    try:
        model = get_object(cfg.model._target_)
    except (ImportError, ValueError):
        return  # Hydra says so, when the model is made.
    known = accepted_options(model)
    given = [str(name) for name in cfg.model if not str(name).startswith("_")]
    if known is not None and not known.issuperset(given):
        raise _unknown(model.__name__, sorted(set(given) - known), known)
    if isinstance(model, type) and issubclass(model, Classifier):
        for name, check in (("optimizer", check_optimizer), ("scheduler", check_scheduler)):
            if cfg.model.get(name) is not None:
                check(plain(OmegaConf.to_container(cfg.model[name], resolve=True)))


def _unknown(model: str, names: list[str], known: set[str]) -> ConfigError:
    """The error for options that a model does not have."""
    near = {name: near_miss(name, known) for name in names}
    meant = [f"model.{name} for {given}" for given, name in near.items() if name]
    remedy = f"leave out: {' '.join(f'~model.{name}' for name in names)}"
    recipe = HydraConfig.get().runtime.choices.get("recipe") if HydraConfig.initialized() else None
    if recipe is not None:
        remedy = f"recipe={recipe} may set what another model has; {remedy}"
    elif meant:
        remedy = f"did you mean {', '.join(meant)}? Otherwise {remedy}"
    return ConfigError(
        f"{model} has no option {', '.join(names)}",
        where=", ".join(f"model.{name}" for name in names),
        hint=f"{remedy}; it takes {', '.join(sorted(known))}",
    )


def accepted_options(model: Callable[..., Any]) -> set[str] | None:
    """Names of the options that a class of models takes, with those it hands on to its bases.

    Args:
        model: a class, or a function that makes a model.

    Returns:
        The names; None where any name may be taken.
    """
    from fer_lab.models.classifier import Classifier

    if not isinstance(model, type):
        names, handed_on = _keywords(model)
        return None if handed_on else names
    found: set[str] = set()
    for each in model.__mro__:
        if "__init__" not in vars(each):
            continue
        names, handed_on = _keywords(vars(each)["__init__"])
        found |= names
        if each is Classifier:
            names, handed_on = _keywords(inspect.getattr_static(model, "build"))
            return None if handed_on else found | names
        if not handed_on:
            return found
    return None


def _keywords(function: Callable[..., Any]) -> tuple[set[str], bool]:
    """Names that a function can be given, and whether it takes any other, too."""
    parameters = inspect.signature(function).parameters.values()
    named = {
        each.name
        for each in parameters
        if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY) and each.name != "self"
    }
    return named, any(each.kind == each.VAR_KEYWORD for each in parameters)
