"""Training steps through a compiled forward pass."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from fer_lab.errors import ConfigError, near_miss

log = logging.getLogger(__name__)

MODES = ("default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class Compilation(Callback):
    """Compile the forward pass of training steps by ``torch.compile``.

    Only while a batch is trained on does the model call the compiled function: validations, tests
    and explanations, whose hooks a compiled module may leave out, run as without. Names of weights
    and checkpoints are the same. A batch of another size, the last of an epoch, has a graph of its
    own; dropout draws what it draws without compiling.

    Args:
        mode: False compiles nothing; True is ``default``, or a mode of ``torch.compile``.

    Raises:
        ConfigError: for another mode; at the first batch, when the model cannot be compiled here.
    """

    def __init__(self, mode: bool | str = False) -> None:
        if not isinstance(mode, bool) and mode not in MODES:
            near = near_miss(str(mode), MODES)
            raise ConfigError(
                f"there is no mode {mode!r} of compiling"
                + (f"; did you mean {near!r}?" if near else ""),
                where="compile",
                hint=f"choose true, false, {', '.join(MODES[1:])}",
            )
        self.mode = "default" if mode is True else mode
        self._compiled: Callable[[Tensor], Tensor] | None = None
        self._used = False

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Prepare; the compiler runs when the first batch comes."""
        if self.mode:
            self._compiled, self._used = self._compile(pl_module.forward), False

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Let the model call the compiled function."""
        if self._compiled is not None:
            vars(pl_module)["forward"] = self._compiled

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let the model call its own forward again."""
        self._restore(pl_module)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Leave the model as it was."""
        self._restore(pl_module)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget the compiled function, and say so if it was of no use."""
        if self._compiled is not None and not self._used:
            log.warning("nothing was compiled: %s learns without it", type(pl_module).__name__)
        self._compiled = None

    def _compile(self, forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """A compiled function whose failure is a mistake of the configuration."""
        options = {**torch._inductor.list_mode_options(str(self.mode)), "fallback_random": True}
        # One graph for each size of batch: there are two of them in a training.
        function = torch.compile(forward, dynamic=False, options=options)

        def call(image: Tensor) -> Tensor:
            self._used = True
            try:
                return function(image)
            except torch._dynamo.exc.TorchDynamoException as error:
                raise ConfigError(
                    f"the model cannot be compiled here: {_reason(error)}",
                    where="compile",
                    hint="install a C++ compiler (g++), or set compile=false",
                ) from error

        return call

    def _restore(self, pl_module: LightningModule) -> None:
        if self._compiled is not None:
            vars(pl_module).pop("forward", None)


def _reason(error: BaseException) -> str:
    return next((line for line in map(str.strip, str(error).splitlines()) if line), "")
