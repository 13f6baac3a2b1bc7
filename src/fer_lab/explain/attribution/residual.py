"""Making timm's residual blocks readable for relevance propagation.

A block adds its shortcut in its own code, where no rule can be attached; here the addition becomes
a module, and batch norms are folded into the convolutions before them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

import torch
from timm.models.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn
from zennit.canonizers import AttributeCanonizer, CompositeCanonizer, SequentialMergeBatchNorm
from zennit.layer import Sum

_SUM = "residual_sum"

# The activation after the addition, by kind of block.
_LAST = {Bottleneck: "act3", BasicBlock: "act2"}

# Not on the way of the block's convolutions; dropping paths does nothing in evaluation mode.
_ASIDE = ("downsample", "drop_path", _SUM)


class ResidualCanonizer(CompositeCanonizer):  # type: ignore[misc]
    """Batch norms folded into convolutions, and the additions of timm's ResNet blocks as modules.

    Applied and undone by zennit's composites, so a model is as before afterwards.
    """

    def __init__(self) -> None:
        super().__init__((SequentialMergeBatchNorm(), AttributeCanonizer(_summing)))


@contextmanager
def out_of_place(model: nn.Module) -> Iterator[None]:
    """No module overwrites its input inside; rules need what went in."""
    modules: list[Any] = [part for part in model.modules() if getattr(part, "inplace", False)]
    try:
        for module in modules:
            module.inplace = False
        yield
    finally:
        for module in modules:
            module.inplace = True


def _summing(_name: str, module: nn.Module) -> dict[str, Any] | None:
    """What is changed in a module: nothing, or a block's forward pass."""
    if not isinstance(module, tuple(_LAST)):
        return None
    return {"forward": MethodType(_forward, module), _SUM: Sum()}


def _forward(block: Any, image: Tensor) -> Tensor:
    """The block with its addition as a module; children are in the order in which they run."""
    last = next(name for kind, name in _LAST.items() if isinstance(block, kind))
    features = image
    for name, module in block.named_children():
        if name != last and name not in _ASIDE:
            features = module(features)
    shortcut = image if block.downsample is None else block.downsample(image)
    summed = getattr(block, _SUM)(torch.stack([shortcut, features], dim=-1))
    result: Tensor = getattr(block, last)(summed)
    return result
