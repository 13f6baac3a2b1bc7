"""Layer-wise relevance propagation (Bach et al. 2015) by zennit's composites of rules.

A model whose additions or attention the rules cannot follow does not conserve relevance, and its
maps mean nothing. Each model is therefore tried once, on a copy without biases, and refused if what
arrives at the image differs from the logit by more than one percent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from zennit.composites import EpsilonAlpha2Beta1, EpsilonGammaBox, EpsilonPlusFlat
from zennit.core import Composite

from fer_lab.errors import ConfigError
from fer_lab.explain.attribution import Explanation
from fer_lab.explain.attribution.maps import scaled
from fer_lab.explain.attribution.model_state import ordinary, untouched
from fer_lab.explain.attribution.residual import ResidualCanonizer, out_of_place

Bounds = tuple[Tensor | float, Tensor | float]

# By name: from the bounds of the input's values to the rules of all layers.
COMPOSITES: dict[str, Callable[[Bounds], Composite]] = {
    "epsilon_plus_flat": lambda _: EpsilonPlusFlat(canonizers=[ResidualCanonizer()]),
    "epsilon_alpha2_beta1": lambda _: EpsilonAlpha2Beta1(canonizers=[ResidualCanonizer()]),
    "epsilon_gamma_box": lambda bounds: EpsilonGammaBox(
        low=bounds[0], high=bounds[1], canonizers=[ResidualCanonizer()]
    ),
}

# Share of the logit that may get lost between the logit and the image of a model without biases.
_TOLERANCE = 0.01
_conserving: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()


def lrp(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    composite: str = "epsilon_plus_flat",
) -> Explanation:
    """What speaks for the class at each pixel: relevance summed over colours, its positive part.

    Args:
        model: image -> logits; a convolutional network.
        image: float ``[N, 3, H, W]``.
        target: class to explain, int64 ``[N]``; the predicted one when None.
        composite: which rule goes to which layer: ``epsilon_plus_flat``, ``epsilon_alpha2_beta1``
            or ``epsilon_gamma_box`` (Montavon et al. 2019).

    Raises:
        ConfigError: for an unknown composite, or a model that does not conserve relevance.
    """
    logits, relevance = relevance_of(model, image, target, composite=composite)
    heat = relevance.sum(1).clamp_min(0)
    return Explanation(logits, scaled(heat, image.shape[-2:]), (image.shape[-2], image.shape[-1]))


def relevance_of(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None = None,
    *,
    composite: str = "epsilon_plus_flat",
) -> tuple[Tensor, Tensor]:
    """Logits, and the signed relevance of each value of the normalised image.

    Relevance sums to the explained logit up to what biases absorb. Arguments and errors: see `lrp`.

    Returns:
        Logits ``[N, C]`` and relevance ``[N, 3, H, W]``.
    """
    _refuse_unknown_composite(composite)
    network, normalise = _network(model)
    _refuse_unless_conserving(model, (image.shape[-2], image.shape[-1]))
    with untouched(model), torch.inference_mode(False):
        image = ordinary(image)
        black, white = torch.zeros_like(image[:1]), torch.ones_like(image[:1])
        bounds = (normalise(black), normalise(white))
        return _relevance(network, normalise(image), target, COMPOSITES[composite](bounds))


def check(model: nn.Module, image_size: int, *, composite: str = "epsilon_plus_flat") -> None:
    """Refuse a model that relevance gets lost in.

    Raises:
        ConfigError: as ``lrp``.
    """
    _refuse_unknown_composite(composite)
    _refuse_unless_conserving(model, (image_size, image_size))


def conservation(model: nn.Module, size: tuple[int, int]) -> float:
    """Relevance that arrives at the image over the logit it came from, 1 where none gets lost.

    Measured on a copy of the model without biases, which would absorb some, and random values.

    Args:
        model: image -> logits.
        size: height and width of the image.
    """
    with torch.inference_mode(False):
        copy = _without_biases(_network(model)[0]).eval()
        generator = torch.Generator().manual_seed(0)
        values = torch.randn(1, 3, *size, generator=generator).to(next(copy.parameters()))
        composite = COMPOSITES["epsilon_plus_flat"]((-1.0, 1.0))
        logits, relevance = _relevance(copy, values, None, composite)
    return float(relevance.sum() / logits.max())


def _network(model: nn.Module) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """What takes normalised images, and how they are normalised.

    Rules hold from layer to layer; arithmetic between image and first layer would be taken for a
    gradient.
    """
    normalise = getattr(model, "normalise", None)
    if normalise is None:
        return model, lambda image: image
    network: Any = model.backbone
    return network, normalise


def _relevance(
    network: nn.Module, values: Tensor, target: Tensor | None, composite: Composite
) -> tuple[Tensor, Tensor]:
    values = values.detach().requires_grad_()
    with torch.enable_grad(), out_of_place(network), composite.context(network) as ruled:
        logits: Tensor = ruled(values)
        chosen = logits.detach().argmax(1) if target is None else target
        start = torch.zeros_like(logits).scatter_(1, chosen.view(-1, 1), 1) * logits.detach()
        (relevance,) = torch.autograd.grad(logits, values, start)
    return logits.detach(), relevance.detach()


def _refuse_unknown_composite(composite: str) -> None:
    if composite not in COMPOSITES:
        raise ConfigError(
            f"there is no composite {composite!r}",
            where="explain.options.composite",
            hint=f"choose one of {', '.join(COMPOSITES)}",
        )


def _refuse_unless_conserving(model: nn.Module, size: tuple[int, int]) -> None:
    if model not in _conserving:
        try:
            _conserving[model] = conservation(model, size)
        except RuntimeError:  # torch's attention takes three inputs, which no rule is made for
            _conserving[model] = math.nan
    ratio = _conserving[model]
    if not abs(ratio - 1) <= _TOLERANCE:
        raise ConfigError(
            f"relevance propagation does not conserve relevance through {type(model).__name__}: "
            f"of a logit of 1, {ratio:.3g} arrives at the image",
            where="explain.method=lrp",
            hint="it needs convolutions, batch norms and timm's residual blocks; use gradcam or "
            "integrated_gradients for other models",
        )


def _without_biases(network: nn.Module) -> nn.Module:
    """A copy in which no layer adds a constant."""
    copy = deepcopy(network)
    with torch.no_grad():
        for module in copy.modules():
            for name in ("bias", "running_mean"):
                constant = getattr(module, name, None)
                if isinstance(constant, Tensor):
                    constant.zero_()
    return copy
