"""Attribution methods behind one call: ``(model, image, target) -> [N, H, W]`` in [0, 1]."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fer_lab.errors import ConfigError, near_miss
from fer_lab.explain.attribution.model_state import ordinary

__all__ = [
    "METHODS",
    "Explanation",
    "attribute",
    "check",
    "explain_prediction",
    "method_for",
    "options_of",
]

# Name of a method -> module with a function of that name,
# ``(model, image, target [N] or None for the predicted class, **options) -> Explanation``.
# One that does not suit every model also has a ``check(model, image_size, **options)``.
METHODS = {
    "gradcam": "fer_lab.explain.attribution.cam",
    "hirescam": "fer_lab.explain.attribution.cam",
    "gradcam_plus_plus": "fer_lab.explain.attribution.cam",
    "layercam": "fer_lab.explain.attribution.cam",
    "lrp": "fer_lab.explain.attribution.lrp",
    "lime": "fer_lab.explain.attribution.lime",
    "integrated_gradients": "fer_lab.explain.attribution.integrated_gradients",
    "occlusion": "fer_lab.explain.attribution.occlusion",
}


class Explanation(NamedTuple):
    """What a model said about a batch, and where it looked.

    Attributes:
        logits: ``[N, C]``, in evaluation mode.
        attribution: ``[N, H, W]`` in [0, 1] at the image's size; all zero where nothing spoke for
            the explained class.
        grid: height and width of the map before it was enlarged.
    """

    logits: Tensor
    attribution: Tensor
    grid: tuple[int, int]


def attribute(
    model: nn.Module,
    image: Tensor,
    target: Tensor | int,
    method: str = "gradcam",
    **options: Any,
) -> Tensor:
    """Where in each image the model finds evidence for the class ``target``.

    Works in the middle of training and validation, also in inference mode; the model's mode,
    gradients, hooks and flags are as before afterwards.

    Args:
        model: image -> logits; a ``Classifier`` also knows which layer to explain.
        image: float ``[N, 3, H, W]`` as the model takes it, on the model's device.
        target: class to explain, int64 ``[N]`` or one number for all.
        method: one of ``METHODS``, or ``auto`` for the model's own class-activation map.
        **options: of the method's function; ``layer`` (path of a module) for class-activation maps.

    Returns:
        ``[N, H, W]`` in [0, 1]: scaled per image from its minimum to its maximum. A map without
        positive evidence is all zero.

    Raises:
        ConfigError: for an unknown method or option, a layer that is missing, not spatial or
            coarser than 7×7, or a model that the method does not suit.
    """
    classes = torch.as_tensor(target, device=image.device)
    chosen = classes.expand(len(image)) if classes.ndim == 0 else classes
    return _explain(model, image, chosen, method, options).attribution


def explain_prediction(
    model: nn.Module, image: Tensor, method: str = "auto", **options: Any
) -> Explanation:
    """Logits and the explanation of the predicted class, in one pass.

    Args, errors and what is left untouched: see ``attribute``.
    """
    return _explain(model, image, None, method, options)


def options_of(method: str) -> tuple[str, ...]:
    """Names of the options that a method takes."""
    parameters = inspect.signature(_function(method)).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def check(model: nn.Module, method: str = "auto", *, image_size: int, **options: Any) -> None:
    """Find out before a long training whether its model can be explained after it.

    Args:
        model: image -> logits.
        method: one of ``METHODS``, or ``auto``.
        image_size: side of the images in pixels.
        **options: of the method.

    Raises:
        ConfigError: as ``attribute``.
    """
    name = method_for(model, method)
    _refuse_unknown_options(name, options)
    module = import_module(METHODS[name])
    if hasattr(module, "check"):
        module.check(model, image_size, **options)
    else:  # without images, a method that fits every model looks at its options alone
        device = next(model.parameters(), torch.empty(0)).device
        _function(name)(model, torch.zeros(0, 3, image_size, image_size, device=device), **options)


def method_for(model: nn.Module, method: str) -> str:
    """The method that ``method`` means for this model.

    Raises:
        ConfigError: for an unknown method.
    """
    own = getattr(model, "attribution_method", "gradcam")
    if method == "auto":
        return str(own)
    if method not in METHODS:
        raise ConfigError(
            f"there is no attribution method {method!r}",
            where="explain.method",
            hint=f"choose one of auto, {', '.join(METHODS)}",
        )
    if method in ("gradcam", "gradcam_plus_plus") and own == "hirescam":
        warnings.warn(
            f"{method} averages gradients over space, but the head of {type(model).__name__} "
            "depends on place: its maps mislead; use method='hirescam'",
            stacklevel=4,
        )
    return method


def _explain(
    model: nn.Module, image: Tensor, target: Tensor | None, method: str, options: Mapping[str, Any]
) -> Explanation:
    name = method_for(model, method)
    _refuse_unknown_options(name, options)
    if target is not None:
        # Autograd keeps the classes, and those made in inference mode it refuses.
        with torch.inference_mode(False):
            target = ordinary(target)
    explanation: Explanation = _function(name)(model, image, target, **options)
    return explanation


def _function(method: str) -> Any:
    return getattr(import_module(METHODS[method]), method)


def _refuse_unknown_options(method: str, options: Iterable[str]) -> None:
    known = options_of(method)
    for option in options:
        if option not in known:
            near = near_miss(option, known)
            raise ConfigError(
                f"{method} has no option {option!r}",
                where="explain.layer" if option == "layer" else f"explain.options.{option}",
                hint=(f"did you mean {near!r}? " if near else "")
                + f"its options: {', '.join(known)}",
            )
