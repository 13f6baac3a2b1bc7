"""A callback that kills its own process, as nothing could foresee, at a moment that is named."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer


class Kill(Callback):
    """``kill -9`` when a hook is called for the n-th time; ``killed.txt`` says where that was.

    Args:
        hook: ``on_train_batch_end`` for one, or ``write``: while a checkpoint is being written.
        count: the call, counted from 1; of ``write`` and ``on_save_checkpoint`` the checkpoint.
        folder: the run's.
        after: seconds from the call on, so that the moment may be anywhere.
        rank: the one of several processes that is killed; None kills each.
    """

    def __init__(
        self, hook: str, count: int, folder: str, after: float = 0.0, rank: int | None = None
    ) -> None:
        self.hook = hook
        self.count = count
        self.folder = Path(folder)
        self.after = after
        self.rank = rank
        self.calls = 0
        if hook not in ("write", "on_save_checkpoint"):
            setattr(self, hook, self._called)

    def _called(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.calls += 1
        if self.calls != self.count or self.rank not in (None, trainer.global_rank):
            return
        if self.after:
            threading.Thread(target=self._later, args=(trainer,), daemon=True).start()
        else:
            self._kill(trainer)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if self.hook == "on_save_checkpoint":
            self._called(trainer, pl_module)
        elif self.hook == "write":
            self.calls += 1
            if self.calls == self.count:
                # Large enough to be met half-way.
                checkpoint["padding"] = torch.zeros(64 << 20, dtype=torch.uint8)
                threading.Thread(target=self._watch, args=(trainer,), daemon=True).start()

    def _watch(self, trainer: Trainer) -> None:
        while True:
            for path in (self.folder / "checkpoints").glob(".*.ckpt"):
                if path.stat().st_size > 1 << 20:
                    self._kill(trainer)
            time.sleep(0.0005)

    def _later(self, trainer: Trainer) -> None:
        time.sleep(self.after)
        self._kill(trainer)

    def _kill(self, trainer: Trainer) -> None:
        done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
        if self.hook == "on_train_epoch_start":  # the count is still that of the epoch before
            done = 0
        place = f"epoch {trainer.current_epoch}, {done} batches done"
        (self.folder / "killed.txt").write_text("test" if trainer.testing else place)
        os.kill(os.getpid(), signal.SIGKILL)
