"""Sharpness-aware minimisation around any optimizer of torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.optim import Optimizer

from fer_lab.errors import ConfigError

NAME = "sam"


class SAM(Optimizer):
    """Steps by the gradient at the worst point nearby: rho up the gradient, in Euclidean norm.

    A step takes two passes over its batch. The first gives the gradient g at w; the second, at
    w + rho · g / ||g||, the gradient with which ``base`` then changes w. Parameter groups and state
    are those of ``base``, so that schedules and checkpoints work as without SAM. Only the first
    pass changes the running statistics of batch norm, once a model is attached; dropout is drawn
    anew in the second.

    Several processes average their gradients before they climb: all go up the gradient of the joint
    batch, not each that of its share (the study's m-sharpness).

    Gradients are clipped by Lightning in both passes: by norm, which leaves the direction of the
    first as it is, and then limits the one that counts.

    Args:
        base: the optimizer that makes the step.
        rho: how far up, positive.

    Source: Foret et al. 2021, Eq. 2 and 3, Algorithm 1.
    """

    def __init__(self, base: Optimizer, *, rho: float = 0.05) -> None:
        self.base = base
        self.rho = rho
        self._model: nn.Module | None = None
        super().__init__(base.param_groups, {})
        self._share()

    def attach(self, model: pl.LightningModule) -> None:
        """Name the model, whose running statistics are kept in second passes, before it is trained.

        Its attribute ``second_pass`` is true in them, so that no figure counts a batch twice.

        Raises:
            ConfigError: for a trainer under which a batch cannot be gone over twice.
        """
        trainer = model.trainer
        if trainer.accumulate_grad_batches != 1:
            raise ConfigError(
                "SAM goes over each batch twice and cannot add up the gradients of several",
                where="trainer.accumulate_grad_batches",
                hint="set it to 1, or use model.optimizer.name=adam",
            )
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            raise ConfigError(
                "SAM cannot work with scaled gradients",
                where=f"trainer.precision={trainer.precision}",
                hint="use bf16-mixed or 32-true, or model.optimizer.name=adam",
            )
        self._model = model

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; ``closure`` sets gradients to zero, computes the loss and its gradients.

        Returns:
            What ``closure`` returned in the first pass.

        Raises:
            ConfigError: without a closure.
        """
        if closure is None:
            raise ConfigError(
                "SAM needs a closure to go over the batch twice",
                where="model.optimizer.name=sam",
                hint="call step(closure), or let Lightning optimise",
            )
        with torch.enable_grad():
            loss = closure()
        before = self._climb()
        # Whatever happens, nobody may find the weights up there, nor save them.
        try:
            with torch.enable_grad(), self._repeating():
                closure()
        finally:
            with torch.no_grad():
                for parameter, value in before:
                    parameter.copy_(value)
        self.base.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """That of the base optimizer."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state of the base optimizer."""
        self.base.load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        self.param_groups = self.base.param_groups
        self.state = self.base.state

    @torch.no_grad()
    def _climb(self) -> list[tuple[Tensor, Tensor]]:
        """Go up the gradient; returns the parameters and their values before."""
        moved = [
            (parameter, parameter.grad)
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not moved:
            return []
        norms = [torch.linalg.vector_norm(gradient) for _, gradient in moved]
        factor = self.rho / (torch.linalg.vector_norm(torch.stack(norms)) + 1e-12)
        before = [(parameter, parameter.clone()) for parameter, _ in moved]
        for parameter, gradient in moved:
            parameter.add_(gradient * factor)
        return before

    @contextmanager
    def _repeating(self) -> Iterator[None]:
        """Around a second pass: batch norm uses the batch's statistics and keeps its own."""
        model: Any = self._model
        if model is None:
            yield
            return
        tracking = [
            module
            for module in model.modules()
            if isinstance(module, _NormBase) and module.track_running_stats
        ]
        model.second_pass = True
        for module in tracking:
            module.track_running_stats = False
        try:
            yield
        finally:
            for module in tracking:
                module.track_running_stats = True
            model.second_pass = False


def split_options(options: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    """Radius, and the options of the optimizer inside: ``{name: sam, base: adam, rho: 0.05, …}``.

    Raises:
        ConfigError: for a radius that is not positive, or SAM in SAM.
    """
    rho = options.get("rho", 0.05)
    if isinstance(rho, bool) or not isinstance(rho, (int, float)) or not 0 < rho < float("inf"):
        raise ConfigError(f"rho is a positive number, not {rho!r}", where="model.optimizer.rho")
    base = options.get("base", "adam")
    if base == NAME:
        raise ConfigError(
            "SAM cannot stand inside SAM",
            where="model.optimizer.base",
            hint="name an ordinary optimizer, adam for one",
        )
    rest = {key: value for key, value in options.items() if key not in ("base", "rho")}
    return float(rho), {**rest, "name": base}
