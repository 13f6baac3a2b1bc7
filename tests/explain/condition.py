"""Everything about a model and torch that an explanation has to leave as it was."""

from __future__ import annotations

import torch
from torch import nn


def condition(model: nn.Module) -> tuple:
    return (
        [module.training for module in model.modules()],
        [type(module) for module in model.modules()],
        [getattr(module, "inplace", None) for module in model.modules()],
        [len(module._forward_hooks) for module in model.modules()],
        [len(module._forward_pre_hooks) for module in model.modules()],
        [len(module._backward_hooks) for module in model.modules()],
        [(p.requires_grad, p.grad is None) for p in model.parameters()],
        {name: hash(value.numpy().tobytes()) for name, value in model.state_dict().items()},
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_rng_state().tolist(),
    )
