"""Class-activation maps of one layer: Grad-CAM, HiResCAM, Grad-CAM++ and LayerCAM.

The gradient is taken from the logit down to the explained layer only, so that a map costs little
more than the forward pass that it needs anyway. The layer gives a map ``[N, K, h, w]``, or the
tokens ``[N, P + h·w, K]`` of a vision transformer, whose first P stand for no place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.explain.attribution import Explanation
from fer_lab.explain.attribution.layers import find_layer, grid_at, grid_of
from fer_lab.explain.attribution.maps import scaled
from fer_lab.explain.attribution.model_state import hooked, ordinary, untouched
from fer_lab.explain.attribution.tokens import as_map, tokens_of

# Share of a sum's terms that float32 leaves of a sum that is zero.
_ROUNDING = 1e-5


def gradcam(
    model: nn.Module, image: Tensor, target: Tensor | None = None, *, layer: str | None = None
) -> Explanation:
    """Channels weighted by their gradient's mean over space, summed, negative parts cut off.

    Right before a global average pooling; use HiResCAM where the head depends on place.

    Args:
        model: image -> logits.
        image: float ``[N, 3, H, W]``.
        target: class to explain, int64 ``[N]``; the predicted one when None.
        layer: path of a module with output ``[N, K, h, w]`` or ``[N, P + h·w, K]``; the model's
            ``attribution_layer`` by default.

    Raises:
        ConfigError: for a layer that is missing, not spatial, coarser than 7×7, or whose map has
            no influence on the logits.

    Source: Selvaraju et al. 2017, Eqs. 1 and 2.
    """
    return _cam(model, image, target, layer, _gradcam_map)


def hirescam(
    model: nn.Module, image: Tensor, target: Tensor | None = None, *, layer: str | None = None
) -> Explanation:
    """Activation times gradient at each place, summed over channels, negative parts cut off.

    The same map as Grad-CAM where pooling and one linear layer follow. Arguments as ``gradcam``.

    Source: Draelos & Carin 2020, Eq. 4.
    """
    return _cam(model, image, target, layer, _hirescam_map)


def gradcam_plus_plus(
    model: nn.Module, image: Tensor, target: Tensor | None = None, *, layer: str | None = None
) -> Explanation:
    """Channels weighted by positive gradients, each the more the fewer places share its effect.

    Meant for activations that are not negative, such as those after a ReLU. Arguments as
    ``gradcam``.

    Source: Chattopadhay et al. 2018, Eqs. 10 and 19, for the score exp(logit).
    """
    return _cam(model, image, target, layer, _gradcam_plus_plus_map)


def layercam(
    model: nn.Module, image: Tensor, target: Tensor | None = None, *, layer: str | None = None
) -> Explanation:
    """Activation times positive gradient at each place, summed over channels, and cut off at 0.

    Finer than Grad-CAM in early layers. Arguments as ``gradcam``.

    Source: Jiang et al. 2021, Eqs. 5 to 7.
    """
    return _cam(model, image, target, layer, _layercam_map)


def check(model: nn.Module, image_size: int, *, layer: str | None = None) -> None:
    """Refuse a layer that cannot be explained, at the price of one forward pass.

    Raises:
        ConfigError: as ``gradcam``.
    """
    grid_of(model, layer, image_size=image_size)


def _gradcam_map(activation: Tensor, gradient: Tensor) -> Tensor:
    weight = gradient.mean((2, 3))
    return torch.einsum("nk,nkhw->nhw", weight, activation)


def _hirescam_map(activation: Tensor, gradient: Tensor) -> Tensor:
    return (activation * gradient).sum(1)


def _gradcam_plus_plus_map(activation: Tensor, gradient: Tensor) -> Tensor:
    # Second and third derivative of exp(logit) are powers of the logit's gradient g, and Eq. 19,
    # g² / (2g² + g³ ΣA), is 1 / (2 + g ΣA): no powers that vanish in float32.
    below = 2 + gradient * activation.sum((2, 3), keepdim=True)
    share = torch.where(below == 0, 0, 1 / below)
    weight = (share * gradient.relu()).sum((2, 3))
    return torch.einsum("nk,nkhw->nhw", weight, activation)


def _layercam_map(activation: Tensor, gradient: Tensor) -> Tensor:
    return (activation * gradient.relu()).sum(1)


def _cam(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None,
    layer: str | None,
    combine: Callable[[Tensor, Tensor], Tensor],
) -> Explanation:
    with untouched(model), torch.inference_mode(False):
        image = ordinary(image)
        name, module = find_layer(model, image, layer)
        logits, output = _logits_over(model, image, module, gradient_before=False)
        grid = grid_at(model, image, name, output)
        if not logits.requires_grad:
            # The layer stands in a no_grad block of the model's: its end took the gradient away.
            logits, output = _logits_over(model, image, module, gradient_before=True)
        gradient = None
        if logits.requires_grad:
            if target is None:
                target = logits.detach().argmax(1)
            with torch.enable_grad():
                score = logits.gather(1, target.view(-1, 1)).sum()
            (gradient,) = torch.autograd.grad(score, output, allow_unused=True)
        if gradient is None:
            raise ConfigError(
                f"the logits of {type(model).__name__} do not depend on the layer {name!r}",
                where="explain.layer",
                hint="choose a layer between the image and the logits",
            )
        activation, gradient = output.detach().float(), gradient.float()
        if activation.ndim == 3:
            activation, gradient = _token_maps(activation, gradient, image, name)
        heat = combine(activation, gradient)
        if output.ndim == 3 and combine is _hirescam_map:
            _refuse_cancelled(heat, activation, gradient, name)
    return Explanation(logits.detach(), scaled(heat.relu(), image.shape[-2:]), grid)


def _token_maps(
    tokens: Tensor, gradient: Tensor, image: Tensor, name: str
) -> tuple[Tensor, Tensor]:
    """Tokens and their gradient as ``[N, K, h, w]``."""
    height, width = image.shape[-2:]
    division = tokens_of(tokens.shape[1], (height, width))
    assert division is not None  # grid_at has refused such a layer
    if len(tokens) and not gradient[:, division.prefix :].any():
        raise ConfigError(
            f"after the layer {name!r} only the class token is read: its map says nothing",
            where="explain.layer",
            hint="choose the norm1 inside the last block",
        )
    return as_map(tokens, division), as_map(gradient, division)


def _refuse_cancelled(heat: Tensor, activation: Tensor, gradient: Tensor, name: str) -> None:
    """A layer whose output is only read normalised has a gradient orthogonal to it."""
    if len(heat) and heat.abs().max() <= _ROUNDING * (activation * gradient).abs().sum(1).max():
        raise ConfigError(
            f"what follows the layer {name!r} normalises each token, so that activation times "
            "gradient sums to zero over the channels",
            where="explain.layer",
            hint="choose the normalisation after it, as norm1 of the next block, or gradcam",
        )


def _logits_over(
    model: nn.Module, image: Tensor, module: nn.Module, *, gradient_before: bool
) -> tuple[Tensor, Any]:
    """Logits as a function of the module's output, and that output.

    Without ``gradient_before`` only what follows the module is recorded: the layers before it, most
    of the work, then run as fast as in a plain forward pass.
    """
    tapped: list[Any] = [None]

    def tap(_module: nn.Module, _inputs: Any, output: Any) -> Tensor | None:
        tapped[0] = output
        if not isinstance(output, Tensor) or not output.is_floating_point():
            return None
        tapped[0] = output.detach().requires_grad_()
        torch.set_grad_enabled(True)
        # The next module may work in place, which a leaf does not allow.
        passed_on: Tensor = tapped[0].clone()
        return passed_on

    with torch.set_grad_enabled(gradient_before), hooked(module, tap):
        logits: Tensor = model(image)
    return logits, tapped[0]
