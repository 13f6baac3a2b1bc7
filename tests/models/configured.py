"""Models as ``model=NAME`` composes them, with random weights."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from torch import nn

from fer_lab.configuration import config_directory, register_resolvers
from fer_lab.data.vocabulary import expression_classes

CLASSES = 6


def configured(*overrides: str) -> DictConfig:
    """The configuration of a training as the command line would compose it."""
    register_resolvers()
    with initialize_config_dir(str(config_directory()), version_base="1.3"):
        return compose("train", list(overrides))


@cache
def _containers(*overrides: str) -> tuple[dict, dict]:
    composed = configured(*overrides)
    return OmegaConf.to_container(composed.model), OmegaConf.to_container(composed.recipe)


def options_of(*overrides: str) -> dict:
    return _containers(*overrides)[0]


def recipe_of(*overrides: str) -> dict:
    return _containers(*overrides)[1]


def built(name: str, device: str = "cpu", **options: Any) -> Any:
    """The model that ``model=<name>`` composes, with random weights."""
    given = {**options_of(f"model={name}"), "num_classes": CLASSES, **options}
    if given["num_classes"] in (6, 7, 8):
        given["classes"] = list(expression_classes(given["num_classes"]))
    if "weights" in given and "weights" not in options:
        given["weights"] = "random"
    with torch.device(device):
        return get_class(given.pop("_target_"))(**given)


def count(model: nn.Module, trained: bool = False) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)
