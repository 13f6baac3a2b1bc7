"""The layer that a class-activation map explains: found by its path, a map over the image."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from fer_lab.errors import ConfigError
from fer_lab.explain.attribution.model_state import hooked, untouched
from fer_lab.explain.attribution.tokens import tokens_of
from fer_lab.models.classifier import MIN_GRID


def grid_of(
    model: nn.Module, layer: str | None = None, *, image_size: int | None = None
) -> tuple[int, int]:
    """Height and width of the map that a layer gives.

    Args:
        model: image -> logits.
        layer: path of a module; the model's ``attribution_layer`` by default.
        image_size: side of the image in pixels; the model's ``image_size`` by default.

    Raises:
        ConfigError: for a layer that is missing, not spatial, or coarser than 7×7.
    """
    size = image_size or int(getattr(model, "image_size", 224))
    reference = next(model.parameters())
    image = torch.zeros(1, 3, size, size, device=reference.device, dtype=reference.dtype)
    name, module = find_layer(model, image, layer)
    found: list[Any] = []

    def look(_module: nn.Module, _inputs: Any, output: Any) -> None:
        found.append(output)

    with untouched(model), torch.no_grad(), hooked(module, look):
        model(image)
    return grid_at(model, image, name, found[-1] if found else None)


def find_layer(model: nn.Module, image: Tensor, layer: str | None) -> tuple[str, nn.Module]:
    """Path and module of a layer, of the model's own ``attribution_layer`` when None.

    Raises:
        ConfigError: if there is none of that path; near ones are named.
    """
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


def grid_at(model: nn.Module, image: Tensor, name: str, output: Any) -> tuple[int, int]:
    """Height and width of a layer's output, if that is a map fine enough to explain.

    Raises:
        ConfigError: if it is not; a layer to take instead is named.
    """
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
    """Height and width of ``[N, K, h, w]`` or tokens ``[N, P + h·w, K]``, else None.

    The aspect must be the image's: it tells channels-last maps ``[N, h, w, K]`` apart.
    """
    if not isinstance(output, Tensor) or len(output) != len(image):
        return None
    height, width = image.shape[-2:]
    if output.ndim == 3:
        found = tokens_of(output.shape[1], (height, width))
        return None if found is None else found.grid
    if output.ndim != 4:
        return None
    rows, columns = output.shape[-2:]
    fits = rows <= height and columns <= width
    alike = abs(rows * width - columns * height) <= max(height, width)
    return (rows, columns) if fits and alike else None


def _advice(model: nn.Module, image: Tensor) -> str:
    """The layer to take instead: the model's own, or the last fine one of the least nested."""
    found: list[str] = []
    with untouched(model), torch.no_grad():
        names = {module: name for name, module in model.named_modules() if name}

        def look(module: nn.Module, _inputs: Any, output: Any) -> None:
            grid = _map_size(output, image[:1])
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
    with suppress(ConfigError):
        own = getattr(model, "attribution_layer", None)
        if own in found:
            return f"use layer={own}"
    depth = min(name.count(".") for name in found)
    return f"use layer={[name for name in found if name.count('.') == depth][-1]}"
