"""Groups of parameters by depth: smaller learning rates for earlier layers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from timm.models import group_parameters
from torch import nn

from fer_lab.errors import ConfigError

log = logging.getLogger(__name__)

# What an optimizer of torch does not know: they say how its parameters are grouped.
OPTIONS = ("layer_decay", "decay_norms")


def check_groups(options: Mapping[str, Any]) -> None:
    """Raise a ConfigError if ``layer_decay`` or ``decay_norms`` have a value that cannot work."""
    decay = options.get("layer_decay")
    number = isinstance(decay, (int, float)) and not isinstance(decay, bool)
    if decay is not None and not (number and 0 < decay <= 1):
        raise ConfigError(
            f"a decay over layers is in (0, 1], not {decay!r}",
            where="model.optimizer.layer_decay",
            hint="0.75 for one: each layer learns at three quarters of the next one's rate",
        )
    if not isinstance(options.get("decay_norms", True), bool):
        raise ConfigError(
            f"decay_norms is true or false, not {options['decay_norms']!r}",
            where="model.optimizer.decay_norms",
        )


def grouped(
    model: nn.Module, options: Mapping[str, Any]
) -> tuple[Sequence[nn.Parameter | dict[str, Any]], dict[str, Any]]:
    """The parameters of a model that learn, in the groups that ``options`` ask for.

    - ``layer_decay: d`` gives a layer the rate lr · d^k, where k layers stand between it and the
      model's end. The last layer, and what stands outside the backbone, learn at lr.
    - ``decay_norms: false`` takes weight decay from biases, norms and other vectors, and from what
      the backbone itself names in ``no_weight_decay()``, position embeddings for one.

    Args:
        model: with its network as ``backbone``.
        options: of its optimizer.

    Returns:
        The parameters, in one list without any of the two, else in groups from the first layer to
        the last; and the options of the optimizer that are left.

    Raises:
        ConfigError: for a backbone whose order of layers is not known.

    Source: Clark et al. 2020 (ELECTRA), layer-wise decay; Bao et al. 2022 (BEiT).
    """
    rest = {name: value for name, value in options.items() if name not in OPTIONS}
    decay = options.get("layer_decay") or 1.0
    decay_norms = options.get("decay_norms", True)
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if decay == 1 and decay_norms:
        return list(trained.values()), rest
    layers = layers_of(model) if decay != 1 else {}
    last = max(layers.values(), default=0)
    spared = set() if decay_norms else _without_decay(model)
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        groups.setdefault((layers.get(name, last), name in spared), []).append(parameter)
    rate = rest.get("lr", 1e-3)
    if decay != 1:
        first = min(layer for layer, _ in groups)
        log.info(
            "learning rates fall over %d layers, from %.3g to %.3g",
            last + 1,
            rate,
            rate * decay ** (last - first),
        )
    return [
        {
            "params": groups[layer, is_spared],
            "lr": rate * decay ** (last - layer),
            **({"weight_decay": 0.0} if is_spared else {}),
        }
        for layer, is_spared in sorted(groups)
    ], rest


def layers_of(model: nn.Module) -> dict[str, int]:
    """The layer of each parameter in ``backbone``, counted from 0, the image's end.

    The backbone says it by ``group_matcher``, as timm's do (blocks are layers), or is a sequence,
    whose parts are its layers. Norms that stand alone belong to the layer before them.

    Args:
        model: with its network as ``backbone``.

    Returns:
        Layers by the parameter's name in ``model``.

    Raises:
        ConfigError: for any other backbone.
    """
    backbone: Any = getattr(model, "backbone", None)
    if hasattr(backbone, "group_matcher"):
        found = group_parameters(backbone, backbone.group_matcher(coarse=False), reverse=True)
    elif isinstance(backbone, nn.Sequential):
        parts = [name for name, _ in backbone.named_children()]
        found = {
            name: parts.index(name.partition(".")[0]) for name, _ in backbone.named_parameters()
        }
    else:
        raise ConfigError(
            f"the order of the layers of {type(model).__name__} is not known",
            where="model.optimizer.layer_decay",
            hint="models of timm have one; your own backbone states it by group_matcher(coarse), "
            "as timm's do, or is an nn.Sequential",
        )
    ranks = {name: each.ndim for name, each in backbone.named_parameters()}
    begins = {0} | {layer for name, layer in found.items() if ranks[name] > 1}
    numbers = {old: new for new, old in enumerate(sorted(begins & set(found.values())))}
    return {
        f"backbone.{name}": numbers[max(old for old in numbers if old <= layer)]
        for name, layer in found.items()
    }


def _without_decay(model: nn.Module) -> set[str]:
    """Names of vectors, and of what the backbone says weight decay would harm."""
    backbone: Any = getattr(model, "backbone", None)
    named = backbone.no_weight_decay() if hasattr(backbone, "no_weight_decay") else ()
    vectors = {name for name, parameter in model.named_parameters() if parameter.ndim <= 1}
    return vectors | {f"backbone.{name}" for name in named}
