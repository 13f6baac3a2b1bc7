"""Parts of a backbone that do not learn: fixed weights, and layers as in evaluation."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from torch import nn

from fer_lab.errors import ConfigError, near_miss
from fer_lab.models.classifier import Classifier

log = logging.getLogger(__name__)


class PartlyFrozen(Classifier):
    """A classifier of which parts may stay as they are; a checkpoint keeps which.

    A subclass calls ``hold`` at the end of its ``__init__``.
    """

    frozen: tuple[str, ...] = ()
    # A name of published weights, for advice.
    published: ClassVar[str] = "imagenet"

    def hold(self, frozen: Sequence[str] | None, weights: str) -> None:
        """Freeze parts.

        Args:
            frozen: paths in ``backbone`` of modules that do not learn and stay as in evaluation;
                None takes the subclass' own.
            weights: what the backbone began with; ``random`` is worth a warning.

        Raises:
            ConfigError: for a path of no module, or when nothing is left to learn.
        """
        if frozen is not None:
            self.frozen = (frozen,) if isinstance(frozen, str) else tuple(frozen)
        freeze(self.backbone, self.frozen)
        self.save_hyperparameters({"frozen": list(self.frozen)})
        self._untaught = weights == "random"

    def train(self, mode: bool = True) -> Self:
        """Training mode, but for what is frozen."""
        super().train(mode)
        rest(self.backbone, self.frozen)
        return self

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """What a checkpoint holds has been learned."""
        super().on_load_checkpoint(checkpoint)
        self._untaught = False

    def on_fit_start(self) -> None:
        """Say so when what is frozen has never learned anything."""
        if self.frozen and self._untaught:
            log.warning(
                "frozen with random weights: %s; give model.weights=%s or a weights file",
                ", ".join(self.frozen),
                self.published,
            )


def freeze(backbone: nn.Module, paths: Sequence[str]) -> None:
    """Fix the weights of some modules: no gradient is kept and no optimizer state made for them.

    Args:
        backbone: changed in place.
        paths: of modules in it, as ``features`` or ``layer4.0``.

    Raises:
        ConfigError: for a path of no module, or when nothing is left to learn.
    """
    modules = dict(backbone.named_modules())
    for path in paths:
        if not path or path not in modules:
            near = near_miss(path, modules)
            children = ", ".join(name for name, _ in backbone.named_children())
            raise ConfigError(
                f"the backbone has no module {path!r}",
                where="model.frozen",
                hint=f"did you mean {near!r}?" if near else f"it has {children} and their parts",
            )
        modules[path].requires_grad_(False)
    if paths and not any(parameter.requires_grad for parameter in backbone.parameters()):
        raise ConfigError(
            "the whole backbone is frozen: nothing is left to learn",
            where="model.frozen",
            hint="leave out at least the head",
        )
    rest(backbone, paths)


def rest(backbone: nn.Module, paths: Sequence[str]) -> None:
    """Put frozen modules into evaluation mode: batch norms keep their statistics, nothing drops."""
    for path in paths:
        backbone.get_submodule(path).eval()
