"""Class-activation maps: Grad-CAM (Selvaraju et al. 2017) and HiResCAM (Draelos & Carin 2020).

The gradient is taken from the logit down to the explained layer only, so that a map costs little
more than the forward pass that it needs anyway.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.explain.attribution import Explanation
from fer_lab.models.classifier import MIN_GRID


def gradcam(
    model: nn.Module, image: Tensor, target: Tensor | None = None, *, layer: str | None = None
) -> Explanation:
    """Channels weighted by their gradient's mean over space, summed, negative parts cut off.

    Right before a global average pooling; use HiResCAM where the head depends on place.

    Args:
        model: image -> logits.
        image: float ``[N, 3, H, W]``.
        target: class to explain, int64 ``[N]``; the predicted one when None.
        layer: path of a module with output ``[N, K, h, w]``; the model's ``attribution_layer``
            by default.

    Raises:
        ConfigError: for a layer that is missing, not spatial, or coarser than 7×7.
    """
    return _cam(model, image, target, layer, _gradcam_map)


def hirescam(
    model: nn.Module, image: Tensor, target: Tensor | None = None, *, layer: str | None = None
) -> Explanation:
    """Activation times gradient at each place, summed over channels, negative parts cut off.

    The same map as Grad-CAM where pooling and one linear layer follow. Arguments as ``gradcam``.
    """
    return _cam(model, image, target, layer, _hirescam_map)


def grid_of(
    model: nn.Module, layer: str | None = None, *, image_size: int | None = None
) -> tuple[int, int]:
    """Height and width of the map that a layer gives.

    Args:
        model: image -> logits.
        layer: path of a module; the model's ``attribution_layer`` by default.
        image_size: side of the image in pixels; the model's ``image_size`` by default.

    Raises:
        ConfigError: as ``gradcam``.
    """
    size = image_size or int(getattr(model, "image_size", 224))
    reference = next(model.parameters())
    image = torch.zeros(1, 3, size, size, device=reference.device, dtype=reference.dtype)
    name, module = _layer(model, image, layer)
    found: list[Any] = []

    def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
        found.append(output)

    with _untouched(model), torch.no_grad(), _hooked(module, look):
        model(image)
    return _grid(model, image, name, found[-1] if found else None)


def _gradcam_map(activation: Tensor, gradient: Tensor) -> Tensor:
    weight = gradient.mean((2, 3))
    return torch.einsum("nk,nkhw->nhw", weight, activation)


def _hirescam_map(activation: Tensor, gradient: Tensor) -> Tensor:
    return (activation * gradient).sum(1)


def _cam(
    model: nn.Module,
    image: Tensor,
    target: Tensor | None,
    layer: str | None,
    combine: Callable[[Tensor, Tensor], Tensor],
) -> Explanation:
    # Inside an inference mode nothing can be differentiated, nor can its tensors.
    with _untouched(model), torch.inference_mode(False):
        image = image.clone() if image.is_inference() else image.detach()
        name, module = _layer(model, image, layer)
        logits, output = _logits_over(model, image, module, gradient_before=False)
        grid = _grid(model, image, name, output)
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
        heat = combine(output.detach().float(), gradient.float()).relu()
    return Explanation(logits.detach(), _scaled(heat, image.shape[-2:]), grid)


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

    with torch.set_grad_enabled(gradient_before), _hooked(module, tap):
        logits: Tensor = model(image)
    return logits, tapped[0]


def _scaled(heat: Tensor, size: torch.Size) -> Tensor:
    """``heat`` [N, h, w] enlarged to ``size`` and stretched to [0, 1]; flat maps become zero."""
    enlarged = F.interpolate(heat[:, None], size=tuple(size), mode="bilinear", align_corners=False)
    flat = enlarged.flatten(1)
    low, high = flat.aminmax(dim=1, keepdim=True)
    spread = high - low
    scale = torch.where(spread > 0, 1 / spread, torch.zeros_like(spread))
    return ((flat - low) * scale).clamp_(0, 1).view(enlarged.shape[0], *size)


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, every module's own mode again after."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _hooked(
    module: nn.Module, hook: Callable[[nn.Module, Any, Any], Tensor | None]
) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def _layer(model: nn.Module, image: Tensor, layer: str | None) -> tuple[str, nn.Module]:
    modules = dict(model.named_modules())
    name = layer if layer is not None else getattr(model, "attribution_layer", None)
    if name is None:
        raise ConfigError(
            f"{type(model).__name__} does not say which layer to explain",
            where="explain.layer",
            hint=_advice(model, image),
        )
    if name not in modules or not name:
        near = difflib.get_close_matches(name, list(modules), n=3, cutoff=0.5)
        raise ConfigError(
            f"{type(model).__name__} has no layer {name!r}",
            where="explain.layer",
            hint=f"near ones: {', '.join(near)}" if near else _advice(model, image),
        )
    return name, modules[name]


def _grid(model: nn.Module, image: Tensor, name: str, output: Any) -> tuple[int, int]:
    """Height and width of a layer's output, if that is a map fine enough to explain."""
    grid = _map_size(output, image)
    if output is None:
        raise ConfigError(
            f"{type(model).__name__} has a layer {name!r} but does not use it",
            where="explain.layer",
            hint=_advice(model, image),
        )
    if grid is None:
        shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ConfigError(
            f"the layer {name!r} gives {shape}, not a map over the image",
            where="explain.layer",
            hint=_advice(model, image),
        )
    if min(grid) < MIN_GRID:
        raise ConfigError(
            f"the layer {name!r} has a grid of {grid[0]}×{grid[1]} at "
            f"{image.shape[-2]}×{image.shape[-1]} px, too coarse for face regions",
            where="explain.layer",
            hint=_advice(model, image),
        )
    return grid


def _map_size(output: Any, image: Tensor) -> tuple[int, int] | None:
    """Height and width of ``[N, K, h, w]`` over the image, None for anything else.

    The aspect must be the image's: it tells channels-last maps ``[N, h, w, K]`` apart.
    """
    if not isinstance(output, Tensor) or output.ndim != 4:
        return None
    (height, width), (rows, columns) = image.shape[-2:], output.shape[-2:]
    fits = rows <= height and columns <= width
    alike = abs(rows * width - columns * height) <= max(height, width)
    return (rows, columns) if fits and alike else None


def _advice(model: nn.Module, image: Tensor) -> str:
    """The layer to take instead: the last fine enough, of those the least nested."""
    found: list[str] = []
    with _untouched(model), torch.no_grad():
        names = {module: name for name, module in model.named_modules() if name}

        def look(module: nn.Module, _inputs: Any, output: Any) -> None:
            grid = _map_size(output, image)
            if grid is not None and min(grid) >= MIN_GRID:
                found.append(names[module])

        handles = [module.register_forward_hook(look) for module in names]
        try:
            model(image[:1])
        finally:
            for handle in handles:
                handle.remove()
    if not found:
        return (
            f"this model has no spatial layer of {MIN_GRID}×{MIN_GRID} or finer for a "
            "class-activation map: use larger images or another method"
        )
    depth = min(name.count(".") for name in found)
    return f"use layer={[name for name in found if name.count('.') == depth][-1]}"
