"""Attribution methods behind one call: ``(model, image, target) -> [N, H, W]`` in [0, 1]."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fer_lab.errors import ConfigError

__all__ = ["METHODS", "Explanation", "attribute", "explain_prediction", "method_for"]

# Name of a method -> module with a function of that name,
# ``(model, image, target [N] or None for the predicted class, **options) -> Explanation``.
METHODS = {
    "gradcam": "fer_lab.explain.attribution.cam",
    "hirescam": "fer_lab.explain.attribution.cam",
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
        method: ``gradcam``, ``hirescam``, or ``auto`` for the model's own.
        **options: of the method; ``layer`` (path of a module) for class-activation maps.

    Returns:
        ``[N, H, W]`` in [0, 1]: scaled per image from its minimum to its maximum. A map without
        positive evidence is all zero.

    Raises:
        ConfigError: for an unknown method, or a layer that is missing, not spatial or coarser
            than 7×7.
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
    if method == "gradcam" and own == "hirescam":
        warnings.warn(
            f"Grad-CAM averages gradients over space, but the head of {type(model).__name__} "
            "depends on place: its maps mislead; use method='hirescam'",
            stacklevel=4,
        )
    return method


def _explain(
    model: nn.Module, image: Tensor, target: Tensor | None, method: str, options: dict[str, Any]
) -> Explanation:
    name = method_for(model, method)
    explanation: Explanation = getattr(import_module(METHODS[name]), name)(
        model, image, target, **options
    )
    return explanation
