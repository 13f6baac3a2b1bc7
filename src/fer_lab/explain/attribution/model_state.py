"""A model that is explained is afterwards as it was before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside, every module's own mode again after."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


def ordinary(image: Tensor) -> Tensor:
    """The image as a tensor that autograd may record, to be used outside of inference mode."""
    return image.clone() if image.is_inference() else image.detach()


@contextmanager
def hooked(
    module: nn.Module, hook: Callable[[nn.Module, Any, Any], Tensor | None]
) -> Iterator[None]:
    """``hook`` sees what the module gives inside, and may change it."""
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
